"""The audit page of the platform, and that of each campaign."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath

from app.web import language
from app.web.audit.books import books_of
from app.web.audit.campaign_books import campaign_books
from app.web.audit.words import RULES, name_of_check, said_of_check
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.wiring import Platform

KEPT_S: Final = 2.0
"""For so long a page is given to everybody without a session: checkpoints come as often."""

MOST_KEPT: Final = 256

Key = tuple[str, str]
"""The campaign (empty for the platform) and the language."""


class BriefCache:
    """Pages that are the same for everybody, for a moment."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self.kept_s = kept_s
        self._pages: OrderedDict[Key, tuple[float, str]] = OrderedDict()

    async def find(self, key: Key, render: Callable[[], Awaitable[str]]) -> str:
        """The page as it is, or was a moment ago. Raises what `render` raises."""
        now = time.monotonic()
        known = self._pages.get(key)
        if known is not None and now - known[0] < self.kept_s:
            return known[1]
        made = await render()
        self._pages[key] = now, made
        self._pages.move_to_end(key)
        while len(self._pages) > MOST_KEPT:
            self._pages.popitem(last=False)
        return made


_caches: Final[WeakKeyDictionary[Platform, BriefCache]] = WeakKeyDictionary()


def brief_cache(platform: Platform) -> BriefCache:
    """The cache of a platform; it has one."""
    found = _caches.get(platform)
    if found is None:
        found = _caches[platform] = BriefCache()
    return found


@get("/audit", include_in_schema=False)
async def show_audit(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """How the books of the whole platform stand."""

    async def context() -> dict[str, Any]:
        return {"books": await books_of(site.platform)}

    return await _answer(site, request, "", "audit/audit.html", context)


@get("/campaigns/{campaign_id:str}/audit", include_in_schema=False)
async def show_campaign_audit(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """How the books of one campaign stand. Raises CampaignUnknown."""

    async def context() -> dict[str, Any]:
        page = await site.campaign(campaign_id)
        books = await books_of(site.platform)
        texts = await site.platform.stores.content.get_many({page.text} - {""})
        return {
            "page": page,
            "title": in_language(texts.get(page.text, {}), "title"),
            "books": books,
            "own": await campaign_books(site.platform, page, books.last),
        }

    return await _answer(site, request, campaign_id, "audit/campaign.html", context)


async def _answer(
    site: Site,
    request: PageRequest,
    campaign_id: str,
    template: str,
    context: Callable[[], Awaitable[dict[str, Any]]],
) -> Response[Any]:
    """The page, from the cache for who has no session and asks for nothing more."""
    visitor = await site.visitor(request)
    around: dict[str, Any] = {
        "section": "audit",
        "public_url": site.platform.settings.public_url,
        "rules": RULES,
        "said_of_check": said_of_check,
        "name_of_check": name_of_check,
    }
    if visitor.party or request.query_params:
        return site.page(template, visitor if visitor.party else None, **around, **await context())

    async def render() -> str:
        return site.render(template, request=request, visitor=None, **around, **await context())

    body = await brief_cache(site.platform).find((campaign_id, language.current()), render)
    headers = {"cache-control": "no-cache", "vary": "cookie, accept-language"}
    return Response(body, media_type=MediaType.HTML, headers=headers)
