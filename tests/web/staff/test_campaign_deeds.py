"""What staff do to a campaign, and what they may take from its page."""

from __future__ import annotations

from app.api.reading import Texts
from app.stores.people import Role
from app.web.staff.taking_down import pictures_of
from domain.terms import DAY_MS
from projections.campaign_pages import get_page
from tests.api.running import Caller, Running, new_id, pledge
from tests.web.browsing import words
from tests.web.staff.working import Worker, submitted, worker


def stands(running: Running, campaign_id: str) -> tuple[str, bool]:
    """A campaign's phase, and whether it is suspended."""
    return running.platform.engine.inspect(
        campaign_id, lambda state: (str(state.phase), state.suspended)
    )


async def live(running: Running, staff: Caller, **changes: object) -> str:
    """A live campaign; returns its id."""
    campaign_id: str = (await running.launched(staff, **changes))["campaign_id"]
    return campaign_id


async def do(worker_: Worker, path: str, **typed: str) -> None:
    """Send a form that must be carried out."""
    answer = await worker_.post(path, **typed)
    assert answer.status_code == 303, words(answer)


async def test_suspend_and_resume(running: Running, staff: Caller) -> None:
    """A cause from the list suspends, and a click lifts it."""
    cid = await live(running, staff)
    desk = await worker(running, "staff")
    await do(desk, f"/staff/campaigns/{cid}/suspend", cause="report")
    assert stands(running, cid) == ("live", True)
    running.platform.follower.catch_up()
    said = await desk.read(f"/staff/campaigns/{cid}?done=suspended")
    assert "Suspended. No pledges, charges or payouts until you resume it." in said
    await do(desk, f"/staff/campaigns/{cid}/resume")
    assert stands(running, cid) == ("live", False)


async def test_a_cause_of_ones_own_is_refused(running: Running, staff: Caller) -> None:
    """Only the listed causes enter the log."""
    cid = await live(running, staff)
    desk = await worker(running, "staff")
    answer = await desk.post(f"/staff/campaigns/{cid}/suspend", cause="because")
    assert answer.status_code == 422
    assert "Choose why it is suspended." in words(answer)
    assert stands(running, cid) == ("live", False)


