"""How many events a second `audit verify` and `audit replay` go through, and in how much memory.

    python -m bench.audit_rate [--quick] [--json FILE] [--events N] [--kinds life pledges hot]
                               [--workers 1 2] [--keep DIR] [--postgres URL]

In the measured path: all that `tributary audit verify` and `tributary audit replay` do, from the
stored bytes to the last difference. Not in it: the bank's books, of which there are none.
Logs are made by the engine, then their views; DIR keeps them for the next time. With
`--postgres URL` (an empty, migrated database, and one kind) the log is there instead of in a file.
Each run is a process of its own, as a person would start it, with the start of its workers in it.
The rate by the clock is what counts where nothing else runs; beside other work only the rate by
processor time can be compared. Memory is at most that of the first process and of its largest
worker as often as there are workers.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from app.audit.reader import AuditLog, LogPlace
from app.audit.replay import replay
from app.audit.verify import verify
from bench.audit_log import KINDS, Kind, make
from bench.databases import directory
from bench.results import RUNS, Result, arguments, publish
from projections.runner import Follower
from projections.views import Views

Command = Literal["verify", "replay"]

EVENTS: Final = 1_000_000
TARGETS: Final[dict[Command, int]] = {"verify": 100_000, "replay": 40_000}
KIB_PER_MB: Final = 1024


class Taken(Struct, frozen=True):
    """What one run took: seconds by the clock, of processors, and memory at most."""

    events: int
    ok: bool
    seconds: float
    cpu_seconds: float
    memory_mb: int


def take(command: Command, log: LogPlace, folder: Path, workers: int) -> Taken:
    """Do it here, once."""
    began = time.perf_counter()
    if command == "verify":
        verified, _ = verify(log, folder / "no-bank.db", workers=workers)
        events, ok = verified.events, verified.ok
    else:
        replayed, _ = replay(log, folder / "views.db", workers=workers)
        events, ok = replayed.events, replayed.identical
    seconds = time.perf_counter() - began
    own = resource.getrusage(resource.RUSAGE_SELF)
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
    peak = own.ru_maxrss + workers * theirs.ru_maxrss
    return Taken(events, ok, seconds, cpu, peak // KIB_PER_MB)


def take_apart(command: Command, log: LogPlace, folder: Path, workers: int) -> Taken:
    """Do it in a process of its own."""
    asked = ["--run", command, "--keep", str(folder), "--workers", str(workers)]
    place = ["--postgres", log] if isinstance(log, str) else []
    run = [sys.executable, "-m", "bench.audit_rate", *asked, *place]
    done = subprocess.run(run, check=True, capture_output=True)
    return msgspec.json.decode(done.stdout, type=Taken)


def prepare(log: LogPlace, folder: Path, kind: Kind, events: int) -> None:
    """Make a log and its views, where there are none yet."""
    if not (folder / "views.db").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(log, kind, events)
        views = Views(folder / "views.db")
        with closing(AuditLog(log)) as made:
            Follower(made.read, views, log_id=made.log_id).catch_up()
        views.current().close_sync()


def compare(
    folder: Path, url: str, kind: Kind, events: int, workers: list[int], runs: int
) -> Iterator[Result]:
    """Measure one kind of log."""
    log = url or folder / "log.db"
    prepare(log, folder, kind, events)
    for command, target in TARGETS.items():
        for count in workers:
            found = [take_apart(command, log, folder, count) for _ in range(runs)]
            if not all(taken.ok for taken in found):
                raise SystemExit(f"{command} found something in a log of {kind}")
            last = found[-1]
            yield Result(
                name=f"audit {command}, {last.events:,} events ({kind}), {count} at work",
                unit="events/s",
                runs=tuple(taken.events / taken.seconds for taken in found),
                target=target if count == max(workers) else None,
                ratio=f"{last.events / last.cpu_seconds:,.0f} a CPU second",
                note=f"memory at most {max(taken.memory_mb for taken in found):,} MB",
            )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Make each kind of log, and measure it."""
    events, runs = (20_000, 1) if asked.quick else (asked.events, RUNS)
    with directory() as temporary:
        for kind in asked.kinds:
            folder = (asked.keep or temporary) / f"{kind}-{events}"
            yield from compare(folder, asked.postgres, kind, events, asked.workers, runs)


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["life"])
    parser.add_argument("--workers", nargs="+", type=int, default=[2])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--postgres", default="")
    parser.add_argument("--run", choices=["verify", "replay"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        folder: Path = asked.keep
        taken = take(asked.run, asked.postgres or folder / "log.db", folder, asked.workers[0])
        sys.stdout.buffer.write(msgspec.json.encode(taken))
        return
    publish(measure(asked), asked, "audit_rate")


if __name__ == "__main__":
    main()
