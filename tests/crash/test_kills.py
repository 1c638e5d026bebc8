"""The kill harness itself: a short run of it, and proof that it can go red."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.crash import PLANT, Figures

ROOT = Path(__file__).parents[2]


def crash(directory: Path, *arguments: str) -> tuple[int, Figures]:
    """Run the harness as a person would; its exit code and its figures."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.crash", "--json", "--data", directory / "data", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    return done.returncode, msgspec.json.decode(done.stdout, type=Figures)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    """Through kills from outside, inside turns and inside the transparency log, every acknowledged
    pledge is there once, every leaf is its event's, and no witness saw a fork.
    """
    code, found = crash(tmp_path, "--kills", "11", "--in-turn", "4", "--in-tree", "3")
    assert found.faults == []
    assert (code, found.ok) == (0, True)
    assert sum(found.kills.values()) == 11
    assert (found.in_turn, found.in_tree) == (4, 3)
    assert found.cosigned > 0
    assert {"after_append", "before_commit", "after_commit"} <= found.kills.keys()
    assert found.acknowledged > 0
    assert found.recorded_unanswered + found.lost_unanswered + found.sent_again > 0


@pytest.mark.slow
def test_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    """With that bug planted, acknowledged pledges are missing, and the harness says so."""
    code, found = crash(tmp_path, "--kills", "2", "--plant", PLANT)
    assert (code, found.ok) == (1, False)
    assert any("was acknowledged" in fault for fault in found.faults)
