"""Payouts: what would be paid, what keeps it from being asked for, and what became of it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.rows import new_id
from app.web.creator.access import actor, team_page
from app.web.creator.desk import read_desk
from app.web.creator.outlook import Outlook, outlook
from app.web.creator.reading import title_of
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import RequestPayout
from domain.errors import Rejection
from domain.ids import is_id
from projections.campaign_pages import CampaignPage

FRACTIONS: Final = {"1": (1, 1), "3/4": (3, 4), "1/2": (1, 2), "1/4": (1, 4), "9/10": (9, 10)}
"""The parts of what is available that a page offers; programs may ask for any."""


@get("/desk/{campaign_id:str}/payouts", include_in_schema=False)
async def show_payouts(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """All payouts, and the form for the next one."""
    visitor, page = await team_page(site, request, campaign_id)
    asked = str(request.query_params.get("part", "1"))
    return await _page(site, visitor, page, asked if asked in FRACTIONS else "1")


async def _page(
    site: Site, visitor: Visitor, page: CampaignPage, part: str, fault: str = ""
) -> Response[Any]:
    platform = site.platform
    ahead = await outlook(platform, page.campaign_id, platform.clock(), *FRACTIONS[part])
    texts = await platform.stores.content.get_many({stage.text for stage in page.milestones} - {""})
    stages = {
        stage.milestone_id: in_language(texts.get(stage.text, {}), "title")
        for stage in page.milestones
    }
    found = await read_desk(platform, page.campaign_id, 200)
    return site.page(
        "creator/payouts.html",
        visitor,
        status_code=409 if fault else 200,
        page=page,
        title=await title_of(platform, page),
        ahead=ahead,
        capped=_is_capped(ahead),
        payouts=found.payouts,
        stages=stages,
        part=part,
        parts=tuple(FRACTIONS),
        payout_id=new_id(),
        fault=fault,
        place="payouts",
        section="desk",
    )


def _is_capped(ahead: Outlook) -> bool:
    """Whether the reserve would keep this payout from being approved."""
    return bool(ahead.reserve_minor) and ahead.next_minor > ahead.free_minor


@post("/desk/{campaign_id:str}/payouts", include_in_schema=False)
async def request_payout(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Ask for it; the channel's treasurer decides. Sending the form again asks once."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    part = form.get("part", "1")
    if part not in FRACTIONS:
        part = "1"
    payout_id = form.get("payout_id", "")
    if not is_id(payout_id):
        return await _page(site, visitor, page, part, gettext("Load the page again and repeat."))
    numerator, denominator = FRACTIONS[part]
    milestone_id = form.get("milestone_id", "")[:64]
    command = RequestPayout(
        campaign_id=campaign_id,
        by=actor(visitor),
        command_id=new_id(),
        payout_id=payout_id,
        milestone_id=milestone_id,
        numerator=numerator,
        denominator=denominator,
    )
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return await _page(site, visitor, page, part, said(refused))
    return site.redirect(f"/desk/{campaign_id}/payouts?at_least={outcome.last_position}")
