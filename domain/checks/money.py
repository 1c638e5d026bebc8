"""What is looked at before a fact that moves a campaign's money, or is about to, is added."""

from __future__ import annotations

from domain import events as e
from domain.checks.memory import Approval, Changes, Dispute, Lost, Memory
from domain.checks.recount import (
    claim,
    due_split,
    fees,
    kept,
    remainder,
    set_aside,
    shares,
    told_split,
)
from domain.ids import party_of, role_of
from domain.state import Status
from domain.terms import DAY_MS

# --- Collecting ----------------------------------------------------------------------------------


def collection_requested(memory: Memory, event: e.CollectionRequested) -> None:
    """Rule 9: not before its time. Rule 5: what is pledged, once per attempt."""
    pledge, terms = memory.pledge(event.no), memory.state.bound.terms
    early = memory.stage == "live" and terms.collect_at == "pledge"
    due = early or memory.stage == "won"
    memory.must(9, "Something is collected earlier than the terms say.", due)
    memory.must(9, "Something is collected while suspended.", not memory.suspended)
    if event.amount_minor != pledge.amount_minor:
        memory.say(5, f"Pledge {event.no} is asked for another sum.")
    if pledge.funds is not None or event.attempt != pledge.attempt + 1:
        raise Lost(5, f"Pledge {event.no} is asked for once too often.")


def collected(memory: Memory, event: e.PledgeCollected) -> Changes:
    """Rule 5: once, what was pledged. Rule 1: with fees as agreed, where success is certain."""
    pledge, no = memory.pledge(event.no), event.no
    if pledge.funds is not None:
        raise Lost(5, f"Pledge {no} is collected twice.")
    if not 1 <= event.attempt <= pledge.attempt:
        memory.say(9, f"Pledge {no} was not asked for.")
    if event.amount_minor != pledge.amount_minor:
        memory.say(5, f"Pledge {no} is collected with another sum.")
    told = (event.platform_fee_minor, event.processing_fee_minor)
    due = fees(event.amount_minor if memory.stage == "won" else 0, memory.state.bound.terms)
    if told != due:
        memory.say(1, f"The fees of pledge {no} are {due}, not {told}.")
    memory.charged_minor += event.amount_minor
    return Changes(no, (event.amount_minor - sum(told),))


def fees_charged(memory: Memory, event: e.FeesCharged) -> Changes:
    """Rule 1: the campaign's fee is the sum of its pledges'. Rule 9: once success is certain."""
    terms, excepted = memory.state.bound.terms, set(event.except_nos)
    changes, platform_minor, processing_minor = [], 0, 0
    for pledge in memory.pledges_in(event.from_no, event.to_no):
        funds, borne = pledge.funds, (0, 0)
        if funds is not None and not funds.fees_charged:
            waits = funds.pending_minor or funds.disputed_minor
            owes = pledge.status is Status.COLLECTED and not waits
            if owes is (pledge.no in excepted):
                memory.say(1, f"Pledge {pledge.no} is charged or spared a fee without reason.")
            if pledge.no not in excepted:
                borne = fees(kept(funds), terms)
        platform_minor += borne[0]
        processing_minor += borne[1]
        changes.append(-sum(borne))
    memory.must(9, "Fees are charged before success is certain.", memory.stage == "won")
    told = (event.platform_fee_minor, event.processing_fee_minor)
    due = (platform_minor, processing_minor)
    memory.must(1, f"The fees are {due}, not {told}.", told == due)
    return Changes(event.from_no, changes)


# --- Money going back ----------------------------------------------------------------------------


def refund_requested(memory: Memory, event: e.RefundRequested) -> Changes:
    """Rule 5: no more than is left. Rule 6: out of the pledge's own money first."""
    pledge, funds = memory.pledge(event.no), memory.funds(event.no)
    left_minor = funds.collected_minor - funds.refunded_minor - funds.lost_minor
    left_minor -= funds.pending_minor + funds.disputed_minor
    if event.amount_minor > left_minor:
        memory.say(5, f"Of pledge {event.no} at most {left_minor} can go back.")
    if event.refund_id in memory.state.refunds:
        raise Lost(5, f"Pledge {event.no} is refunded under an id that was used.")
    in_full = memory.stage == "over"
    if event.cause in ("failed", "cancelled") and not in_full:
        memory.say(6, "It is said to be over, and is not.")
    _check_split(memory, event, remainder(pledge) - set_aside(pledge), in_full=in_full)
    memory.refunds[event.refund_id] = event
    return Changes(event.no, (0,), claim(told_split(event)))


