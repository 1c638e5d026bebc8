"""Why a command is refused: one class per reason, each with a stable name for machines.

The docstring of a class is the sentence a person reads when nothing more exact is known.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal["conflict", "invalid", "forbidden", "missing"]


class Rejection(Exception):  # noqa: N818 - the field's word: a rule rejects, nothing went wrong
    """A rule says no. Nothing was recorded.

    `reason` is stable and names the rule; `kind` says what sort of no it is: against the present
    state, bad content, not yours to do, or no such thing.
    """

    reason: ClassVar[str] = "rejected"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self, detail: str = "") -> None:
        """Keep the sentence; without a detail the class's own meaning is told."""
        super().__init__(detail or (type(self).__doc__ or "").strip())


class Repeated(Exception):  # noqa: N818 - not an error: the same command was done before
    """The same command with the same content was done before.

    `version` is the place in the stream of the first outcome's first event.
    """

    def __init__(self, version: int, no: int | None = None) -> None:
        """Remember where the first outcome stands."""
        super().__init__(version, no)
        self.version = version
        self.no = no


class CommandExpired(Rejection):
    """The command came after its `expires_at`."""

    reason = "command_expired"


class CampaignUnknown(Rejection):
    """There is no campaign with this id."""

    reason = "campaign_unknown"
    kind = "missing"


class CampaignExists(Rejection):
    """A campaign with this id was submitted before."""

    reason = "campaign_exists"


class NotAllowed(Rejection):
    """The actor's role or party may not do this."""

    reason = "not_allowed"
    kind = "forbidden"


class OtherChannel(Rejection):
    """The actor has the role in another channel than the campaign's."""

    reason = "other_channel"
    kind = "forbidden"


class ContentInvalid(Rejection):
    """What was sent breaks a rule whatever the state of the campaign."""

    reason = "content_invalid"
    kind = "invalid"


class WrongPhase(Rejection):
    """The campaign's phase does not allow this."""

    reason = "wrong_phase"


class CampaignSuspended(Rejection):
    """The campaign is suspended: no pledges, collections or payouts."""

    reason = "campaign_suspended"


class CampaignClosed(Rejection):
    """The campaign does not take pledges: the deadline has passed or it is not live."""

    reason = "campaign_closed"


class DeadlineNotReached(Rejection):
    """A campaign closes at its deadline, not before."""

    reason = "deadline_not_reached"


class DeadlineFixed(Rejection):
    """A deadline moves once, later, and before it has passed."""

    reason = "deadline_fixed"


class CurrencyMismatch(Rejection):
    """A campaign has one currency."""

    reason = "currency_mismatch"
    kind = "invalid"


class AmountInvalid(Rejection):
    """The amount is not a whole number of minor units between 1 and 10^12."""

    reason = "amount_invalid"
    kind = "invalid"


class AmountTooSmall(Rejection):
    """The amount does not cover the chosen rewards with their shipping."""

    reason = "amount_too_small"
    kind = "invalid"


class RewardUnknown(Rejection):
    """The campaign has no such reward."""

    reason = "reward_unknown"
    kind = "invalid"


class RewardChoiceInvalid(Rejection):
    """The choice of rewards does not fit together."""

    reason = "reward_choice_invalid"
    kind = "invalid"


class NotShippedThere(Rejection):
    """A chosen reward is not sent to this destination."""

    reason = "not_shipped_there"
    kind = "invalid"


class SoldOut(Rejection):
    """Not enough of a limited reward is left."""

    reason = "sold_out"


class RewardPromised(Rejection):
    """A reward's price and promise never change once it has a backer."""

    reason = "reward_promised"


class StockBelowClaimed(Rejection):
    """A reward's limit never falls below what is claimed."""

    reason = "stock_below_claimed"


class HoldNotNeeded(Rejection):
    """Only limited rewards are held at checkout."""

    reason = "hold_not_needed"


class OwnCampaign(Rejection):
    """Creators and their team cannot pledge to their own campaign."""

    reason = "own_campaign"
    kind = "forbidden"


class PledgeUnknown(Rejection):
    """The campaign has no such pledge."""

    reason = "pledge_unknown"
    kind = "missing"


class PledgeIdReused(Rejection):
    """The pledge id was used before with other content."""

    reason = "pledge_id_reused"


