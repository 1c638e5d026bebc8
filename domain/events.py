"""Every fact that the log can hold.

One frozen Struct per fact, under a stable tag that carries its version. What is written stays:
a changed shape is a new tag (`….v2`) with an upcast in `domain.codec`; these classes are the
newest shapes. All amounts are minor units of the campaign's currency, all times ms UTC, all ids
random; `text` is always the salted hash of a document in the content store.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from domain.terms import Line, Model, Reward, Submission, Terms

Visibility = Literal["name", "pen_name", "hidden"]
RefundCause = Literal["withdrawn", "failed", "cancelled", "goodwill", "not_delivered"]
DiscrepancyKind = Literal[
    "collected_unexpectedly",
    "collected_amount_differs",
    "declined_after_success",
    "refunded_unexpectedly",
    "disputed_unexpectedly",
    "paid_out_unexpectedly",
    "payout_returned_unexpectedly",
]
Resolution = Literal["returned", "written_off", "noted"]


class Event(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False, tag_field="type"
):
    """What every fact says of itself.

    `stream` and `version` (from 1) place it in its aggregate's life; `at` is when the engine
    recorded it; `by` is who asked (`role:party id`); `command_id` is the intent that caused it;
    `channel` is the storefront it belongs to.
    """

    stream: str
    version: int
    at: int
    by: str
    command_id: str
    channel: str


# --- Life of a campaign --------------------------------------------------------------------------


class CampaignSubmitted(Event, frozen=True, kw_only=True, tag="campaign.submitted.v1"):
    """A creator hands in a campaign for review; the stream begins."""

    submission: Submission


class CampaignReturned(Event, frozen=True, kw_only=True, tag="campaign.returned.v1"):
    """Staff send it back; `text` is the salted hash of what should change."""

    text: str


class CampaignResubmitted(Event, frozen=True, kw_only=True, tag="campaign.resubmitted.v1"):
    """The creator hands it in again, in full."""

    submission: Submission


class CampaignApproved(Event, frozen=True, kw_only=True, tag="campaign.approved.v1"):
    """Staff approve exactly what was submitted."""


class CampaignLaunched(Event, frozen=True, kw_only=True, tag="campaign.launched.v1"):
    """The campaign goes live; from here goal, currency, model and terms are fixed."""

    model: Model
    currency: str
    goal_minor: int
    deadline_at: int
    terms: Terms


class CampaignSuspended(Event, frozen=True, kw_only=True, tag="campaign.suspended.v1"):
    """Staff stop pledges, collections and payouts; `cause` is a code."""

    cause: str


class CampaignResumed(Event, frozen=True, kw_only=True, tag="campaign.resumed.v1"):
    """Staff lift the suspension."""


class DeadlineExtended(Event, frozen=True, kw_only=True, tag="campaign.deadline_extended.v1"):
    """The one later deadline, in ms UTC."""

    deadline_at: int


class CampaignSucceeded(Event, frozen=True, kw_only=True, tag="campaign.succeeded.v1"):
    """Closed at its deadline with success."""

    pledged_minor: int
    pledges: int


class CampaignFailed(Event, frozen=True, kw_only=True, tag="campaign.failed.v1"):
    """Closed at its deadline without success: what was not charged is released."""

    pledged_minor: int
    pledges: int
    released_minor: int
    released: int


class CampaignCancelled(Event, frozen=True, kw_only=True, tag="campaign.cancelled.v1"):
    """Called off: what was not charged is released, the rest goes back. `cause` is a code."""

    cause: str
    released_minor: int
    released: int


class CampaignSettled(Event, frozen=True, kw_only=True, tag="campaign.settled.v1"):
    """Every pledge is collected or terminal."""


class CampaignCompleted(Event, frozen=True, kw_only=True, tag="campaign.completed.v1"):
    """Settled, nothing held, nothing owed."""


class LatePledgesOpened(Event, frozen=True, kw_only=True, tag="campaign.late_pledges_opened.v1"):
    """The creator takes pledges after success, collected at once."""


class LatePledgesClosed(Event, frozen=True, kw_only=True, tag="campaign.late_pledges_closed.v1"):
    """No more late pledges."""


class UpdatePosted(Event, frozen=True, kw_only=True, tag="update.posted.v1"):
    """News from the creator; `text` is the salted hash of it."""

    update_id: str
    text: str


class StoryChanged(Event, frozen=True, kw_only=True, tag="campaign.story_changed.v1"):
    """The creator tells the story otherwise; `text` is the salted hash of all the texts. What stood
    there before stays in the stream, so that anybody can be shown what changed.
    """

    text: str


class PlanUpdated(Event, frozen=True, kw_only=True, tag="campaign.plan_updated.v1"):
    """The creator's plan for less money than the goal; `text` is its salted hash."""

    text: str