def _check_split(
    memory: Memory, event: e.RefundRequested | e.DisputeLost, own_minor: int, *, in_full: bool
) -> None:
    terms, funds = memory.state.bound.terms, memory.funds(event.no)
    told = told_split(event)
    due = due_split(terms, funds, event.amount_minor, own_minor, in_full=in_full)
    if told != due:
        memory.say(6, f"Pledge {event.no} bears {tuple(due)}, not {tuple(told)}.")


def refunded(memory: Memory, event: e.PledgeRefunded) -> Changes:
    """Rule 6: as it was asked for and set aside."""
    asked = _asked(memory, event)
    same = told_split(asked) == told_split(event) and asked.amount_minor == event.amount_minor
    memory.must(6, f"Pledge {event.no} is refunded otherwise than asked.", same)
    return _drawn(memory, event, claim(told_split(asked)))


def refund_failed(memory: Memory, event: e.RefundFailed) -> Changes:
    """Rule 7: what was set aside is free again."""
    return Changes(event.no, (0,), -claim(told_split(_asked(memory, event))))


def _asked(memory: Memory, event: e.PledgeRefunded | e.RefundFailed) -> e.RefundRequested:
    asked = memory.refunds.pop(event.refund_id, None)
    if asked is None or asked.no != event.no:
        raise Lost(6, f"No such refund of pledge {event.no} was asked for.")
    return asked


def _drawn(memory: Memory, event: e.PledgeRefunded | e.DisputeLost, aside_minor: int) -> Changes:
    memory.returned_minor += event.amount_minor
    if event.amount_minor != event.from_held_minor + event.receivable_minor:
        memory.say(6, f"What pledge {event.no} gives back is not covered.")
    reversed_minor = event.platform_fee_reversed_minor + event.processing_fee_reversed_minor
    return Changes(event.no, (reversed_minor - event.from_held_minor,), -aside_minor)


def dispute_opened(memory: Memory, event: e.DisputeOpened) -> Changes:
    """Rule 5: no more than is left. Rule 7: what is left is set aside."""
    pledge, funds = memory.pledge(event.no), memory.funds(event.no)
    left_minor = funds.collected_minor - funds.refunded_minor
    left_minor -= funds.lost_minor + funds.disputed_minor
    if event.amount_minor > left_minor:
        memory.say(5, f"Of pledge {event.no} at most {left_minor} can be disputed.")
    if event.dispute_id in memory.state.disputes:
        raise Lost(5, f"Pledge {event.no} is disputed under an id that was used.")
    aside_minor = min(remainder(pledge) - set_aside(pledge), event.amount_minor)
    memory.disputes[event.dispute_id] = Dispute(event.no, event.amount_minor, aside_minor)
    return Changes(event.no, (0,), aside_minor)


def dispute_won(memory: Memory, event: e.DisputeWon) -> Changes:
    """Rule 7: what was set aside is free again."""
    return Changes(event.no, (0,), -_disputed(memory, event).aside_minor)


def dispute_lost(memory: Memory, event: e.DisputeLost) -> Changes:
    """Rule 6: out of the pledge's own money first."""
    pledge, aside_minor = memory.pledge(event.no), _disputed(memory, event).aside_minor
    own_minor = remainder(pledge) - set_aside(pledge) + aside_minor
    _check_split(memory, event, own_minor, in_full=memory.stage == "over")
    return _drawn(memory, event, aside_minor)


def _disputed(memory: Memory, event: e.DisputeWon | e.DisputeLost) -> Dispute:
    opened = memory.disputes.pop(event.dispute_id, None)
    if opened is None or opened[:2] != (event.no, event.amount_minor):
        raise Lost(6, f"No such dispute of pledge {event.no} is open.")
    return opened


# --- Money going out -----------------------------------------------------------------------------


def account_verified(memory: Memory, event: e.PayoutAccountVerified) -> None:
    """Rule 8: verified by somebody else than the creator's side; a changed account waits."""
    changed = bool(memory.accounts)
    wait_ms = memory.state.bound.terms.account_wait_days * DAY_MS if changed else 0
    waits = event.changed == changed and event.usable_from_at == event.at + wait_ms
    memory.must(8, "A changed account waits, the first does not.", waits)
    theirs = memory.state.is_by_team(event.by) or role_of(event.by) not in ("staff", "system")
    memory.must(8, "The creator's side verifies its own account.", not theirs)
    memory.accounts = {event.account_id: event.usable_from_at}


