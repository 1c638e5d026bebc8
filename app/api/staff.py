"""What a channel's staff, treasurers and auditors work through, over all its campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy import select

from app.api.access import ApiRequest
from app.api.addresses import Notes, reads, writes
from app.api.bodies import Body
from app.api.desk import (
    DeskPayoutOut,
    DiscrepancyOut,
    DisputeOut,
    discrepancy_out,
    dispute_out,
    newest,
    payout_out,
)
from app.api.everybody import SEEN
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.reading import CampaignsOut, line_out, page_of_campaign, works_for
from app.api.repeating import Planned, carried_out
from app.stores.api_keys import ApiKey
from app.stores.channels import UnknownChannelError
from app.stores.reports import Reason, Report, TooManyReportsError, UnknownReportError
from app.stores.rows import new_id
from app.wiring import Platform
from domain.errors import OtherChannel, WrongPhase
from projections.desk_fold import DISCREPANCIES, DiscrepancyRow
from projections.facts import NO_BITS
from projections.page_fold import PAGES, PageRow
from projections.pledges import CAMPAIGNS, DISPUTES, PAYOUTS, DisputeRow, PayoutRow

_AREA: Final = "Staff"
_STAFF: Final = ("staff", "payouts:approve", "events:read")
_CHANNEL: Final = ("not_found", "other_channel")

Open = Annotated[bool, QueryParameter(description="Only those that are still open.")]


class CampaignPayoutOut(Struct, frozen=True):
    """A payout with its campaign."""

    campaign_id: str
    currency: str
    payout: DeskPayoutOut


class ChannelPayoutsOut(Struct, frozen=True):
    """A page of payouts, the one asked for last first."""

    payouts: tuple[CampaignPayoutOut, ...]
    next: str | None


class CampaignDisputeOut(Struct, frozen=True):
    """A dispute with its campaign."""

    campaign_id: str
    currency: str
    dispute: DisputeOut


class ChannelDisputesOut(Struct, frozen=True):
    """A page of disputes, the newest first."""

    disputes: tuple[CampaignDisputeOut, ...]
    next: str | None


class CampaignDiscrepancyOut(Struct, frozen=True):
    """A discrepancy with its campaign."""

    campaign_id: str
    currency: str
    discrepancy: DiscrepancyOut


class ChannelDiscrepanciesOut(Struct, frozen=True):
    """A page of discrepancies, the newest first."""

    discrepancies: tuple[CampaignDiscrepancyOut, ...]
    next: str | None


class ReportOut(Struct, frozen=True):
    """A report of a campaign; `outcome` is null until staff settle it."""

    report_id: str
    campaign_id: str
    reason: str
    body: str
    at: int
    resolved_at: int | None
    resolved_by: str | None
    outcome: str | None


class ReportsOut(Struct, frozen=True):
    """A page of reports: open ones the oldest first, settled ones the latest first."""

    reports: tuple[ReportOut, ...]
    next: str | None


class ReportIn(Body, frozen=True, kw_only=True):
    """What is wrong with a campaign."""

    reason: Reason
    body: Annotated[str, Meta(max_length=4_000)] = ""


class SettleIn(Body, frozen=True, kw_only=True):
    """What came of a report."""

    outcome: Literal["nothing_wrong", "creator_told", "taken_down", "suspended", "duplicate"]
    note: Annotated[str, Meta(max_length=2_000)] = ""


class ReportedOut(Struct, frozen=True):
    """A report was kept under this id."""

    report_id: str


class HealthOut(Struct, frozen=True):
    """Whether everything that follows the log keeps up. Faults are empty when all is well."""

    position: int
    views_position: int
    lag: int
    views_fault: str
    processes_fault: str


async def office_of(platform: Platform, key: ApiKey, channel_id: str) -> None:
    """Raise Refused for a channel that is not, and OtherChannel for a key of another one."""
    try:
        await platform.stores.channels.get(channel_id)
    except UnknownChannelError as fault:
        raise Refused("not_found", "There is no such channel.") from fault
    if not works_for(key, channel_id):
        raise OtherChannel


@reads(
    "/channels/{channel_id:str}/reviews",
    *_STAFF,
    area=_AREA,
    summary="Read the review queue",
    reasons=_CHANNEL,
)
async def list_reviews(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[CampaignsOut]:
    """Campaigns that wait for review, the one that waits longest first."""
    await office_of(platform, request.auth, channel_id)
    after = key_of(cursor, "reviews", int)
    pages = PAGES.c
    query = select(PAGES).where(pages.channel == channel_id, pages.phase == "submitted")
    if after is not None:
        query = query.where(pages.position > after[0])
    async with platform.views.connect() as connection:
        found = await connection.execute(query.order_by(pages.position).limit(limit + 1))
        rows = [PageRow(*row) for row in found]
    shown, following = page_of(request, rows, limit, lambda row: cursor_of("reviews", row.position))
    texts = await platform.stores.content.get_many({row.text for row in shown} - {""})
    return listed(CampaignsOut(tuple(line_out(row, texts) for row in shown), following), following)


@reads(
    "/channels/{channel_id:str}/payouts",
    *_STAFF,
    area=_AREA,
    summary="Read the treasurer's desk",
    reasons=_CHANNEL,
)
async def list_channel_payouts(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    in_state: Annotated[
        Literal["", "requested", "approved", "sent", "refused", "failed", "returned"],
        QueryParameter(name="state", description="Only payouts in this state."),
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ChannelPayoutsOut]:
    """The payouts of a channel's campaigns, the one asked for last first."""
    await office_of(platform, request.auth, channel_id)
    table, campaigns = PAYOUTS.table, CAMPAIGNS.table
    query = select(table).join(campaigns, campaigns.c.key == table.c.campaign)
    query = query.where(campaigns.c.channel == channel_id)
    if in_state:
        query = query.where(table.c.state == in_state)
    named = ("channel-payouts", cursor, limit)
    async with platform.views.connect() as connection:
        rows = await newest(connection, PayoutRow, query, named)
    shown, following = page_of(
        request, rows, limit, lambda row: cursor_of("channel-payouts", row.position)
    )
    known = await _campaigns(platform, [row.campaign for row in shown])
    said = tuple(CampaignPayoutOut(*known[row.campaign], payout_out(row)) for row in shown)
    return listed(ChannelPayoutsOut(said, following), following)


