"""From "start a campaign" to a campaign that is live."""

from __future__ import annotations

import re

import httpx

from app.log import decode_row
from app.web.creator.editor import MOST_ASKED, by_part
from domain.events import CampaignSubmitted
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, campaign
from tests.web.browsing import Browser, fields, words
from tests.web.creator.people import picture, signed_in


async def begun(running: Running, browser: Browser) -> str:
    """The address of a new draft."""
    sent = await browser.submit(await browser.get("/create"), "/create", title="Night ferry")
    assert sent.status_code == 303, words(sent)
    return str(sent.headers["location"])


def form_of(page: httpx.Response, at: str) -> dict[str, str]:
    """What the editor's form holds, text areas and choices among it."""
    found = fields(page, at)
    for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]+)"[^>]*>([^<]*)<', page.text):
        found[name] = text
    for name, options in re.findall(
        r'<select id="[^"]*" name="([^"]+)"[^>]*>(.*?)</select>', page.text, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)" selected', options)
        first = re.search(r'value="([^"]*)"', options)
        found[name] = chosen[1] if chosen else first[1] if first else ""
    for box in re.findall(r"<input [^>]*type=.checkbox.[^>]*>", page.text):
        name = re.search(r'name="([^"]+)"', box)
        if name and " checked" not in box:
            found.pop(name[1], None)
    return found


async def save(browser: Browser, at: str, **typed: str) -> httpx.Response:
    """Type into the editor and press a button, without scripts."""
    return await browser.post(at, form_of(await browser.get(at), at) | {"do": "save"} | typed)


async def upload_cover(browser: Browser, at: str, body: bytes) -> httpx.Response:
    """Upload a cover from the editor's page."""
    form = form_of(await browser.get(at), at)
    form |= {"do": "picture:cover", "cover_alt": "A ferry at night"}
    return await browser.client.post(
        f"{at}/pictures", data=form, files={"cover_file": ("a.jpg", body, "image/jpeg")}
    )


async def complete(running: Running, browser: Browser) -> str:
    """The address of a draft that can be handed in."""
    at = await begun(running, browser)
    assert (await upload_cover(browser, at, picture())).status_code == 303
    await save(browser, at, do="add:reward")
    reward = re.search(r'name="(reward\.[^"]+)\.title"', (await browser.get(at)).text)
    assert reward is not None
    await save(browser, at, do=f"fee:{reward[1].partition('.')[2]}")
    saved = await save(
        browser,
        at,
        blurb="A ferry that runs after dark.",
        story="It runs **after dark**.",
        risks="Fog.",
        category="community",
        goal="2,500",
        deadline="2026-04-11",
        **{
            f"{reward[1]}.title": "A ride",
            f"{reward[1]}.price": "25.50",
            f"{reward[1]}.limit": "40",
            f"{reward[1]}.delivery": "2026-09",
            f"{reward[1]}.region": "cn",
            f"{reward[1]}.fee": "12",
        },
    )
    assert saved.status_code == 303
    return at


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(running: Running) -> None:
    """What it takes can be read by anybody; a draft needs somebody to whom it belongs."""
    browser = Browser(running)
    page = await browser.get("/create")
    assert "What it takes" in words(page)
    assert 'href="/sign-in?next=/create"' in page.text
    draft = await browser.client.get("/drafts/00000000-0000-4000-8000-000000000000")
    assert draft.headers["location"].startswith("/sign-in?next=%2Fdrafts%2F")


async def test_a_draft_is_nobody_elses(running: Running) -> None:
    """Another account is told that there is nothing."""
    browser, _ = await signed_in(running, "one@example.org")
    at = await begun(running, browser)
    other, _ = await signed_in(running, "two@example.org")
    assert (await other.get(at)).status_code == 404


