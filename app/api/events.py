"""The log by API: every stored event as it lies there, byte for byte."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Raw, Struct

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.answers import POSITION_HEADER
from app.api.bodies import NDJSON
from app.wiring import Platform

MAX_EVENTS: Final = 10_000

_encoder = msgspec.json.Encoder()


class EventOut(Struct, frozen=True):
    """An event with its place in the log. `event` is the stored body, untouched (docs/events)."""

    position: int
    event: Raw


class _Place(Struct, frozen=True):
    """What of an event says where it belongs."""

    channel: str = ""


_place: Final = msgspec.json.Decoder(_Place)


@reads(
    "/events",
    "events:read",
    area="Auditors",
    summary="Read the log",
    headers={POSITION_HEADER: "The last position that was looked at: go on after it."},
)
async def read_events(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_EVENTS)] = 100,
) -> Response[bytes]:
    """Read up to `limit` events after a position, in their order.

    A JSON array, or one object a line where the request accepts `application/x-ndjson`. The
    header `Tributary-Position` names the last event's place: go on from there. A key of a channel
    reads that channel's events; positions of others are left out.
    """
    rows = await asyncio.to_thread(platform.log.read, after, limit)
    channel = request.auth.channel
    events = [
        EventOut(row.position, Raw(row.body))
        for row in rows
        if not channel or _place.decode(row.body).channel == channel
    ]
    lines = NDJSON in request.headers.get("accept", "")
    last = rows[-1].position if rows else after
    headers = {POSITION_HEADER: str(last), "vary": "authorization, accept"}
    if len(rows) == limit:
        headers["link"] = f'<{request.url.path}?after={last}&limit={limit}>; rel="next"'
    return Response(
        _encoder.encode_lines(events) if lines else _encoder.encode(events),
        media_type=NDJSON if lines else "application/json",
        headers=headers,
    )
