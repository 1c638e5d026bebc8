"""The log by API: every stored event as it lies there, byte for byte."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Raw, Struct

from app.api.access import ApiRequest, needs
from app.api.answers import POSITION_HEADER
from app.wiring import Platform

NDJSON: Final = "application/x-ndjson"
MAX_EVENTS: Final = 10_000

_encoder = msgspec.json.Encoder()


class EventOut(Struct, frozen=True):
    """An event with its place in the log. `event` is the stored body, untouched."""

    position: int
    event: Raw


@get("/events", guards=[needs("events:read")], summary="Read the log")
async def read_events(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_EVENTS)] = 100,
) -> Response[bytes]:
    """Read up to `limit` events after a position, in their order.

    A JSON array, or one object a line where the request accepts `application/x-ndjson`. The
    header `Tributary-Position` names the last event's place: go on from there.
    """
    rows = await asyncio.to_thread(platform.log.read, after, limit)
    events = [EventOut(row.position, Raw(row.body)) for row in rows]
    lines = NDJSON in request.headers.get("accept", "")
    return Response(
        _encoder.encode_lines(events) if lines else _encoder.encode(events),
        media_type=NDJSON if lines else "application/json",
        headers={POSITION_HEADER: str(rows[-1].position if rows else after)},
    )
