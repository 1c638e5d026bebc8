"""After a shorter log was accepted: the old identity goes on, or a new one begins; never a fork."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.keys import Keys, load_keys
from app.settings import SettingsError
from app.transparency.checkpoint import open_checkpoint
from app.transparency.note import SigningKey
from app.transparency.restoring import Accepting, NeedsSigningKeyError, foretell, go_on
from app.transparency.signing import FILE
from app.transparency.store import TransparencyStore
from tests.transparency.tree_stage import TreeStage


def grown_and_signed(stage: TreeStage) -> TransparencyStore:
    """A tree of the whole log, signed."""
    store = stage.store()
    stage.follower(store).catch_up()
    assert stage.signer(store).step() is not None
    return store


def shorten(stage: TreeStage, by: int) -> int:
    """Let the log end earlier; return where."""
    for store in stage.stores:
        store.close()
    del stage.history.log.rows[-by:]
    return len(stage.history.log.rows)


def test_lost_events_begin_a_new_identity(tree_stage: TreeStage) -> None:
    """The tree is cut, name and key are new, and it is signed from there; the old key rests."""
    old = grown_and_signed(tree_stage).tree()
    assert old is not None
    last = shorten(tree_stage, 7)
    told = go_on(tree_stage.settings, Accepting(last, is_backup=False))
    assert "tree.test/log/r2" in told
    assert "receipts for later ones lead nowhere" in told
    keys = load_keys(tree_stage.settings)
    assert re.fullmatch(r"tree\.test/log/r2-[0-9a-f]{8}", keys.origin)
    assert keys.signing.verifier.encode() in told
    store = tree_stage.store(keys)
    assert [one.origin for one in store.trees()] == ["tree.test/log", keys.origin]
    assert store.size == last
    tree_stage.keys = keys
    signed = tree_stage.signer(store).step()
    assert signed is not None
    assert open_checkpoint(signed.note, keys.signing.verifier).checkpoint.size == last
    folder = tree_stage.settings.keys_dir
    assert SigningKey.parse((folder / "signing.ended-1").read_text()).verifier.encode() == old.vkey
    assert (folder / f"{FILE}.ended-1").exists()
    again = shorten(tree_stage, 2)
    assert "tree.test/log/r3" in go_on(tree_stage.settings, Accepting(again, is_backup=False))


def test_where_nothing_signed_is_lost_the_identity_goes_on(tree_stage: TreeStage) -> None:
    """Certain by our own file, or by that of the machine that was lost."""
    grown_and_signed(tree_stage)
    stage, last = tree_stage, len(tree_stage.history.log.rows)
    folder = stage.settings.keys_dir
    if not stage.settings.database_url:
        told = foretell(stage.settings, Accepting(last, is_backup=False))
        assert "will go on under its name" in told
        assert "nothing that it signed" in go_on(stage.settings, Accepting(last, is_backup=False))
    shutil.move(folder / FILE, folder / "theirs.json")
    told = go_on(
        stage.settings, Accepting(last, is_backup=True, signed_file=folder / "theirs.json")
    )
    assert "nothing that it signed" in told
    assert load_keys(stage.settings).signing.encode() == stage.keys.signing.encode()


@pytest.mark.parametrize(
    "doubt",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{}"),
        lambda path: path.write_text(path.read_text().replace('"root":"', '"root":"00')),
        lambda path: path.write_text(path.read_text().replace("tree.test", "else.test")),
    ],
)
def test_in_doubt_the_identity_is_new(tmp_path: Path, doubt: Callable[[Path], object]) -> None:
    """Nobody knows what was signed, or it was something else."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    doubt(stage.settings.keys_dir / FILE)
    told = go_on(stage.settings, Accepting(len(stage.history.log.rows), is_backup=False))
    assert "tree.test/log/r2" in told
    stage.close()


