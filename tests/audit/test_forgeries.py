"""What somebody does to a stored log is found and named, be it one bit or all of it made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit import tree_ranges
from app.audit.findings import Finding
from app.audit.leaves import LeafCheck
from app.audit.tree import TreeCheck
from app.audit.verify import verify
from bench.tampering import AND_ALL_BEHIND, KINDS, Judged, missed, names, run, tallies
from bench.tampering_stage import Stage, make_stage

EACH = 11
"""Mutations of each kind."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A small log of whole lives."""
    return make_stage(tmp_path_factory.mktemp("tampering"), lives=2)


def of_kind(stage: Stage, kind: str, count: int) -> list[Judged]:
    """Some mutations of one kind."""
    number = KINDS.index(kind)
    return run(stage, count * len(KINDS), seed=5, first=number, step=len(KINDS))


def test_an_untouched_log_is_clean(stage: Stage, tmp_path: Path) -> None:
    """Nothing is found where nothing was done."""
    place = stage.place(stage.tree, stage.signed)
    found, _ = verify(stage.log, tmp_path / "none", tree=place, workers=1)
    assert found.violations == []
    assert found.tree is not None
    assert found.tree.unopenable == len(stage.erased)


def test_every_forgery_is_found_and_named(stage: Stage) -> None:
    """Of some hundred mutations all that touch what a checkpoint from outside covers are found, and
    where it is is said.
    """
    judged = run(stage, EACH * len(KINDS), seed=1)
    assert missed(judged) == []
    found = tallies(judged)
    assert set(found) == set(KINDS)
    assert sum(tally.covered for tally in found.values()) > EACH * len(KINDS) // 2
    # What is not covered by anything from outside can be made anew without a trace.
    assert any(tally.uncovered > tally.beyond for tally in found.values())


def test_without_leaves_a_rewritten_id_is_not_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness goes red: no rule tells what only the leaf says."""
    monkeypatch.setattr(LeafCheck, "page", lambda *_: None)
    assert missed(of_kind(stage, "rewrite an id", 8))


def test_without_checkpoints_from_outside_a_tree_made_anew_is_not_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness goes red: whoever has every key makes a log that agrees with itself."""
    monkeypatch.setattr(TreeCheck, "_check_outside", lambda *_: None)
    assert missed(of_kind(stage, f"rewrite an id{AND_ALL_BEHIND}", 8))


def test_without_the_notes_a_changed_checkpoint_is_not_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness goes red: a signature that nobody checks is none."""
    monkeypatch.setattr(tree_ranges._Work, "_fault", lambda *_: "")
    assert missed(of_kind(stage, "flip a bit of a checkpoint", 8))


@pytest.mark.parametrize(
    ("said", "position", "right"),
    [
        (Finding("leaf", 7, "", "It is wrong."), 7, True),
        (Finding("leaf", 7, "", "It is wrong."), 8, False),
        (Finding("fork", 7, "", "It is in positions 7 to 1,012."), 1_012, True),
        (Finding("fork", 7, "", "It is in positions 7 to 1,012."), 1_013, False),
        (Finding("rule 7", None, "", "The journal does not sum to zero."), 7, False),
    ],
)
def test_what_names_a_place(said: Finding, position: int, *, right: bool) -> None:
    """A finding names its position, or a range."""
    assert names(said, position) is right
