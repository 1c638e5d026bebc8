"""How fast the server answers beside an empty one: pledges one by one, in batches, and a page.

    .venv/bin/python -m bench.http_rate [--quick] [--json FILE] [--only pledge|page|batch]

All are asked of one web process in one run (`bench.http_server`), in turns, from another process
over kept connections; a pledge has all that production has: key, scope, strict body, rules, hash,
commit to the disk. The follower runs beside it. The key's rate has no limit (`api_rate` 0), which
leaves out 2 µs. A share is our rate over the empty handler's in the turn before; the CPU beside it
says the same where other programs share the machine. Half load is half of the rate just measured.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import uvloop
from msgspec import Struct

from bench.http_load import Load, Make, Told, most_files, request
from bench.results import RUNS, Result, arguments, publish

CONNECTIONS: Final = 64
BATCH_LINES: Final = 5_000
BATCHES_AT_ONCE: Final = 4
BATCHES_A_SECOND: Final = 24
"""So many are made for each second; more would be answered on a faster machine only."""
WARM_UP_S: Final = 0.5
PLEDGES_IN_A_MIX: Final = 0.01


class Server:
    """The server under measurement, a process of its own."""

    def __init__(self, folder: str, campaigns: int, database_url: str = "") -> None:
        command = [sys.executable, "-m", "bench.http_server", folder]
        command += ["--campaigns", str(campaigns), "--database-url", database_url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.port: int = told["port"]
        self.pids: list[int] = told["pids"]
        self.token: str = told["token"]
        self.campaigns: list[str] = told["campaigns"]
        self.backers: list[str] = told["backers"]

    def end(self) -> None:
        """Tell it to stop, and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@contextlib.contextmanager
def serving(campaigns: int, database_url: str = "") -> Iterator[Server]:
    """A server over a new data directory."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder, campaigns, database_url)
        try:
            yield server
        finally:
            server.end()


class Requests:
    """The bytes of every kind of request, made as they are needed."""

    def __init__(self, server: Server, seed: int = 1) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._key = ("authorization", f"Bearer {server.token}")
        self._json = ("content-type", "application/json")
        self.pages = [
            request("GET", f"/campaigns/{one}", [("accept-language", "en")])
            for one in server.campaigns
        ]
        self._empty_page = request("GET", "/empty/page", [("accept-language", "en")])

    def new_id(self) -> str:
        """A random UUID, made cheaply."""
        text = f"{self._random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def _body(self) -> bytes:
        backer = self._random.choice(self._server.backers)
        return b'{"pledge_id":"%b","backer_id":"%b","amount":12000}' % (
            self.new_id().encode(),
            backer.encode(),
        )

    def empty_pledge(self) -> bytes:
        """A pledge to nobody."""
        return request("POST", "/empty/pledges", [self._key, self._json], self._body())

    def pledge(self) -> bytes:
        """A pledge to one of the campaigns."""
        campaign = self._random.choice(self._server.campaigns)
        path = f"/api/v1/campaigns/{campaign}/pledges"
        return request("POST", path, [self._key, self._json], self._body())

    def batch(self, lines: int) -> bytes:
        """So many pledges, over all campaigns."""
        campaigns, backers = self._server.campaigns, self._server.backers
        choice, new_id = self._random.choice, self.new_id
        body = "".join(
            f'{{"pledge_id":"{new_id()}","campaign_id":"{choice(campaigns)}",'
            f'"backer_id":"{choice(backers)}","amount":12000}}\n'
            for _ in range(lines)
        )
        headers = [self._key, ("content-type", "application/x-ndjson")]
        return request("POST", "/api/v1/pledges/batch", headers, body.encode())

    def empty_page(self) -> bytes:
        """The empty template."""
        return self._empty_page

    def page(self) -> bytes:
        """A campaign's page, and now and then a pledge that makes one old."""
        if self._random.random() < PLEDGES_IN_A_MIX:
            return self.pledge()
        return self._random.choice(self.pages)


class Sizes(Struct, frozen=True):
    """How long each turn takes, in seconds, and how many turns."""

    seconds: float
    runs: int


