"""One campaign as it was at a position of the log, from its events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from app.audit.reader import AuditLog
from app.audit.states import state_at
from app.audit.wording import money_text, time_text
from domain.figures import Figures
from domain.returning import display_state
from domain.state import Campaign

LISTED: Final = 20
"""How many refunds and payouts the text lists; the object has them all."""


class RewardThen(Struct, frozen=True):
    """A reward's stock. `left` is None where the reward has no limit."""

    reward_id: str
    price_minor: int
    limit: int | None
    claimed: int
    held: int

    @property
    def left(self) -> int | None:
        """What can still be chosen."""
        return None if self.limit is None else self.limit - self.claimed - self.held


class PayoutThen(Struct, frozen=True):
    """A payout; `debt_minor` of it settles what the creator owes."""

    payout_id: str
    state: str
    amount_minor: int
    debt_minor: int
    from_no: int
    to_no: int
    account_id: str
    requested_by: str


class RefundThen(Struct, frozen=True):
    """A refund of the pledge `no`."""

    refund_id: str
    no: int
    cause: str
    state: str
    amount_minor: int


class DisputeThen(Struct, frozen=True):
    """A dispute over the pledge `no`."""

    dispute_id: str
    no: int
    state: str
    amount_minor: int


class DiscrepancyThen(Struct, frozen=True):
    """A provider's report that fitted nothing."""

    discrepancy_id: str
    kind: str
    reference: str
    amount_minor: int
    open: bool


class CampaignThen(Struct, frozen=True, kw_only=True):
    """A campaign at the position `position`; its own last event is `version`, recorded at `at`.

    Amounts are minor units of `currency`, times ms UTC. `pledges` counts by state.
    """

    campaign_id: str
    position: int
    version: int
    at: int
    phase: str
    suspended: bool
    frozen: bool
    channel: str
    creator: str
    model: str
    currency: str
    goal_minor: int
    deadline_at: int
    deadline_moved: bool
    figures: Figures
    reconciles: bool
    pledges: dict[str, int]
    rewards: list[RewardThen]
    payouts: list[PayoutThen]
    refunds: list[RefundThen]
    disputes: list[DisputeThen]
    discrepancies: list[DiscrepancyThen]
    account_id: str
    account_usable_at: int


def campaign_at(log: AuditLog, campaign_id: str, position: int) -> CampaignThen:
    """Replay one campaign up to a position; raises CannotAudit where it had not begun."""
    return _then(state_at(log, campaign_id, position), position)


def _then(state: Campaign, position: int) -> CampaignThen:
    bound = state.bound
    return CampaignThen(
        campaign_id=state.campaign_id,
        position=position,
        version=state.version,
        at=state.last_at,
        phase=str(state.phase),
        suspended=state.suspended,
        frozen=state.frozen,
        channel=state.channel,
        creator=bound.creator,
        model=bound.model,
        currency=bound.currency,
        goal_minor=bound.goal_minor,
        deadline_at=state.deadline_at,
        deadline_moved=state.deadline_moved,
        figures=state.figures,
        reconciles=state.figures.reconcile(),
        pledges=dict(sorted(Counter(map(display_state, state.pledges)).items())),
        rewards=[
            RewardThen(
                reward_id,
                stock.reward.price_minor,
                stock.reward.limit,
                stock.claimed,
                stock.held,
            )
            for reward_id, stock in state.stocks.items()
        ],
        payouts=[
            PayoutThen(
                payout_id,
                payout.state,
                payout.amount_minor,
                payout.debt_minor,
                payout.from_no,
                payout.to_no,
                payout.account_id,
                payout.requested_by,
            )
            for payout_id, payout in state.payouts.items()
        ],
        refunds=[
            RefundThen(refund_id, refund.no, refund.cause, refund.state, refund.amount_minor)
            for refund_id, refund in state.refunds.items()
        ],
        disputes=[
            DisputeThen(dispute_id, dispute.no, dispute.state, dispute.amount_minor)
            for dispute_id, dispute in state.disputes.items()
        ],
        discrepancies=[
            DiscrepancyThen(
                discrepancy_id, found.kind, found.reference, found.amount_minor, found.open
            )
            for discrepancy_id, found in state.discrepancies.items()
        ],
        account_id=state.account_id,
        account_usable_at=state.account_usable_at,
    )


# --- In words ------------------------------------------------------------------------------------


