"""After any history the views say what the campaigns' own states say."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import commands as c
from domain import events as e
from domain.codec import decode
from domain.ledger import postings
from domain.returning import display_state
from domain.state import Campaign, Funds, Pledge, Status
from domain.terms import Terms
from projections.backer_ledger import pledge_by_id, pledges_of, statement
from projections.campaign_pages import CampaignPage, campaigns_of, get_page, list_pages
from projections.creator_desk import Desk, desk
from projections.desk_fold import DeedRow
from projections.journal import balances, entries
from projections.pledges import LEFT, PledgeRow, lines_of
from projections.views import ViewsFile
from tests.projections.history import BANK, History, part_of_the_examples, some_history
from tests.projections.views_of import views_of

T = TypeVar("T")

histories = st.integers(0, 2**32).map(lambda seed: some_history(Random(seed), steps=400))

some = part_of_the_examples(4)


def read(file: ViewsFile, ask: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Ask the views of a file."""

    async def asked() -> T:
        try:
            async with file.reader.connect() as conn:
                return await ask(conn)
        finally:
            await file.reader.dispose()

    return asyncio.run(asked())


async def page_of(conn: AsyncConnection, state: Campaign) -> CampaignPage:
    """The campaign's page, which must be there."""
    page = await get_page(conn, state.campaign_id)
    assert page is not None
    return page


async def desk_of(conn: AsyncConnection, state: Campaign) -> Desk:
    """The campaign's desk, which must be there."""
    found = await desk(conn, state.campaign_id, limit=10_000)
    assert found is not None
    return found


def counted(state: Campaign) -> list[Pledge]:
    """The pledges that are part of *pledged*."""
    return [pledge for pledge in state.pledges if pledge.status not in LEFT]


def facts_of(history: History) -> list[e.Event]:
    """Every fact of a history."""
    return [decode(row.tag, row.body) for row in history.log.rows]


@some
@given(histories)
def test_pages_equal_the_states(history: History) -> None:
    """Figures, phase, stock, backers and deliveries of a page are those of the aggregate."""

    async def check(conn: AsyncConnection) -> None:
        for state in history.campaigns:
            page = await page_of(conn, state)
            assert {name: getattr(page, name) for name in asdict(state.figures)} == asdict(
                state.figures
            )
            assert (page.phase, page.suspended) == (state.phase, state.suspended)
            assert (page.late_open, page.deadline_at) == (state.late_open, state.deadline_at)
            assert page.backers == len({pledge.backer for pledge in counted(state)})
            assert page.sent == sum(pledge.sent for pledge in state.pledges)
            assert page.received == sum(pledge.received for pledge in state.pledges)
            assert {
                line.reward_id: (line.price_minor, line.limit, line.claimed, line.held)
                for line in page.rewards
            } == {
                reward_id: (s.reward.price_minor, s.reward.limit, s.claimed, s.held)
                for reward_id, s in state.stocks.items()
            }
            offers = [offer for need in page.needs for offer in need.offers]
            assert {offer.offer_id: offer.state for offer in offers} == {
                offer_id: offer.state for offer_id, offer in state.offers.items()
            }
            assert [update.update_id for update in page.updates] == list(state.updates)
            sums = [
                sum(getattr(day, name) for day in page.days)
                for name in ("pledged_minor", "pledges", "charged_minor")
            ]
            figures = state.figures
            assert sums == [figures.pledged_minor, figures.pledges, figures.charged_minor]

    with views_of(history.log) as file:
        read(file, check)


@some
@given(histories)
def test_pages_tell_what_was_bound(history: History) -> None:
    """Terms, stages and the creator's side are those of the submission; every story told since
    the launch is there, with the one it replaced.
    """

    async def check(conn: AsyncConnection) -> None:
        for state in history.campaigns:
            page, bound = await page_of(conn, state), state.bound
            assert page.terms == bound.terms
            assert [(m.milestone_id, m.share_bps) for m in page.milestones] == [
                (m.milestone_id, m.share_bps) for m in bound.milestones
            ]
            assert page.team == tuple(sorted({bound.creator, *bound.team}))
            mine = [each.campaign_id for each in await campaigns_of(conn, bound.creator)]
            assert mine == [state.campaign_id]
            told = [
                event.text
                for event in facts_of(history)
                if isinstance(event, e.StoryChanged) and event.stream == state.stream
            ]
            assert [change.after for change in page.story_changes] == told
            before = [bound.text, *told]
            assert [change.before for change in page.story_changes] == before[:-1]
            assert page.text == before[-1]

    with views_of(history.log) as file:
        read(file, check)


