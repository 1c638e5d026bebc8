"""What must hold of a campaign's state, told by the state alone.

`check` looks at what one fact touched, `check_whole` at everything. Both are the weaker half of
`domain.invariants`: they see neither the past nor the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from domain import events as e
from domain.checks.fields import Violation, check_fields
from domain.checks.recount import fees_of, remainder
from domain.state import Campaign, Pledge, Status, Stock
from domain.terms import Line

GONE: Final = frozenset((Status.WITHDRAWN, Status.DROPPED, Status.RELEASED))
"""A pledge that stands in none of these counts as pledged."""


# --- After one fact ------------------------------------------------------------------------------


def check(state: Campaign, event: e.Event) -> list[Violation]:
    """Check what a fact touched, after `evolve` has added it to the state.

    Cheap: it grows with the fact's own pledges, never with the campaign. It sees neither the past
    nor the books; `domain.invariants.Auditor` does.
    """
    found = check_fields(event)
    if state.version != event.version or state.last_at != event.at:
        found.append(Violation(11, "The state does not stand at this fact's version."))
    match event:
        case e.PledgeMade():
            no, pledges = event.no, state.pledges
            last = state.no_by_id.get(event.pledge_id) == no == len(pledges)
            if not last or pledges[-1].pledge_id != event.pledge_id:
                found.append(Violation(4, f"Pledge {no} is not found by its number and its id."))
            if event.lines:
                found += _stock_faults(state, _names(event.lines))
        case e.PledgeRevised() | e.HoldPlaced():
            found += _stock_faults(state, _names(event.lines))
        case e.RewardAdded() | e.RewardChanged():
            found += _stock_faults(state, (event.reward.reward_id,))
        case e.RewardStockChanged():
            found += _stock_faults(state, (event.reward_id,))
        case e.FeesCharged() | e.PayoutApproved():
            for pledge in state.pledges[event.from_no - 1 : event.to_no]:
                found += _pledge_faults(pledge)
        case e.PledgeCollected() | e.PledgeRefunded() | e.RefundRequested() | e.RefundFailed():
            found += _pledge_faults(state.pledges[event.no - 1])
        case e.DisputeOpened() | e.DisputeWon() | e.DisputeLost():
            found += _pledge_faults(state.pledges[event.no - 1])
        case _:
            pass
    return found


def _names(lines: Iterable[Line]) -> Sequence[str]:
    return [line.reward_id for line in lines]


def _stock_faults(state: Campaign, reward_ids: Iterable[str]) -> list[Violation]:
    return [
        Violation(3, f"{stock.claimed} claimed, {stock.held} held, limit {stock.reward.limit}.")
        for stock in (state.stocks[reward_id] for reward_id in reward_ids)
        if _is_oversold(stock)
    ]


def _is_oversold(stock: Stock) -> bool:
    limit = stock.reward.limit
    over = limit is not None and stock.claimed + stock.held > limit
    return over or stock.claimed < 0 or stock.held < 0


def _pledge_faults(pledge: Pledge) -> list[Violation]:
    funds, no = pledge.funds, pledge.no
    if funds is None:
        return []
    found = []
    if funds.collected_minor > pledge.amount_minor:
        found.append(Violation(5, f"Pledge {no}: more was collected than pledged."))
    if max(funds.refunded_minor, funds.lost_minor) > funds.collected_minor:
        found.append(Violation(5, f"Pledge {no}: more went back than was collected."))
    remainder_minor = remainder(pledge)
    if remainder_minor < 0:
        found.append(Violation(6, f"Pledge {no}: the remainder is {remainder_minor}."))
    if not 0 <= funds.set_aside_minor <= remainder_minor:
        aside_minor = funds.set_aside_minor
        found.append(Violation(7, f"Pledge {no}: {aside_minor} of {remainder_minor} set aside."))
    if min(funds.paid_minor, funds.drawn_minor, fees_of(funds)) < 0:
        found.append(Violation(6, f"Pledge {no}: what was paid, drawn or charged is negative."))
    return found


# --- All of it -----------------------------------------------------------------------------------


def check_whole(state: Campaign) -> list[Violation]:
    """Count everything again: stock, pledges, remainders, what is set aside, the five numbers.

    Grows with the campaign; for snapshots, for the audit's end and for tests.
    """
    found = [fault for pledge in state.pledges for fault in _pledge_faults(pledge)]
    found += _stock_faults(state, state.stocks)
    for rule, what, told, counted in (*_counted_stock(state), *_counted_money(state)):
        if told != counted:
            found.append(Violation(rule, f"{what}: {told} is told, {counted} is counted."))
    ids = {pledge.pledge_id: pledge.no for pledge in state.pledges}
    dense = [pledge.no for pledge in state.pledges] == list(range(1, len(state.pledges) + 1))
    if ids != state.no_by_id or not dense:
        found.append(Violation(4, "Pledges are not numbered and found one by one."))
    return found


_Count = tuple[int, str, int, int]


def _claims(pledge: Pledge) -> bool:
    """Whether a pledge's pieces are still its own, as the rule book says it."""
    if pledge.status in GONE:
        return pledge.status is Status.WITHDRAWN and pledge.sent
    funds = pledge.funds
    back = funds is not None and funds.refunded_minor + funds.lost_minor >= funds.collected_minor
    return pledge.claims_stock if back and pledge.sent else not back