# --- Rewards and needs ---------------------------------------------------------------------------


class RewardAdded(Event, frozen=True, kw_only=True, tag="reward.added.v1"):
    """A new reward."""

    reward: Reward


class RewardChanged(Event, frozen=True, kw_only=True, tag="reward.changed.v1"):
    """A reward without a backer is replaced in full."""

    reward: Reward


class RewardStockChanged(Event, frozen=True, kw_only=True, tag="reward.stock_changed.v1"):
    """Another limit on a reward (none: unlimited)."""

    reward_id: str
    limit: int | None


class NeedOffered(Event, frozen=True, kw_only=True, tag="need.offered.v1"):
    """A party offers help in kind."""

    offer_id: str
    need_id: str
    party: str
    quantity: int


class NeedAccepted(Event, frozen=True, kw_only=True, tag="need.accepted.v1"):
    """The creator accepts an offer."""

    offer_id: str


class NeedDeclined(Event, frozen=True, kw_only=True, tag="need.declined.v1"):
    """The creator declines an offer."""

    offer_id: str


class NeedReceived(Event, frozen=True, kw_only=True, tag="need.received.v1"):
    """What was offered has arrived."""

    offer_id: str


# --- Pledging ------------------------------------------------------------------------------------


class HoldPlaced(Event, frozen=True, kw_only=True, tag="hold.placed.v1"):
    """A checkout keeps limited rewards until `until_at` (ms UTC)."""

    hold_id: str
    backer: str
    lines: tuple[Line, ...]
    until_at: int


class HoldLapsed(Event, frozen=True, kw_only=True, tag="hold.lapsed.v1"):
    """A hold ran out or was given up."""

    hold_id: str


class PledgeMade(Event, frozen=True, kw_only=True, tag="pledge.made.v1"):
    """A backer's promise, the `no`-th of its campaign; `visibility`: how the backer is named."""

    no: int
    pledge_id: str
    backer: str
    amount_minor: int
    currency: str
    lines: tuple[Line, ...]
    destination: str
    visibility: Visibility
    payment_method: str
    hold_id: str
    late: bool


class PledgeRevised(Event, frozen=True, kw_only=True, tag="pledge.revised.v1"):
    """Other terms replace the pledge's own, by its backer, before anything is charged."""

    no: int
    was_minor: int
    amount_minor: int
    lines: tuple[Line, ...]
    destination: str
    visibility: Visibility


class PledgeWithdrawn(Event, frozen=True, kw_only=True, tag="pledge.withdrawn.v1"):
    """The backer leaves; a charged pledge is refunded by the refund that follows."""

    no: int
    amount_minor: int


class PaymentMethodReplaced(
    Event, frozen=True, kw_only=True, tag="pledge.payment_method_replaced.v1"
):
    """The backer names another payment method."""

    no: int
    payment_method: str


# --- Collecting ----------------------------------------------------------------------------------


class CollectionRequested(Event, frozen=True, kw_only=True, tag="collection.requested.v1"):
    """The provider is about to be asked to charge this pledge, for the `attempt`-th time."""

    no: int
    attempt: int
    amount_minor: int


class PledgeCollected(Event, frozen=True, kw_only=True, tag="pledge.collected.v1"):
    """Charged. `provider_fee_minor` is kept by the provider; ours are charged at once where
    success is certain, else 0.
    """

    no: int
    attempt: int
    amount_minor: int
    currency: str
    provider: str
    reference: str
    provider_fee_minor: int
    platform_fee_minor: int
    processing_fee_minor: int


class CollectionActionRequired(
    Event, frozen=True, kw_only=True, tag="collection.action_required.v1"
):
    """The backer's bank wants the backer to confirm."""

    no: int
    attempt: int


class CollectionUnknown(Event, frozen=True, kw_only=True, tag="collection.unknown.v1"):
    """No answer came: the fate is not known until the provider is asked."""

    no: int
    attempt: int


class CollectionFailed(Event, frozen=True, kw_only=True, tag="collection.failed.v1"):
    """The charge was declined; `code` is the provider's."""

    no: int
    attempt: int
    code: str
    retryable: bool


