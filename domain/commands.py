"""Every intent: what somebody asks the engine to decide.

A command is not stored; what it caused is. All amounts are minor units, all times ms UTC.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from domain.events import RefundCause, Resolution, Visibility
from domain.terms import Choice, Reward, Submission


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What every intent says of itself.

    `by` is `role:party id`; `command_id` is random and marks the facts that it causes; after
    `expires_at` it is always refused. `acting_in` is the channel in which the actor has that role;
    empty where the role counts in every channel of the log (our own processes, the operator).
    """

    campaign_id: str
    by: str
    command_id: str
    expires_at: int | None = None
    acting_in: str = ""


# --- Life of a campaign --------------------------------------------------------------------------


class SubmitCampaign(Command, frozen=True, kw_only=True):
    """Hand in a campaign of this channel for review."""

    channel: str
    submission: Submission


class ReturnCampaign(Command, frozen=True, kw_only=True):
    """Send it back to the creator with remarks."""

    text: str


class ResubmitCampaign(Command, frozen=True, kw_only=True):
    """Hand it in again, in full."""

    submission: Submission


class ApproveCampaign(Command, frozen=True, kw_only=True):
    """Approve what was submitted."""


class LaunchCampaign(Command, frozen=True, kw_only=True):
    """Go live now."""


class SuspendCampaign(Command, frozen=True, kw_only=True):
    """Stop pledges, collections and payouts."""

    cause: str


class ResumeCampaign(Command, frozen=True, kw_only=True):
    """Lift the suspension."""


class ExtendDeadline(Command, frozen=True, kw_only=True):
    """Move the deadline, once, later (ms UTC)."""

    deadline_at: int


class CloseCampaign(Command, frozen=True, kw_only=True):
    """Close the campaign, at or after its deadline."""


class CancelCampaign(Command, frozen=True, kw_only=True):
    """Call the campaign off."""

    cause: str


class OpenLatePledges(Command, frozen=True, kw_only=True):
    """Take pledges after success."""


class CloseLatePledges(Command, frozen=True, kw_only=True):
    """Take no more late pledges."""


class PostUpdate(Command, frozen=True, kw_only=True):
    """Publish news; `text` is the salted hash of it."""

    update_id: str
    text: str


class ChangeStory(Command, frozen=True, kw_only=True):
    """Tell the campaign's story otherwise; `text` is the salted hash of all its texts."""

    text: str


class UpdatePlan(Command, frozen=True, kw_only=True):
    """Say what happens with less money than the goal."""

    text: str


# --- Rewards and needs ---------------------------------------------------------------------------


class AddReward(Command, frozen=True, kw_only=True):
    """Offer a new reward."""

    reward: Reward


class ChangeReward(Command, frozen=True, kw_only=True):
    """Replace a reward that has no backer yet."""

    reward: Reward


class ChangeRewardStock(Command, frozen=True, kw_only=True):
    """Set another limit (none: unlimited)."""

    reward_id: str
    limit: int | None


class OfferNeed(Command, frozen=True, kw_only=True):
    """Offer help in kind."""

    offer_id: str
    need_id: str
    quantity: int


class AcceptNeed(Command, frozen=True, kw_only=True):
    """Accept an offer of help."""

    offer_id: str


class DeclineNeed(Command, frozen=True, kw_only=True):
    """Decline an offer of help."""

    offer_id: str


class ReceiveNeed(Command, frozen=True, kw_only=True):
    """Say that what was offered has arrived."""

    offer_id: str


# --- Pledging ------------------------------------------------------------------------------------


class PlaceHold(Command, frozen=True, kw_only=True):
    """Keep limited rewards for a checkout."""

    hold_id: str
    backer: str
    choices: tuple[Choice, ...]


class LapseHold(Command, frozen=True, kw_only=True):
    """End a hold: its time is over, or its backer gave it up."""

    hold_id: str


class MakePledge(Command, frozen=True, kw_only=True):
    """Promise money. `pledge_id` is the client's and is the idempotency key. Without a currency the
    amount is in the campaign's own.
    """

    pledge_id: str
    backer: str
    amount_minor: int
    currency: str = ""
    choices: tuple[Choice, ...] = ()
    destination: str = ""
    visibility: Visibility = "hidden"
    payment_method: str = ""
    hold_id: str = ""


class RevisePledge(Command, frozen=True, kw_only=True):
    """Replace a pledge's terms."""

    pledge_id: str
    amount_minor: int
    choices: tuple[Choice, ...] = ()
    destination: str = ""
    visibility: Visibility = "hidden"


class WithdrawPledge(Command, frozen=True, kw_only=True):
    """Leave; what was charged within the withdrawal period is refunded."""

    pledge_id: str


class ReplacePaymentMethod(Command, frozen=True, kw_only=True):
    """Name another payment method for a pledge."""

    pledge_id: str
    payment_method: str


# --- Collecting ----------------------------------------------------------------------------------