def funds_of(row: PledgeRow, reference: str, attempt: int) -> Funds:
    """A row's money as the aggregate keeps it; the view keeps neither reference nor attempt."""
    return Funds(
        collected_minor=row.charged_minor,
        collected_at=row.charged_at,
        attempt=attempt,
        reference=reference,
        fees_charged=bool(row.fees_charged),
        platform_fee_minor=row.platform_fee_minor,
        processing_fee_minor=row.processing_fee_minor,
        platform_reversed_minor=row.platform_reversed_minor,
        processing_reversed_minor=row.processing_reversed_minor,
        paid_minor=row.paid_minor,
        refunded_minor=row.refunded_minor,
        lost_minor=row.lost_minor,
        drawn_minor=row.drawn_minor,
        pending_minor=row.pending_minor,
        pending_platform_minor=row.pending_platform_minor,
        pending_processing_minor=row.pending_processing_minor,
        disputed_minor=row.disputed_minor,
        set_aside_minor=row.set_aside_minor,
    )


@some
@given(histories)
def test_pledges_equal_the_states(history: History) -> None:
    """Each pledge's row has the status, content and money that the aggregate has."""
    with views_of(history.log) as file:
        with file.reader_sync.connect() as conn:
            rows = [PledgeRow(*row) for row in conn.exec_driver_sql("SELECT * FROM pledges")]
        of_campaign = {
            state.campaign_id: position
            for position, event in enumerate(facts_of(history), 1)
            for state in history.campaigns
            if isinstance(event, e.CampaignSubmitted) and event.stream == state.stream
        }
        for state in history.campaigns:
            own = [row for row in rows if row.campaign == of_campaign[state.campaign_id]]
            assert len(own) == len(state.pledges)
            for row, pledge in zip(own, state.pledges, strict=True):
                assert (row.no, row.pledge_id, row.backer) == (
                    pledge.no,
                    pledge.pledge_id,
                    pledge.backer,
                )
                assert (row.status, row.amount_minor) == (pledge.status, pledge.amount_minor)
                assert lines_of(row.lines) == pledge.lines
                assert row.destination == pledge.destination
                assert row.state == display_state(pledge)
                assert bool(row.claims_stock) == pledge.claims_stock
                assert (row.attempt, row.sent, row.received) == (
                    pledge.attempt,
                    pledge.sent,
                    pledge.received,
                )
                funds = pledge.funds
                if funds is None:
                    assert row.charged_minor == 0
                else:
                    assert funds_of(row, funds.reference, funds.attempt) == funds


@some
@given(histories)
def test_statements_add_up(history: History) -> None:
    """The lines of each pledge's statement sum to what is pledged and what is held of it."""

    async def check(conn: AsyncConnection) -> None:
        for state in history.campaigns:
            for pledge in state.pledges:
                lines = await statement(conn, state.campaign_id, pledge.no)
                last = lines[-1]
                left = pledge.status in LEFT
                assert last.pledged_minor == (0 if left else pledge.amount_minor)
                remainder = pledge.funds.remainder_minor if pledge.funds else 0
                assert last.held_minor == remainder
                found = await pledge_by_id(conn, state.campaign_id, pledge.pledge_id)
                assert found is not None
                assert (found.no, found.held_minor) == (pledge.no, remainder)
        for backer in history.backers:
            mine = await pledges_of(conn, backer)
            assert {(line.campaign_id, line.no) for line in mine} == {
                (state.campaign_id, pledge.no)
                for state in history.campaigns
                for pledge in state.pledges
                if pledge.backer == backer
            }
            assert [line.position for line in mine] == sorted(
                (line.position for line in mine), reverse=True
            )

    with views_of(history.log) as file:
        read(file, check)