class PledgeDropped(Event, frozen=True, kw_only=True, tag="pledge.dropped.v1"):
    """Payment was not completed within the grace period."""

    no: int
    amount_minor: int


class PledgeReleased(Event, frozen=True, kw_only=True, tag="pledge.released.v1"):
    """Not charged: the campaign had ended while its charge was under way."""

    no: int
    amount_minor: int


class FeesCharged(Event, frozen=True, kw_only=True, tag="fees.charged.v1"):
    """Fees on what pledges `from_no` to `to_no` were charged before success was certain, but for
    `except_nos`.
    """

    from_no: int
    to_no: int
    except_nos: tuple[int, ...]
    currency: str
    platform_fee_minor: int
    processing_fee_minor: int


# --- Money going back ----------------------------------------------------------------------------


class RefundRequested(Event, frozen=True, kw_only=True, tag="refund.requested.v1"):
    """Money is to go back to a backer: out of the pledge's held money (reversed fees among it),
    the rest a debt of the creator.
    """

    no: int
    refund_id: str
    cause: RefundCause
    amount_minor: int
    from_held_minor: int
    platform_fee_reversed_minor: int
    processing_fee_reversed_minor: int
    receivable_minor: int


class PledgeRefunded(Event, frozen=True, kw_only=True, tag="pledge.refunded.v1"):
    """The provider sent it back."""

    no: int
    refund_id: str
    amount_minor: int
    currency: str
    provider: str
    reference: str
    from_held_minor: int
    platform_fee_reversed_minor: int
    processing_fee_reversed_minor: int
    receivable_minor: int


class RefundFailed(Event, frozen=True, kw_only=True, tag="refund.failed.v1"):
    """The provider could not send it back; `code` is the provider's."""

    no: int
    refund_id: str
    code: str


class DisputeOpened(Event, frozen=True, kw_only=True, tag="dispute.opened.v1"):
    """The backer's bank takes the charge back until it has decided."""

    no: int
    dispute_id: str
    amount_minor: int
    currency: str
    provider: str


class DisputeWon(Event, frozen=True, kw_only=True, tag="dispute.won.v1"):
    """The bank gives the money back."""

    no: int
    dispute_id: str
    amount_minor: int
    currency: str
    provider: str


class DisputeLost(Event, frozen=True, kw_only=True, tag="dispute.lost.v1"):
    """The bank keeps the money for its customer, and takes a fee."""

    no: int
    dispute_id: str
    amount_minor: int
    currency: str
    provider: str
    fee_minor: int
    from_held_minor: int
    platform_fee_reversed_minor: int
    processing_fee_reversed_minor: int
    receivable_minor: int


# --- Deliveries ----------------------------------------------------------------------------------


class DeliveryMarked(Event, frozen=True, kw_only=True, tag="delivery.marked.v1"):
    """The creator says that the rewards of these pledges were sent."""

    nos: tuple[int, ...]


class DeliveryReceived(Event, frozen=True, kw_only=True, tag="delivery.received.v1"):
    """The backer says that the reward arrived."""

    no: int


# --- Money going out -----------------------------------------------------------------------------


class PayoutAccountVerified(Event, frozen=True, kw_only=True, tag="payout_account.verified.v1"):
    """Where payouts go; a changed account waits until `usable_from_at` (ms UTC)."""

    account_id: str
    changed: bool
    usable_from_at: int


class PayoutRequested(Event, frozen=True, kw_only=True, tag="payout.requested.v1"):
    """The creator's side asks for a fraction of the remainder of each pledge in a range."""

    payout_id: str
    account_id: str
    milestone_id: str
    numerator: int
    denominator: int
    from_no: int
    to_no: int
    except_nos: tuple[int, ...]


class PayoutApproved(Event, frozen=True, kw_only=True, tag="payout.approved.v1"):
    """The treasurer sets the money aside; `debt_minor` of it settles what the creator owes."""

    payout_id: str
    account_id: str
    numerator: int
    denominator: int
    from_no: int
    to_no: int
    except_nos: tuple[int, ...]
    amount_minor: int
    debt_minor: int
    currency: str


class PayoutRefused(Event, frozen=True, kw_only=True, tag="payout.refused.v1"):
    """The treasurer refuses it; `cause` is a code."""

    payout_id: str
    cause: str


class PayoutSent(Event, frozen=True, kw_only=True, tag="payout.sent.v1"):
    """Amount less debt was sent to the creator's account."""

    payout_id: str
    amount_minor: int
    debt_minor: int
    currency: str
    provider: str
    reference: str


