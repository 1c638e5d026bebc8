"""The double-entry books: the postings that follow from each fact, a page of bookkeeping.

A debit is positive, a credit negative; the postings of one fact sum to zero per currency. Which
accounts there are is `docs/accounting.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from domain import events as e


class Posting(NamedTuple):
    """One line of a journal entry: a debit (+) or credit (-) in minor units."""

    account: str
    amount_minor: int
    currency: str


PLATFORM_FEE: Final = "Income:PlatformFee"
PROCESSING_FEE: Final = "Income:ProcessingFee"
PROVIDER_FEE: Final = "Expenses:ProviderFee"
DISPUTE_FEE: Final = "Expenses:DisputeFee"
WRITTEN_OFF: Final = "Expenses:WrittenOff"
SUSPENSE: Final = "Liabilities:Suspense"


@lru_cache(maxsize=256)
def clearing(provider: str) -> str:
    """What the provider holds for us."""
    return f"Assets:Provider:{provider}:Clearing"


def disputed(provider: str) -> str:
    """What the provider holds back while a dispute is open."""
    return f"Assets:Provider:{provider}:Disputed"


def held(stream: str) -> str:
    """What we hold for a campaign: its backers' or its creator's money, never ours."""
    return f"Liabilities:Campaign:{_campaign(stream)}:Held"


def payout(stream: str) -> str:
    """What is approved to go to the creator and not yet sent."""
    return f"Liabilities:Campaign:{_campaign(stream)}:Payout"


def receivable(stream: str) -> str:
    """What the creator owes."""
    return f"Assets:Receivable:Campaign:{_campaign(stream)}"


def postings(event: e.Event) -> tuple[Posting, ...]:
    """The journal entry of a fact; empty where no money moved."""
    entry = lines(event)
    if not entry:
        return ()
    currency: str = event.currency  # type: ignore[attr-defined] # every fact with lines has one
    return tuple(
        Posting(account, amount_minor, currency) for account, amount_minor in entry if amount_minor
    )


_Lines = list[tuple[str, int]]


def lines(event: e.Event) -> _Lines:
    """The same as bare (account, amount) pairs in the fact's currency; an amount may be 0."""
    rule = _RULES.get(type(event))
    return [] if rule is None else rule(event)


def _campaign(stream: str) -> str:
    return stream.removeprefix("campaign:")


def _collected(event: e.PledgeCollected) -> _Lines:
    fees = event.platform_fee_minor + event.processing_fee_minor
    return [
        (clearing(event.provider), event.amount_minor - event.provider_fee_minor),
        (PROVIDER_FEE, event.provider_fee_minor),
        (held(event.stream), -event.amount_minor + fees),
        (PLATFORM_FEE, -event.platform_fee_minor),
        (PROCESSING_FEE, -event.processing_fee_minor),
    ]


def _fees_charged(event: e.FeesCharged) -> _Lines:
    return [
        (held(event.stream), event.platform_fee_minor + event.processing_fee_minor),
        (PLATFORM_FEE, -event.platform_fee_minor),
        (PROCESSING_FEE, -event.processing_fee_minor),
    ]


def _fees_reversed(event: e.PledgeRefunded | e.DisputeLost) -> _Lines:
    platform, processing = event.platform_fee_reversed_minor, event.processing_fee_reversed_minor
    return [
        (PLATFORM_FEE, platform),
        (PROCESSING_FEE, processing),
        (held(event.stream), event.from_held_minor - platform - processing),
        (receivable(event.stream), event.receivable_minor),
    ]


def _refunded(event: e.PledgeRefunded) -> _Lines:
    return [*_fees_reversed(event), (clearing(event.provider), -event.amount_minor)]


def _dispute_opened(event: e.DisputeOpened) -> _Lines:
    return [
        (disputed(event.provider), event.amount_minor),
        (clearing(event.provider), -event.amount_minor),
    ]


def _dispute_won(event: e.DisputeWon) -> _Lines:
    return [
        (clearing(event.provider), event.amount_minor),
        (disputed(event.provider), -event.amount_minor),
    ]


def _dispute_lost(event: e.DisputeLost) -> _Lines:
    return [
        *_fees_reversed(event),
        (disputed(event.provider), -event.amount_minor),
        (DISPUTE_FEE, event.fee_minor),
        (clearing(event.provider), -event.fee_minor),
    ]


def _payout_approved(event: e.PayoutApproved) -> _Lines:
    return [
        (held(event.stream), event.amount_minor),
        (payout(event.stream), -event.amount_minor),
    ]


def _payout_sent(event: e.PayoutSent) -> _Lines:
    return [
        (payout(event.stream), event.amount_minor),
        (clearing(event.provider), event.debt_minor - event.amount_minor),
        (receivable(event.stream), -event.debt_minor),
    ]


def _payout_failed(event: e.PayoutFailed) -> _Lines:
    return [
        (payout(event.stream), event.amount_minor),
        (held(event.stream), -event.amount_minor),
    ]


def _payout_returned(event: e.PayoutReturned) -> _Lines:
    return [
        (clearing(event.provider), event.amount_minor - event.debt_minor),
        (receivable(event.stream), event.debt_minor),
        (held(event.stream), -event.amount_minor),
    ]


def _repaid(event: e.DebtRepaid) -> _Lines:
    return [
        (clearing(event.provider), event.amount_minor),
        (receivable(event.stream), -event.amount_minor),
    ]


def _written_off(event: e.DebtWrittenOff) -> _Lines:
    return [
        (WRITTEN_OFF, event.amount_minor),
        (receivable(event.stream), -event.amount_minor),
    ]


def _discrepancy_recorded(event: e.DiscrepancyRecorded) -> _Lines:
    return [
        (clearing(event.provider), event.amount_minor - event.fee_minor),
        (PROVIDER_FEE, event.fee_minor),
        (SUSPENSE, -event.amount_minor),
    ]


def _discrepancy_resolved(event: e.DiscrepancyResolved) -> _Lines:
    match event.resolution:
        case "written_off":
            against = WRITTEN_OFF
        case "returned" | "noted":
            against = clearing(event.provider)
    return [(SUSPENSE, event.amount_minor), (against, -event.amount_minor)]


_RULES: dict[type[e.Event], Callable[[Any], _Lines]] = {
    e.PledgeCollected: _collected,
    e.FeesCharged: _fees_charged,
    e.PledgeRefunded: _refunded,
    e.DisputeOpened: _dispute_opened,
    e.DisputeWon: _dispute_won,
    e.DisputeLost: _dispute_lost,
    e.PayoutApproved: _payout_approved,
    e.PayoutSent: _payout_sent,
    e.PayoutFailed: _payout_failed,
    e.PayoutReturned: _payout_returned,
    e.DebtRepaid: _repaid,
    e.DebtWrittenOff: _written_off,
    e.DiscrepancyRecorded: _discrepancy_recorded,
    e.DiscrepancyResolved: _discrepancy_resolved,
}
