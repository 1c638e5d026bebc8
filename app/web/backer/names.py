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

from app.api.reading import told
from app.log import decode_row
from app.web.backer.destinations import alphabetical
from app.web.site import PageRequest, Site
from app.wiring import Platform
from domain import events as e
from domain.terms import DAY_MS
from projections.backer_ledger import PledgeLine
from projections.facts import MAX_NO, pledge_key
from projections.pledges import CAMPAIGNS, PLEDGES

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

_midnights: WeakKeyDictionary[Platform, dict[tuple[str, int], dict[str, str]]] = WeakKeyDictionary()


class NamesList(Struct, frozen=True):
    """The names of a day that began at `day_at` (ms UTC); empty while there are too few."""

    day_at: int
    names: tuple[str, ...]


async def names_list(platform: Platform, campaign_id: str) -> NamesList:
    """The names that a campaign shows today, in their order."""
    day_at = platform.clock() // DAY_MS * DAY_MS
    then = await _at_midnight(platform, campaign_id, day_at)
    now = await _shown_now(platform, campaign_id)
    both = {pledge_id: backer for pledge_id, backer in then.items() if pledge_id in now}
    written = await platform.stores.shown_names.of(both)
    people = {(both[pledge_id], name) for pledge_id, name in written.items()}
    names = sorted((name for _, name in people), key=alphabetical)
    return NamesList(day_at, tuple(names) if len(names) >= FEWEST else ())


async def names_of(platform: Platform, lines: Iterable[PledgeLine]) -> dict[str, str]:
    """The name of each pledge that shows one, by the pledge's id: for exports and feeds."""
    shown = [line.pledge_id for line in lines if line.visibility != "hidden"]
    return await platform.stores.shown_names.of(shown)


async def _shown_now(platform: Platform, campaign_id: str) -> set[str]:
    """The pledges that want to be seen at this moment."""
    campaigns, pledges = CAMPAIGNS.table.c, PLEDGES.table.c
    known = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
    async with platform.views.connect() as connection:
        campaign = (await connection.execute(known)).scalar()
        if campaign is None:
            return set()
        of_campaign = pledges.key.between(pledge_key(campaign, 0), pledge_key(campaign, MAX_NO))
        query = select(pledges.pledge_id).where(of_campaign, pledges.visibility != "hidden")
        return set((await connection.execute(query)).scalars())


async def _at_midnight(platform: Platform, campaign_id: str, day_at: int) -> dict[str, str]:
    """(pledge id: backer) of the pledges that stood and wanted to be seen when the day began."""
    known = _midnights.setdefault(platform, {})
    found = known.get((campaign_id, day_at))
    if found is None:
        found = await asyncio.to_thread(_shown_before, platform, campaign_id, day_at)
        while len(known) >= _DAYS_KEPT:
            known.pop(next(iter(known)))
        known[campaign_id, day_at] = found
    return found


def _shown_before(platform: Platform, campaign_id: str, before_at: int) -> dict[str, str]:
    """The same, from the campaign's own events."""
    shown: dict[int, tuple[str, str, bool]] = {}
    version = 0
    while rows := platform.log.read_stream(f"campaign:{campaign_id}", version, _ROWS):
        for row in rows:
            if row.at >= before_at:
                return {pledge_id: backer for pledge_id, backer, seen in shown.values() if seen}
            if row.tag not in _TOLD:
                continue
            match decode_row(row):
                case e.PledgeMade() as made:
                    seen = made.visibility != "hidden"
                    shown[made.no] = (made.pledge_id, made.backer, seen)
                case e.PledgeRevised() as revised:
                    pledge_id, backer, _ = shown[revised.no]
                    shown[revised.no] = (pledge_id, backer, revised.visibility != "hidden")
                case e.PledgeWithdrawn() | e.PledgeDropped() | e.PledgeReleased() as left:
                    shown.pop(left.no, None)
                case _:
                    pass
        version = rows[-1].version
    return {pledge_id: backer for pledge_id, backer, seen in shown.values() if seen}


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
        title=told(known, campaign.text, "title"),
        listed=found,
        names=found.names[first : first + PAGE],
        fewest=FEWEST,
        before=f"{here}?page={page - 1}" if page > 1 else "",
        after=f"{here}?page={page + 1}" if len(found.names) > first + PAGE else "",
    )
