"""How fast pledges are charged after success, through the test bank, with durable books everywhere.

    python -m bench.collect_rate [--quick] [--json FILE] [--pledges N] [--campaigns N] [--batch N]

In the measured path: the processes' rules and their work table, the engine with its commits, the
test bank with its books on the disk, and the views; in one process, as they come. Not in it: a real
provider's network. Afterwards the bank's books and the invariants are checked.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.databases import directory
from bench.results import RUNS, Result, arguments, publish
from domain import commands as c
from tests.processes.stage import DEADLINE, Stage

PLEDGES_AT_ONCE = 4_000


def pledge(stage: Stage, campaigns: list[str], pledges: int) -> None:
    """Make the pledges, spread over the campaigns."""
    method = stage.method()
    commands = [
        c.MakePledge(
            campaign_id=campaigns[number % len(campaigns)],
            by="system:import",
            command_id=str(uuid.UUID(int=number)),
            pledge_id=str(uuid.UUID(int=number)),
            backer=str(uuid.UUID(int=pledges + number)),
            amount_minor=10_000 + number % 5_000,
            payment_method=method,
        )
        for number in range(pledges)
    ]
    for start in range(0, pledges, PLEDGES_AT_ONCE):
        stage.engine.submit_many(commands[start : start + PLEDGES_AT_ONCE])


def collect(folder: Path, pledges: int, campaigns: int, batch: int) -> tuple[float, float, float]:
    """Charge everything once, then make the work anew from the log. Returns collections a second
    by the clock and by CPU, and events a second of the second.
    """
    stage = Stage(folder)
    stage.restart(batch=batch)
    pledge(stage, [stage.campaign() for _ in range(campaigns)], pledges)
    stage.step()

    stage.now = DEADLINE
    began, cpu = time.perf_counter(), time.process_time()
    stage.step()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    assert len(stage.lines()) == pledges, "every pledge is charged once"
    assert stage.processes.waiting() == {}, "nothing is left to do"

    began = time.perf_counter()
    events = stage.processes.reconstruct()
    again = events / (time.perf_counter() - began)
    stage.check()
    stage.close()
    return pledges / seconds, pledges / cpu_seconds, again


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Charge in directories of their own."""
    runs, pledges, campaigns = RUNS, asked.pledges, asked.campaigns
    if asked.quick:
        runs, pledges, campaigns = 1, 500, 5
    found = []
    for _ in range(runs):
        with directory() as folder:
            found.append(collect(folder, pledges, campaigns, asked.batch))
    clock, cpu, again = zip(*found, strict=True)
    name = f"{pledges:,} pledges of {campaigns:,} campaigns charged"
    yield Result(name=name, unit="collections/s", runs=clock)
    yield Result(name="the same by CPU", unit="collections/CPU s", runs=cpu)
    yield Result(name="the work made anew from the log", unit="events/s", runs=again)


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--pledges", type=int, default=20_000)
    parser.add_argument("--campaigns", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1_000)
    asked = parser.parse_args()
    publish(measure(asked), asked, "collect_rate")


if __name__ == "__main__":
    main()
