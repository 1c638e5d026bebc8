"""Help, terms and privacy in plain words, and the pages that machines read first."""

from __future__ import annotations

import asyncio
from typing import Final
from xml.sax.saxutils import escape

from litestar import route
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response, Template
from msgspec import Struct

from app.stores.channels import Channel
from app.web.discover.finding import READ, reader
from app.web.site import PageRequest, Site
from domain.money import EXPONENTS, fee_minor
from domain.terms import Terms

PER_MAP: Final = 50_000
"""Most addresses that one map of a site may hold (sitemaps.org)."""

_PLAIN: Final = (
    "/",
    "/discover",
    "/help",
    "/help/charging",
    "/help/fees",
    "/help/checking",
    "/audit",
    "/receipts/check",
    "/terms",
    "/privacy",
    "/problems",
)
_CLOSED_TO_ROBOTS: Final = (
    "/me",
    "/account",
    "/desk",
    "/staff",
    "/checkout",
    "/sign-in",
    "/api/",
    "/outbox",
    "/preview/",
)
_EXAMPLE_MAJOR: Final = 120


class Example(Struct, frozen=True):
    """What becomes of one charged pledge under a channel's terms, in minor units."""

    currency: str
    amount_minor: int
    platform_minor: int
    processing_minor: int

    @property
    def rest_minor(self) -> int:
        """What is left for the creator."""
        return self.amount_minor - self.platform_minor - self.processing_minor


def example_of(terms: Terms, currency: str) -> Example:
    """A pledge of 120, by the function that takes the fees."""
    amount_minor = _EXAMPLE_MAJOR * int(10 ** EXPONENTS.get(currency, 0))
    return Example(
        currency,
        amount_minor,
        fee_minor(amount_minor, terms.platform_fee_bps),
        fee_minor(amount_minor, terms.processing_fee_bps),
    )


class ChannelTerms(Struct, frozen=True):
    """A channel with its terms and what they mean for one pledge."""

    channel: Channel
    terms: Terms
    example: Example


async def _channels(site: Site) -> list[ChannelTerms]:
    channels = await site.platform.stores.channels.all()
    return [
        ChannelTerms(
            channel,
            channel.terms,
            example_of(channel.terms, channel.currencies[0] if channel.currencies else "CNY"),
        )
        for channel in channels
    ]


@route("/help", http_method=READ, include_in_schema=False)
async def show_help(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Where every answer is."""
    return site.page("discover/help.html", await reader(request, site))


@route("/help/charging", http_method=READ, include_in_schema=False)
async def show_charging(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """What is charged, when, and when it comes back."""
    return site.page("discover/charging.html", await reader(request, site), terms=Terms())


@route("/help/fees", http_method=READ, include_in_schema=False)
async def show_fees(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Every channel's fees, with an example that the rules compute."""
    return site.page(
        "discover/fees.html", await reader(request, site), channels=await _channels(site)
    )


@route("/help/checking", http_method=READ, include_in_schema=False)
async def show_checking(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """How anybody checks the books."""
    return site.page("discover/checking.html", await reader(request, site))


@route("/terms", http_method=READ, include_in_schema=False)
async def show_terms(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """The terms of use; a sample for an institution to replace."""
    return site.page("discover/terms.html", await reader(request, site))


@route("/privacy", http_method=READ, include_in_schema=False)
async def show_privacy(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """What is stored of people, why, and how it is erased."""
    return site.page("discover/privacy.html", await reader(request, site))


# --- For machines --------------------------------------------------------------------------------


@route("/robots.txt", http_method=READ, include_in_schema=False)
async def robots(site: NamedDependency[Site]) -> Response[str]:
    """What search engines may read, and where the map is."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in _CLOSED_TO_ROBOTS)]
    lines += ["", f"Sitemap: {site.platform.settings.public_url}/sitemap.xml", ""]
    return Response("\n".join(lines), media_type=MediaType.TEXT)


@route("/sitemap.xml", http_method=READ, include_in_schema=False)
async def sitemap_index(site: NamedDependency[Site]) -> Response[str]:
    """The maps, each of at most 50,000 addresses."""
    await asyncio.to_thread(site.platform.search.ready)
    count = await asyncio.to_thread(site.platform.search.index.count)
    public_url = site.platform.settings.public_url
    maps = [f"{public_url}/sitemaps/{number}" for number in range(max(1, -(-count // PER_MAP)) + 1)]
    parts = "".join(f"<sitemap><loc>{escape(address)}</loc></sitemap>\n" for address in maps)
    return _xml(f'<sitemapindex xmlns="{_NAMESPACE}">\n{parts}</sitemapindex>\n')


@route("/sitemaps/{number:int}", http_method=READ, include_in_schema=False)
async def sitemap(number: FromPath[int], site: NamedDependency[Site]) -> Response[str]:
    """One map: 0 has the pages, the others the campaigns. Raises NotFoundException."""
    paths = list(_PLAIN)
    if number:
        if not 0 < number <= PER_MAP:
            raise NotFoundException
        offset = (number - 1) * PER_MAP
        ids = await asyncio.to_thread(site.platform.search.index.ids_page, offset, PER_MAP)
        if not ids and number > 1:
            raise NotFoundException
        paths = [f"/campaigns/{campaign_id}" for campaign_id in ids]
    public_url = site.platform.settings.public_url
    parts = "".join(f"<url><loc>{escape(public_url + path)}</loc></url>\n" for path in paths)
    return _xml(f'<urlset xmlns="{_NAMESPACE}">\n{parts}</urlset>\n')


_NAMESPACE: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def _xml(text: str) -> Response[str]:
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{text}',
        media_type="application/xml; charset=utf-8",
    )
