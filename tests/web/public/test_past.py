"""The page as it was."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.public.past import Fold, Past, PayoutLine, history
from app.web.public.payouts import payouts_of
from domain import events as e
from domain.codec import decode
from domain.terms import DAY_MS, Submission, Terms
from projections.campaign_pages import CampaignPage, get_page
from projections.views import ViewsFile
from tests.api.running import NOW, Caller, Running, new_id
from tests.projections.history import History, part_of_the_examples, some_history
from tests.projections.views_of import views_of
from tests.web.browsing import Browser, words
from tests.web.public.looking import backs, come_in, launched_by, person, retell, works_in

NBSP = "\N{NO-BREAK SPACE}"


@part_of_the_examples(4)
@given(st.integers(0, 2**32).map(lambda seed: some_history(Random(seed), steps=300)))
def test_the_reconstruction_is_the_view(lived: History) -> None:
    """After any history the last moment, made from events alone, is what the views show."""
    with views_of(lived.log) as file:
        for state in lived.campaigns:
            fold = Fold(state.campaign_id)
            for row in lived.log.rows:
                event = decode(row.tag, row.body)
                if event.stream == state.stream:
                    fold.add(row.position, event)
            moment = fold.moment()
            shown, payouts = asyncio.run(_shown(file, state.campaign_id))
            assert moment.page == shown
            assert moment.payouts == payouts


async def _shown(file: ViewsFile, cid: str) -> tuple[CampaignPage | None, tuple[PayoutLine, ...]]:
    try:
        async with file.reader.connect() as conn:
            return await get_page(conn, cid), await payouts_of(conn, cid)
    finally:
        await file.reader.dispose()


async def test_a_day_shows_what_was_then(running: Running, staff: Caller) -> None:
    """Money, stock, words and phase of then; marked as the past, and nothing to press."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    cid = await launched_by(running, staff, creator)
    first, second = await running.backers(2)
    await backs(running, staff, cid, first, 100_000)
    running.clock.now = NOW + 2 * DAY_MS
    await backs(running, staff, cid, second, 20_000)
    await retell(running, cid, creator, story="Everything is different.")
    running.clock.now = NOW + 4 * DAY_MS
    browser = Browser(running)
    now = words(await browser.get(f"/campaigns/{cid}"))
    assert "¥1,200 CNY pledged" in now
    assert "Everything is different." in now
    page = await browser.get(f"/campaigns/{cid}?at=2026-03-13")
    then = words(page)
    assert "As it was at the end of 13 March 2026" in then
    assert "¥1,000 CNY pledged of ¥80,000" in then.replace(NBSP, " ")
    assert "A proper screen." in then
    assert "Everything is different." not in then
    assert "28 days left" in then
    assert "/pledge" not in page.text
    assert 'name="robots" content="noindex"' in page.text


async def test_a_removed_text_is_removed_in_the_past_too(running: Running, staff: Caller) -> None:
    """Past money, present privacy: what was taken down is gone from every day."""
    cid = (await running.launched(staff))["campaign_id"]
    running.clock.now = NOW + 3 * DAY_MS
    browser = Browser(running)
    assert "A proper screen." in words(await browser.get(f"/campaigns/{cid}?at=2026-03-13"))
    text = running.platform.engine.inspect(cid, lambda state: state.bound.text)
    await running.platform.stores.content.take_down(text, at=NOW)
    running.clock.now += 60_000
    assert "A proper screen." not in words(await browser.get(f"/campaigns/{cid}?at=2026-03-13"))


