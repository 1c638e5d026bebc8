"""The Campaign aggregate: commands to facts (`decide`), facts to state (`evolve`).

The rules stand in the files of a campaign's phases; here is which rule answers which command and
which change follows which fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain import (
    collecting,
    discrepancies,
    errors,
    figures,
    lifecycle,
    paying_out,
    pledging,
    returning,
    rewards,
)
from domain import commands as c
from domain import events as e
from domain.ids import is_actor, is_id
from domain.rules import head
from domain.state import WON, Campaign, Phase, new_campaign

__all__ = ["CHANGES", "RULES", "Campaign", "decide", "evolve", "handle", "new_campaign"]

RULES: Final[dict[type[c.Command], Callable[[Campaign, Any, int], list[e.Event]]]] = {
    c.SubmitCampaign: lifecycle.submit,
    c.ReturnCampaign: lifecycle.return_,
    c.ResubmitCampaign: lifecycle.resubmit,
    c.ApproveCampaign: lifecycle.approve,
    c.LaunchCampaign: lifecycle.launch,
    c.SuspendCampaign: lifecycle.suspend,
    c.ResumeCampaign: lifecycle.resume,
    c.ExtendDeadline: lifecycle.extend_deadline,
    c.CloseCampaign: lifecycle.close,
    c.CancelCampaign: lifecycle.cancel,
    c.OpenLatePledges: lifecycle.open_late_pledges,
    c.CloseLatePledges: lifecycle.close_late_pledges,
    c.PostUpdate: lifecycle.post_update,
    c.ChangeStory: lifecycle.change_story,
    c.UpdatePlan: lifecycle.update_plan,
    c.AddReward: rewards.add,
    c.ChangeReward: rewards.change,
    c.ChangeRewardStock: rewards.change_stock,
    c.OfferNeed: rewards.offer_need,
    c.AcceptNeed: rewards.accept_need,
    c.DeclineNeed: rewards.decline_need,
    c.ReceiveNeed: rewards.receive_need,
    c.PlaceHold: pledging.place_hold,
    c.LapseHold: pledging.lapse_hold,
    c.MakePledge: pledging.make,
    c.RevisePledge: pledging.revise,
    c.WithdrawPledge: pledging.withdraw,
    c.ReplacePaymentMethod: pledging.replace_method,
    c.RequestCollection: collecting.request,
    c.RecordCollected: collecting.record_collected,
    c.RecordActionRequired: collecting.record_action_required,
    c.RecordCollectionUnknown: collecting.record_unknown,
    c.RecordCollectionFailed: collecting.record_failed,
    c.DropPledge: collecting.drop,
    c.RequestRefund: returning.request,
    c.RecordRefunded: returning.record_refunded,
    c.RecordRefundFailed: returning.record_refund_failed,
    c.RecordDisputeOpened: returning.record_dispute_opened,
    c.RecordDisputeWon: returning.record_dispute_won,
    c.RecordDisputeLost: returning.record_dispute_lost,
    c.MarkDelivered: rewards.mark_delivered,
    c.ConfirmReceived: rewards.confirm_received,
    c.VerifyPayoutAccount: paying_out.verify_account,
    c.RequestPayout: paying_out.request,
    c.ApprovePayout: paying_out.approve,
    c.RefusePayout: paying_out.refuse,
    c.RevokePayout: paying_out.revoke,
    c.RecordPayoutSent: paying_out.record_sent,
    c.RecordPayoutFailed: paying_out.record_failed,
    c.RecordPayoutReturned: paying_out.record_returned,
    c.RecordRepayment: paying_out.record_repayment,
    c.WriteOffDebt: paying_out.write_off,
    c.ResolveDiscrepancy: discrepancies.resolve,
}
"""Which rule answers which command."""


def _figures_only(_state: Campaign, _event: e.Event) -> None:
    """The fact changes nothing but the figures, or nothing that a rule reads."""


CHANGES: Final[dict[type[e.Event], Callable[[Campaign, Any], None]]] = {
    e.CampaignSubmitted: lifecycle.submitted,
    e.CampaignReturned: lifecycle.returned,
    e.CampaignResubmitted: lifecycle.submitted,
    e.CampaignApproved: lifecycle.approved,
    e.CampaignLaunched: lifecycle.launched,
    e.CampaignSuspended: lifecycle.suspended,
    e.CampaignResumed: lifecycle.resumed,
    e.DeadlineExtended: lifecycle.deadline_extended,
    e.CampaignSucceeded: lifecycle.succeeded,
    e.CampaignFailed: lifecycle.failed,
    e.CampaignCancelled: lifecycle.cancelled,
    e.CampaignSettled: lifecycle.settled,
    e.CampaignCompleted: lifecycle.completed,
    e.LatePledgesOpened: lifecycle.late_pledges_opened,
    e.LatePledgesClosed: lifecycle.late_pledges_closed,
    e.UpdatePosted: lifecycle.update_posted,
    e.StoryChanged: _figures_only,
    e.PlanUpdated: lifecycle.plan_updated,
    e.RewardAdded: rewards.added,
    e.RewardChanged: rewards.changed,
    e.RewardStockChanged: rewards.stock_changed,
    e.NeedOffered: rewards.need_offered,
    e.NeedAccepted: rewards.need_accepted,
    e.NeedDeclined: rewards.need_declined,
    e.NeedReceived: rewards.need_received,
    e.HoldPlaced: pledging.hold_placed,
    e.HoldLapsed: pledging.hold_lapsed,
    e.PledgeMade: pledging.made,
    e.PledgeRevised: pledging.revised,
    e.PledgeWithdrawn: pledging.withdrawn,
    e.PaymentMethodReplaced: pledging.method_replaced,
    e.CollectionRequested: collecting.requested,
    e.PledgeCollected: collecting.collected,
    e.CollectionActionRequired: collecting.action_required,
    e.CollectionUnknown: collecting.unknown,
    e.CollectionFailed: collecting.collection_failed,
    e.PledgeDropped: collecting.dropped,
    e.PledgeReleased: collecting.released,
    e.FeesCharged: collecting.fees_charged,
    e.RefundRequested: returning.requested,
    e.PledgeRefunded: returning.refunded,
    e.RefundFailed: returning.refund_failed,
    e.DisputeOpened: returning.dispute_opened,
    e.DisputeWon: returning.dispute_won,
    e.DisputeLost: returning.dispute_lost,
    e.DeliveryMarked: rewards.delivery_marked,
    e.DeliveryReceived: rewards.delivery_received,
    e.PayoutAccountVerified: paying_out.account_verified,
    e.PayoutRequested: paying_out.requested,
    e.PayoutApproved: paying_out.approved,
    e.PayoutRefused: paying_out.refused,
    e.PayoutSent: paying_out.sent,
    e.PayoutFailed: paying_out.failed,
    e.PayoutReturned: paying_out.returned,
    e.DebtRepaid: paying_out.repaid,
    e.DebtWrittenOff: _figures_only,
    e.DiscrepancyRecorded: discrepancies.recorded,
    e.DiscrepancyResolved: discrepancies.resolved,
}
"""Which change follows which fact."""


_NONE: Final = Phase.NONE
"""By a name of its own: Python 3.11 looks an enumeration's member up anew each time."""