async def beside(
    server: Server, ours: Make, theirs: Make, sizes: Sizes
) -> tuple[list[Told], list[Told], Told]:
    """Ask both in turns, and ours at half load; what came of ours, of theirs, and of that.

    Raises SystemExit where anything was refused.
    """
    mine: list[Told] = []
    bare: list[Told] = []
    for _ in range(sizes.runs):
        for make, told in ((theirs, bare), (ours, mine)):
            load = Load(server.port, make, server.pids)
            told.append(await load.closed(CONNECTIONS, sizes.seconds, WARM_UP_S))
    rate = statistics.median(told.rate for told in mine)
    half = await Load(server.port, ours, server.pids).paced(
        CONNECTIONS, rate / 2, sizes.seconds, WARM_UP_S
    )
    for one in (*mine, *bare, half):
        if one.done != one.answers:
            raise SystemExit(f"not everything was done: {one.statuses}")
    return mine, bare, half


def shares(name: str, target: float, mine: list[Told], bare: list[Told]) -> Result:
    """Our rate as a share of the empty one's, run by run."""
    rate, other = (statistics.median(told.rate for told in some) for some in (mine, bare))
    cpu, empty = (statistics.median(told.server_us for told in some) for some in (mine, bare))
    return Result(
        name=name,
        unit="% of the empty one's rate",
        runs=tuple(100 * a.rate / max(1, b.rate) for a, b in zip(mine, bare, strict=True)),
        target=target,
        ratio=f"{rate:,.0f}/s beside {other:,.0f}/s",
        note=f"CPU of the web process {cpu:.0f} µs beside {empty:.0f} µs",
    )


def at_half_load(name: str, half: Told, target: float | None = None) -> Result:
    """How long an answer takes at half load."""
    return Result(
        name=name,
        unit="ms",
        runs=(half.p99_ms,),
        target=target,
        at_most=True,
        note=f"median {half.p50_ms:.1f} ms at {half.rate:,.0f}/s",
    )


async def _pledges(server: Server, requests: Requests, sizes: Sizes) -> AsyncIterator[Result]:
    mine, bare, half = await beside(server, requests.pledge, requests.empty_pledge, sizes)
    yield shares("single pledge over HTTP", 40, mine, bare)
    yield at_half_load("single pledge over HTTP, p99 at half load", half, 25)


async def _pages(server: Server, requests: Requests, sizes: Sizes) -> AsyncIterator[Result]:
    # Templates are compiled when they are first used, as after every start.
    await Load(server.port, requests.page).each(requests.pages)
    mine, bare, half = await beside(server, requests.page, requests.empty_page, sizes)
    yield shares("campaign page, with 1 % pledges", 60, mine, bare)
    yield at_half_load("campaign page, p99 at half load", half)


async def _batches(server: Server, requests: Requests, sizes: Sizes) -> AsyncIterator[Result]:
    """Batches, several at once. They are made before, for making them costs more than answering."""
    found: list[Told] = []
    for _ in range(sizes.runs):
        ready = [requests.batch(BATCH_LINES) for _ in range(int(sizes.seconds * BATCHES_A_SECOND))]
        asked = iter(ready)

        def make(asked: Iterator[bytes] = asked, ready: list[bytes] = ready) -> bytes:
            # What was sent before is answered as a repetition: then the measure is over.
            return next(asked, ready[0])

        load = Load(server.port, make, server.pids)
        found.append(await load.closed(BATCHES_AT_ONCE, sizes.seconds))
        if next(asked, None) is None:
            raise SystemExit("there were too few batches for this machine")
    yield Result(
        name="pledges in batches of 5,000, one web process",
        unit="pledges/s",
        runs=tuple(told.rate * BATCH_LINES for told in found),
        note=(
            f"CPU of the web process {found[-1].server_us / BATCH_LINES:.1f} µs a pledge, "
            f"p99 of a batch {found[-1].p99_ms:.0f} ms"
        ),
    )


Part = Callable[[Server, Requests, Sizes], AsyncIterator[Result]]

PARTS: Final[dict[str, Part]] = {"pledge": _pledges, "page": _pages, "batch": _batches}


def measure(*, quick: bool, only: list[str], campaigns: int, database_url: str) -> Iterator[Result]:
    """Every part, on one server."""
    most_files()
    sizes = Sizes(0.5, 1) if quick else Sizes(5.0, RUNS)
    with serving(campaigns, database_url) as server:
        requests = Requests(server)

        async def run(part: Part) -> list[Result]:
            return [result async for result in part(server, requests, sizes)]

        for name, part in PARTS.items():
            if not only or name in only:
                yield from uvloop.run(run(part))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--only", action="append", choices=tuple(PARTS), default=[])
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--database-url", default="", help="an empty database, to measure on it")
    asked = parser.parse_args()
    found = measure(
        quick=asked.quick,
        only=asked.only,
        campaigns=asked.campaigns,
        database_url=asked.database_url,
    )
    publish(found, asked, "http_rate")


if __name__ == "__main__":
    main()
