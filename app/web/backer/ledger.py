"""A backer's own pages: every pledge, and the statement that adds up line by line."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Template
from msgspec import Struct

from app.documents.statement import statement_pdf
from app.transparency.receipts import GIVEN
from app.web.backer.statement import Entry, as_csv, entries_of, statements_of, totals
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from projections.campaign_pages import get_page

NEEDS_YOU: Final = frozenset(("failed", "action_required"))
"""States in which a pledge waits for its backer."""


class Followed(Struct, frozen=True):
    """A campaign that the person follows."""

    campaign_id: str
    title: str


@get(["/me", "/backers/me"], include_in_schema=False)
async def show_ledger(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Every pledge of this person, and what became of the money."""
    visitor = await site.visitor(request)
    entries = await entries_of(site.platform, visitor.parties)
    return site.page(
        "backer/ledger.html",
        visitor,
        entries=entries,
        waiting=[entry for entry in entries if entry.line.state in NEEDS_YOU],
        totals=totals([entry.line for entry in entries]),
        statements=await statements_of(site.platform, entries),
        with_receipt=GIVEN,
        followed=await _followed(site, visitor),
    )


async def _followed(site: Site, visitor: Visitor) -> list[Followed]:
    """The campaigns that a signed-in person follows."""
    if not visitor.signed_in:
        return []
    follows = site.platform.stores.follows
    campaigns = [
        campaign for party in visitor.parties for campaign in await follows.of_party(party)
    ]
    found = {}
    async with site.platform.views.connect() as connection:
        for campaign in campaigns:
            page = await get_page(connection, campaign)
            if page is not None:
                found[campaign] = page.text
    texts = await site.platform.stores.content.get_many(set(found.values()) - {""})
    return [
        Followed(campaign, in_language(texts.get(text, {}), "title"))
        for campaign, text in found.items()
    ]


@get("/me/statement.csv", include_in_schema=False)
async def statement_csv(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The statement for a spreadsheet."""
    entries = await _entries(request, site)
    text = as_csv(await statements_of(site.platform, entries))
    return _document(text.encode(), "text/csv; charset=utf-8", "tributary-statement.csv")


@get("/me/statement.pdf", include_in_schema=False)
async def statement_as_pdf(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The statement to print and keep."""
    entries = await _entries(request, site)
    statements = await statements_of(site.platform, entries)
    at, address = site.platform.clock(), site.platform.settings.public_url
    drawn = await asyncio.to_thread(statement_pdf, statements, at=at, address=address)
    return _document(drawn, "application/pdf", "tributary-statement.pdf")


async def _entries(request: PageRequest, site: Site) -> list[Entry]:
    visitor = await site.visitor(request)
    return await entries_of(site.platform, visitor.parties)


def _document(body: bytes, media_type: str, name: str) -> Response[Any]:
    return Response(
        body,
        media_type=media_type,
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{name}"',
            "vary": "cookie, accept-language",
        },
    )
