"""Home, and what a refusal means."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.api.problems import explained, problem_type, title_of
from app.web.public.campaign_view import card
from app.web.site import Site
from app.web.templating import asset
from domain.state import Phase
from projections.campaign_pages import list_pages

MOST_LIVE: Final = 60
MOST_PAST: Final = 12


@get("/", include_in_schema=False)
async def home(site: NamedDependency[Site]) -> Template:
    """The live campaigns, then those that ended."""
    async with site.platform.views.connect() as connection:
        live = await list_pages(connection, phase=Phase.LIVE, limit=MOST_LIVE)
        past = []
        for phase in (
            Phase.SUCCEEDED,
            Phase.SETTLED,
            Phase.COMPLETED,
            Phase.FAILED,
            Phase.CANCELLED,
        ):
            past += await list_pages(connection, phase=phase, limit=MOST_PAST)
    shown = sorted((page for page in past if page.launched_at), key=lambda page: -page.deadline_at)
    return site.page(
        "discover/home.html",
        live=await card(site.platform, sorted(live, key=lambda page: page.deadline_at)),
        past=await card(site.platform, shown[:MOST_PAST]),
    )


@get("/favicon.ico", include_in_schema=False)
async def favicon() -> Redirect:
    """Browsers ask here on pages that name no icon."""
    return Redirect(asset("favicon.svg"), status_code=301)


@get("/problems", include_in_schema=False)
async def list_problems(site: NamedDependency[Site]) -> Template:
    """Every reason for which a request may be refused."""
    problems = [
        (problem_type(reason), title_of(reason), status, text)
        for reason, (status, text) in sorted(explained().items())
    ]
    return site.page("discover/problems.html", problems=problems)


@get("/problems/{slug:str}", include_in_schema=False)
async def show_problem(slug: FromPath[str], site: NamedDependency[Site]) -> Template:
    """What one reason means."""
    reason = slug.replace("-", "_")
    if reason not in explained():
        raise NotFoundException
    status, text = explained()[reason]
    return site.page("discover/problem.html", title=title_of(reason), status=status, text=text)
