"""Home and the search over all campaigns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, get_args

from litestar import HttpMethod, route
from litestar.di import NamedDependency
from litestar.response import Template
from msgspec import Struct
from msgspec.structs import asdict

from app.search import ORDERS, STATES, Found, Order, State, Wanted
from app.stores.channels import Channel
from app.web.categories import CATEGORIES, category_options
from app.web.discover.cards import Card, cards_of
from app.web.language import OWN_NAMES, gettext, translatable
from app.web.site import PageRequest, Site
from app.web.templating import with_query
from app.web.visitors import Visitor
from app.wiring import Platform

READ: Final = [HttpMethod.GET, HttpMethod.HEAD]
"""A page answers HEAD as it answers GET; the server leaves the body out."""

PER_PAGE: Final = 24
PER_SHELF: Final = 4
LAST_PAGE: Final = 10_000
_LONGEST: Final = 100

ORDER_NAMES: Final[dict[Order, str]] = {
    "best": translatable("Best match"),
    "featured": translatable("Featured"),
    "ending": translatable("Ending soon"),
    "nearly": translatable("Nearly funded"),
    "newest": translatable("Newly launched"),
    "backed": translatable("Most backed"),
}
STATE_NAMES: Final[dict[State, str]] = {
    "live": translatable("Live"),
    "well": translatable("Ended well"),
    "otherwise": translatable("Ended otherwise"),
}


class Shelf(Struct, frozen=True):
    """A row of campaigns on the home page, and where all of its kind are."""

    name: str
    title: str
    address: str
    cards: list[Card]


async def find(platform: Platform, wanted: Wanted) -> Found:
    """Ask the index, off the loop."""
    await asyncio.to_thread(platform.search.ready)
    return await asyncio.to_thread(platform.search.index.find, wanted)


async def reader(request: PageRequest, site: Site) -> Visitor | None:
    """Who reads, where that changes the page: somebody with a session."""
    visitor = await site.visitor(request)
    return visitor if visitor.party else None


# --- Home ----------------------------------------------------------------------------------------


@route("/", http_method=READ, include_in_schema=False)
async def home(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """What there is to see first, why this is different, and what became of others."""
    platform = site.platform
    await asyncio.to_thread(platform.search.ready)
    shown: set[str] = set()
    shelves = [
        await _shelf(platform, order, shown) for order in ("featured", "ending", "nearly", "newest")
    ]
    past = await _cards(platform, Wanted(order="newest", state="well", limit=PER_SHELF))
    past += await _cards(platform, Wanted(order="newest", state="otherwise", limit=PER_SHELF))
    past.sort(key=lambda card: -card.page.deadline_at)
    counts = await asyncio.to_thread(platform.search.index.counts, by="category")
    soonest = await asyncio.to_thread(
        platform.search.index.find, Wanted(order="ending", limit=PER_SHELF)
    )
    leads = await cards_of(platform, soonest.ids, large=True)
    return site.page(
        "discover/home.html",
        await reader(request, site),
        lead=next((card for card in leads if card.page.pledged_minor), None),
        shelves=[shelf for shelf in shelves if shelf.cards],
        past=past,
        categories=[(slug, name, counts.get(slug, 0)) for slug, name in category_options()],
    )


async def _shelf(platform: Platform, order: Order, shown: set[str]) -> Shelf:
    """The first of an order that stand on no shelf above."""
    wanted = Wanted(order=order, state="live", limit=PER_SHELF * 4)
    found = await asyncio.to_thread(platform.search.index.find, wanted)
    ids = [campaign_id for campaign_id in found.ids if campaign_id not in shown][:PER_SHELF]
    shown.update(ids)
    address = with_query("/discover", "", state="live", sort=order)
    return Shelf(order, gettext(ORDER_NAMES[order]), address, await cards_of(platform, ids))


async def _cards(platform: Platform, wanted: Wanted) -> list[Card]:
    found = await asyncio.to_thread(platform.search.index.find, wanted)
    return await cards_of(platform, found.ids)


# --- Discover ------------------------------------------------------------------------------------


class Asked(Struct, frozen=True, kw_only=True):
    """What the form says. What it cannot mean is passed over: an old link still finds something."""

    q: str = ""
    state: str = ""
    category: str = ""
    channel: str = ""
    language: str = ""
    sort: str = ""
    page: int = 1

    @property
    def narrowed(self) -> bool:
        """Whether anything but the order was asked for."""
        return bool(self.q or self.state or self.category or self.channel or self.language)


def read_asked(query: Mapping[str, str], channels: list[Channel]) -> Asked:
    """Read the address of a search."""

    def one_of(name: str, known: object) -> str:
        value = query.get(name, "")[:_LONGEST]
        return value if value in known else ""  # type: ignore[operator]

    page = query.get("page", "")
    return Asked(
        q=query.get("q", "").replace("\0", " ").strip()[:_LONGEST],
        state=one_of("state", STATES),
        category=one_of("category", CATEGORIES),
        channel=one_of("channel", {channel.id for channel in channels}),
        language=one_of("language", OWN_NAMES),
        sort=one_of("sort", ORDERS),
        page=min(int(page), LAST_PAGE)
        if page.isascii() and page.isdecimal() and page[:6] == page and int(page)
        else 1,
    )


def wanted_of(asked: Asked) -> Wanted:
    """What the index is asked for."""
    order: Order = asked.sort if asked.sort in get_args(Order) else _usual_order(asked)  # type: ignore[assignment]
    return Wanted(
        query=asked.q,
        state=asked.state,  # type: ignore[arg-type]  # one of them, or empty
        category=asked.category,
        channel=asked.channel,
        language=asked.language,
        order=order,
        limit=PER_PAGE,
        offset=(asked.page - 1) * PER_PAGE,
    )


def _usual_order(asked: Asked) -> Order:
    return "best" if asked.q else "featured"


@route("/discover", http_method=READ, include_in_schema=False)
async def discover(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Search: words, filters, an order; a page of results. htmx fetches only the results."""
    platform = site.platform
    channels = await platform.stores.channels.all()
    asked = read_asked(request.query_params, channels)
    wanted = wanted_of(asked)
    found = await find(platform, wanted)
    only_results = request.headers.get("hx-target") == "results"
    address = "/discover"
    kept = {name: value or None for name, value in asdict(asked).items() if name != "page"}

    def at_page(number: int) -> str:
        return with_query(address, "", **kept, page=number if number > 1 else None)

    last = max(1, -(-found.total // PER_PAGE))
    return site.page(
        "discover/results.html" if only_results else "discover/discover.html",
        None if only_results else await reader(request, site),
        headers={"vary": "cookie, accept-language, hx-target"},
        asked=asked,
        order=wanted.order,
        total=found.total,
        cards=await cards_of(platform, found.ids),
        pages=last,
        before=at_page(asked.page - 1) if asked.page > 1 else "",
        after=at_page(asked.page + 1) if asked.page < last else "",
        states=[("", gettext("Any")), *((s, gettext(STATE_NAMES[s])) for s in STATES)],
        categories=[("", gettext("All categories")), *category_options()],
        channels=[("", gettext("All channels")), *((c.id, c.name) for c in channels)],
        tongues=[("", gettext("Any language")), *OWN_NAMES.items()],
        orders=[
            (name, gettext(words))
            for name, words in ORDER_NAMES.items()
            if asked.q or name != "best"
        ],
    )