@some
@given(histories)
def test_the_journal_equals_the_postings(history: History) -> None:
    """Balances are the sums of the entries, entries are the postings, the whole sums to zero."""
    sums: Counter[tuple[str, str]] = Counter()
    posted = []
    for position, event in enumerate(facts_of(history), 1):
        lines = postings(event)
        for line in lines:
            sums[line.account, line.currency] += line.amount_minor
        if lines:
            posted.append((position, [(line.account, line.amount_minor) for line in lines]))

    async def check(conn: AsyncConnection) -> None:
        found = await balances(conn)
        assert {(b.account, b.currency): b.balance_minor for b in found} == dict(sums)
        listed = await entries(conn, limit=100_000)
        assert [
            (entry.position, [(line.account, line.amount_minor) for line in entry.lines])
            for entry in listed
        ] == posted
        for state in history.campaigns:
            own = {b.account: b.balance_minor for b in await balances(conn, state.campaign_id)}
            held = f"Liabilities:Campaign:{state.campaign_id}:Held"
            assert -own.get(held, 0) == sum(
                pledge.funds.remainder_minor for pledge in state.pledges if pledge.funds
            )
            mine = await entries(conn, state.campaign_id, limit=100_000)
            assert mine == [entry for entry in listed if entry.campaign_id == state.campaign_id]

    with views_of(history.log) as file:
        read(file, check)


def states_of(state: Campaign) -> dict[str, tuple[int, int, int]]:
    """How many pledges stand in each state, and their money."""
    found: dict[str, tuple[int, int, int]] = {}
    for pledge in state.pledges:
        shown = display_state(pledge)
        pledges, amount_minor, charged_minor = found.get(shown, (0, 0, 0))
        charged = pledge.funds.collected_minor if pledge.funds else 0
        found[shown] = pledges + 1, amount_minor + pledge.amount_minor, charged_minor + charged
    return found


def waiting_for(state: Campaign) -> list[int]:
    """The pledges whose rewards are still to be sent."""
    return [
        pledge.no
        for pledge in state.pledges
        if pledge.status is Status.COLLECTED
        and pledge.lines
        and not pledge.sent
        and pledge.funds is not None
        and pledge.funds.returned_minor < pledge.funds.collected_minor
    ]


@some
@given(histories)
def test_desks_equal_the_states(history: History) -> None:
    """Pledge states, rewards, parcels, refunds, payouts and discrepancies are the aggregate's."""

    async def check(conn: AsyncConnection) -> None:
        for state in history.campaigns:
            found = await desk_of(conn, state)
            assert {
                line.state: (line.pledges, line.amount_minor, line.charged_minor)
                for line in found.states
            } == states_of(state)
            assert sum(r.amount_minor for r in found.rewards) == state.figures.pledged_minor
            pieces: Counter[str] = Counter()
            to_send: Counter[str] = Counter()
            waiting = waiting_for(state)
            for pledge in state.pledges:
                for line in pledge.lines:
                    if pledge.status not in LEFT:
                        pieces[line.reward_id] += line.quantity
                    if pledge.no in waiting:
                        to_send[line.reward_id] += line.quantity
            shown: Counter[str] = Counter()
            for row in found.rewards:
                if row.reward_id:
                    shown[row.reward_id] += row.pieces
            assert shown == pieces
            assert {row.reward_id: row.pieces for row in found.deliveries} == to_send
            assert [parcel.no for parcel in found.parcels] == waiting
            assert kept(found.refunds, "refund_id") == {
                refund_id: refund.state for refund_id, refund in state.refunds.items()
            }
            assert kept(found.disputes, "dispute_id") == {
                dispute_id: dispute.state for dispute_id, dispute in state.disputes.items()
            }
            assert {
                row.payout_id: (row.state, row.amount_minor, row.debt_minor)
                for row in found.payouts
            } == {
                payout_id: (payout.state, payout.amount_minor, payout.debt_minor)
                for payout_id, payout in state.payouts.items()
            }
            assert {row.discrepancy_id: not row.resolution for row in found.discrepancies} == {
                discrepancy_id: each.open for discrepancy_id, each in state.discrepancies.items()
            }

    with views_of(history.log) as file:
        read(file, check)


