"""Rendered pages for visitors without a session, kept until their campaign changes.

A page is found by its address, its language and the minute: what shows the time left is never more
than a minute old, and neither is a text that was taken down. Beside these it is good for as long as
its campaign stands where it stood. Where the views move all the time that is asked once in a
quarter of a second for each page, not for each reader: so old a page may be, unless who asks names
a position that it has to show. At most one reader makes a page anew, the others get the one before
or wait for it.

Most readers are answered by `kept_pages`, before any of the framework: with bytes that are written,
compressed and provided with all their headers already. To make a page anew takes the campaign's row
alone: what stands around its numbers (texts, names, questions, the creator's record) is remembered
for the minute, too.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from litestar import Response
from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec import Struct
from sqlalchemy import select

from app.web import language
from app.web.dates import MINUTE_MS
from app.web.security import ENCODED, Pair
from app.web.site import PageRequest
from app.wiring import Platform
from projections.campaign_pages import PAGES
from projections.pledges import CAMPAIGNS

MOST_PAGES: Final = 512
"""Pages that are kept; one is some 60 kB, and 10 kB more once it was sent compressed."""

FRESH_S: Final = 0.25
"""For so long a page is given without a look at its campaign."""

BEARABLE_S: Final = 1.0
"""A page that was good so short a time ago is given while another reader makes it anew."""

GZIP_LEVEL: Final = 6
PREFIX: Final = "/campaigns/"

_HTML: Final[Pair] = (b"content-type", b"text/html; charset=utf-8")
_KEPT: Final[tuple[Pair, ...]] = (
    (b"cache-control", b"no-cache"),
    (b"vary", b"cookie, accept-language, accept-encoding"),
)

T = TypeVar("T")

Key = tuple[str, str, str]
"""The campaign, what is shown of it, and the language."""

Render = Callable[[], Awaitable[tuple[str, int]]]
"""Makes a page, and tells the position of its campaign."""


class Kept(Struct):
    """A rendered page. `seen` is how far the views had read when it was last found to be good, and
    `good_at` when that was, in seconds of the process' own clock.
    """

    body: bytes
    etag: bytes
    headers: tuple[Pair, ...]
    minute: int
    position: int
    seen: int
    good_at: float
    packed: bytes = b""

    def answer(self, scope: HTTPScope, *, packed: bool = True) -> tuple[int, list[Pair], bytes]:
        """The status, headers and body for this request; compressed where it takes that, unless
        somebody else does it.
        """
        packs, known = False, b""
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                packs = packed and b"gzip" in value
            elif name == b"if-none-match":
                known = value
        if self.etag in known:
            return 304, [*self.headers], b""
        body = self.body
        headers = [*self.headers, _HTML]
        if packs:
            # Made once for all readers, and only where one takes it.
            body = self.packed = self.packed or gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", b"%d" % len(body)))
        return 200, headers, body


class PageCache:
    """The rendered pages of one platform. `fresh_s` is for how long one is not looked at again."""

    def __init__(self, platform: Platform, fresh_s: float = FRESH_S) -> None:
        self.fresh_s = fresh_s
        self._platform = platform
        self._pages: OrderedDict[Key, Kept] = OrderedDict()
        self._under_way: dict[Key, asyncio.Future[None]] = {}
        self._around: dict[str, tuple[tuple[int, Hashable], object]] = {}
        self._forgotten = 0

    def fresh(self, key: Key) -> Kept | None:
        """The page, if it may be given without a look at its campaign, or without another one."""
        kept = self._pages.get(key)
        if kept is None or kept.minute != self._minute():
            return None
        if time.monotonic() - kept.good_at >= self.fresh_s:
            if key in self._under_way and self._is_bearable(kept):
                return kept  # somebody makes it anew already
            if self._platform.follower.position != kept.seen:
                return None
            kept.good_at = time.monotonic()
        self._pages.move_to_end(key)
        return kept

    async def find(self, key: Key, render: Render, at_least: int = 0) -> Kept:
        """The page as it is, or was a moment ago; one that shows at least a position if asked so.

        Raises what `render` raises.
        """
        while True:
            kept = self.fresh(key)
            if kept is not None and kept.seen >= at_least:
                return kept
            under_way = self._under_way.get(key)
            if under_way is None:
                break
            await asyncio.wait([under_way])
        done = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._renew(key, render)
        finally:
            del self._under_way[key]
            done.set_result(None)

    async def _renew(self, key: Key, render: Render) -> Kept:
        """Find that the page is still good, or make it anew."""
        seen, now = self._platform.follower.position, time.monotonic()
        minute, forgotten = self._minute(), self._forgotten
        kept = self._pages.get(key)
        if (
            kept is not None
            and kept.minute == minute
            and await self._position(key[0]) == kept.position
        ):
            kept.seen, kept.good_at = seen, now
            return kept
        body, position = await render()
        made = self._kept(key, body.encode(), minute, position)
        made.seen, made.good_at = seen, now
        if forgotten == self._forgotten:
            self._pages[key] = made
            self._pages.move_to_end(key)
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)
        return made

    def _kept(self, key: Key, body: bytes, minute: int, position: int) -> Kept:
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'.encode()
        headers = (
            (b"etag", etag),
            *_KEPT,
            (b"content-language", key[2].encode()),
            *ENCODED,
        )
        return Kept(body, etag, headers, minute, position, 0, 0.0)

    def _is_bearable(self, kept: Kept) -> bool:
        return kept.minute == self._minute() and time.monotonic() - kept.good_at < BEARABLE_S

    async def remembered(
        self, campaign_id: str, named: Hashable, read: Callable[[], Awaitable[T]]
    ) -> T:
        """What was read for a campaign's page, within the same minute and with the same name."""
        known = self._minute(), named
        found = self._around.get(campaign_id)
        if found is not None and found[0] == known:
            return cast("T", found[1])
        forgotten = self._forgotten
        made = await read()
        if len(self._around) >= MOST_PAGES:
            self._around.clear()
        if forgotten == self._forgotten:
            self._around[campaign_id] = known, made
        return made

    def forget(self, campaign_id: str) -> None:
        """Drop a campaign's pages: something of them changed that the views do not know."""
        self._forgotten += 1
        self._around.pop(campaign_id, None)
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


