"""What is looked at before a fact that moves money, or is about to, is added."""

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

# --- Collecting ------------------------------------------------------------------------------

def collection_requested(memory: Memory, event: e.CollectionRequested) -> None:
    pledge, terms = memory.pledge(event.no), memory.state.bound.terms
    due = memory.stage == "won" or (memory.stage == "live" and terms.collect_at == "pledge")
    memory.must(9, "Nothing is collected earlier than the terms say.", due)
    memory.must(9, "Nothing is collected while suspended.", not memory.suspended)
    exact = event.amount_minor == pledge.amount_minor
    memory.must(5, f"Pledge {event.no} is asked for another sum.", exact)
    fresh = pledge.funds is None and event.attempt == pledge.attempt + 1
    memory.must(5, f"Pledge {event.no} is asked for once too often.", fresh)

def collected(memory: Memory, event: e.PledgeCollected) -> Changes:
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
    terms, excepted = memory.state.bound.terms, set(event.except_nos)
    changes, platform_minor, processing_minor = [], 0, 0
    for pledge in memory.pledges_in(event.from_no, event.to_no):
        funds = pledge.funds
        if funds is None or funds.fees_charged:
            changes.append(0)
            continue
        waits = funds.pending_minor or funds.disputed_minor
        owes = pledge.status is Status.COLLECTED and not waits
        borne = fees(kept(funds), terms) if pledge.no not in excepted else (0, 0)
        if owes != (pledge.no not in excepted):
            memory.say(1, f"Pledge {pledge.no} is charged or spared a fee without reason.")
        platform_minor, processing_minor = (
            platform_minor + borne[0],
            processing_minor + borne[1],
        )
        changes.append(-sum(borne))
    memory.must(9, "Fees are due once success is certain.", memory.stage == "won")
    told = (event.platform_fee_minor, event.processing_fee_minor)
    due = (platform_minor, processing_minor)
    memory.must(1, f"The fees are {due}, not {told}.", told == due)
    return Changes(event.from_no, changes)

def range(memory: Memory, from_no: int, to_no: int) -> Sequence[Pledge]:
    if not 1 <= from_no <= to_no <= len(memory.state.pledges):
        raise Lost(6, f"There are no pledges {from_no} to {to_no}.")
    return memory.state.pledges[from_no - 1 : to_no]

# --- Money going back ------------------------------------------------------------------------

def check_split(
    memory: Memory, event: e.RefundRequested | e.DisputeLost, own_minor: int, *, in_full: bool
) -> None:
    terms, funds = memory.state.bound.terms, memory.funds(event.no)
    told = told_split(event)
    due = due_split(terms, funds, event.amount_minor, own_minor, in_full=in_full)
    if told != due:
        memory.say(6, f"Pledge {event.no} bears {tuple(due)}, not {tuple(told)}.")

def refund_requested(memory: Memory, event: e.RefundRequested) -> Changes:
    pledge, funds = memory.pledge(event.no), memory.funds(event.no)
    left_minor = funds.collected_minor - funds.refunded_minor - funds.lost_minor
    left_minor -= funds.pending_minor + funds.disputed_minor
    if event.amount_minor > left_minor:
        memory.say(5, f"Of pledge {event.no} at most {left_minor} can go back.")
    if event.refund_id in memory.state.refunds:
        raise Lost(5, f"Pledge {event.no} is refunded under an id that was used.")
    in_full = event.cause in ("failed", "cancelled")
    if in_full and memory.stage != "over":
        memory.say(6, "Every fee goes back only where a campaign is over.")
    check_split(memory, event, remainder(pledge) - set_aside(pledge), in_full=in_full)
    memory.refunds[event.refund_id] = event
    return Changes(event.no, (0,), claim(told_split(event)))

def asked(memory: Memory, event: e.PledgeRefunded | e.RefundFailed) -> e.RefundRequested:
    asked = memory.refunds.pop(event.refund_id, None)
    if asked is None or asked.no != event.no:
        raise Lost(6, f"No such refund of pledge {event.no} was asked for.")
    return asked