def kept(rows: tuple[Any, ...], name: str) -> dict[str, str]:
    """The state of each row by its id."""
    return {getattr(row, name): row.state for row in rows}


@some
@given(histories)
def test_the_desk_says_who_asked_for_each_refund(history: History) -> None:
    """Nobody can press refund unseen: each request is a deed with its actor."""
    asked = {
        position: (event.by, event.no)
        for position, event in enumerate(facts_of(history), 1)
        if isinstance(event, e.RefundRequested)
    }

    async def deeds_of(conn: AsyncConnection) -> list[DeedRow]:
        return [deed for state in history.campaigns for deed in (await desk_of(conn, state)).deeds]

    with views_of(history.log) as file:
        deeds = [d for d in read(file, deeds_of) if d.tag == "refund.requested.v1"]
    assert {deed.position: (deed.by, deed.no) for deed in deeds} == asked


def completed_campaign() -> tuple[History, Campaign]:
    """A campaign whose one pledge was charged and paid out whole."""
    history = History(Random(2))
    terms = Terms(platform_fee_bps=0, processing_fee_bps=0, payout_delay_days=0, reserve_bps=0)
    facts = {"model": "all_or_nothing", "terms": terms, "goal_minor": 1, "milestones": ()}
    state = history.open_campaign(**facts)
    backer, payout_id = history.backers[0], history.new_id()
    sent = {"provider": "test_bank", "reference": "r1", "amount_minor": 500}
    history.do(
        state,
        c.MakePledge,
        f"backer:{backer}",
        pledge_id=history.new_id(),
        backer=backer,
        amount_minor=500,
    )
    history.at = state.deadline_at
    history.do(state, c.CloseCampaign, "system:deadlines")
    history.do(state, c.RequestCollection, "system:collect", no=1, attempt=1)
    history.do(state, c.RecordCollected, BANK, no=1, attempt=1, provider_fee_minor=0, **sent)
    history.do(state, c.VerifyPayoutAccount, history.staff, account_id=history.new_id())
    history.do(state, c.RequestPayout, f"creator:{state.bound.creator}", payout_id=payout_id)
    history.do(state, c.ApprovePayout, history.treasurer, payout_id=payout_id)
    history.do(state, c.RecordPayoutSent, BANK, payout_id=payout_id, **sent)
    assert state.phase == "completed"
    return history, state


@pytest.mark.parametrize("what", ["refund", "dispute", "returned payout"])
def test_a_completed_campaign_is_open_again_when_money_moves(what: str) -> None:
    """The page says *settled* again, as the aggregate does."""
    history, state = completed_campaign()
    report = {"provider": "test_bank", "amount_minor": 500}
    match what:
        case "refund":
            asked = {"refund_id": history.new_id(), "amount_minor": 0, "cause": "goodwill"}
            history.do(state, c.RequestRefund, history.staff, no=1, **asked)
        case "dispute":
            named = {"dispute_id": history.new_id(), "no": 1}
            history.do(state, c.RecordDisputeOpened, BANK, **named, **report)
        case _:
            named = {"payout_id": next(iter(state.payouts)), "reference": "r2"}
            history.do(state, c.RecordPayoutReturned, BANK, **named, **report)
    assert state.phase == "settled"
    with views_of(history.log) as file:
        assert read(file, lambda conn: page_of(conn, state)).phase == "settled"


def test_pages_are_listed_by_phase_the_newest_first() -> None:
    """A list holds one phase, the campaign submitted last first, page by page."""
    history = History(Random(1))
    for _ in range(5):
        history.open_campaign()
    ids = [state.campaign_id for state in reversed(history.campaigns)]

    async def check(conn: AsyncConnection) -> None:
        assert [page.campaign_id for page in await list_pages(conn)] == ids
        some = await list_pages(conn, phase="live", limit=2, offset=1)
        assert [page.campaign_id for page in some] == ids[1:3]
        assert await list_pages(conn, phase="failed") == []
        assert await get_page(conn, "nobody") is None
        assert await desk(conn, "nobody") is None
        assert await pledges_of(conn, "nobody") == []
        assert await pledge_by_id(conn, ids[0], "nobody") is None
        assert await statement(conn, ids[0], 1) == []

    with views_of(history.log) as file:
        read(file, check)