@pytest.mark.parametrize(
    ("query", "leads_to"),
    [
        ("at=2026-03-16", ""),
        ("at=2030-01-01", ""),
        ("at=1999-01-01", "?at=2026-03-12"),
        ("day=1", "?at=2026-03-13"),
        ("day=99999", ""),
    ],
)
async def test_days_that_are_none(
    running: Running, staff: Caller, query: str, leads_to: str
) -> None:
    """Today and later is the page itself, before the launch is the launch, the slider a day."""
    cid = (await running.launched(staff))["campaign_id"]
    running.clock.now = NOW + 4 * DAY_MS
    answer = await running.client.get(f"/campaigns/{cid}?{query}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/campaigns/{cid}{leads_to}"


@pytest.mark.parametrize("query", ["at=nonsense", "at=2026-13-01", "day=-1", "position=x"])
async def test_what_is_no_day_is_refused(running: Running, staff: Caller, query: str) -> None:
    """A clear refusal, not a fault of ours."""
    cid = (await running.launched(staff))["campaign_id"]
    answer = await running.client.get(f"/campaigns/{cid}?{query}")
    assert answer.status_code in {400, 422}


async def test_positions_are_for_the_team_and_the_channel(running: Running, staff: Caller) -> None:
    """Event by event the past is for who works with it; the others are told so."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    cid = await launched_by(running, staff, creator)
    (backer,) = await running.backers(1)
    await backs(running, staff, cid, backer, 100_000)
    await backs(running, staff, cid, backer, 20_000)
    last = running.platform.log.last()[0]
    path = f"/campaigns/{cid}?position={last - 1}"
    anybody = await Browser(running).client.get(path)
    assert anybody.headers["location"].startswith("/sign-in")
    other = await come_in(running, await person(running, "other@example.org"))
    assert (await other.get(path)).status_code == 403
    auditor = await person(running, "auditor@example.org")
    await works_in(running, auditor, "auditor")
    for party in (creator, auditor):
        page = await (await come_in(running, party)).get(path)
        assert f"After position {last - 1}" in words(page)
        assert "¥1,000 CNY pledged" in words(page)


async def test_past_days_cost_nothing_twice(running: Running, staff: Caller) -> None:
    """The second look at a past day reads no event."""
    cid = (await running.launched(staff))["campaign_id"]
    past = Past(running.platform.log)
    running.clock.now = NOW + 4 * DAY_MS
    first = await past.at_day(cid, "2026-03-13", today="2026-03-16")
    past._log = None  # type: ignore[assignment]  # whoever reads the log now, fails
    again = await past.at_day(cid, "2026-03-12", today="2026-03-16")
    assert first is not None
    assert again is first


def test_fifteen_thousand_pledges_in_well_under_two_seconds() -> None:
    """One pass over a large campaign keeps every day of it."""
    stream, at = "campaign:large", NOW
    head = {"stream": stream, "by": "system:x", "command_id": "x", "channel": "c"}
    submission = Submission(
        creator="creator",
        model="all_or_nothing",
        currency="CNY",
        goal_minor=1_000_000,
        deadline_at=NOW + 60 * DAY_MS,
        terms=Terms(),
    )
    events: list[tuple[int, e.AnyEvent]] = [
        (1, e.CampaignSubmitted(**head, version=1, at=at, submission=submission)),
        (2, e.CampaignApproved(**head, version=2, at=at)),
        (
            3,
            e.CampaignLaunched(
                **head,
                version=3,
                at=at,
                model="all_or_nothing",
                currency="CNY",
                goal_minor=1_000_000,
                deadline_at=NOW + 60 * DAY_MS,
                terms=Terms(),
            ),
        ),
    ]
    events += [
        (
            no + 3,
            e.PledgeMade(
                **head,
                version=no + 3,
                at=at + no * 300_000,
                no=no,
                pledge_id=new_id(),
                backer=f"backer {no}",
                amount_minor=100,
                currency="CNY",
                lines=(),
                destination="",
                visibility="hidden",
                payment_method="m",
                hold_id="",
                late=False,
            ),
        )
        for no in range(1, 15_001)
    ]
    began = time.process_time()
    found = history(iter(events), "2030-01-01")
    assert time.process_time() - began < 1.5
    assert found.moments[-1].page.backers == 15_000
    assert len(found.days) == 53
    assert found.at("2026-03-11") is None
