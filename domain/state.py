"""What the rules need to remember of one campaign, and nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from domain.events import DiscrepancyKind, RefundCause
from domain.figures import Figures
from domain.ids import party_of
from domain.terms import Choice, Line, Reward, Submission

STATE_SCHEMA: Final = 2
"""Raise it whenever a Struct of this file changes: snapshots of another schema are ignored."""


class Phase(StrEnum):
    """Where a campaign stands in its life. A suspension lies over it and is kept apart."""

    NONE = "none"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    LIVE = "live"
    SUCCEEDED = "succeeded"
    SETTLED = "settled"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


WON: Final = frozenset((Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED))
"""The phases in which success is certain: fees are due and payouts possible."""

ENDED: Final = frozenset((Phase.FAILED, Phase.CANCELLED))
"""The phases in which everything goes back."""


class Status(StrEnum):
    """Where a pledge stands. Whether it was refunded or disputed is told by its funds."""

    MADE = "made"
    COLLECTING = "collecting"
    UNKNOWN = "unknown"
    ACTION_REQUIRED = "action_required"
    FAILED = "failed"
    COLLECTED = "collected"
    DROPPED = "dropped"
    WITHDRAWN = "withdrawn"
    RELEASED = "released"


IN_FLIGHT: Final = frozenset((Status.COLLECTING, Status.UNKNOWN))
"""The provider was asked and has not answered."""

AT_REST: Final = frozenset((Status.MADE, Status.FAILED, Status.ACTION_REQUIRED))
"""Not charged and nothing under way: can be released, dropped or withdrawn."""

OPEN: Final = IN_FLIGHT | AT_REST
"""Neither charged nor terminal."""


class Funds(Struct, array_like=True, gc=False):
    """What was charged for one pledge and where it went, in minor units.

    `drawn_minor` left the campaign's held money with refunds and lost disputes. `pending_minor`
    and the pending reversals belong to refunds that are requested; `set_aside_minor` is the part
    of the remainder that requested refunds and open disputes have a claim on.
    """

    collected_minor: int
    collected_at: int
    attempt: int
    reference: str
    fees_charged: bool
    platform_fee_minor: int = 0
    processing_fee_minor: int = 0
    platform_reversed_minor: int = 0
    processing_reversed_minor: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    lost_minor: int = 0
    drawn_minor: int = 0
    pending_minor: int = 0
    pending_platform_minor: int = 0
    pending_processing_minor: int = 0
    disputed_minor: int = 0
    set_aside_minor: int = 0

    @property
    def fees_minor(self) -> int:
        """Fees charged and not reversed."""
        charged = self.platform_fee_minor + self.processing_fee_minor
        return charged - self.platform_reversed_minor - self.processing_reversed_minor

    @property
    def remainder_minor(self) -> int:
        """What of this pledge is still held for the campaign (rule 6); never negative."""
        return self.collected_minor - self.fees_minor - self.paid_minor - self.drawn_minor

    @property
    def available_minor(self) -> int:
        """The remainder that nothing else has a claim on."""
        return self.remainder_minor - self.set_aside_minor

    @property
    def returned_minor(self) -> int:
        """Refunds sent and disputes lost."""
        return self.refunded_minor + self.lost_minor

    @property
    def returnable_minor(self) -> int:
        """The most that can still be asked back."""
        return self.collected_minor - self.returned_minor - self.pending_minor - self.disputed_minor


class Content(Struct, frozen=True, gc=False):
    """What makes two pledges with one id the same pledge."""

    amount_minor: int
    choices: tuple[Choice, ...]
    destination: str


class Pledge(Struct, array_like=True, gc=False):
    """One pledge. `first` is the content it was made with, kept once it has been revised."""

    no: int
    pledge_id: str
    backer: str
    amount_minor: int
    lines: tuple[Line, ...]
    destination: str
    payment_method: str
    made_version: int
    status: Status = Status.MADE
    claims_stock: bool = True
    attempt: int = 0
    attempt_version: int = 0
    failed_at: int = 0
    retryable: bool = True
    sent: bool = False
    received: bool = False
    first: Content | None = None
    funds: Funds | None = None


class Stock(Struct):
    """A reward as it stands now, with the pieces that pledges claim and checkouts hold."""

    reward: Reward
    claimed: int = 0
    held: int = 0


class Hold(Struct, frozen=True):
    """Limited rewards that a checkout keeps until `until_at` (ms UTC)."""

    backer: str
    lines: tuple[Line, ...]
    until_at: int
    version: int


class Offer(Struct):
    """Help in kind; state is offered, accepted, declined or received."""

    need_id: str
    party: str
    quantity: int
    version: int
    state: str = "offered"


class Refund(Struct):
    """A refund as it was requested; state is requested, sent or failed."""

    no: int
    cause: RefundCause
    amount_minor: int
    from_held_minor: int
    platform_minor: int
    processing_minor: int
    receivable_minor: int
    version: int
    reference: str = ""
    state: str = "requested"

    @property
    def set_aside_minor(self) -> int:
        """Its claim on the pledge's remainder: what its own reversed fees do not bring."""
        return max(0, self.from_held_minor - self.platform_minor - self.processing_minor)


