"""The desk: who sees it, what it shows, and everything that can be done there."""

from __future__ import annotations

import csv
import io

import httpx
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it has no stubs
import pytest

from app.log import decode_row
from app.web.creator.deeds import ALL_TAGS, SENTENCES
from domain.events import DeliveryMarked, Event, PayoutRequested, RefundRequested, UpdatePosted
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, new_id, pledge
from tests.web.browsing import Browser, fields, words
from tests.web.creator.people import come_in, signed_in


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The views move when a test says so: no page waits for them."""
    for place in ("app.web.site.WAIT_S", "app.web.backer.pledge_page.WAIT_S"):
        monkeypatch.setattr(place, 0.01)


def events(running: Running, kind: type[Event]) -> list[Event]:
    """Every fact of a kind in the log."""
    found = [decode_row(row) for row in running.platform.log.read(0, 10_000)]
    return [event for event in found if isinstance(event, kind)]


async def backed(
    running: Running, staff: Caller, count: int = 3, **changes: object
) -> tuple[str, str, Browser, list[str]]:
    """A campaign with a creator who signed in, its poster, and its backers with test cards."""
    browser, party = await signed_in(running, "creator@example.org", "Sample creator")
    submitted = await running.launched(staff, creator_id=party, goal_minor=20_000, **changes)
    cid, poster = submitted["campaign_id"], submitted["reward_ids"][0]
    backers = []
    for index in range(count):
        backer = Browser(running)
        await backer.pledge(cid, reward=poster, destination="CN")
        backers.append(backer)
        assert index + 1 == len(backers)
    running.platform.follower.catch_up()
    return cid, poster, browser, [event.backer for event in events(running, _made())]  # type: ignore[attr-defined]


def _made() -> type[Event]:
    from domain.events import PledgeMade  # noqa: PLC0415 - named once, here

    return PledgeMade


def succeed(running: Running, days: int = 31) -> None:
    """Let the deadline pass and the cards be charged."""
    running.clock.now = NOW + days * DAY_MS
    running.work(12)


async def test_only_the_team_sees_a_desk(running: Running, staff: Caller) -> None:
    """A visitor is sent to sign in, another account is refused, on every page of it."""
    submitted = await running.launched(staff)
    cid = submitted["campaign_id"]
    nobody, (other, _) = Browser(running), await signed_in(running, "other@example.org")
    for page in (
        *("", "/live", "/backers", "/export.csv", "/export.parquet", "/refunds", "/refunds/1"),
        *("/deliveries", "/parcels.csv", "/payouts", "/updates", "/rewards", "/course", "/deeds"),
    ):
        path = f"/desk/{cid}{page}"
        away = await nobody.client.get(path)
        assert away.headers["location"].startswith("/sign-in?next="), path
        assert (await other.get(path)).status_code == 403, path
    unknown = await other.get(f"/desk/{new_id()}")
    assert unknown.status_code == 404


async def test_the_desk_at_a_glance(running: Running, staff: Caller) -> None:
    """Title, next step, five figures, rewards chosen and who did what are there."""
    cid, _, browser, _ = await backed(running, staff)
    page = await browser.get(f"/desk/{cid}")
    text = words(page)
    assert page.status_code == 200
    assert "Film nights under the viaduct" in text
    assert "Nothing has to be done now." in text
    assert "¥396 of ¥200" in text
    assert "Poster 3 3 ¥396" in text
    assert "Launched it" in text
    assert 'aria-current="page"' in page.text
    mine = words(await browser.get("/desk"))
    assert "Film nights under the viaduct" in mine
    live = await browser.get(f"/desk/{cid}/live")
    assert "<html" not in live.text
    assert "¥396" in live.text


async def test_a_member_of_the_team_acts_as_the_team(running: Running, staff: Caller) -> None:
    """Their deeds stand in the log under their own id."""
    _, member = await signed_in(running, "member@example.org")
    cid, _, _, _ = await backed(running, staff, 0, team=[member])
    browser = await come_in(running, member)
    page = await browser.get(f"/desk/{cid}/updates")
    sent = await browser.submit(page, f"/desk/{cid}/updates", title="Hello", body="We begin.")
    assert sent.status_code == 303, words(sent)
    (event,) = events(running, UpdatePosted)
    assert event.by == f"creator:{member}"


async def test_backers_by_filter_and_page(running: Running, staff: Caller) -> None:
    """Filters narrow, what is hidden stays without a name, and no page repeats a pledge."""
    cid, _, browser, _ = await backed(running, staff, 2)
    first, second = await running.backers(2)
    for backer, shown in ((first, "name"), (second, "hidden")):
        body = pledge(backer_id=backer, visibility=shown)
        await running.post(f"/campaigns/{cid}/pledges", staff, body)
    running.platform.follower.catch_up()
    ids = {event.no: event.pledge_id for event in events(running, _made())}  # type: ignore[attr-defined]
    names = running.platform.stores.shown_names
    await names.keep(ids[3], party=first, name="Heron Sample")
    await names.keep(ids[4], party=second, name="Hidden Heron")
    text = words(await browser.get(f"/desk/{cid}/backers"))
    assert "Heron Sample" in text
    assert "Hidden Heron" not in text
    found = words(await browser.get(f"/desk/{cid}/backers?name=heron"))
    assert "1 pledge of ¥50." in found
    assert "2 pledges" in words(await browser.get(f"/desk/{cid}/backers?country=CN"))
    assert "No pledge fits" in words(await browser.get(f"/desk/{cid}/backers?state=refunded"))
    assert (await browser.get(f"/desk/{cid}/backers?before=x")).status_code in (400, 422)
    wrong = await browser.get(f"/desk/{cid}/backers?state=%27%3B--&country=%25&reward=%22")
    assert wrong.status_code == 200


async def test_exports_say_the_same_and_no_hidden_name(running: Running, staff: Caller) -> None:
    """CSV and Parquet have every pledge; a formula in a name is disarmed."""
    cid, _, browser, _ = await backed(running, staff, 1)
    first, second = await running.backers(2)
    for backer, shown in ((first, "pen_name"), (second, "hidden")):
        body = pledge(backer_id=backer, visibility=shown)
        await running.post(f"/campaigns/{cid}/pledges", staff, body)
    running.platform.follower.catch_up()
    ids = {event.no: event.pledge_id for event in events(running, _made())}  # type: ignore[attr-defined]
    await running.platform.stores.shown_names.keep(ids[2], party=first, name="=SUM(A1)")
    await running.platform.stores.shown_names.keep(ids[3], party=second, name="Secret")
    answer = await browser.get(f"/desk/{cid}/export.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["no"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["amount"] == "132"
    assert rows[1]["name"] == "'=SUM(A1)"
    assert rows[2]["name"] == "No name"
    made = await browser.get(f"/desk/{cid}/export.parquet")
    table = pq.read_table(io.BytesIO(made.content)).to_pylist()
    assert [row["amount_minor"] for row in table] == [13_200, 5_000, 5_000]
    assert "Secret" not in str(table)
    one = await browser.get(f"/desk/{cid}/export.csv?country=CN")
    assert len(one.text.splitlines()) == 2


async def test_a_refund_is_quoted_then_asked_for_in_parts(running: Running, staff: Caller) -> None:
    """What is said to be borne by whom is what the log then holds; twice the form is one refund."""
    cid, _, browser, _ = await backed(running, staff)
    live = await browser.get(f"/desk/{cid}/refunds/1")
    assert "it is the backer who withdraws" in words(live)
    succeed(running)
    at = f"/desk/{cid}/refunds/1"
    quoted = await browser.get(f"{at}?amount=50")
    text = words(quoted)
    assert "The backer gets back, in all ¥50" in text
    assert "The channel gives back of its fee ¥2.50" in text
    form = fields(quoted, at) | {"cause": "goodwill"}
    assert (await browser.post(at, form)).status_code == 303
    assert (await browser.post(at, form)).status_code == 303
    running.work()
    (event,) = events(running, RefundRequested)
    assert isinstance(event, RefundRequested)
    assert (event.amount_minor, event.platform_fee_reversed_minor) == (5_000, 250)
    more = await browser.get(f"{at}?amount=20")
    assert (await browser.submit(more, at)).status_code == 303
    too_much = await browser.get(f"{at}?amount=5000")
    assert too_much.status_code == 422
    assert "can go back" in words(too_much) or "cannot be refunded" in words(too_much)
    assert "¥50" in words(await browser.get(f"/desk/{cid}/refunds"))
    changed = fields(more, at) | {"refund_id": new_id(), "seen": "1-1-1-1-1"}
    again = await browser.post(at, changed)
    assert "has changed meanwhile" in words(again)


async def test_deliveries_by_tick_and_by_filter_with_addresses(
    running: Running, staff: Caller
) -> None:
    """Addresses stand in the list and the parcels; what was marked is gone from it."""
    cid, _, browser, backers = await backed(running, staff)
    succeed(running)
    backer = await come_in(running, backers[0])
    at = f"/campaigns/{cid}/pledges/1/address"
    page = await backer.get(at)
    assert page.status_code == 200, words(page)
    assert page.text.index('name="province"') < page.text.index('name="street"')
    missing = await backer.submit(page, at, street="")
    assert missing.status_code == 422
    assert "Couriers in China need a phone number." in words(missing)
    elsewhere = await backer.submit(page, at, country="BR", city="x", street="x", name="x")
    assert "You paid for sending to CN." in words(elsewhere)
    good = {"name": "李示例", "phone": "13800000000", "province": "云南省", "city": "大理市"}
    kept = await backer.submit(page, at, country="CN", street="示例路 1 号", **good)
    assert kept.status_code == 303, words(kept)
    page = await browser.get(f"/desk/{cid}/deliveries")
    assert "云南省大理市示例路 1 号" in words(page)
    parcels = await browser.get(f"/desk/{cid}/parcels.csv")
    assert "13800000000" in parcels.content.decode()
    where = f"/desk/{cid}/deliveries"
    token = fields(page, where)
    token.pop("no", None)
    nothing = await browser.post(where, token | {"do": "ticked"})
    assert "Tick what you have sent first." in words(nothing)
    endless = await browser.post(where, token | {"do": "ticked", "no": "9" * 5_000})
    assert "Tick what you have sent first." in words(endless)
    assert (await browser.post(where, token | {"do": "ticked", "no": "2"})).status_code == 303
    assert (await browser.post(where, token | {"do": "all"})).status_code == 303
    running.platform.follower.catch_up()
    marked = [event.nos for event in events(running, DeliveryMarked)]  # type: ignore[attr-defined]
    assert marked == [(2,), (1, 3)]
    closed = await backer.get(at)
    assert "It was sent already." in words(closed)


async def test_an_address_is_its_backers_alone(running: Running, staff: Caller) -> None:
    """Nobody else opens the form, and before success nobody is asked."""
    cid, _, browser, backers = await backed(running, staff, 1)
    at = f"/campaigns/{cid}/pledges/1/address"
    assert (await browser.get(at)).status_code == 403
    assert (await Browser(running).get(at)).status_code == 403
    backer = await come_in(running, backers[0])
    assert "asked for after success" in words(await backer.get(at))


async def test_a_payout_is_explained_and_requested(running: Running, staff: Caller) -> None:
    """Too early it says from when; then what would be paid, and the request goes to the log."""
    cid, _, browser, _ = await backed(running, staff)
    at = f"/desk/{cid}/payouts"
    assert "Money is paid out after success." in words(await browser.get(at))
    succeed(running)
    early = words(await browser.get(at))
    assert "It can be asked for from" in early
    assert "has not verified your bank account" in early
    succeed(running, 50)
    await running.do(staff, cid, "payout-account", {"account_id": new_id()})
    running.platform.follower.catch_up()
    page = await browser.get(f"{at}?part=1/2")
    text = words(page)
    assert "Available now, from all pledges ¥368.28" in text
    assert "This payout ¥184.14" in text
    form = fields(page, at)
    assert (await browser.post(at, form)).status_code == 303
    assert (await browser.post(at, form)).status_code == 303
    (event,) = events(running, PayoutRequested)
    assert isinstance(event, PayoutRequested)
    assert (event.numerator, event.denominator) == (1, 2)
    running.platform.follower.catch_up()
    assert "waits for the treasurer" in words(await browser.get(at))


async def test_an_update_is_posted_once_and_never_under_anothers_name(
    running: Running, staff: Caller
) -> None:
    """The same form again is the same update; its id with another text is not taken for it."""
    cid, _, browser, _ = await backed(running, staff, 0)
    at = f"/desk/{cid}/updates"
    form = fields(await browser.get(at), at) | {"title": "News", "body": "It **goes** well."}
    part = await browser.client.post(f"{at}/preview", data=form, headers={"hx-request": "true"})
    assert "<strong>goes</strong>" in part.text
    assert (await browser.post(at, form)).status_code == 303
    running.platform.follower.catch_up()
    assert (await browser.post(at, form)).status_code == 303
    other = await browser.post(at, form | {"body": "It goes badly."})
    assert other.status_code == 422
    assert "with another text" in words(other)
    assert "It goes badly." in other.text
    assert len(events(running, UpdatePosted)) == 1


async def test_rewards_added_changed_and_stocked(running: Running, staff: Caller) -> None:
    """A new one is offered, one without a backer changes, stock rises; faults stand there."""
    cid, poster, browser, _ = await backed(running, staff, 1)
    at = f"/desk/{cid}/rewards"
    page = await browser.get(at)
    bad = await browser.submit(page, at, title="Mug", price="ten")
    assert bad.status_code == 422
    assert "Write its price in figures" in words(bad)
    assert 'value="ten"' in bad.text
    form = fields(page, at) | {"title": "Mug", "price": "10"}
    form.pop("add_on")
    assert (await browser.post(at, form)).status_code == 303
    running.platform.follower.catch_up()
    page = await browser.get(at)
    assert "Mug ¥10" in words(page)
    stock = f"/desk/{cid}/stock"
    token = fields(page, at)["form_token"]
    low = await browser.post(stock, {"form_token": token, "reward_id": poster, "limit": "0"})
    assert low.status_code == 422
    sent = await browser.post(stock, {"form_token": token, "reward_id": poster, "limit": "9"})
    assert sent.status_code == 303
    changing = await browser.get(f"{at}?change={poster}")
    assert "Add a reward" in words(changing)


async def test_help_is_accepted_and_arrives(running: Running, staff: Caller) -> None:
    """An offer waits in the queue, is accepted, and is said to have arrived."""
    cid, _, browser, _ = await backed(running, staff, 0)
    needs = (await running.get(f"/campaigns/{cid}", staff)).json()["needs"]
    helper = await running.caller("backer")
    offer = {"offer_id": new_id(), "need_id": needs[0]["need_id"], "quantity": 4}
    await running.do(helper, cid, "needs/offer", offer)
    running.platform.follower.catch_up()
    assert "Decide on an offer of help." in words(await browser.get(f"/desk/{cid}"))
    at = f"/desk/{cid}/needs"
    for what, said in (("accept", "accepted"), ("receive", "received")):
        page = await browser.get(f"/desk/{cid}/rewards")
        form = fields(page, at) | {"do": f"{what}:{offer['offer_id']}"}
        assert (await browser.post(at, form)).status_code == 303
        running.platform.follower.catch_up()
        assert f"4 offered · {said}" in words(await browser.get(f"/desk/{cid}/rewards"))


async def course(browser: Browser, cid: str, what: str, **typed: str) -> httpx.Response:
    """Send one of the forms of the course page."""
    at = f"/desk/{cid}/course"
    return await browser.submit(await browser.get(at), f"{at}/{what}", **typed)


async def test_story_deadline_and_late_pledges(running: Running, staff: Caller) -> None:
    """The story changes in public and keeps its other parts; the deadline moves once."""
    cid, _, browser, _ = await backed(running, staff, 1)
    same = await course(
        browser,
        cid,
        "story",
        blurb="Twelve evenings, one white wall.",
        story="A proper screen.\n\nA quiet generator.",
    )
    assert same.status_code == 422
    told = await course(browser, cid, "story", blurb="Ten evenings.", story="A screen.", risks="")
    assert told.status_code == 303, words(told)
    running.platform.follower.catch_up()
    page = (await running.get(f"/campaigns/{cid}", staff)).json()
    assert page["blurb"] == "Ten evenings."
    assert (await course(browser, cid, "deadline", deadline="soon")).status_code == 422
    assert (await course(browser, cid, "deadline", deadline="2026-05-01")).status_code == 303
    running.platform.follower.catch_up()
    assert "It was moved once and stays." in words(await browser.get(f"/desk/{cid}/course"))
    assert (await course(browser, cid, "late", do="open")).status_code == 303
    running.platform.follower.catch_up()
    assert "Close late pledges" in words(await browser.get(f"/desk/{cid}/course"))


async def test_calling_off_asks_for_the_title(running: Running, staff: Caller) -> None:
    """Another text changes nothing; the title ends it, and the desk says what is left to do."""
    cid, _, browser, _ = await backed(running, staff, 1)
    wrong = await course(browser, cid, "cancel", confirm="yes")
    assert wrong.status_code == 422
    assert "Type the campaign's title exactly" in words(wrong)
    sent = await course(browser, cid, "cancel", confirm="film nights under the VIADUCT")
    assert sent.status_code == 303, words(sent)
    running.platform.follower.catch_up()
    desk = words(await browser.get(f"/desk/{cid}"))
    assert "Called off" in desk
    assert "Tell your backers what happens now." in desk


async def test_a_failed_card_says_why_and_when_it_is_tried_again(
    running: Running, staff: Caller
) -> None:
    """The reason in words, the day of the next try and the day on which it is given up."""
    cid, _, browser, _ = await backed(running, staff)
    bad = Browser(running)
    await bad.pledge(cid, card="0000000000000005", amount="50")
    running.platform.follower.catch_up()
    succeed(running, 31)
    text = words(await browser.get(f"/desk/{cid}"))
    assert "Payments that did not work" in text
    assert "4 No name ¥50 not enough money on the card" in text or "the bank declined" in text
    assert "12 April 2026" in text


def test_every_fact_has_a_sentence() -> None:
    """A fact that the log can hold and the desk cannot say would stand there as a tag."""
    assert set(SENTENCES) == ALL_TAGS
