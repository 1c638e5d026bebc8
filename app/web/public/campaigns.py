"""A campaign's public page, now and as it was."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.api.problems import Refused
from app.stores.rows import new_id
from app.web import dates, language
from app.web.backer.destinations import place_name
from app.web.public.campaign_view import named_in
from app.web.public.page_cache import cache_of, cached
from app.web.public.past import Moment, Past
from app.web.public.whole import (
    Reader,
    Then,
    WholePage,
    reader_of,
    surroundings_of,
    whole_page,
)
from app.web.site import PageRequest, RoleNeededError, SignInNeededError, Site
from app.web.visitors import Visitor
from app.wiring import Platform
from domain.errors import CampaignUnknown
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage

AtLeast = Annotated[int, QueryParameter(ge=0, le=2**62)]
OnDay = Annotated[str, QueryParameter(max_length=32)]

_pasts: Final[WeakKeyDictionary[Platform, Past]] = WeakKeyDictionary()


def past_of(platform: Platform) -> Past:
    """The past of a platform's campaigns; it has one."""
    found = _pasts.get(platform)
    if found is None:
        found = _pasts[platform] = Past(platform.log)
    return found


@get("/campaigns/{campaign_id:str}", include_in_schema=False)
async def show_campaign(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
    at: OnDay = "",
    day: Annotated[int | None, QueryParameter(ge=0, le=100_000)] = None,
    position: Annotated[int | None, QueryParameter(ge=1, le=2**62)] = None,
) -> Response[Any]:
    """A campaign with its five honest numbers. A backer sees their own strand in the river.

    `at` shows it as it was at the end of that day (UTC), `day` the same counted from the launch,
    `position` when the log had so many events. Raises CampaignUnknown and Refused.
    """
    visitor = await site.visitor(request)
    if at_least:
        await site.campaign(campaign_id, at_least)
    if position is not None:
        return await _at_position(site, visitor, campaign_id, position)
    if at or day is not None:
        page = await site.campaign(campaign_id)
        wanted = _day_of(at) if at else _launch_day(page) + timedelta(days=day or 0)
        return await _at_day(site, request, visitor, page, wanted, exact=bool(at))
    if visitor.party or _has_more(request):
        page = await site.campaign(campaign_id)
        reader = await reader_of(site, page, visitor)
        whole = await whole_page(site, page, reader, visitor=visitor)
        return _answer(site, visitor, whole, reader)

    async def render() -> tuple[str, int]:
        page = await site.campaign(campaign_id)
        around = await cache_of(site.platform).remembered(
            campaign_id, named_in(page), lambda: surroundings_of(site, page)
        )
        whole = await whole_page(site, page, Reader(), around=around)
        return _rendered(site, request, whole), page.position

    key = (campaign_id, "", language.current())
    return await cached(request, site.platform, key, render, at_least)


def _has_more(request: PageRequest) -> bool:
    """Whether the address says more than a page that is kept: the links to languages repeat it."""
    return bool(set(request.query_params) - {"at", "at_least"})


# --- As it was -----------------------------------------------------------------------------------