class PayoutFailed(Event, frozen=True, kw_only=True, tag="payout.failed.v1"):
    """It could not be sent; each pledge's share is back in its remainder."""

    payout_id: str
    amount_minor: int
    currency: str
    code: str


class PayoutReturned(Event, frozen=True, kw_only=True, tag="payout.returned.v1"):
    """The creator's bank sent it back; the debt taken from it stands again."""

    payout_id: str
    amount_minor: int
    debt_minor: int
    currency: str
    provider: str
    reference: str


class DebtRepaid(Event, frozen=True, kw_only=True, tag="debt.repaid.v1"):
    """The creator paid back some of what was owed."""

    amount_minor: int
    currency: str
    provider: str
    reference: str


class DebtWrittenOff(Event, frozen=True, kw_only=True, tag="debt.written_off.v1"):
    """The platform bears some of what the creator owes."""

    amount_minor: int
    currency: str


# --- Facts that fit nothing ----------------------------------------------------------------------


class DiscrepancyRecorded(Event, frozen=True, kw_only=True, tag="discrepancy.recorded.v1"):
    """A provider's report that fits no state. `amount_minor` came in (+) or went out (-) and waits
    in suspense, whole; `fee_minor` is what the provider kept on it. Payouts are frozen.
    """

    discrepancy_id: str
    kind: DiscrepancyKind
    no: int
    provider: str
    reference: str
    amount_minor: int
    fee_minor: int
    currency: str


class DiscrepancyResolved(Event, frozen=True, kw_only=True, tag="discrepancy.resolved.v1"):
    """Staff settled it: sent back, written off, or noted."""

    discrepancy_id: str
    resolution: Resolution
    provider: str
    amount_minor: int
    currency: str


# --- Persons -------------------------------------------------------------------------------------


class SubjectErased(Event, frozen=True, kw_only=True, tag="subject.erased.v1"):
    """What was held about a person is gone, and the key that ties commitments to them with it.

    The stream is `subject:<party>`; no channel. `seal`, where it is not empty, holds the stored
    events about the person up to position `sealed_to` together, now that their commitments open
    for nobody: 64 hex digits, HMAC-SHA256 under the log's secret of "erased", a zero byte, the
    party's id, and for each event in log order its position (8 bytes, big endian) and the SHA-256
    of its bytes.
    """

    sealed_to: int
    seal: str


AnyEvent = (
    CampaignSubmitted
    | CampaignReturned
    | CampaignResubmitted
    | CampaignApproved
    | CampaignLaunched
    | CampaignSuspended
    | CampaignResumed
    | DeadlineExtended
    | CampaignSucceeded
    | CampaignFailed
    | CampaignCancelled
    | CampaignSettled
    | CampaignCompleted
    | LatePledgesOpened
    | LatePledgesClosed
    | UpdatePosted
    | StoryChanged
    | PlanUpdated
    | RewardAdded
    | RewardChanged
    | RewardStockChanged
    | NeedOffered
    | NeedAccepted
    | NeedDeclined
    | NeedReceived
    | HoldPlaced
    | HoldLapsed
    | PledgeMade
    | PledgeRevised
    | PledgeWithdrawn
    | PaymentMethodReplaced
    | CollectionRequested
    | PledgeCollected
    | CollectionActionRequired
    | CollectionUnknown
    | CollectionFailed
    | PledgeDropped
    | PledgeReleased
    | FeesCharged
    | RefundRequested
    | PledgeRefunded
    | RefundFailed
    | DisputeOpened
    | DisputeWon
    | DisputeLost
    | DeliveryMarked
    | DeliveryReceived
    | PayoutAccountVerified
    | PayoutRequested
    | PayoutApproved
    | PayoutRefused
    | PayoutSent
    | PayoutFailed
    | PayoutReturned
    | DebtRepaid
    | DebtWrittenOff
    | DiscrepancyRecorded
    | DiscrepancyResolved
    | SubjectErased
)
"""Any fact, newest shapes."""

EVENT_TYPES: dict[str, type[Event]] = {
    str(cls.__struct_config__.tag): cls for cls in Event.__subclasses__()
}
"""The newest shape of each fact by its tag."""

TAGS: dict[type[Event], str] = {cls: tag for tag, cls in EVENT_TYPES.items()}
"""The tag of each fact's newest shape."""

BESIDE_CAMPAIGNS: frozenset[type[Event]] = frozenset((SubjectErased,))
"""Facts of other streams than campaigns': who follows campaigns passes over them."""
