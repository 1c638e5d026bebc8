"""What a campaign's creator works with: pledges by reward and day, how collection stands, refunds,
payouts, deliveries to make, discrepancies, and who did what.

`desk_fold` has the tables and how facts change them; refunds, disputes and payouts are rows of
`pledges`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.desk_fold import (
    DEEDS,
    DELIVERIES,
    DISCREPANCIES,
    REWARD_DAYS,
    STATES,
    CreatorDesk,
    DeedRow,
    DeliveryRow,
    DiscrepancyRow,
    RewardDayRow,
    StateRow,
)
from projections.facts import MAX_NO, pledge_key
from projections.pledges import (
    CAMPAIGNS,
    DISPUTES,
    NO_LINES,
    PAYOUTS,
    PLEDGES,
    REFUNDS,
    DisputeRow,
    PayoutRow,
    RefundRow,
    lines_of,
)

__all__ = ["CreatorDesk", "Desk", "ParcelLine", "desk"]

R = TypeVar("R", bound=Struct)


class ParcelLine(Struct, frozen=True):
    """A pledge whose rewards have still to be sent; `rewards` are (reward id, pieces)."""

    no: int
    backer: str
    destination: str
    rewards: tuple[tuple[str, int], ...]


class Desk(Struct, frozen=True, kw_only=True):
    """All of it; amounts in minor units, times ms UTC, 0 for "not yet".

    `deliveries` counts all pieces to send, by reward; `parcels` names the first pledges that wait
    for them. Refunds, disputes, payouts, discrepancies and deeds are the newest first.
    """

    campaign_id: str
    states: tuple[StateRow, ...]
    rewards: tuple[RewardDayRow, ...]
    refunds: tuple[RefundRow, ...]
    disputes: tuple[DisputeRow, ...]
    payouts: tuple[PayoutRow, ...]
    deliveries: tuple[DeliveryRow, ...]
    parcels: tuple[ParcelLine, ...]
    discrepancies: tuple[DiscrepancyRow, ...]
    deeds: tuple[DeedRow, ...]


async def desk(conn: AsyncConnection, campaign_id: str, limit: int = 100) -> Desk | None:
    """A campaign's desk, with at most `limit` lines of what can be many; None where unknown."""
    campaigns = CAMPAIGNS.table.c
    known = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
    campaign = (await conn.execute(known)).scalar()
    if campaign is None:
        return None
    states, days = STATES.table.c, REWARD_DAYS.table.c
    return Desk(
        campaign_id=campaign_id,
        states=await _all(conn, StateRow, _of(STATES.table, campaign).order_by(states.state)),
        rewards=await _all(
            conn,
            RewardDayRow,
            _of(REWARD_DAYS.table, campaign).order_by(days.day, days.reward_id),
        ),
        refunds=await _newest(conn, RefundRow, _pledged(REFUNDS.table, campaign), limit),
        disputes=await _newest(conn, DisputeRow, _pledged(DISPUTES.table, campaign), limit),
        payouts=await _newest(conn, PayoutRow, _of(PAYOUTS.table, campaign), limit),
        deliveries=await _all(conn, DeliveryRow, _of(DELIVERIES.table, campaign)),
        parcels=await _parcels(conn, campaign, limit),
        discrepancies=await _newest(
            conn, DiscrepancyRow, _of(DISCREPANCIES.table, campaign), limit
        ),
        deeds=await _newest(conn, DeedRow, _of(DEEDS, campaign), limit),
    )


def _of(table: Table, campaign: int) -> Select[Any]:
    return select(table).where(table.c.campaign == campaign)


def _pledged(table: Table, campaign: int) -> Select[Any]:
    keys = pledge_key(campaign, 0), pledge_key(campaign, MAX_NO)
    return select(table).where(table.c.pledge.between(*keys))


async def _all(conn: AsyncConnection, row: type[R], wanted: Select[Any]) -> tuple[R, ...]:
    return tuple(row(*found) for found in await conn.execute(wanted))


async def _newest(
    conn: AsyncConnection, row: type[R], wanted: Select[Any], limit: int
) -> tuple[R, ...]:
    position = wanted.selected_columns.position
    return await _all(conn, row, wanted.order_by(position.desc()).limit(limit))


async def _parcels(conn: AsyncConnection, campaign: int, limit: int) -> tuple[ParcelLine, ...]:
    """The first pledges for which `PledgeRow.to_deliver` holds."""
    pledges = PLEDGES.table.c
    keys = pledge_key(campaign, 0), pledge_key(campaign, MAX_NO)
    wanted = select(pledges.no, pledges.backer, pledges.destination, pledges.lines).where(
        pledges.key.between(*keys),
        pledges.status == "collected",
        pledges.sent == 0,
        pledges.lines != NO_LINES,
        pledges.refunded_minor + pledges.lost_minor < pledges.charged_minor,
    )
    return tuple(
        ParcelLine(
            no, backer, destination, tuple((o.reward_id, o.quantity) for o in lines_of(lines))
        )
        for no, backer, destination, lines in await conn.execute(
            wanted.order_by(pledges.key).limit(limit)
        )
    )