def _day_of(text: str) -> date:
    """Read a day. Raises Refused."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused("request_invalid") from None


def _launch_day(page: CampaignPage) -> date:
    assert page.launched_at is not None, "a public campaign was launched"
    return dates.moment(page.launched_at).date()


async def _at_day(
    site: Site,
    request: PageRequest,
    visitor: Visitor,
    page: CampaignPage,
    wanted: date,
    *,
    exact: bool,
) -> Response[Any]:
    """The page at the end of a day. What is not past is the page as it is."""
    address = f"/campaigns/{page.campaign_id}"
    first, today = _launch_day(page), dates.moment(site.platform.clock()).date()
    if wanted >= today:
        return site.redirect(address)
    if wanted < first or not exact:
        return site.redirect(f"{address}?at={max(wanted, first).isoformat()}")
    iso = wanted.isoformat()

    async def moment() -> Moment:
        found = await past_of(site.platform).at_day(page.campaign_id, iso, today=today.isoformat())
        if found is None:
            raise CampaignUnknown
        return found

    def then_of(found: Moment) -> Then:
        before, after = wanted - timedelta(days=1), wanted + timedelta(days=1)
        return Then(
            day=iso,
            at=_end_of(wanted),
            position=found.page.position,
            index=(wanted - first).days,
            last=(today - first).days,
            before=f"{address}?at={before.isoformat()}" if before >= first else "",
            after=f"{address}?at={after.isoformat()}" if after < today else address,
        )

    if visitor.party or _has_more(request):
        found = await moment()
        reader = await reader_of(site, page, visitor)
        return _answer(site, visitor, await _past(site, found, reader, then_of(found)), reader)

    async def render() -> tuple[str, int]:
        found = await moment()
        whole = await _past(site, found, Reader(), then_of(found))
        return _rendered(site, request, whole), page.position

    key = (page.campaign_id, f"at={iso}", language.current())
    return await cached(request, site.platform, key, render)


def _end_of(day: date) -> int:
    """The last millisecond of a day, UTC."""
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(begins.timestamp() * 1000) + DAY_MS - 1


async def _past(site: Site, found: Moment, reader: Reader, then: Then) -> WholePage:
    return await whole_page(site, found.page, reader, payouts=found.payouts, then=then)


async def _at_position(
    site: Site, visitor: Visitor, campaign_id: str, position: int
) -> Response[Any]:
    """The page as it was after an event: for the creator's side, the staff and auditors."""
    page = await site.campaign(campaign_id)
    if not visitor.signed_in:
        raise SignInNeededError
    reader = await reader_of(site, page, visitor)
    if not reader.sees_positions:
        raise RoleNeededError
    if position >= page.position:
        return site.redirect(f"/campaigns/{campaign_id}")
    found = await past_of(site.platform).at_position(campaign_id, position)
    if found is None:
        raise CampaignUnknown
    before, after = await asyncio.to_thread(_around, site.platform, found)
    address = f"/campaigns/{campaign_id}"
    day = dates.moment(found.at).date()
    then = Then(
        day=day.isoformat(),
        at=found.at,
        position=found.page.position,
        index=(day - _launch_day(page)).days,
        last=(dates.moment(site.platform.clock()).date() - _launch_day(page)).days,
        before=f"{address}?position={before}" if before else "",
        after=f"{address}?position={after}" if after else address,
        by_event=True,
    )
    return _answer(site, visitor, await _past(site, found, reader, then), reader)


def _around(platform: Platform, found: Moment) -> tuple[int, int]:
    """The positions of a campaign's events before and after; 0 where there is none to show."""
    stream, version = f"campaign:{found.page.campaign_id}", found.version
    earlier = platform.log.read_stream(stream, version - 2, 1)
    later = platform.log.read_stream(stream, version, 1)
    launched = found.page.launched_at or 0
    before = earlier[0].position if earlier and earlier[0].at >= launched else 0
    return before, later[0].position if later else 0


# --- Answers -------------------------------------------------------------------------------------


def _context(site: Site, whole: WholePage, reader: Reader) -> dict[str, Any]:
    return {
        "whole": whole,
        "view": whole.view,
        "page": whole.view.page,
        "reader": reader,
        "public_url": site.platform.settings.public_url,
        "section": "discover",
        "place_name": place_name,
        "new_ids": [new_id() for _ in whole.view.needs],
    }


def _rendered(site: Site, request: PageRequest, whole: WholePage) -> str:
    return site.render(
        "public/campaign.html",
        request=request,
        visitor=None,
        **_context(site, whole, Reader()),
    )


def _answer(site: Site, visitor: Visitor, whole: WholePage, reader: Reader) -> Response[Any]:
    return site.page(
        "public/campaign.html",
        visitor if visitor.party else None,
        **_context(site, whole, reader),
    )
