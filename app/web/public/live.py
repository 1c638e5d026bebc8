"""Numbers that move while somebody looks: server-sent events, one watch for all who look.

However many look at a campaign, its row is read once for each time that it changed. A stream ends
after some minutes, and the browser opens the next one; when the server is told to stop, all end at
once. Beyond a bounded number of streams a page just stays still, as it does without JavaScript.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from app.api.problems import Refused
from app.web.public.numbers import numbers_of
from app.web.site import PageRequest, Site
from app.wiring import Platform
from projections.campaign_pages import CampaignPage, get_page

MOST_STREAMS: Final = 2_000
"""Streams that a process holds open at once."""

MOST_OF_AN_ADDRESS: Final = 32
"""Streams that one network address may hold open: a household or a small office."""

LIFETIME_S: Final = 240.0
"""How long a stream lasts before the browser has to ask anew."""

HEARTBEAT_S: Final = 20.0
"""How often something is sent where nothing happens, so that proxies keep the line."""

STILL_S: Final = 0.5
"""The shortest time between two readings of a campaign."""

LOOK_S: Final = 1.0
"""How often a watch looks whether the server is to stop."""

RETRY_MS: Final = 3_000

_encoder: Final = msgspec.json.Encoder()
_logger: Final = logging.getLogger(__name__)


class Watch:
    """One campaign that somebody looks at: its newest page, and who waits for the next."""

    def __init__(self, page: CampaignPage) -> None:
        self.page = page
        self.lookers = 0
        self.moved = asyncio.Condition()
        self.task: asyncio.Task[None] | None = None

    async def wait(self, known: int) -> None:
        """Wait for a page that is not the known one, and not for long."""
        async with self.moved:
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self.moved.wait_for(lambda: self.page.position != known), LOOK_S
                )


class Watches:
    """The campaigns of one platform that somebody looks at now."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._watches: dict[str, Watch] = {}
        self.streams = 0
        self._of_address: Counter[str] = Counter()

    @property
    def ending(self) -> bool:
        """Whether the server is to stop: no stream goes on."""
        return self._platform.stopping

    def require_room(self, address: str) -> None:
        """Raise Refused where no further stream may be opened, or none from this address."""
        if self.streams >= MOST_STREAMS or self.ending:
            raise Refused("engine_busy")
        if self._of_address[address] >= MOST_OF_AN_ADDRESS:
            raise Refused("rate_limited")

    async def numbers(self, page: CampaignPage, address: str = "") -> AsyncGenerator[bytes, None]:
        """The events of one stream: the numbers now, and again whenever they changed."""
        watch = self._join(page, address)
        loop = asyncio.get_running_loop()
        end = loop.time() + LIFETIME_S
        heard = loop.time()
        sent = -1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while loop.time() < end and not self.ending:
                if watch.page.position != sent:
                    sent = watch.page.position
                    heard = loop.time()
                    yield _event(sent, _encoder.encode(numbers_of(watch.page)))
                elif loop.time() - heard > HEARTBEAT_S:
                    heard = loop.time()
                    yield b":\n\n"
                await watch.wait(sent)
        finally:
            self._leave(page.campaign_id, watch, address)

    def _join(self, page: CampaignPage, address: str) -> Watch:
        watch = self._watches.get(page.campaign_id)
        if watch is None:
            watch = self._watches[page.campaign_id] = Watch(page)
            watch.task = asyncio.create_task(self._follow(watch))
        watch.lookers += 1
        self.streams += 1
        self._of_address[address] += 1
        return watch

    def _leave(self, campaign_id: str, watch: Watch, address: str) -> None:
        self.streams -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        watch.lookers -= 1
        if not watch.lookers:
            self._watches.pop(campaign_id, None)
            if watch.task is not None:
                watch.task.cancel()

    async def _follow(self, watch: Watch) -> None:
        """Read the campaign again whenever the views have moved."""
        follower, seen = self._platform.follower, 0
        campaign_id = watch.page.campaign_id
        while not self.ending:
            try:
                if await follower.wait_for_async(seen + 1, LOOK_S):
                    seen = follower.position
                    async with self._platform.views.connect() as connection:
                        page = await get_page(connection, campaign_id)
                    if page is not None and page.position != watch.page.position:
                        async with watch.moved:
                            watch.page = page
                            watch.moved.notify_all()
            except Exception:
                _logger.exception("a campaign could not be watched; it is tried again")
            await asyncio.sleep(STILL_S)


_watches: Final[WeakKeyDictionary[Platform, Watches]] = WeakKeyDictionary()


def watches_of(platform: Platform) -> Watches:
    """The watches of a platform; it has one set of them."""
    found = _watches.get(platform)
    if found is None:
        found = _watches[platform] = Watches(platform)
    return found


def _event(position: int, data: bytes) -> bytes:
    return b"id: %d\nevent: numbers\ndata: %s\n\n" % (position, data)


@get("/campaigns/{campaign_id:str}/live", include_in_schema=False)
async def show_live(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The numbers of a campaign as they change. Raises CampaignUnknown and Refused."""
    watches = watches_of(site.platform)
    address = request.client.host if request.client is not None else ""
    watches.require_room(address)
    page = await site.campaign(campaign_id)
    watches.require_room(address)
    return Stream(
        watches.numbers(page, address),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )
