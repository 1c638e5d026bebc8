"""How fast pledges are charged after success, through the test bank, with durable books everywhere.

python -m bench.collect_rate [--pledges 200000] [--campaigns 100] [--batch 1000]
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

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


def measure(folder: Path, pledges: int, campaigns: int, batch: int) -> None:
    """Charge everything once; then make the work anew from the log."""
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
    print(f"{pledges:,} pledges of {campaigns:,} campaigns charged in {seconds:,.1f} s:")
    print(f"  {pledges / seconds:,.0f} a second, {cpu_seconds:,.1f} s of CPU")

    began = time.perf_counter()
    events = stage.processes.reconstruct()
    seconds = time.perf_counter() - began
    print(f"  the work made anew from {events:,} events: {events / seconds:,.0f} a second")
    stage.check()
    stage.close()


def main() -> int:
    """Measure in a directory of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pledges", type=int, default=200_000)
    parser.add_argument("--campaigns", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1_000)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(Path(folder), chosen.pledges, chosen.campaigns, chosen.batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
