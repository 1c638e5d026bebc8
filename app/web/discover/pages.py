"""What a refusal means, and what the parts of every page look like."""

from __future__ import annotations

from litestar import route
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.api.problems import explained, problem_type, title_of
from app.search import Wanted
from app.web.confluence import confluence
from app.web.discover.cards import cards_of
from app.web.discover.finding import READ, find, reader
from app.web.language import current
from app.web.refusals import reason_said
from app.web.site import PageRequest, Site
from app.web.templating import asset


@route("/favicon.ico", http_method=READ, include_in_schema=False)
async def favicon() -> Redirect:
    """Browsers ask here on pages that name no icon."""
    return Redirect(asset("favicon.svg"), status_code=301)


@route("/problems", http_method=READ, include_in_schema=False)
async def list_problems(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Every reason for which a request may be refused."""
    problems = [
        (problem_type(reason), reason, _title(reason), status, text)
        for reason, (status, text) in sorted(explained().items())
    ]
    return site.page("discover/problems.html", await reader(request, site), problems=problems)


@route("/problems/{slug:str}", http_method=READ, include_in_schema=False)
async def show_problem(
    slug: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Template:
    """What one reason means."""
    reason = slug.replace("-", "_")
    if reason not in explained():
        raise NotFoundException
    status, text = explained()[reason]
    return site.page(
        "discover/problem.html",
        await reader(request, site),
        title=_title(reason),
        reason=reason,
        status=status,
        text=text,
    )


def _title(reason: str) -> str:
    """What people read; in English the programs' own short title."""
    return title_of(reason) if current() == "en" else reason_said(reason, title_of(reason))


@route("/styleguide", http_method=READ, include_in_schema=False)
async def styleguide(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Every shared part, for whoever builds pages. Only in the demo."""
    if not site.platform.settings.demo:
        raise NotFoundException
    found = await find(site.platform, Wanted(limit=3))
    days = [("2026-03-01", 120_000), ("2026-03-04", 300_000), ("2026-03-09", 180_000)]
    return site.page(
        "discover/styleguide.html",
        await site.visitor(request),
        cards=await cards_of(site.platform, found.ids),
        water=confluence(days, 800_000, own_day="2026-03-04"),
        at=site.platform.clock(),
    )
