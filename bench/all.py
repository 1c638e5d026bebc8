"""Run every benchmark, one after another, and write `docs/benchmarks.md`.

    python -m bench.all [--quick] [--only engine_rate,soak] [--render]

Each runs in a process of its own with a time limit; what it found is kept in `var/bench`, so that
one can be run anew (`--only`) and the page be written from all (`--render` runs none). The prose of
the page is in `bench/notes`, by benchmark; the numbers in it are only what was measured. A quick
run goes the same ways with small sizes and writes no page. Exit code 1 where one of them failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.databases import ROOT
from bench.machine import facts
from bench.results import Report, Result, read_report, shown

NOTES: Final = ROOT / "bench" / "notes"
KEPT: Final = ROOT / "var" / "bench"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
QUICK_LIMIT_S: Final = 120.0
GRACE_S: Final = 20.0
"""How long a benchmark that ran out of time has to put away what it made."""


class Part(Struct, frozen=True):
    """A benchmark: its module, how long it may run, and what it is told beside `--json`."""

    module: str
    limit_s: float
    options: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """As it is typed."""
        return " ".join(["python -m", f"bench.{self.module}", *self.options])


PARTS: Final = (
    Part("engine_rate", 240),
    Part("whole_way", 300),
    Part("many_engines", 120),
    Part("large_campaign", 180, ("--store", "SQLite")),
    Part("http_rate", 160),
    Part("overload", 80),
    Part("page_rate", 30),
    Part("projection_rate", 150, ("--present", "400000")),
    Part("audit_rate", 300),
    Part("tree_rate", 120),
    Part("public_rate", 120),
    Part("tampering", 900),
    Part("soak", 120),
)


def here(only: Sequence[str] = ()) -> list[Part]:
    """The benchmarks that there are; of those the named ones."""
    return [
        part
        for part in PARTS
        if (ROOT / "bench" / f"{part.module}.py").exists() and (not only or part.module in only)
    ]


def run(part: Part, kept: Path, *, quick: bool) -> str:
    """Run one of them; return why there is no result, or nothing. Prints what it prints."""
    file = kept / f"{part.module}.json"
    file.unlink(missing_ok=True)
    line = [sys.executable, "-m", f"bench.{part.module}", *part.options, "--json", str(file)]
    line += ["--quick"] * quick
    # A group of its own, so that nothing that it started outlives it.
    process = subprocess.Popen(line, cwd=ROOT, process_group=0)
    limit_s = QUICK_LIMIT_S if quick else part.limit_s
    try:
        code = process.wait(limit_s)
    except BaseException as fault:
        _end(process)
        if isinstance(fault, subprocess.TimeoutExpired):
            return f"stopped after {limit_s:g} s"
        raise
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if code:
        return f"failed with exit code {code}"
    return "" if file.exists() else "wrote no result"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# --- The page ------------------------------------------------------------------------------------


def render(
    machine: Iterable[tuple[str, str]], parts: Iterable[tuple[Part, Report | None]]
) -> Iterator[str]:
    """The page, line by line: prose from the notes, numbers from the reports."""
    yield from note("introduction")
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in machine:
        yield f"| {name} | {_cell(value)} |"
    total_s = 0.0
    for part, report in parts:
        yield ""
        yield from note(part.module)
        yield ""
        if report is None:
            yield f"`{part.command}`: **not measured: it failed.**"
            continue
        total_s += report.seconds
        at = datetime.fromtimestamp(report.at / 1000, UTC)
        yield (
            f"`{part.command}` · {at:%Y-%m-%d %H:%M} UTC, load {report.load:.2f},"
            f" took {report.seconds:,.0f} s{' with small sizes, once each' * report.quick}"
        )
        yield ""
        yield "| what | median | runs | aim | beside it |"
        yield "|---|--:|---|---|---|"
        yield from map(row, report.results)
    yield ""
    yield from note("conclusion")
    yield ""
    yield f"All of it took {total_s / 60:,.1f} minutes."


def row(result: Result) -> str:
    """One figure as a row of the table."""
    if result.median is None:
        return f"| {_cell(result.name)} | | | | not measured: {_cell(result.note)} |"
    runs = ", ".join(map(shown, sorted(result.runs))) if len(result.runs) > 1 else ""
    aim = result.aim
    if result.reached is not None:
        aim += " ✓" if result.reached else " **missed**"
    beside = "; ".join(text for text in (result.ratio, result.note) if text)
    median = f"**{shown(result.median)}** {result.unit}".strip()
    return f"| {_cell(result.name)} | {_cell(median)} | {runs} | {aim} | {_cell(beside)} |"


def note(name: str) -> Iterator[str]:
    """The prose kept under this name; a bare title where there is none yet."""
    file = NOTES / f"{name}.md"
    if not file.exists():
        yield f"## {name}"
        return
    first, *rest = file.read_text().rstrip().splitlines()
    yield first if name == "introduction" else first.replace("# ", "## ", 1)
    yield from rest


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Run what was asked for, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run, no page")
    parser.add_argument("--only", default="", help="modules, with commas between them")
    parser.add_argument("--render", action="store_true", help="write the page from what is kept")
    asked = parser.parse_args()
    only = [name for name in asked.only.split(",") if name]
    unknown = set(only) - {part.module for part in here()}
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    kept = KEPT / "quick" if asked.quick else KEPT
    kept.mkdir(parents=True, exist_ok=True)
    machine = kept / "machine.json"
    began = time.monotonic()
    failed = []
    if not asked.render:
        if not only or not machine.exists():
            machine.write_bytes(msgspec.json.encode(list(facts())))
        for part in here(only):
            print(f"\n== {part.command}", flush=True)
            part_began = time.monotonic()
            fault = run(part, kept, quick=asked.quick)
            print(f"== {part.module} took {time.monotonic() - part_began:,.1f} s  {fault}".rstrip())
            if fault:
                failed.append(part.module)
    if asked.render or not asked.quick:
        found = msgspec.json.decode(machine.read_bytes(), type=list[tuple[str, str]])
        parts = [(part, _kept(kept, part)) for part in here()]
        PAGE.write_text("\n".join(render(found, parts)) + "\n")
        print(f"\nwrote {PAGE.relative_to(ROOT)}")
    print(f"all of it took {(time.monotonic() - began) / 60:,.1f} minutes")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _kept(kept: Path, part: Part) -> Report | None:
    file = kept / f"{part.module}.json"
    return read_report(file) if file.exists() else None


if __name__ == "__main__":
    main()
