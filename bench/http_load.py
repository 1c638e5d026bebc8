"""A load generator that leaves the cores to the server: prepared bytes over kept connections.

It reads of an answer its status and its length, nothing else. `closed` asks as fast as answers
come, so that the server is never idle; `paced` asks at a rate, whatever the server does, and counts
an answer's time from when its request was due: a server that stalls is not spared the queue.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, cast

from msgspec import Struct

TICK_S: Final = 0.002
"""How often a paced load looks which requests are due."""
BAD: Final = 300
"""An answer below it is one to a request that was done."""
_LENGTH: Final = b"content-length: "
_CLOCK_TICKS: Final = 100
"""Units of /proc/PID/stat in a second, as Linux has them everywhere."""

Make = Callable[[], bytes]
"""The bytes of the next request."""


class Told(Struct, frozen=True):
    """What a load came to. Times in ms, of what was done (2xx); `statuses` counts answers, `done`
    those with 2xx, `bytes` what all held.

    `server_us` is the CPU that the server's processes spent for each answer, in microseconds;
    `client_us` that of this one.
    """

    seconds: float
    answers: int
    done: int
    rate: float
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    worst_ms: float
    server_us: float
    client_us: float
    bytes: int


class _Connection(asyncio.Protocol):
    """One kept connection with one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._left = 0
        self._head = b""
        self._status = 0
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def ask(self, request: bytes, due: float) -> None:
        """Send a request; its time counts from `due`."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._left:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            self._status = int(data[9:12])
            start = data.find(_LENGTH, 0, end)
            length = int(data[start + len(_LENGTH) : data.find(b"\r", start)]) if start > 0 else 0
            self._left = end + 4 + length
        self._load.bytes += len(data)
        self._left -= len(data)
        if not self._left:
            self._load.answered(self, self._status)

    def connection_lost(self, _: Exception | None) -> None:
        self._load.lost(self)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


class Load:
    """Connections to one server, and what they measure. `pids` are the server's processes."""

    def __init__(self, port: int, make: Make, pids: Sequence[int] = ()) -> None:
        self._port = port
        self._make = make
        self._pids = pids
        self._connections: list[_Connection] = []
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._closed_loop = False
        self._over = True
        self._next: asyncio.Future[None] | None = None
        self._times: list[float] = []
        self._statuses: Counter[int] = Counter()
        self.bytes = 0
        self.lost_connections = 0

    async def closed(self, connections: int, seconds: float, warm_up: float = 0.0) -> Told:
        """Ask again as soon as an answer is there, on so many connections."""
        await self._connect(connections)
        self._closed_loop, self._over = True, False
        for connection in self._connections:
            connection.ask(self._make(), time.monotonic())
        self._idle.clear()
        await asyncio.sleep(warm_up)
        return await self._measured(seconds)

    async def paced(
        self, connections: int, rate: float, seconds: float, warm_up: float = 0.0
    ) -> Told:
        """Ask so many times a second; what finds no idle connection waits, and its time counts."""
        await self._connect(connections)
        self._closed_loop, self._over = False, False
        pacing = asyncio.create_task(self._pace(rate))
        await asyncio.sleep(warm_up)
        try:
            return await self._measured(seconds)
        finally:
            pacing.cancel()

    async def each(self, requests: Sequence[bytes]) -> None:
        """Ask each once, one after the other."""
        await self._connect(1)
        self._over = False
        for request in requests:
            self._next = asyncio.get_running_loop().create_future()
            self._connections[0].ask(request, time.monotonic())
            await self._next
        self._next = None
        self._over = True
        self._connections.pop().close()

    async def _pace(self, rate: float) -> None:
        began, asked = time.monotonic(), 0
        while not self._over:
            wanted = int((time.monotonic() - began) * rate)
            while asked < wanted:
                asked += 1
                due = began + asked / rate
                if self._idle:
                    self._idle.popleft().ask(self._make(), due)
                else:
                    self._due.append(due)
            await asyncio.sleep(TICK_S)

    async def _measured(self, seconds: float) -> Told:
        self._times.clear()
        self._statuses.clear()
        self.bytes = 0
        cpu, own = cpu_seconds(self._pids), time.process_time()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        spent, own = cpu_seconds(self._pids) - cpu, time.process_time() - own
        self._over = True
        times = sorted(self._times)
        count = self._statuses.total()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        return Told(
            seconds=round(took, 2),
            answers=count,
            done=len(times),
            rate=round(len(times) / took, 1),
            statuses=dict(sorted(self._statuses.items())),
            p50_ms=_quantile(times, 0.5),
            p99_ms=_quantile(times, 0.99),
            worst_ms=_quantile(times, 1.0),
            server_us=round(spent / max(1, count) * 1e6, 1),
            client_us=round(own / max(1, count) * 1e6, 1),
            bytes=self.bytes,
        )

    async def _connect(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
            self._connections.append(connection)
        self._idle = deque(self._connections)

    def answered(self, connection: _Connection, status: int) -> None:
        """Note an answer, and ask again if there is something to ask."""
        now = time.monotonic()
        if self._next is not None:
            self._next.set_result(None)
            return
        if status < BAD:
            self._times.append(now - connection.due)
        self._statuses[status] += 1
        if self._over:
            return
        if self._closed_loop:
            connection.ask(self._make(), now)
        elif self._due:
            connection.ask(self._make(), self._due.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Note that the server hung up."""
        if not self._over:
            self.lost_connections += 1
            if connection in self._idle:
                self._idle.remove(connection)


def request(method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def cpu_seconds(pids: Sequence[int]) -> float:
    """The CPU time that these processes have spent so far, in user and system mode."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _CLOCK_TICKS


def most_files() -> None:
    """Let this process hold as many connections as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _quantile(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    place = min(len(ordered) - 1, int(len(ordered) * share))
    return round(ordered[place] * 1000, 2)
