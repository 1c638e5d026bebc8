"""The payouts of a campaign and its milestones, as the public sees them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.web.public.campaign_view import StageView
from app.web.public.past import PayoutLine
from projections.pledges import CAMPAIGNS, PAYOUTS, PayoutRow


class PayoutView(Struct, frozen=True):
    """A payout with what it was for; `stage` is empty where it was for no milestone."""

    line: PayoutLine
    stage: str

    @property
    def cash_minor(self) -> int:
        """What reaches the creator: the amount less the debt that is taken from it."""
        return self.line.amount_minor - self.line.debt_minor

    @property
    def at(self) -> int:
        """When it came to its present state."""
        return self.line.ended_at or self.line.decided_at or self.line.requested_at


class StageLine(Struct, frozen=True):
    """A milestone, and what became of its payout: `state` is that of the payout, else empty."""

    view: StageView
    state: str
    at: int


async def payouts_of(conn: AsyncConnection, campaign_id: str) -> tuple[PayoutLine, ...]:
    """A campaign's payouts in the order in which they were asked for."""
    key = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
    payouts = PAYOUTS.table
    query = select(payouts).where(payouts.c.campaign == key.scalar_subquery())
    rows = [PayoutRow(*found) for found in await conn.execute(query.order_by(payouts.c.position))]
    return tuple(
        PayoutLine(
            row.payout_id,
            row.milestone_id,
            row.state,
            row.amount_minor,
            row.debt_minor,
            row.at,
            row.decided_at,
            row.ended_at,
        )
        for row in rows
    )


def with_stages(lines: Sequence[PayoutLine], stages: Sequence[StageView]) -> tuple[PayoutView, ...]:
    """Name the milestone of each payout. What was only asked for or was refused moved nothing."""
    titles = {stage.milestone_id: stage.title for stage in stages}
    return tuple(
        PayoutView(line, titles.get(line.milestone_id, ""))
        for line in lines
        if line.state not in {"requested", "refused"}
    )


def stage_lines(lines: Sequence[PayoutLine], stages: Sequence[StageView]) -> tuple[StageLine, ...]:
    """Each milestone with the state of its last payout."""
    last = {line.milestone_id: line for line in lines if line.milestone_id}
    found = []
    for stage in stages:
        line = last.get(stage.milestone_id)
        at = (line.ended_at or line.decided_at) if line else 0
        found.append(StageLine(stage, line.state if line else "", at))
    return tuple(found)
