"""What a connection may cost before anybody is answered: its head, its time, its number.

uvicorn bounds how long an idle connection is kept, and leaves the rest to a proxy. Without one a
client could hold a connection for ever by saying nothing, or a byte a minute, fill the memory with
a head that never ends, or ask for much and read nothing. One look a second at all connections ends
those; a request costs no timer of its own.

Where an application says that it has too much to do (`app.web.admission`), a program's request is
turned away here, before a task is made of it: at a fifth of what an answer from inside costs, so
that what is under way goes on at its pace.
"""

from __future__ import annotations

import asyncio
import resource
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.web.admission import Admission

HEAD_S: Final = 10.0
"""How long a request's head may take from its first byte, and a new connection to send one."""

BODY_S: Final = 20.0
"""How long a body may take, and for each BYTES_A_SECOND of it a second more."""

BYTES_A_SECOND: Final = 16 * 1024
"""What the slowest line is taken to carry: a picture of 10 MB has eleven minutes."""

READ_S: Final = 30.0
"""How long a client may leave an answer unread that is waiting to be sent."""

KEEP_ALIVE_S: Final = 30
"""How long an idle connection is kept."""

LOOK_S: Final = 1.0

MOST_URL_BYTES: Final = 8 * 1024
MOST_HEADERS: Final = 100
MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a head that is not whole yet; what comes with it in one piece is read."""

_FOR_PROGRAMS: Final = b"/api/"

MOST_CONNECTIONS: Final = 8_192
"""Connections of one process, where the system allows as many files; else three of four files."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own connection, with an end to everything."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._waiting_since: float | None = None
        """Since when it is the client's turn to send; None while it is ours to answer."""
        self._unread_since: float | None = None
        self._in_head = False
        self._came = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        state = getattr(config.app, "state", None)
        self._admission: Admission | None = getattr(state, "admission", None)
        self._turning_away = False

    # --- What comes ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; turn it away where there are too many."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        if len(self.connections) > most_connections():
            self._end(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        _look_after(self.server_state, self.loop)

    def data_received(self, data: bytes) -> None:
        """Some of a request came."""
        self._came += len(data)
        if self._in_head and self._came > MOST_HEAD_BYTES:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._waiting_since = self.loop.time()
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole. Raises ValueError, which the parser tells as its own."""
        self._in_head = False
        if len(self.url) > MOST_URL_BYTES:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
            raise ValueError("the address is too long")
        if len(self.headers) > MOST_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("there are too many headers")
        if self._admission is not None and self._is_too_much(self._admission):
            self._turning_away = True
            return
        super().on_headers_complete()

    def _is_too_much(self, admission: Admission) -> bool:
        """Whether a program's plain request has to come again. Answers go out in the order of
        requests, so one that came before another's answer is not turned away past it.
        """
        if not self.url.startswith(_FOR_PROGRAMS) or self.parser.get_method() == b"HEAD":
            return False
        if self.expect_100_continue or self.parser.get_http_version() != "1.1":
            return False
        if self.parser.should_upgrade() or not self.parser.should_keep_alive():
            return False
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return not admission.takes(int(length) if length.isdigit() else 0)

    def on_body(self, body: bytes) -> None:
        """A part of a body; of one that is turned away nothing is kept."""
        if not self._turning_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: the client waits now."""
        self._came = 0
        if self._turning_away and self._admission is not None:
            self._turning_away = False
            self._waiting_since = None
            method = self.parser.get_method().decode("latin-1")
            self.transport.write(self._admission.turn_away(method, self.url.decode("latin-1")))
            self.on_response_complete()
            return
        self._waiting_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as uvicorn calls it
        """Say what was wrong with the head, and hang up."""
        self._end(self._refusal)

    # --- What is not read ------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._unread_since = None
        super().resume_writing()

    # --- The end ---------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End what took too long."""
        if self._unread_since is not None and now - self._unread_since > READ_S:
            self.transport.abort()
        elif self._waiting_since is not None and now - self._waiting_since > self._patience_s():
            self._end(HTTPStatus.REQUEST_TIMEOUT)

    def _patience_s(self) -> float:
        if self._in_head or self.cycle is None:
            return HEAD_S
        return BODY_S + self._came / BYTES_A_SECOND

    def _end(self, status: HTTPStatus) -> None:
        """Hang up; say why where nothing was said yet, and where somebody said something."""
        self._waiting_since = None
        cycle: RequestResponseCycle | None = (
            self.cycle
        )  # None before the first, whatever uvicorn says
        silent = status is HTTPStatus.REQUEST_TIMEOUT and cycle is None and not self._in_head
        answering = cycle is not None and cycle.response_started and not cycle.response_complete
        if not silent and not answering:
            self.transport.write(_ANSWERS[status])
        self.transport.close()


def _answer(status: HTTPStatus) -> bytes:
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    body = msgspec.json.encode(problem)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        *(["retry-after: 1"] if status is HTTPStatus.SERVICE_UNAVAILABLE else []),
        "connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


_ANSWERS: Final = {
    status: _answer(status)
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}

_looks: Final[WeakKeyDictionary[ServerState, asyncio.TimerHandle]] = WeakKeyDictionary()


def _look_after(state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    """Look at a server's connections once a second, as long as it has any."""
    if state not in _looks:
        _looks[state] = loop.call_later(LOOK_S, _look, state, loop)


def _look(state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    _looks.pop(state, None)
    now = loop.time()
    for connection in list(state.connections):
        if isinstance(connection, BoundedProtocol):
            connection.look(now)
    if state.connections:
        _look_after(state, loop)


def most_connections() -> int:
    """How many connections a process holds: each is a file of the system's."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, max(16, files * 3 // 4))


def server_limits() -> dict[str, Any]:
    """The arguments of `uvicorn.Config` that hold these bounds."""
    return {"http": BoundedProtocol, "timeout_keep_alive": KEEP_ALIVE_S}
