"""What the test bank does with one request: the behaviour of each magic card and account.

Plain functions on an operation and the turn that will write it. They read no clock and no random
source; tokens and times are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from app.payments.port import (
    ActionRequired,
    DeclineCode,
    Declined,
    DisputeDecided,
    DisputeOpened,
    Outcome,
    OutcomeReported,
    PayOutReturned,
    Pending,
    Succeeded,
    decline_code,
)
from app.payments.test_bank import cards
from app.payments.test_bank.store import Dispute, Operation, StoredMethod, Turn
from domain.money import EXPONENTS, fee_minor


class BankTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank charges, in basis points and minor units, and how long it takes, in ms."""

    fee_basis_points: int = 100
    fee_fixed_minor: int = 0
    dispute_fee_minor: int = 1_500
    settle_after_ms: int = 1_000
    dispute_after_ms: int = 1_000
    return_after_ms: int = 1_000
    confirm_within_ms: int = 24 * 60 * 60 * 1_000


def outcome_of(operation: Operation, pages: str) -> Outcome:
    """What the operation has come to. `pages` is where the bank's own pages are."""
    match operation.state:
        case "succeeded":
            return Succeeded(
                reference=operation.reference,
                amount_minor=operation.amount_minor,
                currency=operation.currency,
                fee_minor=operation.fee_minor,
                at=operation.settled_at,
            )
        case "pending":
            return Pending(reference=operation.reference)
        case "action_required":
            return ActionRequired(
                url=f"{pages}/confirm/{operation.token}", expires_at=operation.expires_at
            )
        case "declined":
            return Declined(code=decline_code(operation.code), retryable=bool(operation.retryable))
        case _:
            assert_never(operation.state)


def collect(
    turn: Turn,
    operation: Operation,
    method: StoredMethod | None,
    terms: BankTerms,
    new_token: Callable[[], str],
) -> None:
    """Decide a new collect. `new_token` names its confirmation page, if it needs one."""
    if method is None:
        return decline(operation, "no_such_method")
    if operation.currency not in EXPONENTS:
        return decline(operation, "unknown_currency")
    match method.behaviour:
        case "success" | "refund_fails":
            settle(turn, operation, terms, operation.at)
        case "timeout":
            settle(turn, operation, terms, operation.at)
            report(turn, operation, operation.at + terms.settle_after_ms)
        case "dispute":
            settle(turn, operation, terms, operation.at)
            turn.later("open_dispute", operation, operation.at + terms.dispute_after_ms)
        case "decline":
            decline(operation, "card_declined")
        case "lost_later":
            decline(operation, "card_lost")
        case "declines_later":
            decline(operation, "card_declined", retryable=True)
        case "insufficient_funds":
            if method.declines:
                settle(turn, operation, terms, operation.at)
            else:
                decline(operation, "insufficient_funds", retryable=True)
                turn.count_decline(method)
        case "needs_confirmation":
            operation.state = "action_required"
            operation.token = new_token()
            operation.expires_at = operation.at + terms.confirm_within_ms
            turn.later("expire", operation, operation.expires_at)
        case "slow" | "duplicate_notifications":
            turn.later("settle", operation, operation.at + terms.settle_after_ms)
        case _:
            assert_never(method.behaviour)
    return None


def refund(
    turn: Turn,
    operation: Operation,
    collected: Operation | None,
    method: StoredMethod | None,
    terms: BankTerms,
) -> None:
    """Decide a new refund of `collected`, which was taken from `method`.

    Money that is disputed counts as gone until the dispute is won.
    """
    if collected is None or collected.kind != "collect" or collected.state != "succeeded":
        return decline(operation, "not_collected")
    if operation.currency != collected.currency:
        return decline(operation, "other_currency")
    if operation.amount_minor > collected.remainder_minor:
        return decline(operation, "exceeds_remainder")
    behaviour = method.behaviour if method else "success"
    if behaviour == "refund_fails":
        return decline(operation, "refund_refused")
    collected.returned_minor += operation.amount_minor
    turn.change(collected)
    if behaviour == "slow":
        turn.later("settle", operation, operation.at + terms.settle_after_ms)
    else:
        settle(turn, operation, terms, operation.at)
    return None


