"""Rendered pages for visitors without a session, kept until their campaign changes.

A page is found by its address, its language and the minute: what shows the time left is never more
than a minute old, and neither is a text that was taken down. Beside these it is good for as long
as its campaign stands where it stood, which costs no query while the views have not moved.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from litestar import MediaType, Response
from msgspec import Struct
from sqlalchemy import select

from app.web.dates import MINUTE_MS
from app.web.site import PageRequest
from app.wiring import Platform
from projections.campaign_pages import PAGES
from projections.pledges import CAMPAIGNS

MOST_PAGES: Final = 512
"""Pages that are kept; one is some 60 kB."""

NOT_MODIFIED: Final = 304

Key = tuple[str, str, str]
"""The campaign, what is shown of it, and the language."""


class Kept(Struct):
    """A rendered page. `seen` is how far the views had read when it was last found to be good."""

    body: bytes
    etag: str
    minute: int
    position: int
    seen: int


class PageCache:
    """The rendered pages of one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._pages: OrderedDict[Key, Kept] = OrderedDict()

    async def find(self, key: Key) -> Kept | None:
        """The page as it was rendered, if it is what would be rendered now."""
        kept = self._pages.get(key)
        if kept is None or kept.minute != self._minute():
            return None
        seen = self._platform.follower.position
        if kept.seen != seen:
            if await self._position(key[0]) != kept.position:
                return None
            kept.seen = seen
        self._pages.move_to_end(key)
        return kept

    def keep(self, key: Key, body: str, *, position: int, seen: int) -> Kept:
        """Keep a page that was rendered from the views as they were at `seen`."""
        encoded = body.encode()
        etag = f'W/"{hashlib.sha256(encoded).hexdigest()[:24]}"'
        kept = self._pages[key] = Kept(encoded, etag, self._minute(), position, seen)
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return kept

    def forget(self, campaign_id: str) -> None:
        """Drop a campaign's pages: something of them changed that the views do not know."""
        for key in [key for key in self._pages if key[0] == campaign_id]:
            del self._pages[key]

    def _minute(self) -> int:
        return self._platform.clock() // MINUTE_MS

    async def _position(self, campaign_id: str) -> int:
        key = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
        query = select(PAGES.c.position).where(PAGES.c.campaign == key.scalar_subquery())
        async with self._platform.views.connect() as connection:
            return int((await connection.execute(query)).scalar() or 0)


_caches: Final[WeakKeyDictionary[Platform, PageCache]] = WeakKeyDictionary()


def cache_of(platform: Platform) -> PageCache:
    """The cache of a platform; it has one."""
    found = _caches.get(platform)
    if found is None:
        found = _caches[platform] = PageCache(platform)
    return found


async def cached(
    request: PageRequest,
    platform: Platform,
    key: Key,
    render: Callable[[], Awaitable[tuple[str, int]]],
) -> Response[Any]:
    """Answer with a page that anybody may see; `render` makes it and tells its position."""
    cache = cache_of(platform)
    kept = await cache.find(key)
    if kept is None:
        seen = platform.follower.position
        body, position = await render()
        kept = cache.keep(key, body, position=position, seen=seen)
    headers = {
        "cache-control": "no-cache",
        "etag": kept.etag,
        "vary": "cookie, accept-language",
    }
    if kept.etag in request.headers.get("if-none-match", ""):
        return Response(None, status_code=NOT_MODIFIED, headers=headers)
    return Response(kept.body, media_type=MediaType.HTML, headers=headers)
