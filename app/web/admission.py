"""Backpressure: what could not be answered in time is turned away at once, at little cost.

Every request that is under way costs memory and makes the others wait. Their number is bounded: by
a constant, and below it by how late the event loop is, as that is what every answer waits for.
While the loop is late the bound shrinks by a third each time it is looked at, when it is on time
again the bound grows back by steps (additive increase, multiplicative decrease, as TCP does). How
long a write takes is no sign: a slow store is helped by more writes in one turn, not by fewer.
What comes beyond the bound gets 503 with `Retry-After`, from bytes that are written already: a
small part of the work that an answer is. Nothing has to be reset afterwards.

Health and metrics always pass, and streams, which are counted where they are made
(`app.web.public.live`). A page that is kept is given before this is asked: to give it is cheaper
than to refuse it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.api.access import header_of
from app.api.problems import MEDIA_TYPE, DisconnectedError, Refused, problem_of

MOST_REQUESTS: Final = 512
"""Requests under way at once, in one process: with 0.2 ms for each the last waits for a tenth of a
second. It is far above what a server that keeps up has under way."""

LEAST_REQUESTS: Final = 16
"""The bound never shrinks below this: some have to pass for the loop to be seen on time again."""

LATE_S: Final = 0.1
"""An event loop that is so late has too much to do."""

LOOK_S: Final = 0.05
"""How often the loop is looked at while requests are under way."""

GROWTH: Final = 16
SHRINKAGE: Final = 0.7

MOST_BODY_BYTES: Final = 64 * 2**20
"""What the bodies of all requests under way may hold together, in bytes."""

FREE: Final = ("/health", "/metrics")
"""Addresses that are answered whatever happens."""

WAITS_S: Final = (1, 2, 3)
"""What `Retry-After` says in turn, so that not all come back in the same moment."""

_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Told = Callable[[str, str], None]
"""Told of the method and the address of what was turned away before it was a request."""

Page = Callable[[HTTPScope], bytes]
"""The page that says to people that they should come again in a moment."""


class Admission:
    """How much is under way in this process, and how much may be. `late_s` and `most` are bounds as
    the constants above; `turned_away` counts.
    """

    def __init__(
        self, most: int = MOST_REQUESTS, late_s: float = LATE_S, told: Told | None = None
    ) -> None:
        self.most = most
        self._told = told
        self.late_s = late_s
        self.bound = float(most)
        self.under_way = 0
        self.held_bytes = 0
        self.turned_away = 0
        self._was_late = False
        self._looking = False

    def takes(self, announced: int) -> bool:
        """Whether one more request may come, whose body has so many bytes."""
        return (
            self.under_way < self.bound and self.held_bytes + announced <= MOST_BODY_BYTES
        ) or not self.under_way

    def turn_away(self, method: str, address: str) -> bytes:
        """Count a program's request that was turned away; return the whole answer to it."""
        self.turned_away += 1
        if self._told is not None:
            self._told(method, address)
        return _WHOLE[self.turned_away % len(WAITS_S)]

    def enter(self) -> None:
        """A request is under way."""
        self.under_way += 1
        if not self._looking:
            self._looking = True
            self._look_later(asyncio.get_running_loop())

    def leave(self) -> None:
        """It is answered."""
        self.under_way -= 1

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LOOK_S
        loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.judge(loop.time() - due)
        if self.under_way:
            self._look_later(loop)
        else:
            self._looking = False

    def judge(self, late_s: float) -> None:
        """Move the bound by how late the loop is, in seconds. Late once is no sign of anything."""
        is_late = late_s > self.late_s
        if is_late and self._was_late:
            self.bound = max(LEAST_REQUESTS, self.bound * SHRINKAGE)
        elif not is_late:
            self.bound = min(self.most, self.bound + GROWTH)
        self._was_late = is_late


def admit(app: ASGIApp, admission: Admission, page: Page) -> ASGIApp:
    """The middleware that lets requests in as long as they can be answered."""
    said = _SAID

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or _is_free(scope["path"]):
            await app(scope, receive, send)
            return
        has_body = scope["method"] not in _BODILESS
        length = header_of(scope, b"content-length") if has_body else b""
        announced = int(length) if length.isdigit() else 0
        if not admission.takes(announced):
            admission.turned_away += 1
            for_programs = scope["path"].startswith("/api/")
            await _turn_away(
                send,
                MEDIA_TYPE if for_programs else "text/html; charset=utf-8",
                said if for_programs else page(scope),
                WAITS_S[admission.turned_away % len(WAITS_S)],
            )
            return
        body = _Body(receive, admission) if has_body else None
        admission.enter()
        try:
            await app(scope, receive if body is None else body.receive, send)
        finally:
            admission.leave()
            if body is not None:
                admission.held_bytes -= body.size

    return admitted


_SAID: Final = msgspec.json.encode(problem_of(Refused("engine_busy")))


def _whole(wait_s: int) -> bytes:
    lines = [
        "HTTP/1.1 503 Service Unavailable",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(_SAID)}",
        f"retry-after: {wait_s}",
        "cache-control: no-store",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + _SAID


_WHOLE: Final = tuple(_whole(wait_s) for wait_s in WAITS_S)


def _is_free(path: str) -> bool:
    return path.startswith(FREE) or path.endswith("/live")


async def _turn_away(send: Send, media_type: str, body: bytes, wait_s: int) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 503,
            "headers": [
                (b"content-type", media_type.encode()),
                (b"content-length", b"%d" % len(body)),
                (b"retry-after", b"%d" % wait_s),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Body:
    """Counts what a request's body holds, and tells when whoever sends it is gone."""

    __slots__ = ("_admission", "_receive", "_whole", "size")

    def __init__(self, receive: Receive, admission: Admission) -> None:
        self._receive = receive
        self._admission = admission
        self._whole = False
        self.size = 0

    async def receive(self) -> Any:  # noqa: ANN401 - a message of a request
        """The next part. Raises DisconnectedError, and Refused where all bodies are too much."""
        message: Any = await self._receive()
        if self._whole:
            return message
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        size = len(message.get("body", b""))
        self.size += size
        self._admission.held_bytes += size
        self._whole = not message.get("more_body", False)
        alone = self._admission.held_bytes == self.size
        if self._admission.held_bytes > MOST_BODY_BYTES and not alone:
            raise Refused("engine_busy")
        return message
