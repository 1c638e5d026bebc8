"""From facts to work: what each fact asks the processes to see to.

A fact that something began writes a row, the fact of its outcome deletes it. So following the log
from its beginning leaves exactly what was asked for and has no outcome yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.processes.runner import ASK_FIRST_MS
from app.processes.work import NEVER, Changes, Job, Kind, WatchedCampaign
from domain import events as e
from projections.reading import Reading

_PREFIX: Final = "campaign:"
_AT_ONCE: Final = "pledge"
"""When a campaign whose pledges are charged as they are made collects."""

SUSPENDED: Final = "campaign_suspended"
FROZEN: Final = "payouts_frozen"
DISPUTED: Final = "dispute_open"

RETURNABLE: Final = (
    "collected_unexpectedly",
    "collected_amount_differs",
    "payout_returned_unexpectedly",
)
"""Discrepancies whose money came from somebody to whom the provider can send it back."""


class Stray(Struct, frozen=True):
    """Money that fitted nothing, as the row that may send it back remembers it."""

    no: int
    reference: str
    amount_minor: int
    currency: str
    to_creator: bool


def pledge_key(kind: Kind, campaign_id: str, no: int) -> str:
    """The key of the one row of this kind that a pledge can have."""
    return f"{kind}/{campaign_id}/{no}"


class Following:
    """Folds events into changes of the work. `campaigns` is what is known so far."""

    def __init__(self, campaigns: dict[str, WatchedCampaign]) -> None:
        self._campaigns = campaigns
        self._at_once = {
            _PREFIX + campaign_id
            for campaign_id, known in campaigns.items()
            if known.collect_at == _AT_ONCE
        }

    def changes(self, reading: Reading) -> Changes:
        """What these facts change."""
        changes = Changes()
        changes.position = reading.last
        at_once = self._at_once
        for event in reading.events:
            if type(event) is e.PledgeMade and event.stream not in at_once and not event.late:
                # By far the most of all facts: pledges that wait for their campaign's end.
                if event.hold_id:
                    changes.drop(_lapse_key(event.hold_id))
                continue
            rule = _RULES.get(type(event))
            if rule is not None:
                rule(self, changes, event.stream.removeprefix(_PREFIX), event)
        return changes

    def keep(self, changes: Changes) -> None:
        """Know what these changes told, now that they are written."""
        self._campaigns |= changes.watched

    def _known(self, changes: Changes, campaign_id: str) -> WatchedCampaign:
        known = changes.watched.get(campaign_id) or self._campaigns.get(campaign_id)
        return known or WatchedCampaign()

    def _watch(self, to: Changes, campaign_id: str, **now: Any) -> None:  # noqa: ANN401
        to.watched[campaign_id] = msgspec.structs.replace(self._known(to, campaign_id), **now)

    # --- A campaign's life ---------------------------------------------------------------------

    def launched(self, to: Changes, campaign_id: str, event: e.CampaignLaunched) -> None:
        """It closes at its deadline."""
        self._watch(to, campaign_id, collect_at=event.terms.collect_at)
        if event.terms.collect_at == _AT_ONCE:
            self._at_once.add(event.stream)
        self._close_at(to, campaign_id, event.deadline_at)

    def extended(self, to: Changes, campaign_id: str, event: e.DeadlineExtended) -> None:
        """It closes at the later deadline."""
        to.drop(_close_key(campaign_id, self._known(to, campaign_id).deadline_at))
        self._close_at(to, campaign_id, event.deadline_at)

    def _close_at(self, to: Changes, campaign_id: str, deadline_at: int) -> None:
        self._watch(to, campaign_id, deadline_at=deadline_at)
        key = _close_key(campaign_id, deadline_at)
        to.ensure(Job("close", key, campaign_id, str(deadline_at), deadline_at))

    def succeeded(self, to: Changes, campaign_id: str, event: e.CampaignSucceeded) -> None:
        """Every pledge is to be charged."""
        to.drop(_close_key(campaign_id, self._known(to, campaign_id).deadline_at))
        to.ensure(Job("page", f"page/{campaign_id}/collect", campaign_id, "collect", event.at))

    def settled(self, to: Changes, campaign_id: str, _event: e.CampaignSettled) -> None:
        """Every pledge was charged or is terminal."""
        to.drop(f"page/{campaign_id}/collect")

    def ended(
        self, to: Changes, campaign_id: str, event: e.CampaignFailed | e.CampaignCancelled
    ) -> None:
        """Every charge goes back, and nothing more is charged."""
        to.drop(_close_key(campaign_id, self._known(to, campaign_id).deadline_at))
        to.drop(f"page/{campaign_id}/collect")
        self._watch(to, campaign_id, ended=True)
        self._give_all_back(to, campaign_id, event)

    def _give_all_back(self, to: Changes, campaign_id: str, event: e.Event) -> None:
        key = f"page/{campaign_id}/give_back/{event.version}"
        to.ensure(Job("page", key, campaign_id, f"give_back/{event.version}", event.at))

    def resumed(self, to: Changes, campaign_id: str, event: e.CampaignResumed) -> None:
        """What waited goes on."""
        to.resume(campaign_id, SUSPENDED, event.at)

    # --- Pledges ---------------------------------------------------------------------------------

    def hold_placed(self, to: Changes, campaign_id: str, event: e.HoldPlaced) -> None:
        """It lapses when its time is over."""
        key = _lapse_key(event.hold_id)
        to.ensure(Job("lapse", key, campaign_id, event.hold_id, event.until_at))

    def hold_lapsed(self, to: Changes, _campaign_id: str, event: e.HoldLapsed) -> None:
        """It is gone."""
        to.drop(_lapse_key(event.hold_id))

    def made(self, to: Changes, campaign_id: str, event: e.PledgeMade) -> None:
        """Charged at once where the terms say so, and after success."""
        if event.hold_id:
            to.drop(_lapse_key(event.hold_id))
        if event.late or event.stream in self._at_once:
            to.ensure(_about_pledge("collect", campaign_id, event.no, event.at))

    def method_replaced(
        self, to: Changes, campaign_id: str, event: e.PaymentMethodReplaced
    ) -> None:
        """Tried at once."""
        job = _about_pledge("collect", campaign_id, event.no, event.at, str(event.version))
        to.wake(job)

    def collection_requested(
        self, to: Changes, campaign_id: str, event: e.CollectionRequested
    ) -> None:
        """Its outcome is awaited."""
        to.ensure(_about_pledge("collect", campaign_id, event.no, event.at + ASK_FIRST_MS))

    def action_required(
        self, to: Changes, campaign_id: str, event: e.CollectionActionRequired
    ) -> None:
        """The backer has until the end of the grace period."""
        to.ensure(_about_pledge("collect", campaign_id, event.no, event.at + ASK_FIRST_MS))
        to.ensure(_about_pledge("drop", campaign_id, event.no, event.at))

    def collection_failed(self, to: Changes, campaign_id: str, event: e.CollectionFailed) -> None:
        """Tried again by the schedule of the terms, dropped at the end of grace."""
        to.wake(_about_pledge("collect", campaign_id, event.no, event.at))
        to.ensure(_about_pledge("drop", campaign_id, event.no, event.at))

    def collected(self, to: Changes, campaign_id: str, event: e.PledgeCollected) -> None:
        """Charged; in a campaign that has ended it goes straight back."""
        to.drop(pledge_key("collect", campaign_id, event.no))
        to.drop(pledge_key("drop", campaign_id, event.no))
        if self._known(to, campaign_id).ended:
            to.ensure(give_back(campaign_id, event.no, event.version, event.at))

    def left(
        self,
        to: Changes,
        campaign_id: str,
        event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased,
    ) -> None:
        """Nobody may confirm a charge of it any more."""
        to.drop(pledge_key("collect", campaign_id, event.no))
        to.drop(pledge_key("drop", campaign_id, event.no))
        to.ensure(_about_pledge("cancel", campaign_id, event.no, event.at))

    # --- Money going back and out ----------------------------------------------------------------

    def refund_requested(self, to: Changes, campaign_id: str, event: e.RefundRequested) -> None:
        """The provider is to send it."""
        key = _refund_row(campaign_id, event.refund_id)
        to.ensure(Job("refund", key, campaign_id, event.refund_id, event.at))

    def refund_over(
        self, to: Changes, campaign_id: str, event: e.PledgeRefunded | e.RefundFailed
    ) -> None:
        """It was sent, or could not be."""
        to.drop(_refund_row(campaign_id, event.refund_id))

    def dispute_decided(
        self, to: Changes, campaign_id: str, event: e.DisputeWon | e.DisputeLost
    ) -> None:
        """What the dispute held up goes on; in a campaign that has ended, the rest goes back."""
        to.resume(campaign_id, DISPUTED, event.at)
        if self._known(to, campaign_id).ended:
            to.ensure(give_back(campaign_id, event.no, event.version, event.at))

    def payout_approved(self, to: Changes, campaign_id: str, event: e.PayoutApproved) -> None:
        """The provider is to send it."""
        key = _payout_row(campaign_id, event.payout_id)
        to.ensure(Job("payout", key, campaign_id, event.payout_id, event.at))

    def payout_over(
        self, to: Changes, campaign_id: str, event: e.PayoutSent | e.PayoutFailed
    ) -> None:
        """It was sent, or could not be."""
        to.drop(_payout_row(campaign_id, event.payout_id))

    def payout_returned(self, to: Changes, campaign_id: str, event: e.PayoutReturned) -> None:
        """In a campaign that has ended, what came back goes on to the backers."""
        if self._known(to, campaign_id).ended:
            self._give_all_back(to, campaign_id, event)

    # --- What fits nothing -----------------------------------------------------------------------

    def discrepancy(self, to: Changes, campaign_id: str, event: e.DiscrepancyRecorded) -> None:
        """Money that came in waits for what staff decide."""
        if event.amount_minor <= 0 or event.kind not in RETURNABLE:
            return
        stray = Stray(
            event.no,
            event.reference,
            event.amount_minor,
            event.currency,
            event.kind == "payout_returned_unexpectedly",
        )
        payload = msgspec.json.encode(stray).decode()
        key = f"return/{event.discrepancy_id}"
        to.ensure(Job("return", key, campaign_id, event.discrepancy_id, NEVER, payload))

    def resolved(self, to: Changes, campaign_id: str, event: e.DiscrepancyResolved) -> None:
        """It goes back, or stays; payouts may go on."""
        key = f"return/{event.discrepancy_id}"
        if event.resolution == "returned":
            # Only money that came in has a row: an unknown key is not made into one.
            to.release(key, event.at)
        else:
            to.drop(key)
        to.resume(campaign_id, FROZEN, event.at)


def _close_key(campaign_id: str, deadline_at: int) -> str:
    return f"close/{campaign_id}/{deadline_at}"


def _lapse_key(hold_id: str) -> str:
    return f"lapse/{hold_id}"


def _refund_row(campaign_id: str, refund_id: str) -> str:
    return f"refund/{campaign_id}/{refund_id}"


def _payout_row(campaign_id: str, payout_id: str) -> str:
    return f"payout/{campaign_id}/{payout_id}"


def _about_pledge(kind: Kind, campaign_id: str, no: int, due_at: int, payload: str = "") -> Job:
    return Job(kind, pledge_key(kind, campaign_id, no), campaign_id, str(no), due_at, payload)


def collect_now(campaign_id: str, no: int, at: int) -> Job:
    """See to it that this pledge is charged."""
    return _about_pledge("collect", campaign_id, no, at)


def cancel_now(campaign_id: str, no: int, at: int) -> Job:
    """See to it that no charge of this pledge can be confirmed any more."""
    return _about_pledge("cancel", campaign_id, no, at)


def give_back(campaign_id: str, no: int, version: int, at: int) -> Job:
    """See to it that what is left of this pledge goes back, because of the fact of `version`."""
    key = f"give_back/{campaign_id}/{no}/{version}"
    return Job("give_back", key, campaign_id, str(no), at, str(version))


_RULES: Final[dict[type[e.Event], Callable[[Following, Changes, str, Any], None]]] = {
    e.CampaignLaunched: Following.launched,
    e.DeadlineExtended: Following.extended,
    e.CampaignSucceeded: Following.succeeded,
    e.CampaignSettled: Following.settled,
    e.CampaignFailed: Following.ended,
    e.CampaignCancelled: Following.ended,
    e.CampaignResumed: Following.resumed,
    e.HoldPlaced: Following.hold_placed,
    e.HoldLapsed: Following.hold_lapsed,
    e.PledgeMade: Following.made,
    e.PaymentMethodReplaced: Following.method_replaced,
    e.CollectionRequested: Following.collection_requested,
    e.CollectionUnknown: Following.collection_requested,
    e.CollectionActionRequired: Following.action_required,
    e.CollectionFailed: Following.collection_failed,
    e.PledgeCollected: Following.collected,
    e.PledgeWithdrawn: Following.left,
    e.PledgeDropped: Following.left,
    e.PledgeReleased: Following.left,
    e.RefundRequested: Following.refund_requested,
    e.PledgeRefunded: Following.refund_over,
    e.RefundFailed: Following.refund_over,
    e.DisputeWon: Following.dispute_decided,
    e.DisputeLost: Following.dispute_decided,
    e.PayoutApproved: Following.payout_approved,
    e.PayoutSent: Following.payout_over,
    e.PayoutFailed: Following.payout_over,
    e.PayoutReturned: Following.payout_returned,
    e.DiscrepancyRecorded: Following.discrepancy,
    e.DiscrepancyResolved: Following.resolved,
}
"""Which facts change the work."""