class RequestCollection(Command, frozen=True, kw_only=True):
    """Record that the provider is about to be asked, for the `attempt`-th time."""

    no: int
    attempt: int


class RecordCollected(Command, frozen=True, kw_only=True):
    """The provider charged."""

    no: int
    attempt: int
    amount_minor: int
    provider: str
    reference: str
    provider_fee_minor: int


class RecordActionRequired(Command, frozen=True, kw_only=True):
    """The backer has to confirm with the bank."""

    no: int
    attempt: int


class RecordCollectionUnknown(Command, frozen=True, kw_only=True):
    """No answer came."""

    no: int
    attempt: int


class RecordCollectionFailed(Command, frozen=True, kw_only=True):
    """The provider declined."""

    no: int
    attempt: int
    code: str
    retryable: bool
    provider: str
    reference: str


class DropPledge(Command, frozen=True, kw_only=True):
    """Give up on a pledge whose grace is over."""

    no: int


# --- Money going back ----------------------------------------------------------------------------


class RequestRefund(Command, frozen=True, kw_only=True):
    """Send money back to a backer."""

    no: int
    refund_id: str
    amount_minor: int
    cause: RefundCause


class RecordRefunded(Command, frozen=True, kw_only=True):
    """The provider sent it back."""

    no: int
    refund_id: str
    amount_minor: int
    provider: str
    reference: str


class RecordRefundFailed(Command, frozen=True, kw_only=True):
    """The provider could not send it back."""

    no: int
    refund_id: str
    code: str


class RecordDisputeOpened(Command, frozen=True, kw_only=True):
    """The backer's bank took the money back for now."""

    no: int
    dispute_id: str
    amount_minor: int
    provider: str


class RecordDisputeWon(Command, frozen=True, kw_only=True):
    """The bank gave the money back."""

    no: int
    dispute_id: str
    amount_minor: int
    provider: str


class RecordDisputeLost(Command, frozen=True, kw_only=True):
    """The bank kept the money and took a fee."""

    no: int
    dispute_id: str
    amount_minor: int
    provider: str
    fee_minor: int


# --- Deliveries ----------------------------------------------------------------------------------


class MarkDelivered(Command, frozen=True, kw_only=True):
    """Say that the rewards of these pledges were sent."""

    nos: tuple[int, ...]


class ConfirmReceived(Command, frozen=True, kw_only=True):
    """Say that one's reward arrived."""

    pledge_id: str


# --- Money going out -----------------------------------------------------------------------------


class VerifyPayoutAccount(Command, frozen=True, kw_only=True):
    """Record that an account was verified as the creator's."""

    account_id: str


class RequestPayout(Command, frozen=True, kw_only=True):
    """Ask for numerator / denominator of the remainder of each pledge in the range (`to_no` 0: the
    last); a milestone names its own fraction.
    """

    payout_id: str
    milestone_id: str = ""
    numerator: int = 1
    denominator: int = 1
    from_no: int = 1
    to_no: int = 0
    except_nos: tuple[int, ...] = ()


class ApprovePayout(Command, frozen=True, kw_only=True):
    """Approve it and set the money aside."""

    payout_id: str


class RefusePayout(Command, frozen=True, kw_only=True):
    """Refuse it; `cause` is a code."""

    payout_id: str
    cause: str


class RevokePayout(Command, frozen=True, kw_only=True):
    """Take back an approved payout that a suspension or discrepancy keeps from being sent."""

    payout_id: str


class RecordPayoutSent(Command, frozen=True, kw_only=True):
    """The provider sent it."""

    payout_id: str
    amount_minor: int
    provider: str
    reference: str


class RecordPayoutFailed(Command, frozen=True, kw_only=True):
    """The provider could not send it."""

    payout_id: str
    code: str


class RecordPayoutReturned(Command, frozen=True, kw_only=True):
    """The creator's bank sent it back."""

    payout_id: str
    amount_minor: int
    provider: str
    reference: str


class RecordRepayment(Command, frozen=True, kw_only=True):
    """The creator paid back some of what is owed."""

    amount_minor: int
    provider: str
    reference: str


class WriteOffDebt(Command, frozen=True, kw_only=True):
    """Let the platform bear some of what the creator owes."""

    amount_minor: int


# --- Facts that fit nothing ----------------------------------------------------------------------


class ResolveDiscrepancy(Command, frozen=True, kw_only=True):
    """Settle a provider's report that fitted nothing."""

    discrepancy_id: str
    resolution: Resolution


# --- Persons -------------------------------------------------------------------------------------


class EraseSubject(Command, frozen=True, kw_only=True):
    """Record that a person was erased. It is about `party`, and about no campaign.

    `sealed_to` and `seal` are those of the fact; 0 and empty where nothing was sealed.
    """

    party: str
    campaign_id: str = ""
    sealed_to: int = 0
    seal: str = ""


COMMANDS: Final[tuple[type[Command], ...]] = tuple(
    each for each in Command.__subclasses__() if each is not EraseSubject
)
"""Every intent about a campaign."""