def test_a_restored_backup_is_in_doubt(tmp_path: Path) -> None:
    """Its own `signed.json` may be older than what was signed later."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    told = go_on(stage.settings, Accepting(len(stage.history.log.rows), is_backup=True))
    assert "tree.test/log/r2" in told
    stage.close()


def test_an_end_in_the_midst_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the tree and the key: done once more, it is one new identity."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    last = shorten(stage, 7)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.transparency.restoring._install", killed)
    with pytest.raises(KeyboardInterrupt):
        go_on(stage.settings, Accepting(last, is_backup=False))
    monkeypatch.undo()
    assert "tree.test/log/r2" in go_on(stage.settings, Accepting(last, is_backup=False))
    keys: Keys = load_keys(stage.settings)
    assert [one.origin for one in stage.store(keys).trees()][-1] == keys.origin
    assert keys.origin.startswith("tree.test/log/r2-")
    stage.close()


def test_a_given_key_is_not_replaced_by_us(tmp_path: Path) -> None:
    """Who keeps the signing key elsewhere is told to set a new one."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    last = shorten(stage, 7)
    given = stage.keys.signing.encode()
    settings = msgspec.structs.replace(stage.settings, signing_key=given)
    with pytest.raises(NeedsSigningKeyError, match="TRIBUTARY_SIGNING_KEY") as fault:
        go_on(settings, Accepting(last, is_backup=False))
    assert given not in str(fault.value)
    new = SigningKey.generate("tree.test/log/r2")
    settings = msgspec.structs.replace(settings, signing_key=new.encode())
    assert new.verifier.encode() in go_on(settings, Accepting(last, is_backup=False))
    stage.close()


def test_without_a_tree_there_is_nothing_to_do(tmp_path: Path) -> None:
    """A platform of an older version, or one that never ran."""
    stage = TreeStage(tmp_path)
    assert not go_on(stage.settings, Accepting(5, is_backup=False))
    assert not stage.settings.transparency_path.exists()
    stage.close()


def test_a_new_identity_that_signed_nothing_is_kept(tmp_path: Path) -> None:
    """Asked a second time before anything was signed: the key that was handed out stays."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    last = shorten(stage, 7)
    go_on(stage.settings, Accepting(last, is_backup=False))
    key = load_keys(stage.settings).signing.encode()
    assert "signed nothing yet" in go_on(stage.settings, Accepting(last, is_backup=False))
    assert load_keys(stage.settings).signing.encode() == key
    stage.close()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A slip in its name does not end an identity."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SettingsError, match=r"notes\.txt"):
        go_on(stage.settings, Accepting(5, is_backup=False, signed_file=tmp_path / "notes.txt"))
    assert load_keys(stage.settings).origin == "tree.test/log"
    stage.close()


def test_what_will_be_is_told_before(tree_stage: TreeStage) -> None:
    """Whoever is asked knows whether the name will change; nothing is changed by telling."""
    grown_and_signed(tree_stage)
    last = shorten(tree_stage, 7)
    told = foretell(tree_stage.settings, Accepting(last, is_backup=False))
    assert "tree.test/log will END" in told
    assert tree_stage.store().size > last
    assert load_keys(tree_stage.settings).signing.encode() == tree_stage.keys.signing.encode()


@pytest.mark.postgres
def test_a_database_needs_somebody_who_knows(tmp_path: Path, postgres_url: str) -> None:
    """Another machine may have signed more than this one's file says."""
    stage = TreeStage(tmp_path, postgres_url)
    grown_and_signed(stage)
    last = len(stage.history.log.rows)
    assert "tree.test/log/r2" in go_on(stage.settings, Accepting(last, is_backup=False))
    stage.close()


def test_a_second_machine_takes_over_what_the_first_did(tmp_path: Path) -> None:
    """It has the old key still: it is told to bring the new one, and ends no second identity."""
    stage = TreeStage(tmp_path)
    grown_and_signed(stage)
    second = tmp_path / "second"
    shutil.copytree(stage.settings.keys_dir, second)
    last = shorten(stage, 7)
    go_on(stage.settings, Accepting(last, is_backup=False))
    settings = msgspec.structs.replace(stage.settings, keys_dir=second)
    told = go_on(settings, Accepting(last, is_backup=False))
    assert "accepted on another machine" in told
    shutil.copy(stage.settings.keys_dir / "signing", second / "signing")
    (second / FILE).unlink()
    assert "signed nothing yet" in go_on(settings, Accepting(last, is_backup=False))
    keys = load_keys(stage.settings)
    assert [one.origin for one in stage.store(keys).trees()] == ["tree.test/log", keys.origin]
    stage.close()