def decide(state: Campaign, command: c.Command, at: int) -> list[e.Event]:
    """Return the facts that a command causes now; pure.

    `at` is the engine's one time of the turn, in ms UTC. An empty list means that the command
    changes nothing (a provider's repeated report). Raises a Rejection where a rule says no, and
    Repeated where the same was done before.
    """
    if command.expires_at is not None and at > command.expires_at:
        raise errors.CommandExpired
    if state.phase is _NONE and type(command) is not c.SubmitCampaign:
        raise errors.CampaignUnknown
    if not is_actor(command.by):
        raise errors.ContentInvalid("An actor is role:party id.")
    if not is_id(command.command_id):
        raise errors.ContentInvalid("A command or pledge is named by a UUID in lower case.")
    if command.acting_in and command.acting_in != _channel_of(state, command):
        raise errors.OtherChannel
    return RULES[type(command)](state, command, at)


def _channel_of(state: Campaign, command: c.Command) -> str:
    return command.channel if isinstance(command, c.SubmitCampaign) else state.channel


def evolve(state: Campaign, event: e.Event) -> None:
    """Add a fact to the state, in place. Never fails on what the log holds."""
    CHANGES[type(event)](state, event)
    figures.apply(state.figures, event)
    state.version = event.version
    state.last_at = event.at


def handle(state: Campaign, command: c.Command, at: int) -> list[e.Event]:
    """Decide, evolve, and add the facts that follow by themselves; what the engine calls.

    Raises what `decide` raises, and then leaves the state as it was.
    """
    decided = decide(state, command, at)
    for event in decided:
        evolve(state, event)
    if decided and type(decided[-1]) in _MAY_FOLLOW:
        decided = decided + _follow_ups(state, command, decided[-1], at)
    return decided


# --- Facts that follow by themselves -------------------------------------------------------------

_RETURNED_ONE = (e.PledgeRefunded, e.RefundFailed, e.DisputeWon, e.DisputeLost)

_MAY_FOLLOW: Final = frozenset(
    (
        *_RETURNED_ONE,
        e.CampaignSucceeded,
        e.FeesCharged,
        e.PledgeWithdrawn,
        e.RefundRequested,
        e.PledgeCollected,
        e.PledgeDropped,
        e.LatePledgesClosed,
        e.PayoutSent,
        e.DebtRepaid,
        e.DebtWrittenOff,
        e.DiscrepancyResolved,
    )
)


def _follow_ups(state: Campaign, command: c.Command, last: e.Event, at: int) -> list[e.Event]:
    followed: list[e.Event] = []

    def add(kind: type[e.Event], **facts: Any) -> None:  # noqa: ANN401 - the facts of any event
        event = kind(**head(state, command, at), **facts)
        evolve(state, event)
        followed.append(event)

    if isinstance(last, _RETURNED_ONE) and state.phase in WON:
        due = collecting.fees_due(state, last.no, last.no)
        if due is not None:
            add(e.FeesCharged, **due)
    if state.phase is Phase.SUCCEEDED and not state.open_pledges and not state.late_open:
        add(e.CampaignSettled)
    if state.phase is Phase.SETTLED and _is_complete(state):
        add(e.CampaignCompleted)
    return followed


def _is_complete(state: Campaign) -> bool:
    held = state.figures.held_minor or state.figures.owed_minor
    waiting = state.pending_refunds or state.open_disputes or state.frozen
    return not held and not waiting