class _KeptResponse(Response[Any]):
    """A kept page as an answer of the framework."""

    def __init__(self, status: int, headers: list[Pair], body: bytes) -> None:
        super().__init__(None, status_code=status)
        self._sent = status, headers, body

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:  # noqa: ANN401 - not needed
        """Return what sends it."""
        found: Any = self
        return found  # type: ignore[no-any-return]  # it is called as one

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        await _send(send, *self._sent)


async def _send(send: Send, status: int, headers: list[Pair], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def cached(
    request: PageRequest, platform: Platform, key: Key, render: Render, at_least: int = 0
) -> Response[Any]:
    """Answer with a page that anybody may see; `render` makes it and tells its position."""
    kept = await cache_of(platform).find(key, render, at_least)
    return _KeptResponse(*kept.answer(request.scope, packed=False))


def kept_pages(app: ASGIApp, platform: Platform, session_cookie: str) -> ASGIApp:
    """The middleware that answers with a kept page at once where anybody may have it.

    Whoever has a session, chooses a language or asks for more than the page goes on to the
    application, as does who comes first.
    """
    cache = cache_of(platform)
    session = session_cookie.encode() + b"="

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == ScopeType.HTTP
            and scope["method"] == "GET"
            and not scope["query_string"]
            and scope["path"].startswith(PREFIX)
            and not any(name == b"cookie" and session in value for name, value in scope["headers"])
        ):
            spoken, _ = language.of_request(scope)
            kept = cache.fresh((scope["path"][len(PREFIX) :], "", spoken))
            if kept is not None:
                await _send(send, *kept.answer(scope))
                return
        await app(scope, receive, send)

    return answer
