"""What a channel's desk reads over many campaigns, from the projections' tables; it writes nothing.

Every query names its channel: `campaign_pages_by_channel` leads to the campaigns, and what hangs on
them is found by the campaign's key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, Table, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.desk_fold import DISCREPANCIES, STATES, DiscrepancyRow
from projections.facts import NO_BITS
from projections.page_fold import MEMBERS, MILESTONES, NEEDS, OFFERS, PAGES
from projections.pledges import (
    DISPUTES,
    PAYOUTS,
    PLEDGES,
    REFUNDS,
    DisputeRow,
    PayoutRow,
    RefundRow,
)

MOST_LISTED: Final = 200
"""Lines of a list; further ones follow on the next page or once these are done."""

_p, _o, _d = PAGES.c, OFFERS.c, DISCREPANCIES.table.c
_payouts, _disputes, _refunds = PAYOUTS.table.c, DISPUTES.table.c, REFUNDS.table.c


class Listed(Struct, frozen=True):
    """A campaign on a list; amounts in minor units, times ms UTC."""

    campaign: int
    campaign_id: str
    channel: str
    creator: str
    phase: str
    suspended: int
    model: str
    currency: str
    goal_minor: int
    deadline_at: int
    launched_at: int | None
    text: str
    pledged_minor: int
    backers: int
    charged_minor: int
    held_minor: int
    paid_minor: int
    owed_minor: int
    suspense_minor: int
    position: int


_LISTED: Final = tuple(_p[name] for name in Listed.__struct_fields__)
_WIDTH: Final = len(_LISTED)


class Waiting(Struct, frozen=True):
    """How much waits for somebody of the channel."""

    reviews: int
    payouts: int
    disputes: int
    discrepancies: int
    refunds: int
    offers: int


class Sums(Struct, frozen=True):
    """What a channel's campaigns in one currency come to, in minor units."""

    currency: str
    campaigns: int
    pledged_minor: int
    charged_minor: int
    held_minor: int
    paid_minor: int
    returned_minor: int
    fees_minor: int
    owed_minor: int


class Record(Struct, frozen=True):
    """A creator's campaigns by phase, in every channel of the log."""

    phases: dict[str, int]
    suspended: int
    sent: int
    received: int

    @property
    def launched(self) -> int:
        """How many went live."""
        early = ("submitted", "returned", "approved")
        return sum(n for phase, n in self.phases.items() if phase not in early)


class PayoutLine(Struct, frozen=True):
    """A payout with its campaign; `milestone_text` is a salted hash, empty without one."""

    row: PayoutRow
    campaign: Listed
    milestone_text: str


class DisputeLine(Struct, frozen=True):
    """A chargeback with its campaign."""

    row: DisputeRow
    campaign: Listed


class DiscrepancyLine(Struct, frozen=True):
    """A report that fits nothing, with its campaign."""

    row: DiscrepancyRow
    campaign: Listed


class RefundLine(Struct, frozen=True):
    """A refund that the provider refused, with its campaign and pledge."""

    row: RefundRow
    campaign: Listed
    pledge_id: str
    returnable_minor: int


class OfferedHelp(Struct, frozen=True):
    """Help that was offered; `need_text` is the salted hash of what was asked for."""

    campaign: Listed
    offer_id: str
    party: str
    quantity: int
    state: str
    position: int
    need_text: str
    wanted: int


# --- Counts --------------------------------------------------------------------------------------


