"""What a provider says, as commands that record it: the same for an answer, a question and news."""

from __future__ import annotations

from typing import Any, assert_never

from app.payments.port import ActionRequired, Declined, Outcome, Pending, Succeeded, Unknown
from app.processes.keys import ChargeKey, PayoutKey, RefundKey
from app.processes.runner import identity
from domain import commands as c


class OtherCurrencyError(Exception):
    """A provider says that it moved money in another currency than the campaign's.

    No entry of the campaign's books can hold that: somebody has to look at it, so the row that
    asked stays with this as its fault, and nothing is recorded.
    """


def _require_currency(outcome: Succeeded, currency: str, key: str) -> None:
    if outcome.currency != currency:
        raise OtherCurrencyError(
            f"{key}: {outcome.amount_minor} {outcome.currency} moved, not {currency}"
        )


def charge_fact(
    about: ChargeKey, key: str, currency: str, outcome: Outcome, provider: str
) -> c.Command | None:
    """Record what became of a charge in `currency`; None where nothing is known yet.

    The amount is the provider's word: where it is not what was asked for, the rules make it a
    discrepancy. Raises OtherCurrencyError.
    """

    def by(what: str) -> dict[str, Any]:
        return identity(about.campaign_id, f"provider:{provider}", f"{key}/{what}")

    match outcome:
        case Succeeded(reference=reference, amount_minor=amount_minor, fee_minor=fee_minor):
            _require_currency(outcome, currency, key)
            return c.RecordCollected(
                **by(f"collected/{reference}"),
                no=about.no,
                attempt=about.attempt,
                amount_minor=amount_minor,
                provider=provider,
                reference=reference,
                provider_fee_minor=fee_minor,
            )
        case Declined(code=code, retryable=retryable):
            return c.RecordCollectionFailed(
                **by("declined"),
                no=about.no,
                attempt=about.attempt,
                code=code,
                retryable=retryable,
                provider=provider,
                reference=f"{about.no}/{about.attempt}",
            )
        case ActionRequired():
            return c.RecordActionRequired(
                **by("action_required"), no=about.no, attempt=about.attempt
            )
        case Unknown():
            return c.RecordCollectionUnknown(**by("unknown"), no=about.no, attempt=about.attempt)
        case Pending():
            return None
        case _:
            assert_never(outcome)


def refund_fact(
    about: RefundKey, key: str, currency: str, outcome: Outcome, provider: str
) -> c.Command | None:
    """Record what became of a refund in `currency`; None where nothing is known yet.

    Raises OtherCurrencyError.
    """

    def by(what: str) -> dict[str, Any]:
        return identity(about.campaign_id, f"provider:{provider}", f"{key}/{what}")

    match outcome:
        case Succeeded(reference=reference, amount_minor=amount_minor):
            _require_currency(outcome, currency, key)
            return c.RecordRefunded(
                **by("refunded"),
                no=about.no,
                refund_id=about.refund_id,
                amount_minor=amount_minor,
                provider=provider,
                reference=reference,
            )
        case Declined(code=code):
            return c.RecordRefundFailed(
                **by("declined"), no=about.no, refund_id=about.refund_id, code=code
            )
        case ActionRequired() | Unknown() | Pending():
            return None
        case _:
            assert_never(outcome)


def payout_fact(
    about: PayoutKey, key: str, currency: str, outcome: Outcome, provider: str
) -> c.Command | None:
    """Record what became of a payout in `currency`; None where nothing is known yet.

    Raises OtherCurrencyError.
    """

    def by(what: str) -> dict[str, Any]:
        return identity(about.campaign_id, f"provider:{provider}", f"{key}/{what}")

    match outcome:
        case Succeeded(reference=reference, amount_minor=amount_minor):
            _require_currency(outcome, currency, key)
            return c.RecordPayoutSent(
                **by("sent"),
                payout_id=about.payout_id,
                amount_minor=amount_minor,
                provider=provider,
                reference=reference,
            )
        case Declined(code=code):
            return c.RecordPayoutFailed(**by("declined"), payout_id=about.payout_id, code=code)
        case ActionRequired() | Unknown() | Pending():
            return None
        case _:
            assert_never(outcome)
