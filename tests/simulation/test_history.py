"""A small history runs through the whole platform, and its books are clean."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from app.cli import main

HEADER = (
    "project_id,user_id,name,permalink,category_name,goal,pledged,state,mode,online_date,"
    "expires_at,total_contributions,total_contributors\n"
)
PROJECTS = """\
1,1,Won,won,C,50.0,60.0,successful,aon,2011-01-03,2011-01-08,3,3
2,2,Missed,missed,C,90.0,10.0,failed,aon,2011-01-03,2011-01-08,1,1
3,3,Empty,empty,C,90.0,0.0,failed,aon,2011-01-03,2011-01-08,0,0
4,4,Flexible,flexible,C,90.0,5.0,successful,flex,2011-01-04,2011-01-09,2,2
5,5,Still open,open,C,90.0,7.0,online,aon,2011-01-04,2011-03-09,1,1
6,6,Odd,odd,C,20.0,30.0,failed,aon,2011-01-04,2011-01-09,1,1
"""
DAYS = """\
project_id,paid_at,total,total_amount
1,2011-01-03,1,10.0
1,2011-01-09,2,50.0
2,2011-01-05,1,10.0
4,2011-01-05,2,5.01
5,2011-01-06,1,7.0
6,2011-01-06,1,30.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six projects: won, missed, empty, flexible, open, and one that the source calls failed."""
    for name, text in (("projects", HEADER + PROJECTS), ("contributions_per_day", DAYS)):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.write(text)
    return tmp_path


def _told(*words: str) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit code and the object on its last line."""
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    return result.exit_code, msgspec.json.decode(result.stdout.splitlines()[-1])


def test_a_history_is_closed_charged_paid_out_and_clean(folder: Path, tmp_path: Path) -> None:
    """The outcome follows the rule, and the source where it agrees; the audit finds nothing."""
    data = str(tmp_path / "var")
    code, said = _told("--data", data, "--json", "simulate", "catarse", str(folder))
    assert code == 0
    assert said == {
        "campaigns": 6,
        "pledges": 8,
        "pledged_minor": 11_201,
        "finished_aon": 4,
        "match_rule": 4,
        "match_source": 3,
    }
    code, verified = _told("--data", data, "--json", "audit", "verify")
    assert (code, verified["ok"], verified["violations"]) == (0, True, [])
    code, replayed = _told("--data", data, "--json", "audit", "replay")
    assert (code, replayed["identical"], replayed["differences"]) == (0, True, [])
    assert replayed["events"] == verified["events"] > 40


def test_a_history_needs_an_empty_log(folder: Path, tmp_path: Path) -> None:
    """Run twice it would turn the clock back: the second run is refused and says why."""
    words = ["--data", str(tmp_path / "var"), "simulate", "catarse", str(folder)]
    assert CliRunner().invoke(main, words).exit_code == 0
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 1
    assert "not empty" in again.output
