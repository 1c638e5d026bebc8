"""What has still to be sent: marked one by one, by ticking, or all that a filter finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from app.stores.rows import new_id
from app.web.creator.access import actor, team_page
from app.web.creator.backers import asked
from app.web.creator.exports import csv_lines
from app.web.creator.reading import (
    Filter,
    backer_lines,
    count_where,
    countries,
    every_pledge,
    pledges_where,
    reward_titles,
    title_of,
    told_rewards,
)
from app.web.language import gettext
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from domain.commands import MarkDelivered
from domain.errors import Rejection
from projections.campaign_pages import CampaignPage
from projections.facts import MAX_NO

SHOWN: Final = 100
MOST_AT_ONCE: Final = 10_000
"""How many pledges one command marks."""

_ADDRESS: Final = (
    *("name", "phone", "country", "province", "city", "district", "street", "postal_code"),
)


def _to_send(request: PageRequest) -> Filter:
    return msgspec.structs.replace(asked(request), state="", delivery="to_send")


@get("/desk/{campaign_id:str}/deliveries", include_in_schema=False)
async def show_deliveries(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The pledges whose rewards wait to be sent, the oldest first, with their addresses."""
    visitor, page = await team_page(site, request, campaign_id)
    return await _page(site, visitor, page, _to_send(request), asked(request))


async def _page(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    wanted: Filter,
    shown: Filter,
    fault: str = "",
) -> Response[Any]:
    platform = site.platform
    rows = await pledges_where(platform, page.campaign_id, wanted, after=0, limit=SHOWN)
    lines = await backer_lines(platform, page, rows)
    nos = [line.row.no for line in lines if line.sends]
    count, _ = await count_where(platform, page.campaign_id, wanted)
    return site.page(
        "creator/deliveries.html",
        visitor,
        status_code=409 if fault else 200,
        page=page,
        title=await title_of(platform, page),
        lines=lines,
        addresses=await platform.stores.addresses.get_many(page.campaign_id, nos),
        titles=await reward_titles(platform, page),
        countries=await countries(platform, page.campaign_id),
        wanted=shown,
        count=count,
        fault=fault,
        place="deliveries",
        section="desk",
    )


@post("/desk/{campaign_id:str}/deliveries", include_in_schema=False)
async def mark_deliveries(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Mark what was ticked as sent, or all that the filter finds."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    wanted = Filter(
        reward=form.get("reward", "")[:64],
        country=form.get("country", "")[:8].upper(),
        name=form.get("name", "")[:80],
        delivery="to_send",
    )
    shown = msgspec.structs.replace(wanted, delivery="")
    nos = await _all_of(site, campaign_id, wanted) if form.get("do") == "all" else _ticked(form)
    if not nos:
        said_why = gettext("Tick what you have sent first.")
        return await _page(site, visitor, page, wanted, shown, said_why)
    position = 0
    for start in range(0, len(nos), MOST_AT_ONCE):
        command = MarkDelivered(
            campaign_id=campaign_id,
            by=actor(visitor),
            command_id=new_id(),
            nos=tuple(nos[start : start + MOST_AT_ONCE]),
        )
        try:
            position = (await site.submit(command)).last_position
        except Rejection as refused:
            return await _page(site, visitor, page, wanted, shown, said(refused))
    return site.redirect(f"/desk/{campaign_id}/deliveries?at_least={position}")


def _ticked(form: Form) -> list[int]:
    longest = len(str(MAX_NO))
    found = {int(no) for no in form.all("no") if no.isdecimal() and len(no) <= longest}
    return sorted(no for no in found if 0 < no <= MAX_NO)


async def _all_of(site: Site, campaign_id: str, wanted: Filter) -> list[int]:
    return [
        row.no async for rows in every_pledge(site.platform, campaign_id, wanted) for row in rows
    ]


@get("/desk/{campaign_id:str}/parcels.csv", include_in_schema=False)
async def export_parcels(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Stream:
    """A line for each parcel to send, as a courier's form wants it."""
    _, page = await team_page(site, request, campaign_id)
    titles = await reward_titles(site.platform, page)
    return Stream(
        _parcels(site, page, _to_send(request), titles),
        media_type="text/csv; charset=utf-8",
        headers={
            "content-disposition": 'attachment; filename="parcels.csv"',
            "cache-control": "no-store",
        },
    )


async def _parcels(
    site: Site, page: CampaignPage, wanted: Filter, titles: dict[str, str]
) -> AsyncIterator[bytes]:
    yield b"\xef\xbb\xbf" + csv_lines([["no", "rewards", "destination", *_ADDRESS]])
    async for rows in every_pledge(site.platform, page.campaign_id, wanted):
        lines = [line for line in await backer_lines(site.platform, page, rows) if line.sends]
        found = await site.platform.stores.addresses.get_many(
            page.campaign_id, [line.row.no for line in lines]
        )
        told = []
        for line in lines:
            a = found.get(line.row.no)
            where = [getattr(a, field) if a else "" for field in _ADDRESS]
            told.append([line.row.no, told_rewards(line, titles), line.row.destination, *where])
        yield csv_lines(told)
