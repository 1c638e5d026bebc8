"""Every benchmark runs in its quick form, and says in its file what it measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.all import PARTS, here
from bench.databases import ROOT
from bench.results import read_report


def test_every_benchmark_that_is_named_is_there() -> None:
    """`make bench` leaves none out."""
    assert [part.module for part in here()] == [part.module for part in PARTS]


@pytest.mark.slow
@pytest.mark.parametrize("module", [part.module for part in PARTS])
def test_it_runs(module: str, tmp_path: Path) -> None:
    """It goes all its ways with small sizes: what it counts at the end is right, else it fails."""
    file = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", "--quick", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(file)
    assert (report.bench, report.quick) == (module, True)
    assert report.results
    for result in report.results:
        assert result.runs or result.note, f"{result.name} has neither figure nor reason"
        assert result.unit or not result.runs
        assert f"{result.name}: " in done.stdout