def describe(then: CampaignThen) -> Iterator[str]:
    """Say it in lines of text."""
    suspended = ", suspended" if then.suspended else ""
    frozen = ", payouts frozen by a discrepancy" if then.frozen else ""
    moved = " (extended)" if then.deadline_moved else ""
    yield f"Campaign {then.campaign_id} at position {then.position:,}"
    yield f"  its last event is version {then.version:,}, recorded at {time_text(then.at)}"
    yield f"  phase     {then.phase}{suspended}{frozen}"
    yield f"  model     {then.model}, goal {money_text(then.goal_minor, then.currency)}"
    yield f"  deadline  {time_text(then.deadline_at)}{moved}"
    yield f"  creator   {then.creator}"
    yield f"  channel   {then.channel}"
    account = "none verified"
    if then.account_id:
        account = f"{then.account_id}, usable from {time_text(then.account_usable_at)}"
    yield f"  account   {account}"
    yield from _numbers(then)
    yield "Pledges by state"
    for state, count in then.pledges.items():
        yield f"  {state:<18} {count:>10,}"
    if not then.pledges:
        yield "  none"
    yield from _rewards(then)
    yield from _money_moves(then)


def _numbers(then: CampaignThen) -> Iterator[str]:
    f, currency = then.figures, then.currency

    def line(name: str, amount_minor: int, note: str = "") -> str:
        return f"  {name:<20} {money_text(amount_minor, currency):>20}{note}"

    yield "Five numbers"
    yield line("pledged", f.pledged_minor, f"  by {f.pledges:,} pledges")
    yield line("charged", f.charged_minor)
    on_the_way = money_text(f.on_the_way_minor, currency)
    yield line("held", f.held_minor, f"  of it on the way to the creator {on_the_way}")
    yield line("paid to the creator", f.paid_minor)
    yield line("returned", f.returned_minor)
    yield line("fees", f.fees_minor)
    yield line("owed by the creator", f.owed_minor)
    yield line("written off", f.written_off_minor)
    sources = f"{f.charged_minor:,} + {f.owed_minor:,} + {f.written_off_minor:,}"
    uses = f"{f.held_minor:,} + {f.paid_minor:,} + {f.fees_minor:,} + {f.returned_minor:,}"
    sign = "=" if then.reconciles else "is not"
    yield "  charged + owed by the creator + written off = held + paid + fees + returned"
    yield f"  {sources} {sign} {uses} (minor units)"


def _rewards(then: CampaignThen) -> Iterator[str]:
    yield "Rewards"
    for reward in then.rewards:
        left = "no limit" if reward.left is None else f"{reward.left:,} of {reward.limit:,} left"
        price = money_text(reward.price_minor, then.currency)
        taken = f"{reward.claimed:,} claimed, {reward.held:,} held"
        yield f"  {reward.reward_id}  {price}  {taken}, {left}"
    if not then.rewards:
        yield "  none"


def _money_moves(then: CampaignThen) -> Iterator[str]:
    def money(amount_minor: int) -> str:
        return money_text(amount_minor, then.currency)

    yield from _listed(
        "Payouts",
        [
            f"{p.payout_id}  {p.state:<9} {money(p.amount_minor)}, debt taken from it"
            f" {money(p.debt_minor)}, pledges {p.from_no:,} to {p.to_no:,}"
            for p in then.payouts
        ],
    )
    yield from _listed(
        "Refunds",
        [
            f"{r.refund_id}  {r.state:<9} {money(r.amount_minor)}, pledge {r.no:,}, {r.cause}"
            for r in then.refunds
        ],
    )
    if then.disputes:
        yield from _listed(
            "Disputes",
            [
                f"{d.dispute_id}  {d.state:<9} {money(d.amount_minor)}, pledge {d.no:,}"
                for d in then.disputes
            ],
        )
    if then.discrepancies:
        yield from _listed(
            "Discrepancies",
            [
                f"{d.discrepancy_id}  {'open' if d.open else 'resolved':<9}"
                f" {money(d.amount_minor)}, {d.kind}, {d.reference}"
                for d in then.discrepancies
            ],
        )


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    yield title
    yield from (f"  {line}" for line in lines[:LISTED])
    if len(lines) > LISTED:
        yield f"  … and {len(lines) - LISTED:,} more"
    if not lines:
        yield "  none"