@reads(
    "/channels/{channel_id:str}/disputes",
    *_STAFF,
    area=_AREA,
    summary="List a channel's disputes",
    reasons=_CHANNEL,
)
async def list_channel_disputes(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    open_only: Open = False,  # noqa: FBT002 - a query's parameter has a name
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ChannelDisputesOut]:
    """Chargebacks over a channel's campaigns, the newest first."""
    await office_of(platform, request.auth, channel_id)
    table, campaigns = DISPUTES.table, CAMPAIGNS.table
    of_campaign = campaigns.c.key == table.c.pledge.op(">>")(NO_BITS)
    query = select(table).join(campaigns, of_campaign).where(campaigns.c.channel == channel_id)
    if open_only:
        query = query.where(table.c.state == "open")
    named = ("channel-disputes", cursor, limit)
    async with platform.views.connect() as connection:
        rows = await newest(connection, DisputeRow, query, named)
    shown, following = page_of(
        request, rows, limit, lambda row: cursor_of("channel-disputes", row.position)
    )
    known = await _campaigns(platform, [row.pledge >> NO_BITS for row in shown])
    said = tuple(
        CampaignDisputeOut(*known[row.pledge >> NO_BITS], dispute_out(row)) for row in shown
    )
    return listed(ChannelDisputesOut(said, following), following)


@reads(
    "/channels/{channel_id:str}/discrepancies",
    *_STAFF,
    area=_AREA,
    summary="List a channel's discrepancies",
    reasons=_CHANNEL,
)
async def list_channel_discrepancies(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    open_only: Open = False,  # noqa: FBT002 - the same
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ChannelDiscrepanciesOut]:
    """Reports of providers that fit nothing, over a channel's campaigns, the newest first."""
    await office_of(platform, request.auth, channel_id)
    table, campaigns = DISCREPANCIES.table, CAMPAIGNS.table
    query = select(table).join(campaigns, campaigns.c.key == table.c.campaign)
    query = query.where(campaigns.c.channel == channel_id)
    if open_only:
        query = query.where(table.c.resolution == "")
    named = ("channel-discrepancies", cursor, limit)
    async with platform.views.connect() as connection:
        rows = await newest(connection, DiscrepancyRow, query, named)
    shown, following = page_of(
        request, rows, limit, lambda row: cursor_of("channel-discrepancies", row.position)
    )
    known = await _campaigns(platform, [row.campaign for row in shown])
    said = tuple(
        CampaignDiscrepancyOut(*known[row.campaign], discrepancy_out(row)) for row in shown
    )
    return listed(ChannelDiscrepanciesOut(said, following), following)


