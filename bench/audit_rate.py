"""How many events a second `audit verify` and `audit replay` go through, and in how much memory.

    python -m bench.audit_rate [--events N] [--kinds life pledges hot] [--workers 1 2] [--keep DIR]

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
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from app.audit.reader import AuditLog, LogPlace
from app.audit.replay import replay
from app.audit.verify import verify
from bench.audit_log import KINDS, Kind, make
from projections.runner import Follower
from projections.views import Views

Command = Literal["verify", "replay"]

EVENTS: Final = 1_000_000
KIB_PER_MB: Final = 1024


class Taken(Struct, frozen=True):
    """What one run took: seconds by the clock, of processors, and memory at most."""

    events: int
    ok: bool
    seconds: float
    cpu_seconds: float
    memory_mb: int


def measure(command: Command, log: LogPlace, folder: Path, workers: int) -> Taken:
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


def measure_apart(command: Command, log: LogPlace, folder: Path, workers: int) -> Taken:
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


def compare(folder: Path, url: str, kind: Kind, events: int, workers: list[int]) -> None:
    """Measure one kind of log."""
    log = url or folder / "log.db"
    prepare(log, folder, kind, events)
    for command in ("verify", "replay"):
        for count in workers:
            taken = measure_apart(command, log, folder, count)
            if not taken.ok:
                raise SystemExit(f"{command} found something in a log of {kind}")
            by_clock, by_cpu = taken.events / taken.seconds, taken.events / taken.cpu_seconds
            print(
                f"{kind:8} {command} workers={count} {taken.events:,} events:"
                f" {by_clock:9,.0f} a second, {by_cpu:9,.0f} a CPU second, {taken.memory_mb:,} MB"
            )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["life"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--postgres", default="")
    parser.add_argument("--run", choices=["verify", "replay"])
    asked = parser.parse_args()
    if asked.run:
        folder: Path = asked.keep
        taken = measure(asked.run, asked.postgres or folder / "log.db", folder, asked.workers[0])
        sys.stdout.buffer.write(msgspec.json.encode(taken))
        return
    with tempfile.TemporaryDirectory(prefix="tributary-bench-") as temporary:
        for kind in asked.kinds:
            folder = (asked.keep or Path(temporary)) / f"{kind}-{asked.events}"
            compare(folder, asked.postgres, kind, asked.events, asked.workers)


if __name__ == "__main__":
    main()