async def test_from_draft_to_live(running: Running, staff: Caller) -> None:
    """Typed, looked at, handed in with texts and cover, approved by staff, launched."""
    running.platform.start()
    browser, party = await signed_in(running, "creator@example.org", "Sample creator")
    at = await complete(running, browser)
    page = await browser.get(at)
    open_items = re.findall(r"<li class=.open.>.*?</li>", page.text, re.DOTALL)
    assert "Everything is there." in words(page), open_items
    assert "<strong>after dark</strong>" in page.text
    review = await browser.get(f"{at}/submit")
    assert "¥2,500" in words(review)
    sent = await browser.submit(review, f"{at}/submit")
    assert sent.status_code == 303, words(sent)
    (event,) = [
        event
        for row in running.platform.log.read(0, 100)
        if isinstance(event := decode_row(row), CampaignSubmitted)
    ]
    submission = event.submission
    assert (submission.creator, submission.goal_minor) == (party, 250_000)
    assert submission.deadline_at == NOW + 30 * DAY_MS + 719 * 60_000
    (reward,) = submission.rewards
    assert (reward.price_minor, reward.limit) == (2_550, 40)
    assert [(fee.region, fee.fee_minor) for fee in reward.shipping] == [("CN", 1_200)]
    texts = await running.platform.stores.content.get_many([submission.text, reward.text])
    assert texts[submission.text]["category"] == "community"
    assert len(str(texts[submission.text]["cover"])) == 64
    assert texts[reward.text]["title"] == "A ride"
    assert "Handed in." in words(await browser.get(at))
    campaign_id = at.rpartition("/")[2]
    done = await running.do(staff, campaign_id, "approve")
    await running.platform.follower.wait_for_async(done["position"], 2)
    page = await browser.get(at)
    assert "Approved." in words(page)
    live = await browser.submit(page, f"/desk/{campaign_id}/launch")
    assert live.headers["location"].startswith(f"/desk/{campaign_id}")


async def test_remarks_stand_in_the_draft_and_it_is_handed_in_again(
    running: Running, staff: Caller
) -> None:
    """Staff's words are on the page; what was changed is what is handed in again."""
    running.platform.start()
    browser, _ = await signed_in(running, "creator@example.org")
    at = await complete(running, browser)
    await browser.submit(await browser.get(f"{at}/submit"), f"{at}/submit")
    campaign_id = at.rpartition("/")[2]
    locked = await browser.post(at, {"title": "Sly", "form_token": "x"})
    assert locked.status_code == 403
    remarks = {"text": {"title": "Nearly", "body": "Say who steers."}}
    done = await running.do(staff, campaign_id, "return", remarks)
    await running.platform.follower.wait_for_async(done["position"], 2)
    assert "Say who steers." in words(await browser.get(at))
    await save(browser, at, story="We steer.")
    sent = await browser.submit(await browser.get(f"{at}/submit"), f"{at}/submit")
    assert sent.status_code == 303
    assert "Handed in." in words(await browser.get(at))


async def test_the_checklist_names_what_is_missing_and_where(running: Running) -> None:
    """Each unmet item is a link to its field, and handing in leads back to them."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    page = await browser.get(at)
    assert '<a href="#story">Tell the story.</a>' in page.text
    assert 'id="story"' in page.text
    back = await browser.get(f"{at}/submit")
    assert str(back.url).endswith("#checklist") or back.url.path == at


async def test_what_makes_no_sense_yet_is_kept_as_it_was_typed(running: Running) -> None:
    """A goal in words is shown again, and named on the checklist."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    await save(browser, at, goal="two thousand", deadline="soon")
    page = await browser.get(at)
    assert 'value="two thousand"' in page.text
    assert '<a href="#goal">' in page.text


async def test_two_windows_show_both_versions(running: Running) -> None:
    """The later one is not saved over the earlier: both are shown, and one is chosen."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    first, second = [form_of(await browser.get(at), at) for _ in range(2)]
    header = {"hx-request": "true"}
    await browser.client.post(at, data=first | {"story": "The first window"}, headers=header)
    late = await browser.client.post(at, data=second | {"story": "The second"}, headers=header)
    assert "Not saved" in words(late)
    assert "The first window" in words(late)
    plain = await browser.post(at, second | {"story": "The second"})
    assert plain.status_code == 409
    assert "The second" in form_of(plain, at)["story"]
    over = re.search(r'name="over" value="(\d+)"', plain.text)
    assert over is not None
    kept = await browser.post(at, second | {"story": "The second", "over": over[1]})
    assert kept.status_code == 303
    assert form_of(await browser.get(at), at)["story"] == "The second"


async def test_saving_as_one_types_answers_with_what_changed(running: Running) -> None:
    """The answer has the state, the checklist and the preview, and no whole page."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    form = form_of(await browser.get(at), at) | {"story": "# A tale <script>x</script>"}
    answer = await browser.client.post(at, data=form, headers={"hx-request": "true"})
    assert "<html" not in answer.text
    assert 'id="draft-state"' in answer.text
    assert "<script>" not in answer.text
    assert "A tale" in answer.text
    assert 'name="revision" value="2"' in answer.text


