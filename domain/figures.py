"""The five honest numbers of a campaign, as the sum of its facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from domain import events as e


class Figures(Struct):
    """Every amount is in minor units of the campaign's currency.

    `held_minor` is all that is kept for the campaign, `on_the_way_minor` the part of it in
    payouts that are approved and not yet sent. `paid_minor` is cash sent to the creator, after
    debts taken from it and less what the creator repaid. `returned_minor` are refunds and lost
    disputes. `suspense_minor` belongs to no campaign until staff resolve it.
    """

    pledged_minor: int = 0
    pledges: int = 0
    charged_minor: int = 0
    held_minor: int = 0
    on_the_way_minor: int = 0
    paid_minor: int = 0
    returned_minor: int = 0
    fees_minor: int = 0
    owed_minor: int = 0
    written_off_minor: int = 0
    disputed_minor: int = 0
    suspense_minor: int = 0

    def reconcile(self) -> bool:
        """Whether charged + owed by the creator (+ written off) = held + paid + fees + returned."""
        sources = self.charged_minor + self.owed_minor + self.written_off_minor
        uses = self.held_minor + self.paid_minor + self.fees_minor + self.returned_minor
        return sources == uses


def apply(figures: Figures, event: e.Event) -> None:
    """Add a fact to the figures, in place; facts without money change nothing."""
    change = _CHANGES.get(type(event))
    if change is not None:
        change(figures, event)


def _made(f: Figures, event: e.PledgeMade) -> None:
    f.pledged_minor += event.amount_minor
    f.pledges += 1


def _revised(f: Figures, event: e.PledgeRevised) -> None:
    f.pledged_minor += event.amount_minor - event.was_minor


def _left(f: Figures, event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased) -> None:
    f.pledged_minor -= event.amount_minor
    f.pledges -= 1


def _released(f: Figures, event: e.CampaignFailed | e.CampaignCancelled) -> None:
    f.pledged_minor -= event.released_minor
    f.pledges -= event.released


def _collected(f: Figures, event: e.PledgeCollected) -> None:
    fees = event.platform_fee_minor + event.processing_fee_minor
    f.charged_minor += event.amount_minor
    f.fees_minor += fees
    f.held_minor += event.amount_minor - fees


def _fees_charged(f: Figures, event: e.FeesCharged) -> None:
    fees = event.platform_fee_minor + event.processing_fee_minor
    f.fees_minor += fees
    f.held_minor -= fees


def _returned(f: Figures, event: e.PledgeRefunded | e.DisputeLost) -> None:
    reversed_minor = event.platform_fee_reversed_minor + event.processing_fee_reversed_minor
    f.returned_minor += event.amount_minor
    f.fees_minor -= reversed_minor
    f.held_minor += reversed_minor - event.from_held_minor
    f.owed_minor += event.receivable_minor


def _dispute_opened(f: Figures, event: e.DisputeOpened) -> None:
    f.disputed_minor += event.amount_minor


def _dispute_won(f: Figures, event: e.DisputeWon) -> None:
    f.disputed_minor -= event.amount_minor


def _dispute_lost(f: Figures, event: e.DisputeLost) -> None:
    f.disputed_minor -= event.amount_minor
    _returned(f, event)


def _payout_approved(f: Figures, event: e.PayoutApproved) -> None:
    f.on_the_way_minor += event.amount_minor


def _payout_sent(f: Figures, event: e.PayoutSent) -> None:
    f.on_the_way_minor -= event.amount_minor
    f.held_minor -= event.amount_minor
    f.paid_minor += event.amount_minor - event.debt_minor
    f.owed_minor -= event.debt_minor


def _payout_failed(f: Figures, event: e.PayoutFailed) -> None:
    f.on_the_way_minor -= event.amount_minor


def _payout_returned(f: Figures, event: e.PayoutReturned) -> None:
    f.held_minor += event.amount_minor
    f.paid_minor -= event.amount_minor - event.debt_minor
    f.owed_minor += event.debt_minor


def _repaid(f: Figures, event: e.DebtRepaid) -> None:
    f.owed_minor -= event.amount_minor
    f.paid_minor -= event.amount_minor


def _written_off(f: Figures, event: e.DebtWrittenOff) -> None:
    f.owed_minor -= event.amount_minor
    f.written_off_minor += event.amount_minor


def _discrepancy_recorded(f: Figures, event: e.DiscrepancyRecorded) -> None:
    f.suspense_minor += event.amount_minor


def _discrepancy_resolved(f: Figures, event: e.DiscrepancyResolved) -> None:
    f.suspense_minor -= event.amount_minor


_CHANGES: dict[type[e.Event], Callable[[Figures, Any], None]] = {
    e.PledgeMade: _made,
    e.PledgeRevised: _revised,
    e.PledgeWithdrawn: _left,
    e.PledgeDropped: _left,
    e.PledgeReleased: _left,
    e.CampaignFailed: _released,
    e.CampaignCancelled: _released,
    e.PledgeCollected: _collected,
    e.FeesCharged: _fees_charged,
    e.PledgeRefunded: _returned,
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