async def _campaigns(platform: Platform, keys: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(id, currency) of campaigns by what the views call them."""
    campaigns = CAMPAIGNS.table.c
    query = select(campaigns.key, campaigns.campaign_id, campaigns.currency)
    async with platform.views.connect() as connection:
        rows = await connection.execute(query.where(campaigns.key.in_(set(keys))))
        return {row.key: (row.campaign_id, row.currency) for row in rows}


# --- Reports -------------------------------------------------------------------------------------


@reads(
    "/channels/{channel_id:str}/reports",
    "staff",
    "events:read",
    area=_AREA,
    summary="List reports",
    reasons=_CHANNEL,
)
async def list_reports(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    settled: Annotated[bool, QueryParameter(description="Those that were settled.")] = False,  # noqa: FBT002
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ReportsOut]:
    """What people report of a channel's campaigns. A report never acts alone."""
    await office_of(platform, request.auth, channel_id)
    after = key_of(cursor, "reports", int, str)
    reports = platform.stores.reports
    found = await (reports.resolved(channel_id) if settled else reports.open(channel_id))
    rest = sorted(
        (report for report in found if after is None or _place(report) > after), key=_place
    )
    shown, following = page_of(
        request, rest, limit, lambda report: cursor_of("reports", *_place(report))
    )
    return listed(ReportsOut(tuple(map(_report_out, shown)), following), following)


def _place(report: Report) -> tuple[int, str]:
    return (report.at if report.resolved_at is None else -report.resolved_at), report.id


def _report_out(report: Report) -> ReportOut:
    return ReportOut(
        report.id,
        report.campaign_id,
        report.reason,
        report.body,
        report.at,
        report.resolved_at,
        report.resolved_by or None,
        report.outcome or None,
    )


@writes(
    "/campaigns/{campaign_id:str}/reports",
    status=201,
    notes=Notes(area="Campaigns", reasons=SEEN, example={"reason": "untrue", "body": "Look."}),
    summary="Report a campaign",
)
async def send_report(
    campaign_id: FromPath[str],
    data: JSONBody[ReportIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[ReportedOut]:
    """Tell the channel's staff what is wrong with a campaign; at most five an hour."""
    page = await page_of_campaign(platform, request.auth, campaign_id)

    async def send(plan: Planned) -> None:
        try:
            await platform.stores.reports.send(
                campaign_id=campaign_id,
                channel=page.channel,
                reason=data.reason,
                body=data.body,
                source=f"key {request.auth.owner}",
                party=request.auth.owner,
                at=platform.clock(),
                report_id=plan.id,
            )
        except TooManyReportsError as fault:
            said = "Several reports came within an hour."
            raise Refused("rate_limited", said, wait_ms=fault.wait_ms) from fault

    plan = Planned(new_id(), platform.clock())
    sent = await carried_out(platform, request, plan, send)
    return Response(ReportedOut(sent.id), status_code=201)


@writes(
    "/reports/{report_id:str}/settle",
    "staff",
    notes=Notes(
        area=_AREA,
        reasons=("not_found", "other_channel", "wrong_phase"),
        example={"outcome": "nothing_wrong", "note": ""},
    ),
    summary="Settle a report",
)
async def settle_report(
    report_id: FromPath[str],
    data: JSONBody[SettleIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[ReportOut]:
    """Say what came of a report. Settling does nothing else: suspend or take down beside it."""
    key, stores = request.auth, platform.stores
    try:
        report = await stores.reports.get(report_id)
    except UnknownReportError as fault:
        raise Refused("not_found", "There is no such report.") from fault
    if not works_for(key, report.channel):
        raise OtherChannel

    outcome = f"{data.outcome}\n{data.note}".strip()

    async def settle(plan: Planned) -> None:
        try:
            await stores.reports.resolve(report_id, by=key.by, outcome=outcome, at=plan.at)
        except UnknownReportError as fault:
            now = await stores.reports.get(report_id)
            if (now.resolved_by, now.resolved_at, now.outcome) != (key.by, plan.at, outcome):
                raise WrongPhase("Somebody settled this report before.") from fault
        await stores.staff_acts.note(
            report.channel,
            "report_settled",
            by=key.by,
            at=plan.at,
            subject=report_id,
            campaign_id=report.campaign_id,
            reason=outcome,
            act_id=plan.id,
        )

    await carried_out(platform, request, Planned(new_id(), platform.clock()), settle)
    return Response(_report_out(await stores.reports.get(report_id)))


@reads("/health", "staff", "events:read", area=_AREA, summary="Read the health of everything")
async def get_health(
    request: ApiRequest,  # noqa: ARG001 - every read has it
    platform: NamedDependency[Platform],
) -> Response[HealthOut]:
    """How far the views follow the log, and whether something stands still."""
    position, _ = platform.log.last()
    views, standing = platform.follower.position, platform.standing()
    return Response(
        HealthOut(
            position,
            views,
            max(0, position - views),
            standing.views_fault.partition(":")[0],
            standing.work_fault,
        )
    )


HANDLERS: Final[tuple[Any, ...]] = (
    list_reviews,
    list_channel_payouts,
    list_channel_disputes,
    list_channel_discrepancies,
    list_reports,
    send_report,
    settle_report,
    get_health,
)
