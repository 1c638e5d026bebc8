"""Lists in pages: where a page ends is told by an opaque cursor.

A cursor holds the key of the last line shown, never a number of lines, so what comes or goes in
between moves nothing: nobody sees a line twice or misses one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from app.api.access import ApiRequest
from app.api.problems import Refused

MAX_PAGE: Final = 200

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many lines at most.")]
Cursor = Annotated[
    str, QueryParameter(max_length=400, description="Where to go on, as `next` of a page told it.")
]
AtLeast = Annotated[
    int,
    QueryParameter(
        ge=0, le=2**62, description="Wait until the views have read the log up to this position."
    ),
]

Row = TypeVar("Row")
Out = TypeVar("Out")


def cursor_of(name: str, *key: int | str) -> str:
    """The cursor after a line of the list of this name."""
    return base64.urlsafe_b64encode(msgspec.json.encode((name, *key))).decode().rstrip("=")


def key_of(cursor: str, name: str, *kinds: type) -> tuple[Any, ...] | None:
    """The key that a cursor of this list holds; None for the first page. Raises Refused."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found, *key = msgspec.json.decode(raw, type=list[int | str])
    except (ValueError, binascii.Error, msgspec.MsgspecError) as fault:
        raise Refused("request_invalid", "cursor: It is not one of ours.") from fault
    fits = len(key) == len(kinds) and all(map(isinstance, key, kinds))
    if found != name or not fits or any(abs(part) >= 2**62 for part in key if type(part) is int):
        raise Refused("request_invalid", "cursor: It is not one of this list.")
    return tuple(key)


def next_link(request: ApiRequest, cursor: str) -> str:
    """The address of the page that follows."""
    query = [
        (name, value)
        for name, value in parse_qsl(request.url.query, keep_blank_values=True)
        if name not in {"cursor", "at_least"}
    ]
    return f"{request.url.path}?{urlencode([*query, ('cursor', cursor)])}"


def page_of(
    request: ApiRequest, rows: Sequence[Row], limit: int, cursor: Callable[[Row], str]
) -> tuple[Sequence[Row], str | None]:
    """What to show of rows that were read one more than asked for, and where the next page is."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], next_link(request, cursor(rows[limit - 1]))


def listed(out: Out, following: str | None) -> Response[Out]:
    """Answer a page, with the address of the next one in `Link` too (RFC 8288)."""
    headers = {} if following is None else {"link": f'<{following}>; rel="next"'}
    return Response(out, headers=headers)
