"""How long `audit export` takes in each format, and what Beancount and hledger take to check it.

    python -m bench.export_rate [--quick] [--json FILE] [--pledges N] [--keep DIR] [--data DIR]

In the measured path: the whole command, from its start to the file on the disk; for a tool, its
start and its verdict on the whole file. The log holds N pledges, four hundred to a campaign, all of
them collected, with fees; DIR keeps it for the next time. With `--data` a data directory that is
there is exported instead, such as one that `tributary simulate catarse` has filled. Each run is a
process of its own; the time of processors is beside the time by the clock, as other work may run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from app.audit.export.wanted import FORMATS, Format
from app.audit.reader import AuditLog
from app.engine import CampaignDecider, Engine
from app.log import open_log
from bench.audit_log import SYSTEM, History
from bench.databases import directory
from bench.results import RUNS, Result, arguments, not_measured, publish
from domain import commands as c
from domain.terms import DAY_MS
from projections.runner import Follower
from projections.views import Views

PLEDGES: Final = 400_000
OF_A_CAMPAIGN: Final = 400
MOST_S: Final = 30
KIB_PER_MB: Final = 1024
TRIBUTARY: Final = (sys.executable, "-c", "from app.cli import main; main()")
FILES: Final[dict[Format, str]] = {
    "beancount": "books.beancount",
    "hledger": "books.journal",
    "csv": "postings.csv",
    "parquet": "postings.parquet",
    "ndjson": "postings.ndjson",
}


class Taken(NamedTuple):
    """What a process took: seconds by the clock, of processors, and memory at most."""

    seconds: float
    cpu_seconds: float
    memory_mb: int


def take(command: Sequence[str]) -> Taken:
    """Run it to its good end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    return Taken(time.perf_counter() - began, cpu, used.ru_maxrss // KIB_PER_MB)


class Collected(History):
    """Campaigns that all succeed, and whose pledges are all charged."""

    def live(self, campaigns: int) -> None:
        """From the submission to the last charge."""
        opened = [(self.id(), self.id()) for _ in range(campaigns)]
        self.submit(command for each in opened for command in self.opening(*each, goal_minor=1))
        while not self.done:
            self.submit(
                [self.pledge(*opened[n % campaigns]) for n in range(min(5_000, self._left))], 10
            )
        self.now += 30 * DAY_MS
        self.submit(self.do(c.CloseCampaign, campaign, SYSTEM) for campaign, _ in opened)
        self._collect([campaign for campaign, _ in opened])


def prepare(folder: Path, pledges: int) -> None:
    """Make a log with so many pledges, and its views, where there are none yet."""
    if (folder / "views.db").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    log = open_log("", folder / "log.db")
    history: Collected
    engine = Engine(log, None, CampaignDecider(), clock=lambda: history.now)
    try:
        campaigns = max(1, pledges // OF_A_CAMPAIGN)
        history = Collected(engine, pledges + 3 * campaigns)
        history.live(campaigns)
    finally:
        engine.close()
        log.close()
    views = Views(folder / "views.db")
    with closing(AuditLog(folder / "log.db")) as made:
        Follower(made.read, views, log_id=made.log_id).catch_up()
    views.current().close_sync()


def exports(data: Path, out: Path, what: str, runs: int) -> Iterator[Result]:
    """Export in each format."""
    for format_ in FORMATS:
        command = [*TRIBUTARY, "--data", str(data), "audit", "export"]
        command += ["--format", format_, "--out", str(out), "--force"]
        found = [take(command) for _ in range(runs)]
        size = (out / FILES[format_]).stat().st_size / 1e6
        yield _result(f"export {what}, {format_}", found, f"{size:,.1f} MB", MOST_S)


def checks(out: Path, what: str, runs: int) -> Iterator[Result]:
    """Have the tools check what was exported: each has to find that all is well."""
    bean_check = str(Path(sys.executable).with_name("bean-check"))
    tools = {
        "bean-check": [bean_check, "--no-cache", str(out / FILES["beancount"])],
        "hledger": ["hledger", "-f", str(out / FILES["hledger"]), "check", "--strict"],
    }
    for name, command in tools.items():
        if shutil.which(command[0]):
            found = [take(command) for _ in range(runs)]
            yield _result(f"{name} of {what}", found, "clean")
        else:
            yield not_measured(f"{name} of {what}", "not installed")


def _result(name: str, found: Sequence[Taken], note: str, target: float | None = None) -> Result:
    return Result(
        name=name,
        unit="s",
        runs=tuple(taken.seconds for taken in found),
        target=target,
        at_most=True,
        ratio=f"{max(taken.cpu_seconds for taken in found):,.1f} s of a processor",
        note=f"{note}; memory at most {max(taken.memory_mb for taken in found):,} MB",
    )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Make the log, export it, have it checked."""
    pledges, runs = (2_000, 1) if asked.quick else (asked.pledges, asked.runs)
    with directory() as temporary:
        data = asked.data
        if data is None:
            data = (asked.keep or temporary) / f"collected-{pledges}"
            # In a process of its own: those that come later would inherit its peak of memory.
            making = get_context("spawn").Process(target=prepare, args=(data, pledges))
            making.start()
            making.join()
        what = "the log" if asked.data else f"{pledges:,} pledges"
        out = temporary / "exports"
        out.mkdir()
        yield from exports(data, out, what, runs)
        yield from checks(out, what, runs)


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--pledges", type=int, default=PLEDGES)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    publish(measure(asked), asked, "export_rate")


if __name__ == "__main__":
    main()
