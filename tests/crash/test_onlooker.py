"""The witness beside the kill loop: it can go red."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.transparency.signing import FILE, read_signed, write_signed
from bench.crash_tree import Onlooker
from tests.transparency.tree_stage import TreeStage


def signed(stage: TreeStage, steps: int) -> None:
    """Grow and sign, then close all, as a server that was killed has."""
    store = stage.store()
    follower, signer = stage.follower(store), stage.signer(store)
    for _ in range(steps):
        follower.step(10)
        signer.step()
    store.close()


def test_what_goes_on_is_cosigned(tmp_path: Path) -> None:
    """Over several lives, each checkpoint once."""
    stage = TreeStage(tmp_path)
    onlooker = Onlooker(stage.settings, tmp_path / "onlooker.db")
    onlooker.look()
    signed(stage, 2)
    onlooker.look()
    signed(stage, 3)
    onlooker.look()
    onlooker.look()
    assert (onlooker.faults, onlooker.cosigned) == ([], 5)
    stage.close()


def test_a_fork_is_seen(tmp_path: Path) -> None:
    """Somebody threw away the tree and what was signed, and signed another story."""
    stage = TreeStage(tmp_path)
    onlooker = Onlooker(stage.settings, tmp_path / "onlooker.db")
    signed(stage, 3)
    onlooker.look()
    for path in (*tmp_path.glob("transparency.db*"), stage.settings.keys_dir / FILE):
        path.unlink()
    stage.parties.keys = dict.fromkeys(stage.parties.keys, b"z" * 32)
    signed(stage, 5)
    onlooker.look()
    assert any("consistency" in fault for fault in onlooker.faults)
    stage.close()


def test_a_note_that_is_ahead_of_the_tree_is_seen(tmp_path: Path) -> None:
    """Or that says something else, or less, or nothing."""
    stage = TreeStage(tmp_path)
    signed(stage, 3)
    path = stage.settings.keys_dir / FILE
    known = read_signed(path)
    assert known is not None
    for wrong, said in (
        (msgspec.structs.replace(known, size=9_999), "the tree has"),
        (msgspec.structs.replace(known, root="00" * 32), "no prefix"),
        (msgspec.structs.replace(known, size=5), "was signed"),
        (None, "not there"),
    ):
        if wrong is None:
            path.unlink()
        else:
            write_signed(path, wrong)
        onlooker = Onlooker(stage.settings, tmp_path / f"{said}.db")
        onlooker.look()
        assert any(said in fault for fault in onlooker.faults)
    stage.close()
