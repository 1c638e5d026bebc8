"""What a channel proposes and a creator agrees to, and the parts a campaign is made of.

Everything here is bound into events, so each field is a fact for ever: a changed shape is a new
event version.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from domain.money import BASIS_POINTS

DAY_MS: Final = 86_400_000
"""One day in milliseconds."""

HOLD_MS: Final = 15 * 60_000
"""How long a checkout keeps a limited reward, in milliseconds."""

LAST_DAY_MS: Final = DAY_MS
"""The stretch before a deadline in which no self-service decrease may undo a reached goal."""

MAX_FEES_BPS: Final = BASIS_POINTS // 2
"""Platform and processing fee together; at half or less, two fees each rounded half to even can
never exceed the collected amount."""

MAX_PERIOD_DAYS: Final = 3650
"""The longest period that terms may name, in days."""

MAX_AT: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest time that a fact may name."""

MAX_PIECES: Final = 1_000_000_000
"""The most pieces of a reward, or of a need's unit, that a campaign may name."""

ELSEWHERE: Final = "*"
"""The destination of a shipping fee that covers every region not named."""

Model = Literal["all_or_nothing", "flexible"]
CollectAt = Literal["success", "pledge"]
Bearer = Literal["platform", "creator"]


class Terms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The money rules of one campaign; agreed at submission, bound at launch, never changed.

    Fees are basis points of what is collected. A fee "borne by the platform" on a refund is
    reversed in proportion; one borne by the creator is kept.
    """

    collect_at: CollectAt = "success"
    platform_fee_bps: int = 500
    processing_fee_bps: int = 200
    platform_fee_on_refund: Bearer = "platform"
    processing_fee_on_refund: Bearer = "creator"
    retry_after_days: tuple[int, ...] = (1, 3, 5)
    grace_days: int = 7
    withdrawal_days: int = 14
    payout_delay_days: int = 14
    account_wait_days: int = 7
    reserve_bps: int = 1000
    reserve_days: int = 90

    def faults(self, model: Model) -> list[str]:
        """Name every term that cannot be agreed to, as sentences; empty when all is well."""
        found = []
        fees = self.platform_fee_bps + self.processing_fee_bps
        if min(self.platform_fee_bps, self.processing_fee_bps) < 0 or fees > MAX_FEES_BPS:
            found.append("fees lie between 0 and 5,000 basis points together")
        if not 0 <= self.reserve_bps <= BASIS_POINTS:
            found.append("the reserve lies between 0 and 10,000 basis points")
        days = (
            self.grace_days,
            self.withdrawal_days,
            self.payout_delay_days,
            self.account_wait_days,
            self.reserve_days,
            *self.retry_after_days,
        )
        if not all(0 <= day <= MAX_PERIOD_DAYS for day in days):
            found.append("periods lie between 0 and 3,650 days")
        if list(self.retry_after_days) != sorted(self.retry_after_days):
            found.append("retries come in the order of their days")
        if model == "flexible" and self.collect_at != "pledge":
            found.append("a flexible campaign collects at the pledge")
        return found


class ShippingFee(Struct, frozen=True, forbid_unknown_fields=True):
    """What sending one reward to a region costs; `*` stands for every region not named."""

    region: str
    fee_minor: int


class Reward(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backer gets. `text` is the salted hash of its title and description.

    `delivery_at` is the estimated delivery in ms UTC. Without shipping fees it is not shipped.
    An add-on is chosen beside a main reward, never alone.
    """

    reward_id: str
    price_minor: int
    limit: int | None = None
    delivery_at: int | None = None
    shipping: tuple[ShippingFee, ...] = ()
    add_on: bool = False
    text: str = ""

    def shipping_minor(self, destination: str) -> int | None:
        """The fee to send one piece there; None where it is not sent.

        The nearest name counts: the subdivision's own, its country's, then every other region's.
        """
        fees = {fee.region: fee.fee_minor for fee in self.shipping}
        for region in (destination, destination.partition("-")[0], ELSEWHERE):
            if region in fees:
                return fees[region]
        return None


class Need(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something other than money that a campaign asks for, in pieces, hours or whatever its text
    says (`text` is the salted hash of it).
    """

    need_id: str
    quantity: int
    text: str = ""


class Milestone(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stage of the work and the share of the money, in basis points, that follows it."""

    milestone_id: str
    share_bps: int
    text: str = ""


class Submission(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a creator submits: what staff approve is exactly this.

    `creator` and `team` are party ids; `text` is the salted hash of title, blurb, story and
    risks; `deadline_at` is ms UTC.
    """

    creator: str
    team: tuple[str, ...] = ()
    model: Model
    currency: str
    goal_minor: int
    deadline_at: int
    terms: Terms
    text: str = ""
    rewards: tuple[Reward, ...] = ()
    needs: tuple[Need, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    first_time_creator: bool = False


class Choice(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a backer picks: a reward or add-on, and how many."""

    reward_id: str
    quantity: int = 1


class Line(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A picked reward with the price and shipping, each for one piece, promised at that time."""

    reward_id: str
    quantity: int
    price_minor: int
    shipping_minor: int = 0