def _may_pay(memory: Memory, event: e.PayoutRequested | e.PayoutApproved) -> None:
    delay_ms = memory.state.bound.terms.payout_delay_days * DAY_MS
    due = memory.stage == "won" and event.at >= memory.won_at + delay_ms
    memory.must(9, "Something is paid out before success and its delay.", due)
    memory.must(9, "Something is paid out while suspended.", not memory.suspended)
    usable_at = memory.accounts.get(event.account_id)
    ready = usable_at is not None and event.at >= usable_at
    memory.must(8, "A payout goes to an account that is not verified or waits.", ready)
    memory.must(13, "A discrepancy freezes the payouts.", not memory.unsettled)


def payout_requested(memory: Memory, event: e.PayoutRequested) -> None:
    """Rule 8: by the creator's side."""
    ours = role_of(event.by) == "staff" or memory.state.is_by_team(event.by)
    memory.must(8, "A payout is requested by the creator's side.", ours)
    if event.payout_id in memory.state.payouts:
        raise Lost(8, "A payout is requested under an id that was used.")
    _may_pay(memory, event)
    memory.requests[event.payout_id] = event


def payout_refused(memory: Memory, event: e.PayoutRefused) -> None:
    """Rule 8: decided by a treasurer."""
    _awaited(memory, event)
    memory.must(8, "A payout is decided by a treasurer.", role_of(event.by) == "treasurer")


def _awaited(memory: Memory, event: e.PayoutApproved | e.PayoutRefused) -> e.PayoutRequested:
    asked = memory.requests.pop(event.payout_id, None)
    if asked is None:
        raise Lost(8, "No such payout waits for the treasurer.")
    return asked


def payout_approved(memory: Memory, event: e.PayoutApproved) -> Changes:
    """Rule 8: by a treasurer who did not ask for it. Rule 6: one fraction of each remainder."""
    asked = _awaited(memory, event)
    _may_pay(memory, event)
    memory.must(8, "A payout is approved by a treasurer.", role_of(event.by) == "treasurer")
    apart = party_of(event.by) != party_of(asked.by) and not memory.state.is_by_team(event.by)
    memory.must(8, "A payout is approved by those who ask for it.", apart)
    same = _asked_for(event) == _asked_for(asked)
    memory.must(8, "Another payout is approved than was asked for.", same)
    if not 1 <= event.numerator <= event.denominator:
        raise Lost(6, "A payout takes a fraction between 0 and 1.")
    taken = shares(memory.pledges_in(event.from_no, event.to_no), event)
    told, due = event.amount_minor, sum(taken)
    memory.must(6, f"The shares sum to {due}, not {told}.", told == due)
    debt_minor = min(told, memory.open_debt_minor())
    memory.must(6, f"A debt of {debt_minor} is taken first.", event.debt_minor == debt_minor)
    memory.approved[event.payout_id] = Approval(told, event.debt_minor, event.from_no, taken)
    return Changes(event.from_no, [-share for share in taken])


def _asked_for(event: e.PayoutRequested | e.PayoutApproved) -> tuple[object, ...]:
    fraction, account = (event.numerator, event.denominator), event.account_id
    return (account, fraction, event.from_no, event.to_no, event.except_nos)


def payout_sent(memory: Memory, event: e.PayoutSent) -> Changes:
    """Rule 8: with the amounts that were approved."""
    memory.sent[event.payout_id] = _fixed(memory, event, memory.approved, event.debt_minor)
    return Changes()


def payout_failed(memory: Memory, event: e.PayoutFailed) -> Changes:
    """Rule 6: each pledge has its own share back."""
    approval = _fixed(memory, event, memory.approved)
    return Changes(approval.from_no, approval.shares)


def payout_returned(memory: Memory, event: e.PayoutReturned) -> Changes:
    """Rule 6: each pledge has its own share back, and the debt stands again."""
    approval = _fixed(memory, event, memory.sent, event.debt_minor)
    return Changes(approval.from_no, approval.shares)


def _fixed(
    memory: Memory,
    event: e.PayoutSent | e.PayoutFailed | e.PayoutReturned,
    among: dict[str, Approval],
    debt_minor: int | None = None,
) -> Approval:
    approval = among.pop(event.payout_id, None)
    if approval is None:
        raise Lost(8, "There is no such payout on its way.")
    told = (event.amount_minor, approval.debt_minor if debt_minor is None else debt_minor)
    memory.must(8, f"Approved was {approval[:2]}, told is {told}.", told == approval[:2])
    return approval


def debt_paid(memory: Memory, event: e.DebtRepaid | e.DebtWrittenOff) -> Changes:
    """Rule 6: no more than is owed."""
    open_minor = memory.open_debt_minor()
    memory.must(6, f"The creator owes {open_minor}.", event.amount_minor <= open_minor)
    return Changes()
