"""The names list of a campaign: who wants to be seen, by the name that each pledge says.

It holds no amounts and no times, and nothing can be read from when a name appears: a day's list is
that of midnight UTC, in alphabetical order, and there is none before it has five names. What is
hidden now, or forgotten, is gone at once, whatever the list said at midnight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from sqlalchemy import select

from app.log import decode_row
from app.web.backer.destinations import alphabetical
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.wiring import Platform
from domain import events as e
from domain.terms import DAY_MS
from projections.backer_ledger import PledgeLine
from projections.facts import MAX_NO, pledge_key
from projections.pledges import CAMPAIGNS, PLEDGES, PledgeRow

FEWEST: Final = 5
"""From how many names on there is a list."""

PAGE: Final = 500
_ROWS: Final = 5_000
_TOLD: Final = frozenset(
    e.TAGS[kind]
    for kind in (
        e.PledgeMade,
        e.PledgeRevised,
        e.PledgeWithdrawn,
        e.PledgeDropped,
        e.PledgeReleased,
    )
)
_DAYS_KEPT: Final = 64
"""How many campaigns' midnights are remembered in memory."""

_midnights: WeakKeyDictionary[Platform, dict[tuple[str, int], frozenset[str]]] = WeakKeyDictionary()


class NamesList(Struct, frozen=True):
    """The names of a day that began at `day_at` (ms UTC); empty while there are too few."""

    day_at: int
    names: tuple[str, ...]


class Shown(Struct, frozen=True):
    """A pledge that wants to be seen, and in which of the two ways."""

    pledge_id: str
    backer: str
    visibility: str


async def names_list(platform: Platform, campaign_id: str) -> NamesList:
    """The names that a campaign shows today, in their order."""
    day_at = platform.clock() // DAY_MS * DAY_MS
    then = await _at_midnight(platform, campaign_id, day_at)
    now = [one for one in await _shown_now(platform, campaign_id) if one.pledge_id in then]
    named = await names_of(platform, now)
    people = {(one.backer, named[one.pledge_id]) for one in now if one.pledge_id in named}
    names = sorted((name for _, name in people), key=alphabetical)
    return NamesList(day_at, tuple(names) if len(names) >= FEWEST else ())


async def names_of(
    platform: Platform, pledges: Iterable[Shown | PledgeLine | PledgeRow]
) -> dict[str, str]:
    """The name of each pledge that shows one, by the pledge's id: for exports and feeds.

    What its backer wrote for this pledge; else, as pledges that came by API say no name, that of
    their account.
    """
    shown = [one for one in pledges if one.visibility != "hidden"]
    stores = platform.stores
    found = await stores.shown_names.of(one.pledge_id for one in shown)
    rest = [one for one in shown if one.pledge_id not in found]
    names = await stores.people.names(one.backer for one in rest if one.visibility == "name")
    pens = await stores.accounts.of_parties(
        {one.backer for one in rest if one.visibility == "pen_name"}
    )
    for one in rest:
        # Each by its own choice: who signs one pledge with their name may sign another otherwise.
        if one.visibility == "name":
            found[one.pledge_id] = names.get(one.backer, "")
        elif one.backer in pens:
            found[one.pledge_id] = pens[one.backer].pen_name
    return {pledge_id: name for pledge_id, name in found.items() if name}


async def _shown_now(platform: Platform, campaign_id: str) -> list[Shown]:
    """The pledges that want to be seen at this moment."""
    campaigns, pledges = CAMPAIGNS.table.c, PLEDGES.table.c
    known = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
    async with platform.views.connect() as connection:
        campaign = (await connection.execute(known)).scalar()
        if campaign is None:
            return []
        of_campaign = pledges.key.between(pledge_key(campaign, 0), pledge_key(campaign, MAX_NO))
        query = select(pledges.pledge_id, pledges.backer, pledges.visibility)
        wanted = query.where(of_campaign, pledges.visibility != "hidden")
        return [Shown(*row) for row in await connection.execute(wanted)]


async def _at_midnight(platform: Platform, campaign_id: str, day_at: int) -> frozenset[str]:
    """The ids of the pledges that stood and wanted to be seen when the day began."""
    known = _midnights.setdefault(platform, {})
    found = known.get((campaign_id, day_at))
    if found is None:
        found = await asyncio.to_thread(_shown_before, platform, campaign_id, day_at)
        while len(known) >= _DAYS_KEPT:
            known.pop(next(iter(known)))
        known[campaign_id, day_at] = found
    return found


def _shown_before(platform: Platform, campaign_id: str, before_at: int) -> frozenset[str]:
    """The same, from the campaign's own events."""
    shown: dict[int, tuple[str, bool]] = {}
    version = 0
    while rows := platform.log.read_stream(f"campaign:{campaign_id}", version, _ROWS):
        for row in rows:
            if row.at >= before_at:
                return _seen(shown)
            if row.tag not in _TOLD:
                continue
            match decode_row(row):
                case e.PledgeMade() as made:
                    shown[made.no] = (made.pledge_id, made.visibility != "hidden")
                case e.PledgeRevised() as revised:
                    shown[revised.no] = (shown[revised.no][0], revised.visibility != "hidden")
                case e.PledgeWithdrawn() | e.PledgeDropped() | e.PledgeReleased() as left:
                    shown.pop(left.no, None)
                case _:
                    pass
        version = rows[-1].version
    return _seen(shown)


def _seen(shown: dict[int, tuple[str, bool]]) -> frozenset[str]:
    return frozenset(pledge_id for pledge_id, seen in shown.values() if seen)


@get("/campaigns/{campaign_id:str}/backers", include_in_schema=False)
async def show_names(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    page: Annotated[int, QueryParameter(ge=1, le=100_000)] = 1,
) -> Response[Any]:
    """The names list, some hundred at a time."""
    visitor = await site.visitor(request)
    campaign = await site.campaign(campaign_id)
    known = await site.platform.stores.content.get_many({campaign.text} - {""})
    found = await names_list(site.platform, campaign_id)
    first = (page - 1) * PAGE
    here = f"/campaigns/{campaign_id}/backers"
    return site.page(
        "backer/names.html",
        visitor if visitor.party else None,
        page=campaign,
        title=in_language(known.get(campaign.text, {}), "title"),
        listed=found,
        names=found.names[first : first + PAGE],
        fewest=FEWEST,
        before=f"{here}?page={page - 1}" if page > 1 else "",
        after=f"{here}?page={page + 1}" if len(found.names) > first + PAGE else "",
    )