class NotYourPledge(Rejection):
    """The pledge belongs to another backer."""

    reason = "not_your_pledge"
    kind = "forbidden"


class PledgeNotRevisable(Rejection):
    """A pledge is revised only while it is made and the campaign is live."""

    reason = "pledge_not_revisable"


class PledgeNotWithdrawable(Rejection):
    """The pledge cannot be withdrawn in its present state."""

    reason = "pledge_not_withdrawable"


class WithdrawalPeriodOver(Rejection):
    """The withdrawal period of this charge is over."""

    reason = "withdrawal_period_over"


class GoalProtected(Rejection):
    """In the last 24 hours no decrease may take a campaign below its reached goal."""

    reason = "goal_protected"


class CollectionTooEarly(Rejection):
    """Nothing is collected earlier than the terms say."""

    reason = "collection_too_early"


class PledgeNotCollectable(Rejection):
    """The pledge has nothing to collect in its present state."""

    reason = "pledge_not_collectable"


class AttemptOver(Rejection):
    """This attempt is over, or is not the next one."""

    reason = "attempt_over"


class GraceNotOver(Rejection):
    """The grace period of a failed payment is not over."""

    reason = "grace_not_over"


class RefundIdReused(Rejection):
    """The refund id was used before with other content."""

    reason = "refund_id_reused"


class RefundTooLarge(Rejection):
    """More than what is left of this pledge's charge cannot be refunded."""

    reason = "refund_too_large"


class DisputeOpen(Rejection):
    """An open chargeback pauses refunds of the same pledge."""

    reason = "dispute_open"


class PayoutIdReused(Rejection):
    """The payout id was used before with other content."""

    reason = "payout_id_reused"


class PayoutUnknown(Rejection):
    """The campaign has no such payout."""

    reason = "payout_unknown"
    kind = "missing"


class PayoutNotWaiting(Rejection):
    """The payout was decided before."""

    reason = "payout_not_waiting"


class PayoutTooEarly(Rejection):
    """Nothing is paid out before success and the terms' delay."""

    reason = "payout_too_early"


class PayoutsFrozen(Rejection):
    """An unresolved discrepancy freezes the payouts of this campaign."""

    reason = "payouts_frozen"


class PayoutInFlight(Rejection):
    """An approved payout is on its way; cancel when its fate is known."""

    reason = "payout_in_flight"


class PlanNeeded(Rejection):
    """Less than the goal was charged: payouts wait for the creator's updated plan."""

    reason = "plan_needed"


class AccountNotReady(Rejection):
    """There is no verified payout account, or a changed one is in its waiting time."""

    reason = "account_not_ready"


class SelfApproval(Rejection):
    """A payout is never approved by its requester or the creator's team."""

    reason = "self_approval"
    kind = "forbidden"


class ReserveHeld(Rejection):
    """A first-time creator's reserve stays until deliveries are confirmed or its time is over."""

    reason = "reserve_held"


class NothingToPay(Rejection):
    """There is nothing to pay out of the pledges named."""

    reason = "nothing_to_pay"


class MilestoneOrder(Rejection):
    """Milestones are paid once each, in their order."""

    reason = "milestone_order"


class DebtTooSmall(Rejection):
    """The creator owes less than this."""

    reason = "debt_too_small"


class NotCollected(Rejection):
    """Only what was charged can be marked as delivered or received."""

    reason = "not_collected"


class NeedUnknown(Rejection):
    """The campaign has no such need or offer."""

    reason = "need_unknown"
    kind = "missing"


class OfferDecided(Rejection):
    """The offer was decided before."""

    reason = "offer_decided"


class DiscrepancyUnknown(Rejection):
    """The campaign has no such open discrepancy."""

    reason = "discrepancy_unknown"
    kind = "missing"


class ResolutionInvalid(Rejection):
    """This resolution does not fit the discrepancy's money."""

    reason = "resolution_invalid"
    kind = "invalid"


class IdReused(Rejection):
    """The id was used before for something else in this campaign."""

    reason = "id_reused"


REJECTIONS: dict[str, type[Rejection]] = {
    cls.reason: cls for cls in Rejection.__subclasses__() if cls.__module__ == __name__
}
"""Every rejection of the domain by its reason."""
