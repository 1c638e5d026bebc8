"""What every address of the API does alike: a rate for each key, `ETag`, `HEAD`.

The rate is a token bucket per key, in this process' memory. It is told as the IETF draft
"RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers) says.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.api.access import ApiRequest, header_of
from app.api.problems import MEDIA_TYPE, Refused, problem_of
from app.web.security import with_missing

WINDOW_S: Final = 10
"""So many seconds' worth of requests may come at once."""

LINES_A_REQUEST: Final = 100
"""Lines of a batch that count as one request more."""

MOST_BUCKETS: Final = 10_000

_BUCKET: Final = "api_bucket"
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Bucket:
    """What a key may still ask at this moment; it fills up as time goes by."""

    __slots__ = ("at_s", "level", "rate", "size")

    def __init__(self, rate: int, at_s: float) -> None:
        self.rate = rate
        self.size = rate * WINDOW_S
        self.level = float(self.size)
        self.at_s = at_s

    def take(self, cost: float, at_s: float) -> bool:
        """Take so many requests out of it; False, and nothing taken, where there are fewer.

        More than the bucket ever holds is taken from a full one: it is then empty for longer.
        """
        self.level = min(self.size, self.level + (at_s - self.at_s) * self.rate)
        self.at_s = at_s
        if self.level < min(cost, self.size):
            return False
        self.level -= cost
        return True

    def wait_s(self, cost: float = 1) -> int:
        """In how many whole seconds so much may be asked; at least one."""
        return max(1, math.ceil((min(cost, self.size) - self.level) / self.rate))

    @property
    def headers(self) -> dict[str, str]:
        """How the policy and what is left of it are told."""
        left = max(0, int(self.level))
        full_s = math.ceil((self.size - self.level) / self.rate)
        return {
            "ratelimit-policy": f'"key";q={self.size};w={WINDOW_S}',
            "ratelimit": f'"key";r={left};t={full_s}',
        }


def charge_lines(request: ApiRequest, lines: int) -> None:
    """Count the lines of a batch. Raises Refused before anything of it is done."""
    bucket: Bucket | None = request.scope["state"].get(_BUCKET)
    if bucket is not None and not bucket.take(lines / LINES_A_REQUEST, time.monotonic()):
        raise Refused("rate_limited")


def manners(rate: int) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware, for keys that were checked; a rate of 0 sets no limit."""
    buckets: dict[str, Bucket] = {}
    # A plain function: routers are copied in depth, and a function is not.
    return lambda app: _Manners(app, rate, buckets)


class _Manners:
    def __init__(self, app: ASGIApp, rate: int, buckets: dict[str, Bucket]) -> None:
        self._app = app
        self._rate = rate
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless its key asked too much."""
        asked: Any = scope
        if asked["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        if not self._rate and asked["method"] in _WRITES:
            await self._app(scope, receive, _unlimited(send))
            return
        answer = _Answer(asked, send, self._bucket(asked["auth"].id) if self._rate else None)
        bucket = answer.bucket
        if bucket is not None:
            if not bucket.take(1, time.monotonic()):
                await answer.refuse()
                return
            asked["state"][_BUCKET] = bucket
        await self._app(scope, receive, answer.send)

    def _bucket(self, key_id: str) -> Bucket:
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._forget_full()
            bucket = self._buckets[key_id] = Bucket(self._rate, time.monotonic())
        return bucket

    def _forget_full(self) -> None:
        """Forget whoever asked nothing for so long that their bucket is full again."""
        before_s = time.monotonic() - WINDOW_S
        for key_id in [name for name, one in self._buckets.items() if one.at_s < before_s]:
            del self._buckets[key_id]


_WRITTEN: Final = ((b"cache-control", b"no-store"), (b"vary", b"authorization"))
"""What every answer to a write says."""


def _unlimited(send: Send) -> Send:
    """The shortest way for an answer to a write whose key has no bucket."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = with_missing(message["headers"], _WRITTEN)
        await send(message)

    return send_on


class _Answer:
    """Adds to an answer what every one has; a read gets the mark of its content."""

    def __init__(self, scope: Any, send: Send, bucket: Bucket | None) -> None:  # noqa: ANN401
        self.bucket = bucket
        self._send = send
        self._is_read = scope["method"] in {"GET", "HEAD"}
        self._is_head = scope["method"] == "HEAD"
        self._wanted = header_of(scope, b"if-none-match") if self._is_read else b""
        self._start: Any = None

    async def send(self, message: Message) -> None:
        """Send on, the head of a read only once its body is known."""
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            if self.bucket is not None:
                for name, value in self.bucket.headers.items():
                    headers[name] = value
                if message["status"] == HTTPStatus.TOO_MANY_REQUESTS:
                    # A refusal of its own, such as of a sixth report, may ask to wait for longer.
                    asked_s = int(headers.get("retry-after", "0"))
                    headers["retry-after"] = str(max(self.bucket.wait_s(), asked_s))
            private = "private, no-cache" if self._is_read else "no-store"
            headers.setdefault("cache-control", private)
            headers.setdefault("vary", "authorization")
            if self._is_read:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            message = await self._begin(message)
        await self._send(message)

    async def _begin(self, message: Any) -> Any:  # noqa: ANN401 - a message of a response
        """Send the head that waited, and return the body that follows it."""
        start, self._start = self._start, None
        if start["status"] == HTTPStatus.OK and not message.get("more_body", False):
            headers = MutableScopeHeaders.from_message(start)
            mark = hashlib.blake2b(message["body"], digest_size=12).hexdigest()
            headers.setdefault("etag", f'W/"{mark}"')
            if _matches(self._wanted, headers["etag"]):
                start["status"] = HTTPStatus.NOT_MODIFIED
                del headers["content-length"]
                message = message | {"body": b""}
        if self._is_head:
            message = message | {"body": b""}
        await self._send(start)
        return message

    async def refuse(self) -> None:
        """Answer that too much was asked."""
        problem = problem_of(Refused("rate_limited"))
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
        start: Any = {"type": "http.response.start", "status": problem.status, "headers": headers}
        body: Any = {"type": "http.response.body", "body": msgspec.json.encode(problem)}
        await self.send(start)
        await self.send(body)


def _matches(wanted: bytes, etag: str) -> bool:
    """Compare as `If-None-Match` asks: any of several, weak ones too (RFC 9110, 13.1.2)."""
    named = (mark.strip().removeprefix("W/") for mark in wanted.decode("latin-1").split(","))
    return bool(wanted) and (wanted.strip() == b"*" or etag.removeprefix("W/") in named)
