"""A process that sends batches of pledges at a rate, and costs little beside the server.

The bodies are made before the first is sent. Each is due at its time, whatever the server does:
what finds no idle connection is late, and its answer's time counts from when it was due.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from typing import Final

from msgspec import Struct

from bench.campaigns import batch_body
from bench.servers import HOST, Site

LINES: Final = 5_000
"""Pledges in a batch."""
CONNECTIONS: Final = 4
TIMEOUT_S: Final = 60.0
PATH: Final = "/api/v1/pledges/batch"


class Told(Struct, frozen=True):
    """What a load came to. `made` counts lines answered 201, `refused` all others by status (of the
    line, or of the batch where it was refused as a whole). `last_at` is the monotonic time of the
    last answer, `cores` what this process used of a core; times in seconds.
    """

    made: int
    refused: dict[int, int]
    seconds: float
    last_at: float
    cores: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Pledges a second, from the first body due to the last answer."""
        return self.made / self.seconds


class Loader:
    """Drives the process: make ready for a load, then let it go."""

    def __init__(self, orders: Connection, site: Site) -> None:
        self._orders = orders
        self._site = site

    def run(self, rate: float, seconds: float, *, methods: bool = False) -> Told:
        """Send pledges at this rate for so many seconds, and return once all are answered."""
        self.prepare(rate, seconds, methods=methods)
        self.go()
        return self.told()

    def prepare(self, rate: float, seconds: float, *, methods: bool = False) -> None:
        """Have the bodies made; return when they are."""
        self._orders.send((rate, seconds, self._site.backers if methods else []))
        assert self._orders.recv() == "ready"

    def go(self) -> None:
        """Let the load begin."""
        self._orders.send("go")

    @property
    def over(self) -> bool:
        """Whether every answer is there."""
        return self._orders.poll()

    def told(self) -> Told:
        """Wait for the end, and return what it came to."""
        found: Told = self._orders.recv()
        return found


@contextmanager
def loading(site: Site) -> Iterator[Loader]:
    """A process that loads this site until the end of the block."""
    context = multiprocessing.get_context("forkserver")
    mine, others = context.Pipe()
    process = context.Process(
        target=_serve_orders,
        args=(others, site.settings.port, site.token, site.campaigns),
        daemon=True,
    )
    process.start()
    others.close()
    try:
        yield Loader(mine, site)
    finally:
        mine.close()
        process.join(10)
        process.kill()


def _serve_orders(orders: Connection, port: int, token: str, campaigns: list[str]) -> None:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/x-ndjson"}
    while True:
        try:
            rate, seconds, backers = orders.recv()
        except EOFError:
            return
        count = max(1, round(rate * seconds / LINES))
        bodies = [batch_body(campaigns, LINES, backers) for _ in range(count)]
        orders.send("ready")
        orders.recv()
        orders.send(_Load(port, headers, bodies, LINES / rate).run())


class _Load:
    """One load: threads that each take the next body, wait until it is due, and send it."""

    def __init__(
        self, port: int, headers: dict[str, str], bodies: list[bytes], pause_s: float
    ) -> None:
        self._port = port
        self._headers = headers
        self._bodies = bodies
        self._pause_s = pause_s
        self._next = iter(range(len(bodies)))
        self._lock = threading.Lock()
        self._times: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._last_at = 0.0
        self._began = 0.0

    def run(self) -> Told:
        """Send everything; return what it came to."""
        threads = [threading.Thread(target=self._send_some) for _ in range(CONNECTIONS)]
        self._began, cpu = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # What is left of the last body's time belongs to the load: a rate is not better than asked.
        seconds = max(self._last_at - self._began, len(self._bodies) * self._pause_s)
        cpu = time.process_time() - cpu
        times = sorted(self._times)
        return Told(
            made=self._statuses.pop(201, 0),
            refused=dict(self._statuses),
            seconds=seconds,
            last_at=self._last_at,
            cores=round(cpu / seconds, 3),
            p50=times[len(times) // 2],
            p99=times[len(times) * 99 // 100],
        )

    def _send_some(self) -> None:
        http = HTTPConnection(HOST, self._port, timeout=TIMEOUT_S)
        while True:
            with self._lock:
                number = next(self._next, None)
            if number is None:
                http.close()
                return
            due = self._began + number * self._pause_s
            time.sleep(max(0.0, due - time.monotonic()))
            http.request("POST", PATH, self._bodies[number], self._headers)
            answer = http.getresponse()
            self._hear(due, answer.status, answer.read())

    def _hear(self, due: float, status: int, content: bytes) -> None:
        now = time.monotonic()
        made = content.count(b'"status":201') if status == 200 else 0
        with self._lock:
            self._times.append(now - due)
            self._last_at = max(self._last_at, now)
            self._statuses[201] += made
            if made < LINES:
                self._statuses[_reason(status, content)] += LINES - made


def _reason(status: int, content: bytes) -> int:
    """The status of a batch that was refused, or of its first line that was."""
    if status != 200:
        return status
    refused = next(line for line in content.splitlines() if b'"status":201' not in line)
    return int(refused.partition(b'"status":')[2][:3])