async def test_the_team_joins_by_mail_and_may_edit(running: Running) -> None:
    """An address without an account is said beside the field; a member sees the draft."""
    browser, _ = await signed_in(running, "creator@example.org")
    member, _ = await signed_in(running, "member@example.org", "Sample member")
    at = await begun(running, browser)
    unknown = await save(browser, at, do="team:add", team_mail="nobody@example.org")
    assert unknown.status_code == 422
    assert "No account has this address" in words(unknown)
    await save(browser, at, do="team:add", team_mail="Member@example.org")
    assert "Sample member" in words(await browser.get(at))
    assert (await member.get(at)).status_code == 200


async def test_nobody_asks_for_one_address_after_the_other(running: Running) -> None:
    """The answer tells whether an address has an account: only so often."""
    browser, _ = await signed_in(running, "creator@example.org")
    await signed_in(running, "member@example.org", "Sample member")
    at = await begun(running, browser)
    for number in range(MOST_ASKED):
        await save(browser, at, do="team:add", team_mail=f"guess{number}@example.org")
    closed = await save(browser, at, do="team:add", team_mail="member@example.org")
    assert closed.status_code == 422
    assert "Too many attempts." in words(closed)
    assert "Sample member" not in words(await browser.get(at))


async def test_numbers_beyond_all_bounds_are_no_fault_of_ours(running: Running) -> None:
    """Figures that only a program sends are a version that nobody knows."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    for figures in ("9" * 30, "9" * 5_000):
        late = await save(browser, at, story="Once", revision=figures, over=figures)
        assert late.status_code == 409


async def test_a_picture_goes_into_the_story_where_the_cursor_stood(running: Running) -> None:
    """Counted as browsers count: characters beyond the first plane are two."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    await save(browser, at, story="\U0001f6a2 before after")
    form = form_of(await browser.get(at), at)
    form |= {"do": "picture:story", "story_alt": "A [map]", "caret": "9"}
    sent = await browser.client.post(
        f"{at}/pictures", data=form, files={"story_file": ("a.png", picture(kind="PNG"))}
    )
    assert sent.status_code == 303, words(sent)
    story = form_of(await browser.get(at), at)["story"]
    assert re.fullmatch(
        "\U0001f6a2 before\n\n!\\[A \\(map\\)\\]\\(/pictures/[0-9a-f]{64}\\)\n\nafter", story
    )


async def test_what_is_no_picture_is_said_beside_the_field(running: Running) -> None:
    """The draft is saved all the same."""
    browser, _ = await signed_in(running, "creator@example.org")
    at = await begun(running, browser)
    sent = await upload_cover(browser, at, b"<svg onload='x'>")
    assert sent.status_code == 422
    assert "This is not a picture that we can read" in words(sent)


def test_remarks_stand_beside_what_they_concern() -> None:
    """A paragraph that names a part goes there, in both languages; the rest stays above."""
    told = by_part("Nearly there\n\nRewards: say who ships.\n\nNote: fog.\n\n故事：请写得更短。")
    assert told == {
        "": "Nearly there\n\nNote: fog.",
        "rewards": "say who ships.",
        "story": "请写得更短。",
    }


async def test_a_campaign_that_a_program_handed_in_has_a_draft(
    running: Running, staff: Caller
) -> None:
    """Sent back, it is opened in the editor with everything that was handed in."""
    running.platform.start()
    browser, party = await signed_in(running, "creator@example.org")
    sent = await running.post("/campaigns", staff, campaign(creator_id=party))
    cid = sent.json()["campaign_id"]
    done = await running.do(staff, cid, "return", {"text": {"body": "Rewards: ship to BR."}})
    await running.platform.follower.wait_for_async(done["position"], 2)
    page = await browser.get(f"/drafts/{cid}")
    form = form_of(page, f"/drafts/{cid}")
    assert form["goal"] == "80000"
    assert form["deadline"] == "2026-04-11"
    assert "ship to BR." in words(page)
    prices = [value for name, value in form.items() if name.endswith(".price")]
    assert prices == ["120", "360"]
    other, _ = await signed_in(running, "other@example.org")
    assert (await other.get(f"/drafts/{cid}")).status_code == 404
