"""Idempotency keys: a repeated request finds what the first one did."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from app.api.access import ApiRequest
from app.api.problems import Refused
from app.wiring import Platform

HEADER: Final = "idempotency-key"
LONGEST: Final = 255
PATTERN: Final = r"^[!-~]([ -~]{0,253}[!-~])?$"
"""Printable ASCII, without spaces around it."""

_FITS: Final = re.compile(PATTERN).match

T = TypeVar("T")


def idempotency_key(request: ApiRequest, step: str) -> str | None:
    """The engine's key for one step of this request; None where the header is missing.

    Two owners may use the same word, and one owner may use it at two addresses. Raises Refused.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    if not _FITS(given):
        said = f"An idempotency key has 1 to {LONGEST} printable ASCII characters."
        raise Refused("request_invalid", said)
    return f"{request.auth.owner}\n{request.url.path}\n{step}\n{given}"


async def planned(
    platform: Platform, request: ApiRequest, kind: type[T], build: Callable[[], Awaitable[T]]
) -> T:
    """Build what this request will do, or find what the first one under its key was to do.

    Raises Refused, or KeyReusedError where the body is another.
    """
    key = idempotency_key(request, "plan")
    if key is None:
        return await build()

    async def encoded() -> bytes:
        return msgspec.json.encode(await build())

    plan = await platform.stores.repeats.plan(
        key, await request.body(), encoded, at=platform.clock()
    )
    return msgspec.json.decode(plan, type=kind)