def refunded(memory: Memory, event: e.PledgeRefunded) -> Changes:
    asked = asked(memory, event)
    same = told_split(asked) == told_split(event) and asked.amount_minor == event.amount_minor
    memory.must(6, f"Pledge {event.no} is refunded otherwise than asked.", same)
    return drawn(memory, event, claim(told_split(asked)))

def drawn(memory: Memory, event: e.PledgeRefunded | e.DisputeLost, aside_minor: int) -> Changes:
    memory.returned_minor += event.amount_minor
    if event.amount_minor != event.from_held_minor + event.receivable_minor:
        memory.say(6, f"What pledge {event.no} gives back is not covered.")
    reversed_minor = event.platform_fee_reversed_minor + event.processing_fee_reversed_minor
    return Changes(event.no, (reversed_minor - event.from_held_minor,), -aside_minor)

def refund_failed(memory: Memory, event: e.RefundFailed) -> Changes:
    return Changes(event.no, (0,), -claim(told_split(asked(memory, event))))

def dispute_opened(memory: Memory, event: e.DisputeOpened) -> Changes:
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

def disputed(memory: Memory, event: e.DisputeWon | e.DisputeLost) -> Dispute:
    opened = memory.disputes.pop(event.dispute_id, None)
    if opened is None or opened[:2] != (event.no, event.amount_minor):
        raise Lost(6, f"No such dispute of pledge {event.no} is open.")
    return opened

def dispute_won(memory: Memory, event: e.DisputeWon) -> Changes:
    return Changes(event.no, (0,), -disputed(memory, event).aside_minor)

def dispute_lost(memory: Memory, event: e.DisputeLost) -> Changes:
    pledge, aside_minor = memory.pledge(event.no), disputed(memory, event).aside_minor
    own_minor = remainder(pledge) - set_aside(pledge) + aside_minor
    check_split(memory, event, own_minor, in_full=memory.stage == "over")
    return drawn(memory, event, aside_minor)

# --- Money going out -------------------------------------------------------------------------

def account_verified(memory: Memory, event: e.PayoutAccountVerified) -> None:
    changed = bool(memory.accounts)
    wait_ms = memory.state.bound.terms.account_wait_days * DAY_MS if changed else 0
    fine = event.changed == changed and event.usable_from_at == event.at + wait_ms
    memory.must(8, "A changed account waits, the first does not.", fine)
    outside = role_of(event.by) in ("staff", "system") and not memory.state.is_by_team(event.by)
    memory.must(8, "The creator's team verifies its own account.", outside)
    memory.accounts = {event.account_id: event.usable_from_at}

def may_pay(memory: Memory, event: e.PayoutRequested | e.PayoutApproved) -> None:
    delay_ms = memory.state.bound.terms.payout_delay_days * DAY_MS
    due = memory.stage == "won" and event.at >= memory.won_at + delay_ms
    memory.must(9, "Nothing is paid out before success and its delay.", due)
    memory.must(9, "Nothing is paid out while suspended.", not memory.suspended)
    ready = event.account_id in memory.accounts and event.at >= memory.accounts[event.account_id]
    memory.must(8, "The payout goes to an account that is not ready.", ready)
    memory.must(13, "A discrepancy freezes the payouts.", not memory.unsettled)

def payout_requested(memory: Memory, event: e.PayoutRequested) -> None:
    ours = role_of(event.by) == "staff" or memory.state.is_by_team(event.by)
    memory.must(8, "A payout is requested by the creator's side.", ours)
    memory.must(8, "A payout has one id.", event.payout_id not in memory.state.payouts)
    may_pay(memory, event)
    memory.requests[event.payout_id] = event

