"""Idempotency keys: a repeated request finds what the first one did."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.problems import Refused
from app.wiring import Platform

HEADER: Final = "idempotency-key"
_HEADER: Final = HEADER.encode()
LONGEST: Final = 255
PATTERN: Final = r"^[!-~]([ -~]{0,253}[!-~])?$"
"""Printable ASCII, without spaces around it."""

_FITS: Final = re.compile(PATTERN).match

T = TypeVar("T")


class Planned(Struct, frozen=True):
    """The id and time (ms UTC) of something that is to be done."""

    id: str
    at: int


def idempotency_key(request: ApiRequest, step: str) -> str | None:
    """The engine's key for one step of this request; None where the header is missing.

    Two owners may use the same word, and one owner may use it at two addresses. Raises Refused.
    """
    given = _given(request)
    if given is None:
        return None
    if not _FITS(given):
        said = f"An idempotency key has 1 to {LONGEST} printable ASCII characters."
        raise Refused("request_invalid", said)
    return f"{request.auth.owner}\n{request.url.path}\n{step}\n{given}"


def _given(request: ApiRequest) -> str | None:
    for name, value in request.scope["headers"]:
        if name == _HEADER:
            return value.decode("latin-1")
    return None


async def planned(
    platform: Platform, request: ApiRequest, kind: type[T], build: Callable[[], Awaitable[T]]
) -> T:
    """Build what this request will do, or find what the first one under its key was to do.

    Of several that come at the same moment one builds. Raises Refused, or KeyReusedError where the
    body is another.
    """
    key = idempotency_key(request, "plan")
    if key is None:
        return await build()
    async with platform.stores.repeats.alone(key):
        return await _plan(platform, request, key, kind, build)


async def carried_out(
    platform: Platform,
    request: ApiRequest,
    plan: T,
    act: Callable[[T], Awaitable[None]],
) -> T:
    """Carry a plan out, once for all requests under this one's key, and return what was planned.

    `plan` has every id and time that `act` needs. `act` has to bear being done again under the
    same plan: it is, where the process ended before its end was noted. Where it raises nothing is
    noted, and a repetition tries again. Raises Refused, or KeyReusedError where the body is
    another.
    """
    key, done = idempotency_key(request, "plan"), idempotency_key(request, "done")
    if key is None or done is None:
        await act(plan)
        return plan

    async def build() -> T:
        return plan

    repeats = platform.stores.repeats
    async with repeats.alone(key):
        kept = await _plan(platform, request, key, type(plan), build)
        if not await repeats.knows(done):
            await act(kept)
            await repeats.plan(done, b"", _nothing, at=platform.clock())
    return kept


async def _nothing() -> bytes:
    return b""


async def _plan(
    platform: Platform,
    request: ApiRequest,
    key: str,
    kind: type[T],
    build: Callable[[], Awaitable[T]],
) -> T:
    async def encoded() -> bytes:
        return msgspec.json.encode(await build())

    plan = await platform.stores.repeats.plan(
        key, await request.body(), encoded, at=platform.clock()
    )
    return msgspec.json.decode(plan, type=kind)
