"""What a connection may cost, held against a server on a real socket."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.web import connections
from app.web.admission import Admission
from app.web.connections import server_limits

HELLO = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
WITHIN_S = 20


class Served:
    """A server whose answers are as long as the address says; `gone` are those that hung up."""

    def __init__(self) -> None:
        self.port = 0
        self.state = ServerState()
        self.gone: asyncio.Queue[int] = asyncio.Queue()
        self.told: list[tuple[str, str]] = []
        self.admission = Admission(told=lambda *said: self.told.append(said))

    async def app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Read the whole body, then answer."""
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.put_nowait(size)
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        wanted = scope["path"].strip("/")
        body = b"x" * (int(wanted) if wanted.isdigit() else size)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to it."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def said(self, *parts: bytes) -> bytes:
        """All that comes back for these parts until the server hangs up."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await writer.drain()
        found = await asyncio.wait_for(_all(reader), WITHIN_S)
        writer.close()
        return found


async def _all(reader: asyncio.StreamReader) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while part := await reader.read(65_536):
            found += part
    return found


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A server that looks at its connections all the time."""
    monkeypatch.setattr(connections, "LOOK_S", 0.01)
    served = Served()
    app: Any = partial(served.app)
    app.state = SimpleNamespace(admission=served.admission)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        port=0,
        lifespan="off",
        log_level="critical",
        ws="none",
        **server_limits(),
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0)
    served.state = server.server_state
    served.port = server.servers[0].sockets[0].getsockname()[1]
    yield served
    server.should_exit = True
    server.force_exit = True
    await asyncio.wait_for(running, WITHIN_S)


async def test_a_request_in_its_time_is_answered(served: Served) -> None:
    """Two on one connection, the second in pieces."""
    reader, writer = await served.open()
    writer.write(HELLO)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    for part in (b"POST / HTTP/1.1\r\ncontent-le", b"ngth: 4\r\n\r\nab", b"cd"):
        writer.write(part)
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: 4" in head
    assert await reader.readexactly(4) == b"xxxx"
    writer.close()


async def test_what_is_too_much_is_turned_away_at_once(served: Served) -> None:
    """A program is told when to come again, with its body unread; the connection stays, and is
    served as soon as there is room. People, who want a page, are not turned away here.
    """
    reader, writer = await served.open()
    pledge = b"POST /api/v1/pledges?x=1 HTTP/1.1\r\ncontent-length: 4\r\n\r\n"
    served.admission.under_way, served.admission.bound = 1, 1
    for part in (pledge, b"ab", b"cd"):
        writer.write(part)
        await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)
    assert head.startswith(b"HTTP/1.1 503")
    assert b"\r\nretry-after: " in head
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    assert b'"engine_busy"' in await reader.readexactly(length)
    assert served.told == [("POST", "/api/v1/pledges?x=1")]
    writer.write(HELLO)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)
    assert head.startswith(b"HTTP/1.1 200")
    served.admission.under_way = 0
    writer.write(pledge + b"abcd")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)
    assert head.startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(4) == b"xxxx"
    assert served.admission.turned_away == 1
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"HEAD /api/v1/x HTTP/1.1\r\nconnection: keep-alive\r\n\r\n",
        b"POST /api/v1/x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n",
        b"GET /api/v1/x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET /api/v1/x HTTP/1.1\r\nconnection: close\r\n\r\n",
    ],
)
async def test_what_is_not_plain_is_turned_away_inside(served: Served, request_: bytes) -> None:
    """Whose answer has another form goes the whole way, where its form is known."""
    served.admission.under_way, served.admission.bound = 1, 1
    reader, writer = await served.open()
    writer.write(request_)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)
    assert not served.told
    assert b" 503 " not in head
    writer.close()


async def test_an_address_has_a_length(served: Served) -> None:
    """A byte more than it may have is 414; within it, it is an address like any other."""
    most = connections.MOST_URL_BYTES
    long = b"GET /?%s HTTP/1.1\r\nconnection: close\r\n\r\n"
    assert (await served.said(long % (b"x" * (most - 2)))).startswith(b"HTTP/1.1 200")
    assert (await served.said(long % (b"x" * (most - 1)))).startswith(b"HTTP/1.1 414")