def _of_pledge(table: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the columns of any table
    """Joins what hangs on a pledge to its campaign's page."""
    joined: ColumnElement[bool] = _p.campaign == table.pledge.op(">>")(NO_BITS)
    return joined


_LAST_REFUND: Final = and_(
    _refunds.state == "failed",
    ~exists(
        select(1)
        .select_from(later := REFUNDS.table.alias("later"))
        .where(later.c.pledge == _refunds.pledge, later.c.position > _refunds.position)
    ),
)
"""Refused, and nobody has asked anew since."""


async def waiting(conn: AsyncConnection, channel: str) -> Waiting:
    """What waits in a channel."""
    counted = (
        select(func.count()).where(_p.channel == channel, _p.phase == "submitted"),
        _hanging(PAYOUTS.table, _p.campaign == _payouts.campaign).where(
            _payouts.state == "requested"
        ),
        _hanging(DISPUTES.table, _of_pledge(_disputes)).where(_disputes.state == "open"),
        _hanging(DISCREPANCIES.table, _p.campaign == _d.campaign).where(_d.resolution == ""),
        _hanging(REFUNDS.table, _of_pledge(_refunds)).where(_LAST_REFUND),
        _hanging(OFFERS, _p.campaign == _o.campaign).where(_o.state == "offered"),
    )
    found = []
    for number, query in enumerate(counted):
        within = query if number == 0 else query.where(_p.channel == channel)
        found.append((await conn.execute(within)).scalar_one())
    return Waiting(*found)


def _hanging(table: Table, on: ColumnElement[bool]) -> Select[Any]:
    return select(func.count()).select_from(table).join(PAGES, on)


async def sums(conn: AsyncConnection, channel: str) -> list[Sums]:
    """What a channel's campaigns come to, by currency, the one with most campaigns first."""
    amounts = (
        *(_p.pledged_minor, _p.charged_minor, _p.held_minor, _p.paid_minor),
        *(_p.returned_minor, _p.fees_minor, _p.owed_minor),
    )
    query = (
        select(_p.currency, func.count().label("n"), *(func.sum(amount) for amount in amounts))
        .where(_p.channel == channel)
        .group_by(_p.currency)
    )
    rows = [Sums(*found) for found in await conn.execute(query)]
    return sorted(rows, key=lambda row: -row.campaigns)


async def phases(conn: AsyncConnection, channel: str) -> dict[str, int]:
    """How many campaigns of a channel stand in each phase; `suspended` counts across them."""
    query = (
        select(_p.phase, func.count(), func.sum(_p.suspended))
        .where(_p.channel == channel)
        .group_by(_p.phase)
    )
    found = (await conn.execute(query)).all()
    return {phase: n for phase, n, _ in found} | {"suspended": sum(s for _, _, s in found)}


# --- Lists ---------------------------------------------------------------------------------------


async def campaigns(
    conn: AsyncConnection,
    channel: str,
    *,
    state: str = "",
    before: int = 0,
    limit: int = MOST_LISTED,
) -> list[Listed]:
    """A channel's campaigns, the one submitted last first; of one phase, or suspended ones."""
    query = select(*_LISTED).where(_p.channel == channel)
    if state == "suspended":
        query = query.where(_p.suspended == 1)
    elif state:
        query = query.where(_p.phase == state)
    if before:
        query = query.where(_p.campaign < before)
    newest = query.order_by(_p.campaign.desc()).limit(limit)
    return [Listed(*found) for found in await conn.execute(newest)]


async def by_ids(
    conn: AsyncConnection, channel: str, campaign_ids: Collection[str]
) -> dict[str, Listed]:
    """Those of these campaigns that are the channel's, by their ids."""
    wanted = sorted(campaign_ids)[:MOST_LISTED]
    query = select(*_LISTED).where(_p.channel == channel, _p.campaign_id.in_(wanted))
    rows = [Listed(*found) for found in await conn.execute(query)]
    return {row.campaign_id: row for row in rows}


async def queue(conn: AsyncConnection, channel: str) -> list[Listed]:
    """The campaigns that wait for review, the one that waits longest first."""
    query = select(*_LISTED).where(_p.channel == channel, _p.phase == "submitted")
    oldest = query.order_by(_p.position).limit(MOST_LISTED)
    return [Listed(*found) for found in await conn.execute(oldest)]


async def of_creator(conn: AsyncConnection, creator: str, limit: int = 20) -> list[Listed]:
    """A creator's campaigns in every channel, the newest first."""
    query = (
        select(*_LISTED)
        .join_from(MEMBERS, PAGES, MEMBERS.c.campaign == _p.campaign)
        .where(MEMBERS.c.party == creator, MEMBERS.c.is_creator == 1)
    )
    newest = query.order_by(_p.campaign.desc()).limit(limit)
    return [Listed(*found) for found in await conn.execute(newest)]


async def record(conn: AsyncConnection, creator: str, but_for: str) -> Record:
    """What became of a creator's other campaigns."""
    query = (
        select(
            _p.phase, func.count(), *(func.sum(_p[n]) for n in ("suspended", "sent", "received"))
        )
        .join_from(MEMBERS, PAGES, MEMBERS.c.campaign == _p.campaign)
        .where(MEMBERS.c.party == creator, MEMBERS.c.is_creator == 1, _p.campaign_id != but_for)
        .group_by(_p.phase)
    )
    rows = (await conn.execute(query)).all()
    return Record(
        {row[0]: row[1] for row in rows}, *(sum(row[at] for row in rows) for at in (2, 3, 4))
    )


async def payouts(
    conn: AsyncConnection, channel: str, states: Sequence[str], *, oldest: bool = False
) -> list[PayoutLine]:
    """A channel's payouts in some states, by when they were asked for."""
    columns = PAYOUTS.table.columns
    query = (
        select(*_LISTED, MILESTONES.c.text, *columns)
        .select_from(PAYOUTS.table)
        .join(PAGES, _p.campaign == _payouts.campaign)
        .join(
            MILESTONES,
            and_(
                MILESTONES.c.campaign == _payouts.campaign,
                MILESTONES.c.milestone_id == _payouts.milestone_id,
            ),
            isouter=True,
        )
        .where(_p.channel == channel, _payouts.state.in_(states))
    )
    order = _payouts.position if oldest else _payouts.position.desc()
    return [
        PayoutLine(PayoutRow(*found[_WIDTH + 1 :]), Listed(*found[:_WIDTH]), found[_WIDTH] or "")
        for found in await conn.execute(query.order_by(order).limit(MOST_LISTED))
    ]


async def disputes(conn: AsyncConnection, channel: str, states: Sequence[str]) -> list[DisputeLine]:
    """A channel's chargebacks in some states, the newest first."""
    query = (
        select(*_LISTED, *DISPUTES.table.columns)
        .select_from(DISPUTES.table)
        .join(PAGES, _of_pledge(_disputes))
        .where(_p.channel == channel, _disputes.state.in_(states))
    )
    newest = query.order_by(_disputes.position.desc()).limit(MOST_LISTED)
    return [
        DisputeLine(DisputeRow(*found[_WIDTH:]), Listed(*found[:_WIDTH]))
        for found in await conn.execute(newest)
    ]


async def discrepancies(
    conn: AsyncConnection, channel: str, *, open_: bool
) -> list[DiscrepancyLine]:
    """A channel's reports from outside that fit nothing: those still open, or those settled."""
    query = (
        select(*_LISTED, *DISCREPANCIES.table.columns)
        .select_from(DISCREPANCIES.table)
        .join(PAGES, _p.campaign == _d.campaign)
        .where(_p.channel == channel, (_d.resolution == "") if open_ else (_d.resolution != ""))
    )
    newest = query.order_by(_d.position.desc()).limit(MOST_LISTED)
    return [
        DiscrepancyLine(DiscrepancyRow(*found[_WIDTH:]), Listed(*found[:_WIDTH]))
        for found in await conn.execute(newest)
    ]


async def refused_refunds(conn: AsyncConnection, channel: str) -> list[RefundLine]:
    """Refunds that the provider refused and nobody has asked for anew, the oldest first."""
    pledge = PLEDGES.table.c
    returnable = (
        pledge.charged_minor
        - pledge.refunded_minor
        - pledge.lost_minor
        - pledge.pending_minor
        - pledge.disputed_minor
    )
    query = (
        select(*_LISTED, pledge.pledge_id, returnable, *REFUNDS.table.columns)
        .select_from(REFUNDS.table)
        .join(PAGES, _of_pledge(_refunds))
        .join(PLEDGES.table, pledge.key == _refunds.pledge)
        .where(_p.channel == channel, _LAST_REFUND)
    )
    oldest = query.order_by(_refunds.position).limit(MOST_LISTED)
    return [
        RefundLine(
            RefundRow(*found[_WIDTH + 2 :]),
            Listed(*found[:_WIDTH]),
            found[_WIDTH],
            found[_WIDTH + 1],
        )
        for found in await conn.execute(oldest)
    ]


async def in_debt(conn: AsyncConnection, channel: str) -> list[Listed]:
    """The campaigns whose creators owe, the largest debt first."""
    query = select(*_LISTED).where(_p.channel == channel, _p.owed_minor > 0)
    largest = query.order_by(_p.owed_minor.desc()).limit(MOST_LISTED)
    return [Listed(*found) for found in await conn.execute(largest)]


async def offers(
    conn: AsyncConnection,
    channel: str,
    states: Sequence[str],
    *,
    before: int | None = None,
    limit: int = MOST_LISTED,
) -> list[OfferedHelp]:
    """Help that was offered to a channel's campaigns, the newest first; before a position where
    one is given.
    """
    query = (
        select(
            *_LISTED,
            *(_o.offer_id, _o.party, _o.quantity, _o.state, _o.position),
            *(NEEDS.c.text, NEEDS.c.quantity),
        )
        .select_from(OFFERS)
        .join(PAGES, _p.campaign == _o.campaign)
        .join(NEEDS, and_(NEEDS.c.campaign == _o.campaign, NEEDS.c.need_id == _o.need_id))
        .where(_p.channel == channel, _o.state.in_(states))
    )
    if before is not None:
        query = query.where(_o.position < before)
    newest = query.order_by(_o.position.desc()).limit(limit)
    return [
        OfferedHelp(Listed(*found[:_WIDTH]), *found[_WIDTH:])
        for found in await conn.execute(newest)
    ]


async def by_state(conn: AsyncConnection, channel: str) -> dict[str, int]:
    """How many of a channel's pledges stand in each state."""
    states = STATES.table.c
    query = (
        select(states.state, func.sum(states.pledges))
        .select_from(STATES.table)
        .join(PAGES, _p.campaign == states.campaign)
        .where(_p.channel == channel)
        .group_by(states.state)
    )
    return {found[0]: found[1] for found in await conn.execute(query)}


async def unknown_fates(conn: AsyncConnection, channel: str) -> list[tuple[Listed, int]]:
    """Campaigns with charges of which the provider has not said what became, and how many."""
    states = STATES.table.c
    query = (
        select(*_LISTED, states.pledges)
        .select_from(STATES.table)
        .join(PAGES, _p.campaign == states.campaign)
        .where(_p.channel == channel, states.state == "unknown", states.pledges > 0)
    )
    return [(Listed(*found[:_WIDTH]), found[_WIDTH]) for found in await conn.execute(query)]
