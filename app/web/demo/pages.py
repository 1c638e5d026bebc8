"""The demo's own page: whom to look as, what to try, and closing the next campaign now."""

from __future__ import annotations

from typing import Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.demo.clock import DemoClock
from app.demo.people import ROLES, sample_person
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from domain.state import Phase
from projections.campaign_pages import CampaignPage, list_pages

FIRST_PAGE: Final = {
    "backer": "/me",
    "creator": "/desk",
    "staff": "/staff",
    "treasurer": "/staff/payouts",
    "auditor": "/staff/log",
}
"""Where each role begins."""

MOST_LIVE: Final = 60


@get("/demo", include_in_schema=False)
async def show_demo(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Things to try, and the sample people to try them as."""
    visitor = await site.visitor(request)
    live = await _live(site)
    return site.page(
        "demo/demo.html",
        visitor,
        next_page=live[0] if live else None,
        next_title=await _title(site, live[0]) if live else "",
    )


async def _live(site: Site) -> list[CampaignPage]:
    """The campaigns that are live, the one that closes first before the others."""
    async with site.platform.views.connect() as connection:
        pages = await list_pages(connection, phase=Phase.LIVE, limit=MOST_LIVE)
    now = site.platform.clock()
    return sorted(
        (page for page in pages if page.deadline_at > now and not page.suspended),
        key=lambda page: page.deadline_at,
    )


async def _title(site: Site, page: CampaignPage) -> str:
    found = await site.platform.stores.content.get_many([page.text])
    return in_language(found.get(page.text, {}), "title")


@get("/demo/as/{role:str}", include_in_schema=False)
async def view_as(
    role: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Redirect:
    """Go on as the sample person with a role, or as a visitor whom nobody knows.

    By a plain link: in a demo there is nobody to protect from it.
    """
    visitor = await site.visitor(request)
    if visitor.party:
        await site.visitors.end(visitor)
    if role == "visitor":
        answer = site.redirect("/")
        answer.delete_cookie(site.visitors.cookie_name, path="/")
        return answer
    party = await sample_person(site.platform, role) if role in ROLES else None
    if party is None:
        raise NotFoundException
    return site.redirect(FIRST_PAGE[role], await site.visitors.begin(party, signed_in=True))


@post("/demo/close-one", include_in_schema=False)
async def close_one_now(request: PageRequest, site: NamedDependency[Site]) -> Redirect:
    """Set the demo's clock to just after the next deadline: that campaign closes now."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    live = await _live(site)
    clock = site.platform.clock
    if not live or not isinstance(clock, DemoClock):
        return site.redirect("/demo", visitor)
    clock.set_ahead_to(live[0].deadline_at + 1_000)
    return site.redirect(f"/campaigns/{live[0].campaign_id}", visitor)
