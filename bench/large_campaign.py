"""What a campaign of a million pledges costs: for each pledge more, and when it is loaded cold.

    python -m bench.large_campaign [--quick] [--json FILE] [--pledges 1000000] [--store SQLite]

Cost per pledge: lists of a thousand go in turn to the large campaign and to a small one of a
thousand pledges, in the same log and engine, with rules, encoding and commit; what the smallest
half of the lists cost is compared, in CPU of the process and by the clock.

Cold load: an engine that never saw the campaign gets one pledge for it, while 64 callers go on
pledging to others. Its state comes from the snapshot that `SnapshotFollower` took and the events
after it; the file is in the system's cache, as after a restart of the process. Told is how long
that pledge waits for its durable answer, and what the others' waits and rate are meanwhile, beside
what they are without it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from app.engine import CampaignDecider, Engine, SnapshotFollower
from app.log import EventLog, SnapshotStore
from app.log.opening import open_log, open_snapshots
from bench.campaigns import in_lists, open_campaigns, pledges, require_done
from bench.databases import STORES, NoServerError, Store, database, directory
from bench.results import RUNS, Result, arguments, not_measured, publish
from domain.commands import Command
from domain.state import Campaign

PLEDGES: Final = 1_000_000
SMALL: Final = 1_000
ROUNDS: Final = 20
FILLED_AT_ONCE: Final = 100_000
OTHERS: Final = 64
CALM_S: Final = 1.0
"""How long the others pledge alone, before the large campaign is asked for."""


class Cold(Struct, frozen=True):
    """One cold load, in seconds, and the others meanwhile and without it."""

    load_s: float
    calm_rate: float
    rate: float
    calm_p99_s: float
    p99_s: float
    worst_s: float


def fill(engine: Engine[Campaign], campaign: str, count: int) -> None:
    """Pledge so often, some at a time."""
    for start in range(0, count, FILLED_AT_ONCE):
        some = pledges([campaign], min(FILLED_AT_ONCE, count - start))
        for results in in_lists(engine, some):
            require_done(results)


def cost(engine: Engine[Campaign], campaign: str, commands: list[Command]) -> tuple[float, float]:
    """CPU and clock seconds for each of these pledges."""
    assert commands[0].campaign_id == campaign
    cpu, began = time.process_time(), time.perf_counter()
    require_done(engine.submit_many(commands))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return cpu / len(commands), seconds / len(commands)


def compare(engine: Engine[Campaign], large: str, rounds: int) -> list[float]:
    """How many times a pledge to the large campaign costs one to a small: by CPU, by the clock."""
    small = open_campaigns(engine, rounds)
    for campaign in small:
        fill(engine, campaign, SMALL)
    work = [(pledges([large], SMALL), pledges([campaign], SMALL)) for campaign in small]
    gc.collect()
    costs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for campaign, (to_large, to_small) in zip(small, work, strict=True):
        costs.append((cost(engine, large, to_large), cost(engine, campaign, to_small)))
    ratios = []
    for kind in (0, 1):
        # The cheaper half: what a neighbour on the machine costs is not the campaign's.
        halves = [
            statistics.fmean(sorted(found[size][kind] for found in costs)[: (rounds + 1) // 2])
            for size in (0, 1)
        ]
        ratios.append(halves[0] / halves[1])
    return ratios


async def load_cold(engine: Engine[Campaign], large: str, others: list[str], calm_s: float) -> Cold:
    """Let others pledge; ask for the large campaign in the midst of it."""
    waits: list[tuple[float, float]] = []
    over = False

    async def one(number: int) -> None:
        while not over:
            some = pledges(others[number % len(others) :], 1)
            began = time.perf_counter()
            await engine.submit_async(some[0])
            waits.append((began, time.perf_counter() - began))

    tasks = [asyncio.create_task(one(number)) for number in range(OTHERS)]
    await asyncio.sleep(calm_s)
    calm = [wait for _, wait in waits]
    (command,) = pledges([large], 1)
    asked = time.perf_counter()
    await engine.submit_async(command)
    load_s = time.perf_counter() - asked
    over = True
    await asyncio.gather(*tasks)
    # What waited while it was loaded counts, also where it was asked before.
    during = [wait for began, wait in waits if began + wait > asked]
    return Cold(
        load_s=load_s,
        calm_rate=len(calm) / calm_s,
        rate=len(during) / load_s,
        calm_p99_s=quantile(calm, 99),
        p99_s=quantile(during, 99),
        worst_s=max(during),
    )


def quantile(waits: list[float], percent: int) -> float:
    """The wait that so many percent do not exceed."""
    return sorted(waits)[len(waits) * percent // 100]


def measure_store(store: Store, count: int, runs: int, rounds: int) -> Iterator[Result]:
    """Fill, compare, take a snapshot, add a tail, load. Raises NoServerError."""
    with database(store) as url, directory() as folder:
        log = open_log(url, folder / "log.db")
        snapshots = open_snapshots(url, folder / "snapshots.db")
        try:
            with Engine(log, snapshots, CampaignDecider()) as engine:
                large, *others = open_campaigns(engine, 1 + OTHERS)
                fill(engine, large, count)
                ratios = [compare(engine, large, rounds) for _ in range(runs)]
            yield from costs_told(store, count, ratios)
            SnapshotFollower(log, snapshots, CampaignDecider()).take_due_snapshots()
            gc.collect()
            # The longest tail with which no new snapshot is due: a quarter of the state.
            for share in (50, 4):
                with Engine(log, snapshots, CampaignDecider()) as engine:
                    fill(engine, large, count // share - (count // 50 if share == 4 else 0))
                gc.collect()
                yield from cold_told(store, log, snapshots, large, others, count // share, runs)
        finally:
            snapshots.close()
            log.close()


def costs_told(store: Store, count: int, ratios: list[list[float]]) -> Iterator[Result]:
    """The ratios as figures."""
    for kind, name in enumerate(("CPU", "clock")):
        yield Result(
            name=f"{store}, a pledge among {count:,} beside one among {SMALL:,}, {name}",
            unit="times",
            runs=tuple(found[kind] for found in ratios),
            target=1.15,
            at_most=True,
        )


def cold_told(
    store: Store,
    log: EventLog,
    snapshots: SnapshotStore,
    large: str,
    others: list[str],
    tail: int,
    runs: int,
) -> Iterator[Result]:
    """Load it cold, each time by a new engine."""
    found = []
    for _ in range(runs):
        with Engine(log, snapshots, CampaignDecider()) as engine:
            found.append(asyncio.run(load_cold(engine, large, others, CALM_S)))
        gc.collect()
    last = found[-1]
    yield Result(
        name=f"{store}, loaded cold: snapshot and {tail:,} events after it",
        unit="s",
        runs=tuple(one.load_s for one in found),
        target=1.5 if tail <= PLEDGES // 50 else None,
        at_most=True,
        ratio=f"{OTHERS} others meanwhile {last.rate:,.0f}/s beside {last.calm_rate:,.0f}/s",
        note=(
            f"their p99 {last.p99_s * 1000:,.0f} ms beside {last.calm_p99_s * 1000:,.0f} ms,"
            f" the longest {last.worst_s * 1000:,.0f} ms"
        ),
    )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure each store."""
    count = 5_000 if asked.quick else asked.pledges
    for store in [asked.store] if asked.store else STORES:
        try:
            yield from measure_store(store, count, *((1, 2) if asked.quick else (RUNS, ROUNDS)))
        except NoServerError as missing:
            yield not_measured(store, str(missing))


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--pledges", type=int, default=PLEDGES)
    parser.add_argument("--store", choices=STORES)
    asked = parser.parse_args()
    publish(measure(asked), asked, "large_campaign")


if __name__ == "__main__":
    main()