async def test_a_reason_stands_where_a_deed_is_not_possible(
    running: Running, staff: Caller
) -> None:
    """What the rules would refuse has no button; sent all the same it is refused in words."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    page = await desk.get(f"/staff/campaigns/{cid}")
    assert "Not possible now." in words(page)
    answer = await desk.post(f"/staff/campaigns/{cid}/suspend", cause="report")
    assert answer.status_code == 409
    assert "another stage" in words(answer)


async def test_calling_off_says_what_happens_and_asks_for_the_title(
    running: Running, staff: Caller
) -> None:
    """Nothing happens before a cause is chosen and the title is typed."""
    cid = await live(running, staff)
    (backer,) = await running.backers(1)
    importer = await running.caller("staff", scopes=("pledges:import", "pledges:write"))
    answer = await running.post(
        f"/campaigns/{cid}/pledges", importer, pledge(backer_id=backer, amount=12_300)
    )
    assert answer.status_code in (200, 201), answer.text
    running.platform.follower.catch_up()
    desk = await worker(running, "staff")
    path = f"/staff/campaigns/{cid}/cancel"
    page = await desk.get(path)
    assert "1 pledge of ¥123 is released. It will never be charged." in words(page)
    wrong = await desk.browser.submit(page, path, cause="legal", typed="Film nights")
    assert wrong.status_code == 422
    assert 'value="Film nights"' in wrong.text
    none = await desk.browser.submit(page, path, typed="Film nights under the viaduct")
    assert none.status_code == 422
    assert stands(running, cid)[0] == "live"
    right = await desk.browser.submit(
        page, path, cause="legal", typed="film nights under  the viaduct"
    )
    assert right.status_code == 303
    assert stands(running, cid)[0] == "cancelled"


async def test_verifying_an_account_needs_a_fresh_proof(running: Running, staff: Caller) -> None:
    """Where money will go is decided only by somebody who has just shown who they are."""
    cid = await live(running, staff)
    account = new_id()
    stale = await worker(running, "staff", stepped_up=False)
    answer = await stale.post(f"/staff/campaigns/{cid}/account", account=account)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/step-up?next=")
    desk = await worker(running, "staff")
    bad = await desk.post(f"/staff/campaigns/{cid}/account", account="IBAN 12")
    assert bad.status_code == 422
    assert 'value="iban 12"' in bad.text
    await do(desk, f"/staff/campaigns/{cid}/account", account=account)
    found = running.platform.engine.inspect(cid, lambda state: state.account_id)
    assert found == account


async def test_the_team_does_not_verify_its_own_account(running: Running, staff: Caller) -> None:
    """The rules refuse it, and the page says why."""
    desk = await worker(running, "staff")
    cid = await live(running, staff, creator_id=desk.party)
    answer = await desk.post(f"/staff/campaigns/{cid}/account", account=new_id())
    assert answer.status_code == 403
    assert "has to verify its account" in words(answer)


async def test_featuring_and_its_end(running: Running, staff: Caller) -> None:
    """A live campaign can be featured, and it is kept who did it."""
    cid = await live(running, staff)
    desk = await worker(running, "staff")
    await do(desk, f"/staff/campaigns/{cid}/feature", featured="yes")
    features = running.platform.stores.features
    assert [one.campaign_id for one in await features.of(running.channel)] == [cid]
    assert "It is featured now." in await desk.read(f"/staff/campaigns/{cid}")
    await do(desk, f"/staff/campaigns/{cid}/feature", featured="no")
    assert not await features.of(running.channel)
    acts = await running.platform.stores.staff_acts.of_channel(running.channel)
    assert {act.act for act in acts} == {"campaign_featured", "campaign_unfeatured"}
    early = await submitted(running, staff)
    refused = await desk.post(f"/staff/campaigns/{early}/feature", featured="yes")
    assert refused.status_code == 409


async def test_a_text_is_taken_down_with_a_reason(running: Running, staff: Caller) -> None:
    """The bytes go, the reason stays; without a reason nothing happens."""
    cid = await live(running, staff)
    desk = await worker(running, "staff")
    (text,) = running.platform.engine.inspect(cid, lambda state: (state.bound.text,))
    path = f"/staff/campaigns/{cid}/content/take-down"
    short = await desk.post(path, content=text, reason="no")
    assert short.status_code == 422
    content = running.platform.stores.content
    assert await content.verify(text) == "intact"
    await do(desk, path, content=text, reason="Shows somebody's home address.")
    assert await content.verify(text) == "taken_down"
    (act,) = await running.platform.stores.staff_acts.of_channel(running.channel)
    assert (act.act, act.subject, act.by) == ("text_taken_down", text, f"staff:{desk.party}")
    said = await desk.read(f"/staff/campaigns/{cid}/content")
    assert "Shows somebody's home address." in said
    assert "Taken down." in said


async def test_only_what_the_campaign_shows_can_be_taken_down(
    running: Running, staff: Caller
) -> None:
    """A content of another campaign is as if it were not there."""
    cid = await live(running, staff)
    other = await running.platform.stores.content.put({"title": "x"}, at=running.clock.now)
    desk = await worker(running, "staff")
    answer = await desk.post(
        f"/staff/campaigns/{cid}/content/take-down", content=other, reason="Long enough a reason"
    )
    assert answer.status_code == 404
    assert await running.platform.stores.content.verify(other) == "intact"


async def test_a_cover_goes_with_its_copies(running: Running, staff: Caller) -> None:
    """A picture that a text names can be taken down by itself."""
    content = running.platform.stores.content
    cover = await content.put_bytes("image/png", b"not really", at=running.clock.now)
    cid = await live(running, staff, story=f"![A hall](/pictures/{cover})")
    desk = await worker(running, "staff")
    path = f"/staff/campaigns/{cid}/content/take-down"
    await do(desk, path, content=cover, reason="Somebody else's photograph.")
    assert await content.picture(cover) is None


async def test_no_picture_hides_in_a_translation(running: Running, staff: Caller) -> None:
    """Those of another language and covers of before can be taken down like any other."""
    cid = await live(running, staff)
    async with running.platform.views.connect() as connection:
        page = await get_page(connection, cid)
    assert page is not None
    before, within = "a" * 64, "b" * 64
    story = {"story": f"![A hall](/pictures/{within})"}
    texts: Texts = {"1": {"cover": before}, "2": {"translations": {"zh-Hans": story}}}
    assert set(pictures_of(page, texts)) == {before, within}


async def test_a_question_is_hidden_with_a_reason(running: Running, staff: Caller) -> None:
    """Hidden from everybody but staff, and it is kept who hid it and why."""
    cid = await live(running, staff)
    store = running.platform.stores.questions
    asked = await store.ask(cid, new_id(), "What is your neighbour's number?", at=1)
    desk = await worker(running, "staff")
    path = f"/staff/campaigns/{cid}/content/hide"
    await do(desk, path, question=asked.id, reason="Asks for personal data.")
    assert not await store.of_campaign(cid)
    assert "Asks for personal data." in await desk.read(f"/staff/campaigns/{cid}/content")


async def test_the_list_is_searched_and_filtered(running: Running, staff: Caller) -> None:
    """By words of the title, by state, and never beyond the channel."""
    await live(running, staff)
    await submitted(running, staff, title="A bench for the square")
    roles: tuple[Role, ...] = ("staff", "treasurer")
    for role in roles:
        desk = await worker(running, role)
        assert "A bench" in await desk.read("/staff/campaigns")
        found = await desk.read("/staff/campaigns?q=BENCH+for")
        assert "A bench" in found
        assert "Film nights" not in found
        live_ones = await desk.read("/staff/campaigns?state=live")
        assert "A bench" not in live_ones
        assert "Film nights" in live_ones
        assert "No campaign of this channel fits." in await desk.read("/staff/campaigns?q=zzz")
        assert (await desk.get("/staff/campaigns?state=nonsense")).status_code == 200


async def test_deeds_tell_who(running: Running, staff: Caller) -> None:
    """Who suspended it stands on its page, by name."""
    cid = await live(running, staff, deadline_at=running.clock.now + 9 * DAY_MS)
    desk = await worker(running, "staff", name="Reviewer of the sample")
    await do(desk, f"/staff/campaigns/{cid}/suspend", cause="identity")
    running.platform.follower.catch_up()
    said = await desk.read(f"/staff/campaigns/{cid}")
    assert "Suspended Reviewer of the sample (Staff)" in said
