"""A campaign's public page."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from app.web import dates
from app.web.public.campaign_view import campaign_view
from app.web.site import PageRequest, Site
from projections.backer_ledger import pledges_of

AtLeast = Annotated[int, QueryParameter(ge=0, le=2**62)]


@get("/campaigns/{campaign_id:str}", include_in_schema=False)
async def show_campaign(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
) -> Template:
    """A campaign with its five honest numbers. A backer sees their own strand in the river."""
    page = await site.campaign(campaign_id, at_least)
    visitor = await site.visitor(request)
    own_day = ""
    if visitor.party:
        async with site.platform.views.connect() as connection:
            mine = await pledges_of(connection, visitor.party)
        days = [
            dates.moment(pledge.made_at).date()
            for pledge in mine
            if pledge.campaign_id == campaign_id and pledge.standing
        ]
        own_day = days[0].isoformat() if days else ""
    view = await campaign_view(site.platform, page, now=site.platform.clock(), own_day=own_day)
    return site.page(
        "public/campaign.html", visitor if visitor.party else None, view=view, page=page
    )