async def test_a_head_has_a_number_of_headers(served: Served) -> None:
    """A hundred are taken, one more is not."""

    def request(count: int) -> bytes:
        lines = b"".join(b"x-%d: y\r\n" % number for number in range(count - 1))
        return b"GET / HTTP/1.1\r\nconnection: close\r\n%s\r\n" % lines

    assert (await served.said(request(100))).startswith(b"HTTP/1.1 200")
    refused = await served.said(request(101))
    assert refused.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in refused


async def test_a_head_that_never_ends_is_cut_off(served: Served) -> None:
    """Header upon header: the memory that it takes is bounded, not its patience alone."""
    reader, writer = await served.open()
    writer.write(b"GET / HTTP/1.1\r\n")
    sent = 0
    with suppress(ConnectionError):
        while sent < 100 * connections.MOST_HEAD_BYTES:
            writer.write(b"x-more: %s\r\n" % (b"y" * 1_000))
            sent += 1_000
            await asyncio.wait_for(writer.drain(), WITHIN_S)
    assert sent < 100 * connections.MOST_HEAD_BYTES
    with suppress(ConnectionError):
        assert (await reader.read(12)) in (b"", b"HTTP/1.1 431")
    writer.close()


async def test_nonsense_is_told_so(served: Served) -> None:
    """What is no HTTP is 400, as problem details."""
    refused = await served.said(b"\x16\x03\x01 what is this\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in refused


async def test_who_says_nothing_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without a byte ends without one."""
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    assert await served.said() == b""


async def test_a_head_has_its_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that stops half-way is 408, also on a connection that was answered before."""
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    assert (await served.said(b"GET / HT")).startswith(b"HTTP/1.1 408")
    again = await served.said(HELLO, b"GET /x")
    assert again.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in again


async def test_a_body_has_its_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stops half-way is 408, and whoever reads it is told that nobody is there."""
    monkeypatch.setattr(connections, "BODY_S", 0.05)
    monkeypatch.setattr(connections, "BYTES_A_SECOND", 10**9)
    for head in (b"content-length: 10", b"transfer-encoding: chunked"):
        part = b"abc" if b"length" in head else b"3\r\nabc\r\n"
        refused = await served.said(b"POST / HTTP/1.1\r\n%s\r\n\r\n%s" % (head, part))
        assert refused.startswith(b"HTTP/1.1 408")
        assert await asyncio.wait_for(served.gone.get(), WITHIN_S) == 3


async def test_a_slow_line_may_take_longer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes buys time: a body of many bytes is not ended where one of none is."""
    monkeypatch.setattr(connections, "BODY_S", 0.0)
    monkeypatch.setattr(connections, "BYTES_A_SECOND", 1)
    reader, writer = await served.open()
    writer.write(b"POST / HTTP/1.1\r\ncontent-length: 90\r\n\r\n" + b"a" * 80)
    await asyncio.sleep(0.1)  # several looks at it
    writer.write(b"a" * 10)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_an_answer_has_to_be_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for much and reads nothing loses the connection, and gets less than it all."""
    monkeypatch.setattr(connections, "READ_S", 0.05)
    reader, writer = await served.open()
    writer.write(b"GET /50000000 HTTP/1.1\r\n\r\n")
    held = served.state.connections
    while not held:  # noqa: ASYNC110 - nor does it tell of connections
        await asyncio.sleep(0)
    async with asyncio.timeout(WITHIN_S):
        while held:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    assert len(await asyncio.wait_for(_all(reader), WITHIN_S)) < 50_000_000
    writer.close()


async def test_connections_are_counted(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of two is told to come again; when one is closed there is room."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    first, second = await served.open(), await served.open()
    for _, writer in (first, second):
        writer.write(HELLO)
    for reader, _ in (first, second):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    refused = await served.said()
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in refused
    for _, writer in (first, second):
        writer.close()
    for _ in range(100):
        answer = await served.said(HELLO.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        if answer.startswith(b"HTTP/1.1 200"):
            return
    raise AssertionError("there is no room again")


def test_a_process_holds_no_more_than_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four files, and never all of them."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    assert connections.most_connections() == 768
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**6, 10**6))
    assert connections.most_connections() == connections.MOST_CONNECTIONS
