"""Reports, and what staff may take from a campaign's page. A report never acts by itself."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Template

from app.stores.people import Role
from app.stores.reports import Report, UnknownReportError
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import Refusal, carried_out, names_of, staff_page, titles_of
from app.web.staff.posts import REVIEWERS, ChannelChoice, Done, Post, channel_post
from app.web.staff.words import OUTCOMES, REPORT_REASONS, options
from domain.ids import party_of

LONGEST_NOTE: Final = 1_000
SHOWN_RESOLVED: Final = 50


@get("/staff/reports", include_in_schema=False)
async def show_reports(
    request: PageRequest, site: NamedDependency[Site], channel: ChannelChoice = ""
) -> Template:
    """What waits, the oldest first, and what was settled."""
    post_ = await channel_post(site, request, *REVIEWERS, channel=channel)
    store = site.platform.stores.reports
    waiting = await store.open(post_.channel.id)
    settled = await store.resolved(post_.channel.id, SHOWN_RESOLVED)
    return await staff_page(
        site,
        post_,
        "reports.html",
        "reports",
        open_reports=waiting,
        settled=settled,
        titles=await _titles(site, post_, [*waiting, *settled]),
        names=await names_of(site, [party_of(report.resolved_by) for report in settled]),
        reasons=REPORT_REASONS,
        outcome_of=outcome_of,
        outcome_words=OUTCOMES,
    )


@get("/staff/reports/{report_id:str}", include_in_schema=False)
async def show_report(
    report_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    done: Done = "",
) -> Template:
    """One report, with the way to the campaign and what on it can be taken down."""
    post_, report = await _report(site, request, report_id, *REVIEWERS)
    return await _page(site, post_, report, done=done)


@post("/staff/reports/{report_id:str}/settle", include_in_schema=False)
async def settle(
    report_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Say what came of it."""
    post_, report = await _report(site, request, report_id, "staff")
    form = await site.form(request, post_.visitor)
    outcome, note = form.get("outcome", ""), form.get("note", "").strip()
    typed = {"outcome": outcome, "note": note}
    if outcome not in OUTCOMES or len(note) > LONGEST_NOTE:
        fault = (
            gettext("Choose what came of it.")
            if outcome not in OUTCOMES
            else gettext("The note is too long.")
        )
        field = "outcome" if outcome not in OUTCOMES else "note"
        refused = Refusal(fault, 422)
        return await _page(site, post_, report, refused=refused, typed=typed, errors={field: fault})
    at, by = site.platform.clock(), post_.actor("staff")
    try:
        await site.platform.stores.reports.resolve(
            report.id, by=by, outcome=f"{outcome}\n{note}", at=at
        )
    except UnknownReportError:
        refused = Refusal(gettext("Somebody settled this report before."), 409)
        newest = await site.platform.stores.reports.get(report.id)
        return await _page(site, post_, newest, refused=refused)
    await site.platform.stores.staff_acts.note(
        post_.channel.id,
        "report_settled",
        by=by,
        at=at,
        subject=report.id,
        campaign_id=report.campaign_id,
        reason=f"{outcome}\n{note}".strip(),
    )
    return carried_out(site, f"/staff/reports/{report.id}", "report")


def outcome_of(report: Report) -> tuple[str, str]:
    """(code, note) of what came of a report."""
    code, _, note = report.outcome.partition("\n")
    return code, note


async def _report(
    site: Site, request: PageRequest, report_id: str, *roles: Role
) -> tuple[Post, Report]:
    """A report of a channel where the person has one of these roles.

    Raises SignInNeededError, RoleNeededError and NotFoundException.
    """
    await channel_post(site, request, *roles)
    try:
        report = await site.platform.stores.reports.get(report_id)
    except UnknownReportError:
        raise NotFoundException from None
    return await channel_post(site, request, *roles, channel=report.channel), report


async def _titles(site: Site, post_: Post, reports: list[Report]) -> dict[str, str]:
    wanted = {report.campaign_id for report in reports}
    async with site.platform.views.connect() as connection:
        listed = await reading.by_ids(connection, post_.channel.id, wanted)
    return await titles_of(site, list(listed.values()))


async def _page(
    site: Site,
    post_: Post,
    report: Report,
    *,
    done: str = "",
    refused: Refusal | None = None,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Template:
    waiting = await site.platform.stores.reports.open(post_.channel.id)
    return await staff_page(
        site,
        post_,
        "report.html",
        "reports",
        done=done,
        refused=refused,
        report=report,
        title=(await _titles(site, post_, [report])).get(report.campaign_id, ""),
        others=[
            other
            for other in waiting
            if other.campaign_id == report.campaign_id and other.id != report.id
        ],
        outcome=outcome_of(report),
        names=await names_of(site, [party_of(report.resolved_by), report.party]),
        reasons=REPORT_REASONS,
        outcomes=options(OUTCOMES),
        outcome_words=OUTCOMES,
        typed=typed or {"outcome": "", "note": ""},
        errors=errors or {},
    )
