"""A channel's home and a creator's profile: what they carry, and what became of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from litestar import route
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Template
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.search import Wanted
from app.stores.channels import UnknownChannelError
from app.stores.people import UnknownPartyError
from app.web.discover.cards import CardPage, cards_of, pages_of
from app.web.discover.finding import PER_PAGE, READ, find, reader
from app.web.language import OWN_NAMES, known
from app.web.site import PageRequest, Site
from app.web.templating import with_query
from domain.state import Phase
from projections.page_fold import PAGES

MOST_TOLD: Final = 500
"""Campaigns of one creator that the track record adds up; nobody has run more."""

_ENDED_WELL: Final = frozenset((Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED))


class Totals(Struct):
    """What campaigns of one currency come to, in minor units."""

    charged_minor: int = 0
    held_minor: int = 0
    paid_minor: int = 0
    fees_minor: int = 0
    returned_minor: int = 0


class Record(Struct, frozen=True, kw_only=True):
    """A creator's past, from the views only. `sent` and `received` are counts of deliveries: as the
    creator says, and as backers say.
    """

    launched: int
    live: int
    well: int
    missed: int
    called_off: int
    backers: int
    sent: int
    received: int
    totals: dict[str, Totals]


@route("/channels/{channel_id:str}", http_method=READ, include_in_schema=False)
async def show_channel(
    channel_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Template:
    """A channel: its fees in words, what it carries, its totals. Raises NotFoundException."""
    try:
        channel = await site.platform.stores.channels.get(channel_id)
    except UnknownChannelError:
        raise NotFoundException from None
    number = _page_number(request)
    found = await find(
        site.platform,
        Wanted(channel=channel_id, limit=PER_PAGE, offset=(number - 1) * PER_PAGE),
    )
    async with site.platform.views.connect() as connection:
        phases, totals = await _channel_totals(connection, channel_id)
    last = max(1, -(-found.total // PER_PAGE))
    address = f"/channels/{channel_id}"
    return site.page(
        "discover/channel.html",
        await reader(request, site),
        channel=channel,
        terms=channel.terms,
        languages_spoken=[
            OWN_NAMES[tongue] if (tongue := known(code)) else code for code in channel.languages
        ],
        phases=phases,
        totals=totals,
        total=found.total,
        cards=await cards_of(site.platform, found.ids),
        number=number,
        pages=last,
        before=_at_page(address, number - 1) if number > 1 else "",
        after=_at_page(address, number + 1) if number < last else "",
    )


@route("/creators/{party:str}", http_method=READ, include_in_schema=False)
async def show_creator(
    party: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Template:
    """A creator with their track record. Raises NotFoundException for who never launched."""
    platform = site.platform
    found = await find(platform, Wanted(creator=party, order="newest", limit=MOST_TOLD))
    if not found.ids:
        raise NotFoundException
    try:
        person = await platform.stores.people.get(party)
    except UnknownPartyError:
        raise NotFoundException from None
    async with platform.views.connect() as connection:
        pages = await pages_of(connection, found.ids)
    number = _page_number(request)
    last = max(1, -(-len(found.ids) // PER_PAGE))
    shown = found.ids[(number - 1) * PER_PAGE : number * PER_PAGE]
    address = f"/creators/{party}"
    return site.page(
        "discover/creator.html",
        await reader(request, site),
        name=person.display_name,
        record=record_of(pages),
        cards=await cards_of(platform, shown),
        number=number,
        pages=last,
        before=_at_page(address, number - 1) if number > 1 else "",
        after=_at_page(address, number + 1) if number < last else "",
    )


def record_of(pages: Iterable[CardPage]) -> Record:
    """Add a creator's campaigns up, each currency by itself."""
    listed = list(pages)
    phases = Counter(page.phase for page in listed)
    totals: dict[str, Totals] = defaultdict(Totals)
    for page in listed:
        sums = totals[page.currency]
        sums.charged_minor += page.charged_minor
        sums.held_minor += page.held_minor
        sums.paid_minor += page.paid_minor
        sums.fees_minor += page.fees_minor
        sums.returned_minor += page.returned_minor
    return Record(
        launched=len(listed),
        live=phases[Phase.LIVE],
        well=sum(phases[phase] for phase in _ENDED_WELL),
        missed=phases[Phase.FAILED],
        called_off=phases[Phase.CANCELLED],
        backers=sum(page.backers for page in listed),
        sent=sum(page.sent for page in listed),
        received=sum(page.received for page in listed),
        totals=dict(sorted(totals.items())),
    )


async def _channel_totals(
    connection: AsyncConnection, channel_id: str
) -> tuple[dict[str, int], dict[str, Totals]]:
    """How many campaigns are in each phase, and the sums of each currency."""
    names = Totals.__struct_fields__
    rows = await connection.execute(
        select(
            PAGES.c.currency,
            PAGES.c.phase,
            func.count(),
            *(func.sum(PAGES.c[name]) for name in names),
        )
        .where(PAGES.c.channel == channel_id, PAGES.c.launched_at.is_not(None))
        .group_by(PAGES.c.currency, PAGES.c.phase)
    )
    phases: Counter[str] = Counter()
    totals: dict[str, Totals] = defaultdict(Totals)
    for currency, phase, count, *sums in rows:
        phases[phase] += count
        for name, amount_minor in zip(names, sums, strict=True):
            setattr(totals[currency], name, getattr(totals[currency], name) + amount_minor)
    well = sum(phases[phase] for phase in _ENDED_WELL)
    return {
        "live": phases[Phase.LIVE],
        "well": well,
        "missed": phases[Phase.FAILED],
        "called_off": phases[Phase.CANCELLED],
    }, dict(sorted(totals.items()))


def _page_number(request: PageRequest) -> int:
    text = request.query_params.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 6 else 1  # noqa: PLR2004


def _at_page(address: str, number: int) -> str:
    return with_query(address, "", page=number if number > 1 else None)