def _counted_stock(state: Campaign) -> Iterable[_Count]:
    claimed: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for pledge in state.pledges:
        if _claims(pledge):
            for line in pledge.lines:
                claimed[line.reward_id] += line.quantity
    for hold in state.holds.values():
        for line in hold.lines:
            held[line.reward_id] += line.quantity
    for reward_id, stock in state.stocks.items():
        yield 3, "Pieces claimed", stock.claimed, claimed[reward_id]
        yield 3, "Pieces held", stock.held, held[reward_id]
    holders = {hold.backer: hold_id for hold_id, hold in state.holds.items()}
    yield 3, "Holds by backer", int(holders == state.hold_of), 1


def _counted_money(state: Campaign) -> Iterable[_Count]:
    figures = state.figures
    standing = [pledge for pledge in state.pledges if pledge.status not in GONE]
    charged = [pledge.funds for pledge in state.pledges if pledge.funds is not None]
    on_the_way = [p.amount_minor for p in state.payouts.values() if p.state == "approved"]
    suspense = [found.amount_minor for found in state.discrepancies.values() if found.open]
    refunds = [each for each in state.refunds.values() if each.state == "requested"]
    disputes = [each for each in state.disputes.values() if each.state == "open"]
    aside: Counter[int] = Counter()
    pending: Counter[int] = Counter()
    disputed: Counter[int] = Counter()
    for refund in refunds:
        reversed_minor = refund.platform_minor + refund.processing_minor
        aside[refund.no] += max(0, refund.from_held_minor - reversed_minor)
        pending[refund.no] += refund.amount_minor
    for dispute in disputes:
        aside[dispute.no] += dispute.set_aside_minor
        disputed[dispute.no] += dispute.amount_minor
    for pledge in state.pledges:
        if (funds := pledge.funds) is not None:
            yield 7, f"Pledge {pledge.no}, set aside", funds.set_aside_minor, aside[pledge.no]
            yield 7, f"Pledge {pledge.no}, on the way back", funds.pending_minor, pending[pledge.no]
            yield 7, f"Pledge {pledge.no}, disputed", funds.disputed_minor, disputed[pledge.no]
    remainders = sum(map(remainder, state.pledges))
    returned = sum(funds.refunded_minor + funds.lost_minor for funds in charged)
    sources = figures.charged_minor + figures.owed_minor + figures.written_off_minor
    uses = figures.held_minor + figures.paid_minor + figures.fees_minor + figures.returned_minor
    yield 7, "Pledged", figures.pledged_minor, sum(pledge.amount_minor for pledge in standing)
    yield 7, "Pledges", figures.pledges, len(standing)
    yield 7, "Charged", figures.charged_minor, sum(funds.collected_minor for funds in charged)
    yield 7, "Held", figures.held_minor, remainders + sum(on_the_way)
    yield 7, "On the way", figures.on_the_way_minor, sum(on_the_way)
    yield 7, "Returned", figures.returned_minor, returned
    yield 7, "Fees", figures.fees_minor, sum(map(fees_of, charged))
    yield 7, "Disputed", figures.disputed_minor, disputed.total()
    yield 7, "Suspense", figures.suspense_minor, sum(suspense)
    yield 7, "The five numbers", sources, uses
    yield 7, "Refunds on their way", state.pending_refunds, len(refunds)
    yield 7, "Disputes open", state.open_disputes, len(disputes)
    open_pledges = [p for p in standing if p.status is not Status.COLLECTED]
    yield 7, "Pledges not yet charged", state.open_pledges, len(open_pledges)
