"""How many pledges a second the engine records durably, beside simpler ways in the same run.

    python -m bench.engine_rate [--quick] [--json FILE]

In the measured path: `Engine.submit`, the real rules of `domain`, the encoding of each event (what
is hashed is what is stored), the append turn with its positions and versions, the commit to the
disk, the answer to the caller. Not in it: HTTP (see `whole_way`), the followers, and making the
commands.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from typing import Final

from app.engine import CampaignDecider, Engine
from app.log.opening import open_log
from bench.beside import NotInstalledError, insert_rate, stock_rate, tigerbeetle_rate
from bench.campaigns import in_lists, open_campaigns, pledges, require_done
from bench.databases import STORES, NoServerError, Store, database, directory
from bench.results import RUNS, Result, arguments, not_measured, publish
from domain.commands import Command
from domain.state import Campaign

BESIDE_SECONDS: Final = 2.0
"""How long each of the simpler ways is let run."""

Way = Callable[[Engine[Campaign], list[Command]], None]


def by_lists(engine: Engine[Campaign], commands: list[Command]) -> None:
    """As the batch endpoint does: lists of 5,000, the next one sent while one is decided."""
    for results in in_lists(engine, commands):
        require_done(results)


def by_callers(callers: int) -> Way:
    """Many callers at once, each waiting for the answer to one pledge before it sends the next."""

    def run(engine: Engine[Campaign], commands: list[Command]) -> None:
        async def one(mine: list[Command]) -> None:
            for command in mine:
                await engine.submit_async(command)

        async def everyone() -> None:
            await asyncio.gather(*(one(commands[start::callers]) for start in range(callers)))

        asyncio.run(everyone())

    return run


def rate(store: Store, campaigns: int, count: int, way: Way) -> float:
    """Pledges a second of our engine on a new log. Raises NoServerError."""
    with database(store) as url, directory() as folder:
        log = open_log(url, folder / "log.db")
        try:
            with Engine(log, None, CampaignDecider()) as engine:
                ids = open_campaigns(engine, campaigns)
                commands = pledges(ids, count)
                position, _ = log.last()
                # What is prepared ahead would not lie in a server's memory: it is kept out of the
                # collector's way, which goes on collecting everything else.
                gc.collect()
                gc.freeze()
                began = time.perf_counter()
                way(engine, commands)
                seconds = time.perf_counter() - began
                gc.unfreeze()
                if log.last()[0] != position + count:
                    raise SystemExit("the log does not hold one event per pledge")
        finally:
            log.close()
    return count / seconds


def measure(*, quick: bool) -> Iterator[Result]:
    """The simpler ways first, then ours on each store, over one campaign and over many."""
    runs, many = (1, 50) if quick else (RUNS, 1_000)
    count = 5_000 if quick else 150_000
    beside = list(simpler(runs, 0.5 if quick else BESIDE_SECONDS, 2 if quick else 100))
    yield from beside
    stock_hot, stock_own, _ = (result.median or 1 for result in beside[:3])
    ways: list[tuple[str, Way, int]] = [
        ("lists of 5,000", by_lists, count),
        ("4,096 callers", by_callers(4_096), count // 2),
        ("16 callers", by_callers(16), count // 25),
    ]
    targets = {
        ("SQLite", 1): 70_000,
        ("PostgreSQL", 1): 50_000,
        ("SQLite", many): 50_000,
        ("PostgreSQL", many): 35_000,
    }
    for store in STORES:
        for campaigns in (1, many):
            among = "one hot campaign" if campaigns == 1 else f"{campaigns:,} campaigns"
            for name, way, size in ways:
                said = f"engine, {store}, {among}, {name}"
                try:
                    figures = tuple(rate(store, campaigns, size, way) for _ in range(runs))
                except NoServerError as missing:
                    yield not_measured(said, str(missing))
                    continue
                bare = Result(name=said, unit="pledges/s", runs=figures)
                times = (bare.median or 0) / (stock_hot if campaigns == 1 else stock_own)
                yield Result(
                    name=said,
                    unit="pledges/s",
                    runs=figures,
                    target=targets[store, campaigns] if name == ways[0][0] else None,
                    ratio=f"{times:,.0f} times stock save",
                )


def simpler(runs: int, seconds: float, thousand: int) -> Iterator[Result]:
    """What the engine is beside of: stock saves to a hot campaign and to own ones, plain rows."""
    unit, most = "pledges/s", thousand * 1_000
    for name, campaigns in (("one hot campaign", 1), ("a stream of its own each", 0)):
        rates, done = [], 0
        for _ in range(runs):
            with directory() as folder:
                found, done = stock_rate(folder, campaigns, most, seconds)
            rates.append(found)
        yield Result(
            name=f"stock eventsourcing, save per pledge, {name}",
            unit=unit,
            runs=tuple(rates),
            note=f"{done:,} made in {seconds:g} s" if done < most else "",
        )
    for store in STORES:
        said = f"plain SQLAlchemy insert and commit per pledge, {store}"
        try:
            rates = []
            for _ in range(runs):
                with database(store) as url, directory() as folder:
                    rates.append(insert_rate(folder, url, most, seconds))
            yield Result(name=said, unit=unit, runs=tuple(rates))
        except NoServerError as missing:
            yield not_measured(said, str(missing))
    try:
        with directory() as folder:
            transfers = tuple(tigerbeetle_rate(folder, most) for _ in range(runs))
        yield Result(name="TigerBeetle's Python client", unit="transfers/s", runs=transfers)
    except NotInstalledError as missing:
        yield not_measured("TigerBeetle's Python client", str(missing))


def main() -> None:
    """Read the command line and measure."""
    asked = arguments(__doc__).parse_args()
    publish(measure(quick=asked.quick), asked, "engine_rate")


if __name__ == "__main__":
    main()