class Dispute(Struct):
    """A chargeback; state is open, won or lost."""

    no: int
    amount_minor: int
    set_aside_minor: int
    state: str = "open"


class Payout(Struct):
    """A payout; state is requested, refused, approved, sent, failed or returned.

    `shares` are the amounts taken from pledge `from_no`, the next, and so on, once approved.
    """

    account_id: str
    requested_by: str
    milestone_id: str
    numerator: int
    denominator: int
    from_no: int
    to_no: int
    except_nos: tuple[int, ...]
    version: int
    amount_minor: int = 0
    debt_minor: int = 0
    shares: list[int] = []
    reference: str = ""
    state: str = "requested"


class Discrepancy(Struct):
    """A provider's report that fits nothing, until staff resolve it."""

    kind: DiscrepancyKind
    provider: str
    reference: str
    amount_minor: int
    open: bool = True


class Campaign(Struct):
    """The state of one campaign. Changed by `evolve` alone."""

    campaign_id: str
    stream: str
    version: int = 0
    last_at: int = 0
    channel: str = ""
    phase: Phase = Phase.NONE
    suspended: bool = False
    submission: Submission | None = None
    deadline_at: int = 0
    deadline_moved: bool = False
    succeeded_at: int = 0
    late_open: bool = False
    plan_updated: bool = False
    any_received: bool = False
    open_pledges: int = 0
    pending_refunds: int = 0
    open_disputes: int = 0
    account_id: str = ""
    account_usable_at: int = 0
    figures: Figures = field(default_factory=Figures)
    stocks: dict[str, Stock] = {}
    holds: dict[str, Hold] = {}
    hold_of: dict[str, str] = {}
    offers: dict[str, Offer] = {}
    updates: dict[str, int] = {}
    refunds: dict[str, Refund] = {}
    disputes: dict[str, Dispute] = {}
    payouts: dict[str, Payout] = {}
    discrepancies: dict[str, Discrepancy] = {}
    references: dict[str, int] = {}
    pledges: list[Pledge] = []
    no_by_id: dict[str, int] = {}

    @property
    def bound(self) -> Submission:
        """What was submitted; every phase but NONE has it."""
        assert self.submission is not None, "an event came before the submission"
        return self.submission

    @property
    def frozen(self) -> bool:
        """Whether an unresolved discrepancy stops payouts (rule 13)."""
        return any(found.open for found in self.discrepancies.values())

    def is_team(self, party: str) -> bool:
        """Whether the party is the creator or of the creator's team."""
        return party == self.bound.creator or party in self.bound.team

    def is_by_team(self, by: str) -> bool:
        """Whether an actor is of the creator's side."""
        return self.is_team(party_of(by))

    def pledge(self, no: int) -> Pledge | None:
        """The pledge with this number."""
        return self.pledges[no - 1] if 1 <= no <= len(self.pledges) else None


def new_campaign(campaign_id: str) -> Campaign:
    """The state before the first event."""
    return Campaign(campaign_id=campaign_id, stream=f"campaign:{campaign_id}")
