"""What is opened of the log, and what the pages show as of one position, for everybody to add up.

They answer anybody, from any origin, without a key: who audits from outside needs nothing else.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, PathParameter
from sqlalchemy import func, select

from app.api.answers import JSON
from app.transparency.openings import Claim, Index, Live, LiveTotals, encode
from app.web.site import PageRequest
from app.wiring import Platform
from projections.page_fold import PAGES
from projections.runner import CHECKPOINTS

KEPT_S: Final = 5.0
"""For so long the lists are given as they were; they are made for all who ask, not for each."""

AGE_S: Final = 365 * 86_400
"""A batch never changes."""

MOST_BATCHES: Final = 2**31

_OPEN: Final = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "vary": "accept-encoding",
}


class _Kept:
    """One answer, compressed, and when it was made; one reader at a time makes it anew."""

    def __init__(self) -> None:
        self._body = b""
        self._made_at = -KEPT_S
        self._making = asyncio.Lock()

    async def given(self, make: Callable[[], Awaitable[Index | Live]]) -> bytes:
        """The answer, of at most a moment ago."""
        async with self._making:
            if time.monotonic() - self._made_at >= KEPT_S:
                value = await make()
                self._body = await asyncio.to_thread(_written, value)
                self._made_at = time.monotonic()
            return self._body


_indexes: Final[WeakKeyDictionary[Platform, _Kept]] = WeakKeyDictionary()
_lives: Final[WeakKeyDictionary[Platform, _Kept]] = WeakKeyDictionary()


def _written(value: Index | Live) -> bytes:
    return gzip.compress(encode(value), 6, mtime=0)


def _answer(request: PageRequest, body: bytes, age: str) -> Response[bytes]:
    """What is kept compressed, sent as the reader takes it."""
    headers = {"content-type": JSON, "cache-control": age, **_OPEN}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(body, headers={**headers, "content-encoding": "gzip"})
    return Response(gzip.decompress(body), headers=headers)


_SOON: Final = f"public, max-age={int(KEPT_S)}"


@get("/log/openings", include_in_schema=False)
async def show_openings(
    request: PageRequest, platform: NamedDependency[Platform]
) -> Response[bytes]:
    """Which campaigns have how many batches of openings."""

    async def make() -> Index:
        return await asyncio.to_thread(platform.openings.index, platform.log.log_id)

    kept = _indexes.setdefault(platform, _Kept())
    return _answer(request, await kept.given(make), _SOON)


@get("/log/openings/{campaign:str}/{batch:int}", include_in_schema=False)
async def show_batch(
    campaign: FromPath[str],
    batch: Annotated[int, PathParameter(ge=1, lt=MOST_BATCHES)],
    request: PageRequest,
    platform: NamedDependency[Platform],
) -> Response[bytes]:
    """One batch, which is never another one. Raises NotFoundException."""
    found = await asyncio.to_thread(platform.openings.batch, campaign, batch)
    if found is None:
        raise NotFoundException
    return _answer(request, found, f"public, max-age={AGE_S}, immutable")


@get("/log/totals", include_in_schema=False)
async def show_totals(request: PageRequest, platform: NamedDependency[Platform]) -> Response[bytes]:
    """What the pages of all launched campaigns show, as of one position of the log."""

    async def make() -> Live:
        return await live_totals(platform)

    kept = _lives.setdefault(platform, _Kept())
    return _answer(request, await kept.given(make), _SOON)


async def live_totals(platform: Platform) -> Live:
    """The numbers of every launched campaign, in one moment of the views."""
    pages = PAGES.c
    log = CHECKPOINTS.c.log == platform.log.log_id
    # One statement sees one moment: the numbers are those of the position beside them.
    stands = select(func.min(CHECKPOINTS.c.position)).where(log).scalar_subquery()
    query = (
        select(stands, pages.campaign_id, pages.phase, pages.position, pages.currency, *_NUMBERS)
        .where(pages.launched_at.is_not(None))
        .order_by(pages.campaign_id)
    )
    async with platform.views.connect() as connection:
        rows = (await connection.execute(query)).all()
    position = rows[0][0] if rows else platform.follower.position
    return Live(position, [_live(*row[1:]) for row in rows])


_NUMBERS: Final = (
    PAGES.c.pledged_minor,
    PAGES.c.pledges,
    PAGES.c.charged_minor,
    PAGES.c.held_minor,
    PAGES.c.paid_minor,
    PAGES.c.returned_minor,
    PAGES.c.fees_minor,
    PAGES.c.owed_minor,
    PAGES.c.written_off_minor,
)
"""In the order of a claim's."""


def _live(campaign: str, phase: str, position: int, currency: str, *numbers: Any) -> LiveTotals:  # noqa: ANN401 - a row's own
    return LiveTotals(campaign, phase, position, currency, Claim(*numbers))


HANDLERS: Final = (show_openings, show_batch, show_totals)
