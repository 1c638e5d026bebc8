"""A campaign's desk: what its team and its channel work with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.everybody import OURS
from app.api.exports import BackerLineOut, backers_after, csv_of, parquet_of
from app.api.paging import AtLeast, Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.reading import desk_of_campaign
from app.wiring import Platform
from projections.creator_desk import desk
from projections.desk_fold import DEEDS, DISCREPANCIES, DeedRow, DiscrepancyRow
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

Row = TypeVar("Row", bound=Struct)
_SCOPES: Final = ("campaigns:read", "campaigns:write", "staff", "payouts:approve", "events:read")
_AREA: Final = "Creators"


class StateOut(Struct, frozen=True):
    """How many pledges stand in a state, and their money."""

    state: str
    pledges: int
    amount_minor: int
    charged_minor: int


class RewardDayOut(Struct, frozen=True):
    """Of the pledges made on a UTC day and still counted: those that chose a reward (null: what
    was given beyond rewards).
    """

    reward_id: str | None
    day: str
    pledges: int
    pieces: int
    amount_minor: int


class ToSendOut(Struct, frozen=True):
    """Pieces of a reward that have still to be sent."""

    reward_id: str
    pledges: int
    pieces: int


class DeskOut(Struct, frozen=True):
    """How a campaign stands: pledges by state, rewards by day, what is still to send."""

    campaign_id: str
    states: tuple[StateOut, ...]
    rewards: tuple[RewardDayOut, ...]
    to_send: tuple[ToSendOut, ...]


class RefundOut(Struct, frozen=True):
    """A refund; `by` asked for it. State is requested, sent or failed."""

    refund_id: str
    no: int
    state: str
    at: int
    by: str
    cause: str
    amount_minor: int
    from_held_minor: int
    platform_fee_minor: int
    processing_fee_minor: int
    receivable_minor: int
    ended_at: int | None
    code: str
    position: int


class DisputeOut(Struct, frozen=True):
    """A chargeback; state is open, won or lost."""

    dispute_id: str
    no: int
    state: str
    at: int
    amount_minor: int
    fee_minor: int
    ended_at: int | None
    position: int


class DeskPayoutOut(Struct, frozen=True):
    """A payout with who asked for it and who decided."""

    payout_id: str
    state: str
    at: int
    by: str
    milestone_id: str | None
    numerator: int
    denominator: int
    from_no: int
    to_no: int
    amount_minor: int
    debt_minor: int
    decided_at: int | None
    decided_by: str | None
    ended_at: int | None
    code: str
    position: int


class DiscrepancyOut(Struct, frozen=True):
    """A provider's report that fits nothing; `resolution` is null until staff settle it."""

    discrepancy_id: str
    at: int
    kind: str
    no: int | None
    provider: str
    reference: str
    amount_minor: int
    resolution: str | None
    resolved_by: str | None
    resolved_at: int | None
    position: int


class DeedOut(Struct, frozen=True):
    """Who did what."""

    at: int
    by: str
    tag: str
    no: int | None
    amount_minor: int | None
    position: int


class ParcelOut(Struct, frozen=True):
    """A pledge whose rewards have still to be sent."""

    no: int
    destination: str
    rewards: dict[str, int]


class RefundsOut(Struct, frozen=True):
    """A page of refunds, the newest first."""

    refunds: tuple[RefundOut, ...]
    next: str | None


class DisputesOut(Struct, frozen=True):
    """A page of disputes, the newest first."""

    disputes: tuple[DisputeOut, ...]
    next: str | None


class DeskPayoutsOut(Struct, frozen=True):
    """A page of payouts, the newest first."""

    payouts: tuple[DeskPayoutOut, ...]
    next: str | None


class DiscrepanciesOut(Struct, frozen=True):
    """A page of discrepancies, the newest first."""

    discrepancies: tuple[DiscrepancyOut, ...]
    next: str | None


class DeedsOut(Struct, frozen=True):
    """A page of deeds, the newest first."""

    deeds: tuple[DeedOut, ...]
    next: str | None


class ParcelsOut(Struct, frozen=True):
    """A page of parcels, by the pledges' numbers."""

    deliveries: tuple[ParcelOut, ...]
    next: str | None


class BackersOut(Struct, frozen=True):
    """A page of pledges, by their numbers."""

    backers: tuple[BackerLineOut, ...]
    next: str | None


# --- The whole -----------------------------------------------------------------------------------


@reads(
    "/campaigns/{campaign_id:str}/desk",
    *_SCOPES,
    area=_AREA,
    summary="Read a campaign's desk",
    reasons=OURS,
)
async def get_desk(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[DeskOut]:
    """Pledges by state with their money, rewards by day, and what is still to send."""
    await desk_of_campaign(platform, request.auth, campaign_id, at_least)
    async with platform.views.connect() as connection:
        found = await desk(connection, campaign_id, 0)
    assert found is not None, "a campaign that has a page has a desk"
    return Response(
        DeskOut(
            campaign_id,
            tuple(
                StateOut(state.state, state.pledges, state.amount_minor, state.charged_minor)
                for state in found.states
            ),
            tuple(
                RewardDayOut(
                    line.reward_id or None, line.iso, line.pledges, line.pieces, line.amount_minor
                )
                for line in found.rewards
            ),
            tuple(
                ToSendOut(line.reward_id, line.pledges, line.pieces) for line in found.deliveries
            ),
        )
    )


# --- Lists by position, the newest first ---------------------------------------------------------


async def campaign_key(connection: AsyncConnection, campaign_id: str) -> int:
    """What the views call a campaign; 0 where they do not know it."""
    query = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
    found: int | None = (await connection.execute(query)).scalar()
    return found or 0


async def newest(
    connection: AsyncConnection,
    row: type[Row],
    query: Select[Any],
    named: tuple[str, str, int],
) -> list[Row]:
    """Rows before the cursor, one more than the limit. `named` is the list, cursor and limit."""
    name, cursor, limit = named
    before = key_of(cursor, name, int)
    position = query.selected_columns.position
    if before is not None:
        query = query.where(position < before[0])
    ordered = query.order_by(position.desc()).limit(limit + 1)
    return [row(*found) for found in await connection.execute(ordered)]


async def _newest_of(
    platform: Platform,
    request: ApiRequest,
    campaign_id: str,
    row: type[Row],
    source: tuple[Table, Callable[[Table, int], Select[Any]], tuple[str, str, int]],
) -> tuple[Any, str | None]:
    table, of_campaign, named = source
    await desk_of_campaign(platform, request.auth, campaign_id)
    async with platform.views.connect() as connection:
        key = await campaign_key(connection, campaign_id)
        rows: Any = await newest(connection, row, of_campaign(table, key), named)
    return page_of(request, rows, named[2], lambda line: cursor_of(named[0], line.position))


def _own(table: Table, campaign: int) -> Select[Any]:
    return select(table).where(table.c.campaign == campaign)


def _pledged(table: Table, campaign: int) -> Select[Any]:
    keys = pledge_key(campaign, 0), pledge_key(campaign, MAX_NO)
    return select(table).where(table.c.pledge.between(*keys))


@reads(
    "/campaigns/{campaign_id:str}/refunds",
    *_SCOPES,
    area=_AREA,
    summary="List a campaign's refunds",
    reasons=OURS,
)
async def list_refunds(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[RefundsOut]:
    """Refunds with their state and who bears what, the newest first."""
    source = (REFUNDS.table, _pledged, ("refunds", cursor, limit))
    rows, following = await _newest_of(platform, request, campaign_id, RefundRow, source)
    return listed(RefundsOut(tuple(map(_refund_out, rows)), following), following)


def _refund_out(row: RefundRow) -> RefundOut:
    return RefundOut(
        row.refund_id,
        row.no,
        row.state,
        row.at,
        row.by,
        row.cause,
        row.amount_minor,
        row.from_held_minor,
        row.platform_fee_minor,
        row.processing_fee_minor,
        row.receivable_minor,
        row.ended_at or None,
        row.code,
        row.position,
    )


@reads(
    "/campaigns/{campaign_id:str}/disputes",
    *_SCOPES,
    area=_AREA,
    summary="List a campaign's disputes",
    reasons=OURS,
)
async def list_disputes(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[DisputesOut]:
    """Chargebacks of the backers' banks, the newest first."""
    source = (DISPUTES.table, _pledged, ("disputes", cursor, limit))
    rows, following = await _newest_of(platform, request, campaign_id, DisputeRow, source)
    return listed(DisputesOut(tuple(map(dispute_out, rows)), following), following)


def dispute_out(row: DisputeRow) -> DisputeOut:
    """A dispute as programs read it."""
    return DisputeOut(
        row.dispute_id,
        row.no,
        row.state,
        row.at,
        row.amount_minor,
        row.fee_minor,
        row.ended_at or None,
        row.position,
    )


@reads(
    "/campaigns/{campaign_id:str}/payouts",
    *_SCOPES,
    area=_AREA,
    summary="List a campaign's payouts",
    reasons=OURS,
)
async def list_payouts(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[DeskPayoutsOut]:
    """Payouts with who asked and who decided, the newest first; everybody's are in `money`."""
    source = (PAYOUTS.table, _own, ("payouts", cursor, limit))
    rows, following = await _newest_of(platform, request, campaign_id, PayoutRow, source)
    return listed(DeskPayoutsOut(tuple(map(payout_out, rows)), following), following)


def payout_out(row: PayoutRow) -> DeskPayoutOut:
    """A payout as those who work on it read it."""
    return DeskPayoutOut(
        row.payout_id,
        row.state,
        row.at,
        row.by,
        row.milestone_id or None,
        row.numerator,
        row.denominator,
        row.from_no,
        row.to_no,
        row.amount_minor,
        row.debt_minor,
        row.decided_at or None,
        row.decided_by or None,
        row.ended_at or None,
        row.code,
        row.position,
    )


@reads(
    "/campaigns/{campaign_id:str}/discrepancies",
    *_SCOPES,
    area=_AREA,
    summary="List a campaign's discrepancies",
    reasons=OURS,
)
async def list_discrepancies(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[DiscrepanciesOut]:
    """Reports of the provider that fit nothing, the newest first."""
    source = (DISCREPANCIES.table, _own, ("discrepancies", cursor, limit))
    rows, following = await _newest_of(platform, request, campaign_id, DiscrepancyRow, source)
    return listed(DiscrepanciesOut(tuple(map(discrepancy_out, rows)), following), following)


def discrepancy_out(row: DiscrepancyRow) -> DiscrepancyOut:
    """A discrepancy as programs read it."""
    return DiscrepancyOut(
        row.discrepancy_id,
        row.at,
        row.kind,
        row.no or None,
        row.provider,
        row.reference,
        row.amount_minor,
        row.resolution or None,
        row.resolved_by or None,
        row.resolved_at or None,
        row.position,
    )


@reads(
    "/campaigns/{campaign_id:str}/deeds",
    *_SCOPES,
    area=_AREA,
    summary="Read who did what",
    reasons=OURS,
)
async def list_deeds(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[DeedsOut]:
    """Every deed but the backers' own pledges, from the log, the newest first."""
    source = (DEEDS, _own, ("deeds", cursor, limit))
    rows, following = await _newest_of(platform, request, campaign_id, DeedRow, source)
    said = tuple(
        DeedOut(row.at, row.by, row.tag, row.no or None, row.amount_minor or None, row.position)
        for row in rows
    )
    return listed(DeedsOut(said, following), following)


# --- Lists by pledge -----------------------------------------------------------------------------


@reads(
    "/campaigns/{campaign_id:str}/deliveries",
    *_SCOPES,
    area=_AREA,
    summary="List what is still to send",
    reasons=OURS,
)
async def list_deliveries(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ParcelsOut]:
    """Pledges whose rewards have still to be sent, by their numbers; mark them with the command
    `deliveries/mark`.
    """
    after = key_of(cursor, "deliveries", int)
    await desk_of_campaign(platform, request.auth, campaign_id)
    pledges = PLEDGES.table.c
    async with platform.views.connect() as connection:
        campaign = await campaign_key(connection, campaign_id)
        first, last = pledge_key(campaign, 0), pledge_key(campaign, MAX_NO)
        query = select(pledges.no, pledges.destination, pledges.lines).where(
            pledges.key.between(first + (min(after[0], MAX_NO) if after else 0) + 1, last),
            pledges.status == "collected",
            pledges.sent == 0,
            pledges.lines != NO_LINES,
            pledges.refunded_minor + pledges.lost_minor < pledges.charged_minor,
        )
        rows = (await connection.execute(query.order_by(pledges.key).limit(limit + 1))).all()
    shown, following = page_of(request, rows, limit, lambda row: cursor_of("deliveries", row.no))
    said = tuple(
        ParcelOut(
            row.no,
            row.destination,
            {line.reward_id: line.quantity for line in lines_of(row.lines)},
        )
        for row in shown
    )
    return listed(ParcelsOut(said, following), following)


InState = Annotated[
    str,
    QueryParameter(
        name="state",
        max_length=40,
        description="Only pledges in this state, such as `made` or `failed`.",
    ),
]
OfReward = Annotated[
    str, QueryParameter(max_length=40, description="Only pledges with this reward.")
]


@reads(
    "/campaigns/{campaign_id:str}/backers",
    *_SCOPES,
    area=_AREA,
    summary="List a campaign's backers",
    reasons=OURS,
)
async def list_backers(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    in_state: InState = "",
    reward: OfReward = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[BackersOut]:
    """Pledges by their numbers. Names are those that backers chose to show; who is hidden is hidden
    here too.
    """
    after = key_of(cursor, "backers", int)
    await desk_of_campaign(platform, request.auth, campaign_id, at_least)
    rows = await backers_after(
        platform, campaign_id, after[0] if after else 0, limit + 1, (in_state, reward)
    )
    shown, following = page_of(request, rows, limit, lambda row: cursor_of("backers", row.no))
    return listed(BackersOut(tuple(shown), following), following)


@reads(
    "/campaigns/{campaign_id:str}/backers.csv",
    *_SCOPES,
    area=_AREA,
    summary="Export a campaign's backers as CSV",
    reasons=OURS,
    media="text/csv",
)
async def export_csv(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    in_state: InState = "",
    reward: OfReward = "",
) -> Response[str]:
    """All of the list at once, amounts in major units."""
    page = await desk_of_campaign(platform, request.auth, campaign_id)
    rows = await backers_after(platform, campaign_id, 0, MAX_NO, (in_state, reward))
    name = {"content-disposition": 'attachment; filename="backers.csv"'}
    return Response(csv_of(rows, page.currency), media_type="text/csv", headers=name)


@reads(
    "/campaigns/{campaign_id:str}/backers.parquet",
    *_SCOPES,
    area=_AREA,
    summary="Export a campaign's backers as Parquet",
    reasons=OURS,
    media="application/vnd.apache.parquet",
)
async def export_parquet(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    in_state: InState = "",
    reward: OfReward = "",
) -> Response[bytes]:
    """All of the list at once, amounts in minor units with their currency."""
    page = await desk_of_campaign(platform, request.auth, campaign_id)
    rows = await backers_after(platform, campaign_id, 0, MAX_NO, (in_state, reward))
    name = {"content-disposition": 'attachment; filename="backers.parquet"'}
    body = parquet_of(rows, page.currency)
    return Response(body, media_type="application/vnd.apache.parquet", headers=name)


HANDLERS: Final[tuple[Any, ...]] = (
    get_desk,
    list_refunds,
    list_disputes,
    list_payouts,
    list_discrepancies,
    list_deeds,
    list_deliveries,
    list_backers,
    export_csv,
    export_parquet,
)
