"""What every benchmark says in the end: lines for people, and with `--json FILE` for programs.

A benchmark module has a `main` like this, and `bench.all` runs it, reads the file and puts the
table into `docs/benchmarks.md` under the prose of `bench/notes/<module>.md`:

    def main() -> None:
        asked = arguments(__doc__).parse_args()
        publish(measure(quick=asked.quick), asked, "engine_rate")
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

RUNS = 3
"""How often a figure is measured; a quick run measures it once."""


class Result(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure: what was measured in each run, and what it stands beside.

    `target` is what it has to reach: at least so much, or with `at_most` at most. `ratio` compares
    it with something measured in the same run ("61 % of an empty handler"). Without `runs` it was
    not measured, and `note` says why.
    """

    name: str
    unit: str
    runs: tuple[float, ...]
    target: float | None = None
    at_most: bool = False
    ratio: str = ""
    note: str = ""

    @property
    def median(self) -> float | None:
        """The middle of the runs; None where there was none."""
        return statistics.median(self.runs) if self.runs else None

    @property
    def reached(self) -> bool | None:
        """Whether the median is as good as the target; None where there is nothing to compare."""
        median = self.median
        if median is None or self.target is None:
            return None
        return median <= self.target if self.at_most else median >= self.target

    @property
    def aim(self) -> str:
        """The target in words; empty where there is none."""
        if self.target is None:
            return ""
        return f"{'≤' if self.at_most else '≥'} {shown(self.target)}"


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All figures of one benchmark. `load` is the load average when it began; `at` is in ms UTC."""

    bench: str
    quick: bool
    at: int
    seconds: float
    load: float
    results: tuple[Result, ...]


def not_measured(name: str, why: str) -> Result:
    """A figure that could not be taken here."""
    return Result(name=name, unit="", runs=(), note=why)


def shown(figure: float) -> str:
    """Write a figure as precisely as it is worth reading: 70,000 or 12.3 or 0.075."""
    if abs(figure) >= 100 or figure == int(figure):
        return f"{figure:,.0f}"
    return f"{figure:#.3g}"


def line(result: Result) -> str:
    """Write one figure for people."""
    if result.median is None:
        return f"{result.name}: not measured, {result.note}"
    said = [f"{result.name}: {shown(result.median)} {result.unit}".rstrip()]
    if len(result.runs) > 1:
        said.append("(" + ", ".join(shown(run) for run in sorted(result.runs)) + ")")
    if result.target is not None:
        said.append(f"[{result.aim}: {'yes' if result.reached else 'NO'}]")
    said += [text for text in (result.ratio, result.note) if text]
    return "  ".join(said)


_STARTED = (time.time_ns() // 1_000_000, time.monotonic(), os.getloadavg()[0])


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The command line that all benchmarks share; a module adds what it has of its own."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def publish(results: Iterable[Result], asked: argparse.Namespace, bench: str) -> None:
    """Print each figure as it comes; write all of them where `--json` says.

    A quick run is too small to be held against a target. Whoever ends the process with SIGTERM
    leaves it the time to put away its directories, databases and servers.
    """
    signal.signal(signal.SIGTERM, _end)
    found = []
    for result in results:
        if asked.quick:
            result = msgspec.structs.replace(result, target=None)  # noqa: PLW2901 - the same figure
        print(line(result), flush=True)
        found.append(result)
    if asked.json:
        at, began, load = _STARTED
        report = Report(
            bench=bench,
            quick=asked.quick,
            at=at,
            seconds=round(time.monotonic() - began, 1),
            load=round(load, 2),
            results=tuple(found),
        )
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def read_report(path: Path) -> Report:
    """Read what `publish` wrote. Raises msgspec's errors."""
    return msgspec.json.decode(path.read_bytes(), type=Report)