def pay_out(turn: Turn, operation: Operation, terms: BankTerms) -> None:
    """Decide a new payout. The merchant's balance may go below zero: what may be paid out is the
    merchant's rule, not the bank's.
    """
    if operation.currency not in EXPONENTS:
        return decline(operation, "unknown_currency")
    match operation.subject:
        case cards.ACCOUNT_CLOSED:
            decline(operation, "account_closed")
        case cards.ACCOUNT_SLOW:
            turn.later("settle", operation, operation.at + terms.settle_after_ms)
        case cards.ACCOUNT_RETURNED:
            settle(turn, operation, terms, operation.at)
            turn.later("return_pay_out", operation, operation.at + terms.return_after_ms)
        case cards.ACCOUNT_TIMEOUT:
            settle(turn, operation, terms, operation.at)
            report(turn, operation, operation.at + terms.settle_after_ms)
        case _:
            settle(turn, operation, terms, operation.at)
    return None


def settle(turn: Turn, operation: Operation, terms: BankTerms, at: int) -> None:
    """The money moves. The caller sees to it that the operation is written."""
    operation.state = "succeeded"
    operation.settled_at = at
    amount = operation.amount_minor
    match operation.kind:
        case "collect":
            operation.fee_minor = fee_minor(amount, terms.fee_basis_points) + terms.fee_fixed_minor
            turn.move("collected", operation, amount, operation.fee_minor, at)
        case "refund":
            turn.move("refunded", operation, amount, 0, at)
        case "pay_out":
            turn.move("paid_out", operation, amount, 0, at)
        case "transfer_in":
            turn.move("transferred_in", operation, amount, 0, at)
        case _:
            assert_never(operation.kind)


def decline(operation: Operation, code: DeclineCode, *, retryable: bool = False) -> None:
    """No money moves, and none ever will under this key."""
    operation.state = "declined"
    operation.code = code
    operation.retryable = int(retryable)


def report(turn: Turn, operation: Operation, at: int) -> None:
    """Queue the news of the operation's final outcome, dated and due at `at`."""
    turn.notify(
        OutcomeReported(
            id=f"{operation.reference}/{operation.state}",
            key=operation.key,
            kind=operation.kind,
            outcome=outcome_of(operation, pages=""),
            at=at,
        ),
        due_at=at,
    )


def report_confusingly(turn: Turn, operation: Operation, at: int) -> None:
    """Queue the news of a settled operation twice, and between the two the older "pending"."""
    report(turn, operation, at)
    turn.notify(
        OutcomeReported(
            id=f"{operation.reference}/pending",
            key=operation.key,
            kind=operation.kind,
            outcome=Pending(reference=operation.reference),
            at=operation.at,
        ),
        due_at=at,
    )
    report(turn, operation, at)


def open_dispute(turn: Turn, collected: Operation, no: int, at: int) -> Dispute:
    """The card holder objects: all that is left of the collect is kept back."""
    dispute = Dispute(no, collected.no, collected.remainder_minor, "open", at, 0)
    collected.returned_minor = collected.amount_minor
    turn.change(collected)
    turn.move("dispute_opened", collected, dispute.amount_minor, 0, at)
    turn.notify(
        DisputeOpened(
            id=f"{dispute.dispute_id}/opened",
            dispute_id=dispute.dispute_id,
            key=collected.key,
            amount_minor=dispute.amount_minor,
            currency=collected.currency,
            at=at,
        ),
        due_at=at,
    )
    return dispute


def decide_dispute(
    turn: Turn, dispute: Dispute, collected: Operation, terms: BankTerms, at: int, *, won: bool
) -> None:
    """The bank decides. `won`: the merchant gets the money back; else it goes to the card holder
    and costs the merchant a fee.
    """
    dispute.state = "won" if won else "lost"
    dispute.decided_at = at
    fee = 0 if won else terms.dispute_fee_minor
    if won:
        collected.returned_minor -= dispute.amount_minor
        turn.change(collected)
    turn.move("dispute_won" if won else "dispute_lost", collected, dispute.amount_minor, fee, at)
    turn.notify(
        DisputeDecided(
            id=f"{dispute.dispute_id}/{dispute.state}",
            dispute_id=dispute.dispute_id,
            key=collected.key,
            won=won,
            amount_minor=dispute.amount_minor,
            fee_minor=fee,
            currency=collected.currency,
            at=at,
        ),
        due_at=at,
    )


def return_pay_out(turn: Turn, operation: Operation, at: int) -> None:
    """The creator's bank sends a payout back."""
    turn.move("pay_out_returned", operation, operation.amount_minor, 0, at)
    turn.notify(
        PayOutReturned(
            id=f"{operation.reference}/returned",
            key=operation.key,
            amount_minor=operation.amount_minor,
            currency=operation.currency,
            at=at,
        ),
        due_at=at,
    )
