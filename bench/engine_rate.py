"""How many pledges a second the engine records durably, beside the stock library in the same run.

    python -m bench.engine_rate [--quick]

Ours decides by the real rules of `domain`. The stock application of `eventsourcing` takes one
pledge per `save`, as its documentation shows, and checks nothing; it loads its campaign from all
its events each time, so it is stopped after a while and what it did is said.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from app.engine import CampaignDecider, Engine, Outcome
from app.log import SQLiteLog
from domain.commands import ApproveCampaign, Command, LaunchCampaign, MakePledge, SubmitCampaign
from domain.state import Campaign
from domain.terms import Submission, Terms

RUNS: Final = 3
LIST_SIZE: Final = 5_000
YEAR_MS: Final = 365 * 86_400_000
STOCK_SECONDS: Final = 10.0
STAFF: Final = f"staff:{uuid.UUID(int=1)}"
CREATOR: Final = str(uuid.UUID(int=2))


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


def opening(campaign_id: str, now_ms: int) -> list[Command]:
    """The commands that bring a campaign to life."""
    submission = Submission(
        creator=CREATOR,
        model="all_or_nothing",
        currency="CNY",
        goal_minor=10_000_00,
        deadline_at=now_ms + YEAR_MS,
        terms=Terms(),
    )
    return [
        SubmitCampaign(
            campaign_id=campaign_id,
            by=STAFF,
            command_id=new_id(),
            channel=str(uuid.UUID(int=3)),
            submission=submission,
        ),
        ApproveCampaign(campaign_id=campaign_id, by=STAFF, command_id=new_id()),
        LaunchCampaign(campaign_id=campaign_id, by=STAFF, command_id=new_id()),
    ]


def pledges(campaign_ids: Sequence[str], count: int) -> list[Command]:
    """Pledges of many backers, spread over the campaigns in turn."""
    made: list[Command] = []
    for number in range(count):
        backer = new_id()
        made.append(
            MakePledge(
                campaign_id=campaign_ids[number % len(campaign_ids)],
                by=f"backer:{backer}",
                command_id=new_id(),
                pledge_id=new_id(),
                backer=backer,
                amount_minor=100_00 + number % 97,
                currency="CNY",
            )
        )
    return made


# --- Ours ----------------------------------------------------------------------------------------

Way = Callable[[Engine[Campaign], list[Command]], None]


def in_lists(engine: Engine[Campaign], commands: list[Command]) -> None:
    """As the batch endpoint does: lists of 5,000, the next one sent while one is decided."""

    async def send() -> None:
        pending: list[Awaitable[list[Outcome | Exception]]] = []
        for start in range(0, len(commands), LIST_SIZE):
            some = commands[start : start + LIST_SIZE]
            pending.append(asyncio.ensure_future(engine.submit_many_async(some)))
            await asyncio.sleep(0)
            if len(pending) > 1:
                require_done(await pending.pop(0))
        for answer in pending:
            require_done(await answer)

    asyncio.run(send())


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


def require_done(results: list[Outcome | Exception]) -> None:
    """Raise the first exception among the results."""
    for result in results:
        if isinstance(result, Exception):
            raise result


def ours(directory: Path, campaigns: int, count: int, way: Way) -> float:
    """Pledges a second of our engine on a new log."""
    log = SQLiteLog(directory / "log.db")
    ids = [new_id() for _ in range(campaigns)]
    now_ms = time.time_ns() // 1_000_000
    try:
        with Engine(log, None, CampaignDecider()) as engine:
            for campaign_id in ids:
                require_done(engine.submit_many(opening(campaign_id, now_ms)))
            commands = pledges(ids, count)
            position, _ = log.last()
            gc.collect()
            started = time.perf_counter()
            way(engine, commands)
            seconds = time.perf_counter() - started
            if log.last()[0] != position + count:
                raise SystemExit("the log does not hold one event per pledge")
    finally:
        log.close()
    return count / seconds


# --- Stock ---------------------------------------------------------------------------------------


class StockCampaign(Aggregate):
    """A campaign as the library's tutorial would write it."""

    def __init__(self) -> None:
        self.pledged_minor = 0
        self.pledges: dict[str, tuple[str, int]] = {}

    @event("PledgeMade")
    def pledge(self, pledge_id: str, backer: str, amount_minor: int) -> None:
        """Take a pledge."""
        self.pledges[pledge_id] = (backer, amount_minor)
        self.pledged_minor += amount_minor


class StockPledges(Application[uuid.UUID]):
    """The stock application: one `save` per pledge."""

    def open(self) -> uuid.UUID:
        """Begin a campaign."""
        campaign = StockCampaign()
        self.save(campaign)
        return campaign.id

    def pledge(self, campaign_id: uuid.UUID, backer: str, amount_minor: int) -> None:
        """Load the campaign, take a pledge, save it."""
        campaign: StockCampaign = self.repository.get(campaign_id)
        campaign.pledge(new_id(), backer, amount_minor)
        self.save(campaign)


def stock(directory: Path, campaigns: int, count: int) -> tuple[float, int]:
    """Pledges a second of the stock application, and how many it did in its time."""
    path = directory / "stock.db"
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    with StockPledges(env) as application:
        ids = [application.open() for _ in range(campaigns)]
        gc.collect()
        started = time.perf_counter()
        done = 0
        while done < count and time.perf_counter() - started < STOCK_SECONDS:
            application.pledge(ids[done % campaigns], new_id(), 100_00)
            done += 1
        seconds = time.perf_counter() - started
    return done / seconds, done


# --- The table -----------------------------------------------------------------------------------


def measure(campaigns: int, count: int, runs: int, stock_count: int) -> None:
    """Run everything on one number of campaigns and print its lines."""
    ways: list[tuple[str, Way, int]] = [
        ("lists of 5,000", in_lists, count),
        ("4,096 callers", by_callers(4_096), count),
        ("16 callers", by_callers(16), count // 5),
    ]
    rates: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    stock_rates: list[tuple[float, int]] = []
    for _ in range(runs):
        for name, way, size in ways:
            with tempfile.TemporaryDirectory() as directory:
                rates[name].append(ours(Path(directory), campaigns, size, way))
        with tempfile.TemporaryDirectory() as directory:
            stock_rates.append(stock(Path(directory), campaigns, stock_count))
    stock_rate = statistics.median(rate for rate, _ in stock_rates)
    stock_done = max(done for _, done in stock_rates)
    print(f"\n{campaigns:,} campaign{'s' if campaigns > 1 else ''}, {count:,} pledges")
    for name, _, _ in ways:
        rate = statistics.median(rates[name])
        all_rates = ", ".join(f"{one:,.0f}" for one in sorted(rates[name]))
        times = rate / stock_rate
        print(f"  engine, {name:16} {rate:10,.0f} pledges/s  {times:7,.0f} times  ({all_rates})")
    print(f"  stock save per pledge    {stock_rate:10,.0f} pledges/s  (did {stock_done:,})")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of a tenth of the pledges")
    quick = parser.parse_args().quick
    count, runs = (10_000, 1) if quick else (100_000, RUNS)
    print(f"pledges/s, durable, {os.cpu_count()} cores, median of {runs}")
    measure(1, count, runs, count)
    measure(100 if quick else 1_000, count, runs, count)


if __name__ == "__main__":
    main()
