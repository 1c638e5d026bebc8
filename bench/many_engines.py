"""Four engine processes pledge to one hot campaign at once, beside one that does it alone.

    python -m bench.many_engines [--quick] [--json FILE] [--engines 4]

In the measured path: everything that `engine_rate` measures, in processes that share a log as web
processes do: each takes its turns at the log and evolves what the others recorded. One pledge of
ten wants a limited reward, of which there are too few: the last pieces are sold to exactly as many.
Counted until the first process is done, so that all of them are at it all the time.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.engine import CampaignDecider, Engine, Outcome
from app.log import EventLog, decode_row
from app.log.opening import open_log
from bench.campaigns import in_lists, open_campaigns, pledges
from bench.databases import STORES, NoServerError, Store, database, directory
from bench.results import RUNS, Result, arguments, not_measured, publish
from domain.errors import SoldOut
from domain.events import PledgeMade
from domain.terms import Choice, Reward

ENGINES: Final = 4
ONE_WANTS_OF: Final = 10
PIECES: Final = 1_000
REWARD: Final = Reward(
    reward_id="7d9bd07e-23a9-4bb1-8d9c-3a7f61a5a3d9", price_minor=50_00, limit=PIECES
)
SHARE_FAIR: Final = 0.5
"""The least a process may get beside the one that gets most, to be called fair."""

# Forked from a process that has imported everything and opened nothing.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["app.engine", "app.log.opening", "bench.campaigns", "bench.results"]
)


class Done(Struct, frozen=True):
    """What one process saw: when each list was answered (monotonic seconds), and how many of it
    were recorded; how many were refused because the reward is sold out.
    """

    lists: list[tuple[float, int]]
    sold_out: int


def pledge(url: str, path: Path, campaign: str, count: int, start: Barrier, to: Connection) -> None:
    """One process: pledge in lists, two under way at a time, and tell what became of them."""
    wanting = iter(pledges([campaign], count // ONE_WANTS_OF, (Choice(REWARD.reward_id),)))
    commands = pledges([campaign], count)
    commands[::ONE_WANTS_OF] = list(wanting)
    log = open_log(url, path)
    told: list[tuple[float, int]] = []
    sold_out = 0
    with Engine(log, None, CampaignDecider()) as engine:
        gc.collect()
        gc.freeze()
        start.wait()
        for results in in_lists(engine, commands):
            recorded = 0
            for result in results:
                if isinstance(result, Outcome):
                    recorded += 1
                elif isinstance(result, SoldOut):
                    sold_out += 1
                else:
                    raise result
            told.append((time.monotonic(), recorded))
    log.close()
    to.send(Done(told, sold_out))


def race(store: Store, engines: int, count: int) -> tuple[float, list[float]]:
    """Pledges a second together, and each process's share. Raises NoServerError."""
    with database(store) as url, directory() as folder:
        path = folder / "log.db"
        log = open_log(url, path)
        try:
            with Engine(log, None, CampaignDecider()) as engine:
                (campaign,) = open_campaigns(engine, 1, rewards=(REWARD,))
            start = _context.Barrier(engines + 1)
            pipes = [_context.Pipe(duplex=False) for _ in range(engines)]
            processes = [
                _context.Process(target=pledge, args=(url, path, campaign, count, start, to))
                for _, to in pipes
            ]
            for process in processes:
                process.start()
            start.wait(120)
            began = time.monotonic()
            for _, to in pipes:
                to.close()
            done = [_received(reading) for reading, _ in pipes]
            for process in processes:
                process.join()
            check(log, done)
        finally:
            log.close()
    until = min(one.lists[-1][0] for one in done)
    counts = [sum(recorded for at, recorded in one.lists if at <= until) for one in done]
    return sum(counts) / (until - began), [share / sum(counts) for share in counts]


def _received(reading: Connection) -> Done:
    wait_for_any([reading])
    found: Done = reading.recv()
    return found


def check(log: EventLog, done: list[Done]) -> None:
    """Compare the log with what the processes were told, and count the pieces sold."""
    sold: Counter[str] = Counter()
    made = after = 0
    while rows := log.read(after, 10_000):
        after = rows[-1].position
        for row in rows:
            event = decode_row(row)
            if isinstance(event, PledgeMade):
                made += 1
                sold.update({line.reward_id: line.quantity for line in event.lines})
    told = sum(recorded for one in done for _, recorded in one.lists)
    if made != told:
        raise SystemExit(f"{told:,} pledges were acknowledged, {made:,} are in the log")
    wanted = sum(one.sold_out for one in done) + sold.total()
    if sold.total() != min(PIECES, wanted):
        raise SystemExit(f"{PIECES:,} pieces, {sold.total():,} sold, {wanted:,} wanted")


def measure(*, quick: bool, engines: int) -> Iterator[Result]:
    """One alone and several together, in turn, on each store."""
    runs, count = (1, 10_000) if quick else (RUNS, 40_000)
    for store in STORES:
        alone, together, shares = [], [], []
        try:
            for _ in range(runs):
                alone.append(race(store, 1, 2 * count)[0])
                rate, found = race(store, engines, count)
                together.append(rate)
                shares.append(min(found) / max(found))
        except NoServerError as missing:
            yield not_measured(store, str(missing))
            continue
        one = Result(name=f"{store}, one engine", unit="pledges/s", runs=tuple(alone))
        yield one
        median = one.median or 1
        yield Result(
            name=f"{store}, {engines} engines together, of what one does",
            unit="%",
            runs=tuple(rate / median * 100 for rate in together),
            target=40,
            ratio=f"{', '.join(f'{rate:,.0f}' for rate in together)} pledges/s",
            note=f"{PIECES:,} pieces sold, no more",
        )
        yield Result(
            name=f"{store}, the smallest share beside the largest",
            unit="%",
            runs=tuple(share * 100 for share in shares),
            target=SHARE_FAIR * 100,
        )


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--engines", type=int, default=ENGINES)
    asked = parser.parse_args()
    publish(measure(quick=asked.quick, engines=asked.engines), asked, "many_engines")


if __name__ == "__main__":
    main()
