"""What benchmarks say: medians, targets, lines, the file for programs, and the page."""

from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import all as everything
from bench.all import Part, render, row, run
from bench.machine import facts
from bench.results import Report, Result, line, not_measured, publish, read_report, shown

RATE = Result(name="pledges", unit="pledges/s", runs=(10_000, 30_000, 12_000), target=11_000)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A benchmark takes SIGTERM for itself; the tests give it back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def report(*results: Result) -> Report:
    """A report of these figures."""
    return Report(
        bench="engine_rate", quick=False, at=0, seconds=90.0, load=0.5, results=tuple(results)
    )


def test_the_median_is_held_against_the_target() -> None:
    """Of three runs the middle one counts, for "at least" and for "at most"."""
    assert RATE.median == 12_000
    assert RATE.reached is True
    slow = Result(name="wait", unit="s", runs=(0.5, 2.0, 3.0), target=1.5, at_most=True)
    assert slow.reached is False
    assert slow.aim == "≤ 1.50"
    assert Result(name="x", unit="", runs=(1.0,)).reached is None


def test_what_was_not_measured_says_why() -> None:
    """It has no median, reaches nothing, and its line and its row give the reason."""
    missing = not_measured("TigerBeetle", "not installed")
    assert missing.median is None
    assert missing.reached is None
    assert line(missing) == "TigerBeetle: not measured, not installed"
    assert "not measured: not installed" in row(missing)


@pytest.mark.parametrize(
    ("figure", "text"),
    [(70_000.4, "70,000"), (123.4, "123"), (12.34, "12.3"), (0.0751, "0.0751"), (1.004, "1.00")],
)
def test_figures_are_as_precise_as_they_are_worth(figure: float, text: str) -> None:
    """Three digits, or all before the point."""
    assert shown(figure) == text


def test_a_report_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file holds what was printed; a quick run is held against no target."""
    file = tmp_path / "report.json"
    publish([RATE], Namespace(json=file, quick=False), "engine_rate")
    assert "12,000 pledges/s  (10,000, 12,000, 30,000)  [≥ 11,000: yes]" in capsys.readouterr().out
    assert read_report(file).results == (RATE,)
    publish([RATE], Namespace(json=file, quick=True), "engine_rate")
    assert "11,000" not in capsys.readouterr().out
    assert read_report(file).results[0].target is None


def test_the_page_has_every_figure_and_its_command() -> None:
    """Each row has the median, the runs, the target and whether it was reached."""
    missed = Result(name="a | b", unit="s", runs=(2.0,), target=1.0, at_most=True, note="why")
    part = Part("engine_rate", 60, ("--rate", "5"))
    page = "\n".join(
        render([("kernel", "Linux")], [(part, report(RATE, missed)), (Part("soak", 60), None)])
    )
    assert "| kernel | Linux |" in page
    assert "`python -m bench.engine_rate --rate 5` · 1970-01-01 00:00 UTC, load 0.50" in page
    assert "| pledges | **12,000** pledges/s | 10,000, 12,000, 30,000 | ≥ 11,000 ✓ |  |" in page
    assert "| a \\| b | **2** s |  | ≤ 1 **missed** | why |" in page
    assert "`python -m bench.soak`: **not measured: it failed.**" in page
    assert "All of it took 1.5 minutes." in page


def test_every_benchmark_has_its_prose() -> None:
    """What bounds a figure is written down for each benchmark that `make bench` runs."""
    wanted = [part.module for part in everything.here()] + ["introduction", "conclusion"]
    assert [name for name in wanted if not (everything.NOTES / f"{name}.md").exists()] == []
    assert [name for name in wanted if len(list(everything.note(name))) < 3] == []


def test_the_machine_is_described() -> None:
    """Kernel, disk, versions and load are told."""
    found = dict(facts())
    assert {"date", "processor", "memory", "kernel", "disk", "Python", "SQLite"} <= set(found)
    assert found["Python"] == sys.version.split()[0]
    assert "fsync takes" in found["disk"]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import sys; sys.exit(3)", "failed with exit code 3"),
        ("pass", "wrote no result"),
        ("import time; time.sleep(60)", "stopped after 0.5 s"),
    ],
    ids=["fails", "writes nothing", "hangs"],
)
def test_a_benchmark_that_goes_wrong_is_told(
    code: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing one, one that says nothing and one that hangs are named."""
    plant(code, tmp_path, monkeypatch)
    limit_s = 0.5 if "stopped" in fault else 30.0
    assert run(Part("wrong", limit_s), tmp_path, quick=False) == fault


def test_nothing_outlives_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it started is ended with it."""
    plant(
        """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("pid").write_text(str(child.pid))
        """,
        tmp_path,
        monkeypatch,
    )
    assert run(Part("wrong", 30.0), tmp_path, quick=False) == "wrote no result"
    status = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    deadline = time.monotonic() + 30
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "it lives on"


def plant(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this code stand for a benchmark."""
    (folder / "bench").mkdir()
    (folder / "bench" / "wrong.py").write_text(code)
    monkeypatch.setattr(everything, "ROOT", folder)
