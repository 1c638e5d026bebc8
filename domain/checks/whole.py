"""What must hold of a campaign's state, told by the state alone.

`check` looks at what one fact touched, `check_whole` at everything. Both are the weaker half of
`domain.invariants`: they see neither the past nor the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from domain import events as e
from domain.checks.fields import Violation, check_fields
from domain.checks.recount import fees_of, remainder
from domain.state import Campaign, Funds, Pledge, Status, Stock
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
        found.append(Violation(11, NOT_AT_THIS_VERSION))
    look = AFTER.get(type(event))
    if look is not None:
        found += look(state, event)
    return found


NOT_AT_THIS_VERSION: Final = "The state does not stand at this fact's version."


def _made(state: Campaign, event: e.PledgeMade) -> Sequence[Violation]:
    no, pledges = event.no, state.pledges
    last = state.no_by_id.get(event.pledge_id) == no == len(pledges)
    found: Sequence[Violation] = ()
    if not last or pledges[-1].pledge_id != event.pledge_id:
        found = [Violation(4, f"Pledge {no} is not found by its number and its id.")]
    if event.lines:
        found = [*found, *_of_lines(state, event)]
    return found


def _of_lines(
    state: Campaign, event: e.PledgeMade | e.PledgeRevised | e.HoldPlaced
) -> list[Violation]:
    return _stock_faults(state, _names(event.lines))


def _of_reward(state: Campaign, event: e.RewardAdded | e.RewardChanged) -> list[Violation]:
    return _stock_faults(state, (event.reward.reward_id,))


def _of_stock(state: Campaign, event: e.RewardStockChanged) -> list[Violation]:
    return _stock_faults(state, (event.reward_id,))


def _of_range(state: Campaign, event: e.FeesCharged | e.PayoutApproved) -> list[Violation]:
    pledges = state.pledges[event.from_no - 1 : event.to_no]
    return [fault for pledge in pledges for fault in _pledge_faults(pledge)]


def _of_pledge(state: Campaign, event: Any) -> Sequence[Violation]:  # noqa: ANN401 - names a pledge
    return _pledge_faults(state.pledges[event.no - 1])


AFTER: Final[dict[type[e.Event], Callable[[Campaign, Any], Sequence[Violation]]]] = {
    e.PledgeMade: _made,
    e.PledgeRevised: _of_lines,
    e.HoldPlaced: _of_lines,
    e.RewardAdded: _of_reward,
    e.RewardChanged: _of_reward,
    e.RewardStockChanged: _of_stock,
    e.FeesCharged: _of_range,
    e.PayoutApproved: _of_range,
    e.PledgeCollected: _of_pledge,
    e.PledgeRefunded: _of_pledge,
    e.RefundRequested: _of_pledge,
    e.RefundFailed: _of_pledge,
    e.DisputeOpened: _of_pledge,
    e.DisputeWon: _of_pledge,
    e.DisputeLost: _of_pledge,
}
"""What is looked at after a fact was added, besides its fields and its version."""


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


def _pledge_faults(pledge: Pledge) -> Sequence[Violation]:
    funds = pledge.funds
    if funds is None:
        return ()
    fees_minor, drawn_minor, paid_minor = fees_of(funds), funds.drawn_minor, funds.paid_minor
    collected_minor = funds.collected_minor
    left_minor = collected_minor - fees_minor - paid_minor - drawn_minor
    if (
        collected_minor <= pledge.amount_minor
        and funds.refunded_minor <= collected_minor
        and funds.lost_minor <= collected_minor
        and 0 <= funds.set_aside_minor <= left_minor
        and paid_minor >= 0
        and drawn_minor >= 0
        and fees_minor >= 0
    ):
        return ()
    return _name_pledge_faults(pledge, funds)


def _name_pledge_faults(pledge: Pledge, funds: Funds) -> list[Violation]:
    no, found = pledge.no, []
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
    if not _are_numbered(state):
        found.append(Violation(4, "Pledges are not numbered and found one by one."))
    return found


def _are_numbered(state: Campaign) -> bool:
    no_by_id = state.no_by_id
    if len(no_by_id) != len(state.pledges):
        return False
    return all(
        pledge.no == no and no_by_id.get(pledge.pledge_id) == no
        for no, pledge in enumerate(state.pledges, 1)
    )


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
        if pledge.lines and _claims(pledge):
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
    pledged = standing = uncharged = charged = remainders = returned = fees = 0
    for pledge in state.pledges:
        if pledge.status not in GONE:
            pledged += pledge.amount_minor
            standing += 1
            uncharged += pledge.status is not Status.COLLECTED
        if (funds := pledge.funds) is not None:
            charged += funds.collected_minor
            remainders += remainder(pledge)
            returned += funds.refunded_minor + funds.lost_minor
            fees += fees_of(funds)
            no = pledge.no
            told = (funds.set_aside_minor, funds.pending_minor, funds.disputed_minor)
            # Counters that nothing was counted in have no 0 of their own.
            due = (aside.get(no, 0), pending.get(no, 0), disputed.get(no, 0))
            if told != due:
                yield 7, f"Pledge {no}, set aside", told[0], due[0]
                yield 7, f"Pledge {no}, on the way back", told[1], due[1]
                yield 7, f"Pledge {no}, disputed", told[2], due[2]
    sources = figures.charged_minor + figures.owed_minor + figures.written_off_minor
    uses = figures.held_minor + figures.paid_minor + figures.fees_minor + figures.returned_minor
    yield 7, "Pledged", figures.pledged_minor, pledged
    yield 7, "Pledges", figures.pledges, standing
    yield 7, "Charged", figures.charged_minor, charged
    yield 7, "Held", figures.held_minor, remainders + sum(on_the_way)
    yield 7, "On the way", figures.on_the_way_minor, sum(on_the_way)
    yield 7, "Returned", figures.returned_minor, returned
    yield 7, "Fees", figures.fees_minor, fees
    yield 7, "Disputed", figures.disputed_minor, disputed.total()
    yield 7, "Suspense", figures.suspense_minor, sum(suspense)
    yield 7, "The five numbers", sources, uses
    yield 7, "Refunds on their way", state.pending_refunds, len(refunds)
    yield 7, "Disputes open", state.open_disputes, len(disputes)
    yield 7, "Pledges not yet charged", state.open_pledges, uncharged