def payout_refused(memory: Memory, event: e.PayoutRefused) -> None:
    if memory.requests.pop(event.payout_id, None) is None:
        raise Lost(8, "No such payout waits for the treasurer.")
    memory.must(8, "A treasurer decides.", role_of(event.by) == "treasurer")

def payout_approved(memory: Memory, event: e.PayoutApproved) -> Changes:
    asked = memory.requests.pop(event.payout_id, None)
    if asked is None:
        raise Lost(8, "No such payout waits for the treasurer.")
    apart = party_of(event.by) != party_of(asked.by) and not memory.state.is_by_team(event.by)
    treasurer = role_of(event.by) == "treasurer"
    memory.must(8, "A treasurer who did not ask for it approves.", treasurer and apart)
    same = _range_of(event) == _range_of(asked) and event.account_id == asked.account_id
    memory.must(8, "Another payout is approved than was asked for.", same)
    may_pay(memory, event)
    taken = shares(memory.pledges_in(event.from_no, event.to_no), event)
    told, due = event.amount_minor, sum(taken)
    memory.must(6, f"The shares sum to {due}, not {told}.", told == due)
    debt_minor = min(told, open_debt(memory))
    memory.must(6, f"A debt of {debt_minor} is taken first.", event.debt_minor == debt_minor)
    memory.approved[event.payout_id] = Approval(told, event.debt_minor, event.from_no, taken)
    return Changes(event.from_no, [-share for share in taken])

def open_debt(memory: Memory) -> int:
    """What the creator owes and no payout on its way settles."""
    spoken_for = sum(approval.debt_minor for approval in memory.approved.values())
    return memory.balances["Receivable"] - spoken_for

def fixed(
    memory: Memory, event: e.PayoutSent | e.PayoutFailed | e.PayoutReturned, among: dict[str, Approval]
) -> Approval:
    """The payout as it was approved; its amounts are fixed."""
    approval = among.pop(event.payout_id, None)
    if approval is None:
        raise Lost(8, "There is no such payout on its way.")
    told = (event.amount_minor, getattr(event, "debt_minor", approval.debt_minor))
    fixed = (approval.amount_minor, approval.debt_minor)
    memory.must(8, f"Approved was {fixed}, told is {told}.", told == fixed)
    return approval

def payout_sent(memory: Memory, event: e.PayoutSent) -> Changes:
    memory.sent[event.payout_id] = fixed(memory, event, memory.approved)
    return Changes()

def payout_failed(memory: Memory, event: e.PayoutFailed) -> Changes:
    approval = fixed(memory, event, memory.approved)
    return Changes(approval.from_no, approval.shares)

def payout_returned(memory: Memory, event: e.PayoutReturned) -> Changes:
    approval = fixed(memory, event, memory.sent)
    return Changes(approval.from_no, approval.shares)

def debt_paid(memory: Memory, event: e.DebtRepaid | e.DebtWrittenOff) -> Changes:
    open_minor = open_debt(memory)
    memory.must(6, f"The creator owes {open_minor}.", event.amount_minor <= open_minor)
    return Changes()

# --- Facts that fit nothing ------------------------------------------------------------------

def discrepancy_recorded(memory: Memory, event: e.DiscrepancyRecorded) -> Changes:
    fresh = event.discrepancy_id not in memory.state.discrepancies
    memory.must(13, "A discrepancy has an id of its own.", fresh)
    memory.unsettled[event.discrepancy_id] = event
    return Changes()

def discrepancy_resolved(memory: Memory, event: e.DiscrepancyResolved) -> Changes:
    found = memory.unsettled.pop(event.discrepancy_id, None)
    if found is None:
        raise Lost(13, "There is no such open discrepancy.")
    whole = (found.amount_minor, found.provider) == (event.amount_minor, event.provider)
    kept = event.resolution == "written_off" and event.amount_minor > 0
    lost = event.resolution == "noted" and event.amount_minor != 0
    memory.must(13, "It is not settled as it came.", whole and not kept and not lost)
    return Changes()


