"""No two checkpoints ever contradict each other, whatever is restored, rewound or killed."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, update

from app.transparency.checkpoint import open_checkpoint
from app.transparency.merkle import consistency_proof, verify_consistency
from app.transparency.note import SigningKey
from app.transparency.signing import FILE, ForkError, Signed, read_signed, write_signed
from app.transparency.store import (
    CHECKPOINTS,
    TREES,
    OtherTreeError,
    SignedCheckpoint,
    TransparencyStore,
)
from tests.transparency.tree_stage import NOW, TreeStage


def kept(stage: TreeStage) -> Signed:
    """What lies outside the database."""
    found = read_signed(stage.settings.keys_dir / FILE)
    assert found is not None
    return found


def signed_in_steps(stage: TreeStage, store: TransparencyStore) -> list[SignedCheckpoint]:
    """Grow the tree a little, sign, and so on; return every checkpoint."""
    follower, signer = stage.follower(store), stage.signer(store)
    found = []
    for _ in range(4):
        follower.step(10)
        stage.now += 1_000
        signed = signer.step()
        assert signed is not None
        found.append(signed)
    assert signer.step() is None, "nothing has grown"
    return found


def test_what_is_signed_is_the_tree(tree_stage: TreeStage) -> None:
    """Anybody with the public key reads it, each goes on from the one before, the last is kept."""
    store = tree_stage.store()
    found = signed_in_steps(tree_stage, store)
    key = tree_stage.keys.signing.verifier
    before = SignedCheckpoint(0, store.root_at(0), 0, "")
    for signed in found:
        opened = open_checkpoint(signed.note, key).checkpoint
        assert (opened.size, opened.root) == (signed.size, signed.root)
        assert signed.root == store.root_at(signed.size)
        proof = consistency_proof(store, before.size, signed.size)
        verify_consistency(before.size, signed.size, before.root, signed.root, proof)
        before = signed
    assert [one.at for one in found] == [NOW + 1_000 * n for n in range(1, 5)]
    assert store.checkpoints() == found
    assert store.latest_published() == found[-1]
    last = found[-1]
    assert kept(tree_stage) == Signed("tree.test/log", last.size, last.root.hex(), last.at)


def test_it_goes_on_after_a_restart(tree_stage: TreeStage) -> None:
    """Nothing is signed twice, and what comes is."""
    store = tree_stage.store()
    found = signed_in_steps(tree_stage, store)
    again = tree_stage.signer(tree_stage.store())
    assert again.step() is None
    tree_stage.follower(store).catch_up()
    signed = again.step()
    assert signed is not None
    assert signed.size == store.size > found[-1].size


def test_a_kill_after_the_file_was_written_loses_nothing(
    tree_stage: TreeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`signed.json` is ahead of the stored checkpoints: the same checkpoint is made again."""
    store = tree_stage.store()
    tree_stage.follower(store).step(30)

    def killed(_checkpoint: SignedCheckpoint) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "add_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        tree_stage.signer(store).step()
    monkeypatch.undo()
    assert (kept(tree_stage).size, store.checkpoints()) == (30, [])
    tree_stage.now += 60_000
    again = tree_stage.signer(store)
    assert again.step() is None
    (made,) = store.checkpoints()
    assert (made.size, made.root, made.at) == (30, store.root_at(30), NOW)
    assert store.latest_published() == made


def test_nothing_is_signed_before_it_is_kept_outside(
    tree_stage: TreeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full stops signing, not the tree."""
    store = tree_stage.store()
    tree_stage.follower(store).step(30)

    def full(_path: Path, _signed: Signed) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("app.transparency.signing.write_signed", full)
    with pytest.raises(OSError, match="no space"):
        tree_stage.signer(store).step()
    assert store.checkpoints() == []


def test_a_restored_database_is_never_signed(tmp_path: Path) -> None:
    """An older copy of log and tree under a file that knows better: nothing is signed, and the
    message says what happened and what to do.
    """
    stage = TreeStage(tmp_path)
    signed_in_steps(stage, stage.store())
    for store in stage.stores:
        store.close()
    shutil.copy(stage.settings.transparency_path, tmp_path / "older.db")
    older = len(stage.history.log.rows)
    store = stage.store()
    stage.go_on(50)
    stage.follower(store).catch_up()
    assert stage.signer(store).step() is not None
    known = kept(stage)
    store.close()
    # The log and the tree go back; the file outside does not.
    del stage.history.log.rows[older:]
    shutil.copy(tmp_path / "older.db", stage.settings.transparency_path)
    store = stage.store()
    stage.follower(store).catch_up()
    signer = stage.signer(store)
    with pytest.raises(ForkError, match=rf"{known.size:,} events was signed.*accept-restore"):
        signer.step()
    # It goes on otherwise, beyond what was signed: now it is a fork, and told as one.
    for _ in range(30):
        stage.history.open_campaign()
    assert stage.log.last()[0] > known.size
    stage.follower(store).catch_up()
    with pytest.raises(ForkError, match="would be a fork"):
        stage.signer(store).step()
    assert kept(stage) == known
    assert store.size > known.size
    assert max(one.size for one in store.checkpoints()) < known.size
    stage.close()


def test_a_lost_tree_is_made_anew_and_meets_what_was_signed(tmp_path: Path) -> None:
    """Of a log whose people are all still there every leaf is computed again."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    found = signed_in_steps(stage, store)
    store.close()
    for path in tmp_path.glob("transparency.db*"):
        path.unlink()
    store = stage.store()
    follower, signer = stage.follower(store), stage.signer(store)
    follower.step(found[-1].size - 1)
    assert signer.step() is None, "not before the tree is where it was"
    assert store.checkpoints() == []
    follower.step(1)
    assert signer.step() is None
    (made,) = store.checkpoints()
    assert made == found[-1]
    follower.catch_up()
    assert signer.step() is not None
    stage.close()


def test_a_lost_tree_of_erased_people_needs_its_backup(tmp_path: Path) -> None:
    """Their salts are gone, so the tree cannot be made anew: nothing is signed."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    signed_in_steps(stage, store)
    store.close()
    for path in tmp_path.glob("transparency.db*"):
        path.unlink()
    for party in stage.parties.keys:
        stage.parties.keys[party] = None
    store = stage.store()
    stage.follower(store).catch_up()
    with pytest.raises(ForkError, match=r"transparency\.db"):
        stage.signer(store).step()
    assert store.checkpoints() == []
    stage.close()


def test_a_changed_tree_is_never_signed(tmp_path: Path) -> None:
    """Somebody rewrote a tile under what was signed."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    signed_in_steps(stage, store)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tiles SET hashes = zeroblob(length(hashes))")
    with pytest.raises(ForkError, match="would be a fork"):
        stage.signer(stage.store()).step()
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tiles")
    with pytest.raises(ForkError, match="not whole"):
        stage.signer(stage.store()).step()
    stage.close()


def test_a_file_that_cannot_be_read_stops_signing(tmp_path: Path) -> None:
    """Nobody knows then what was signed last; and a file of another log is none of ours."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    signed_in_steps(stage, store)
    path = stage.settings.keys_dir / FILE
    path.write_text("{}")
    with pytest.raises(ForkError, match="cannot be read"):
        stage.signer(store).step()
    write_signed(path, Signed("other.test/log", 3, "00" * 32, 1))
    with pytest.raises(ForkError, match=r"other\.test/log"):
        stage.signer(store).step()
    stage.close()


def test_the_database_alone_tells_of_a_fork_too(tmp_path: Path) -> None:
    """A lost keys directory: the checkpoints in the database still have to be prefixes."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    signed_in_steps(stage, store)
    (stage.settings.keys_dir / FILE).unlink()
    assert stage.signer(store).step() is None
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE checkpoints SET root = zeroblob(32)")
    with pytest.raises(ForkError, match="the database"):
        stage.signer(stage.store()).step()
    stage.close()


def test_a_fork_ends_the_thread_and_is_told(tmp_path: Path) -> None:
    """The platform goes on; what is wrong stands in `fault`."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    signed_in_steps(stage, store)
    path = stage.settings.keys_dir / FILE
    write_signed(path, msgspec.structs.replace(kept(stage), root="00" * 32))
    signer = stage.signer(store)
    signer.run(threading.Event(), lambda _timeout: None)
    assert "would be a fork" in signer.fault
    stage.close()


def test_without_a_quorum_to_wait_for_the_last_one_is_published(tmp_path: Path) -> None:
    """A log whose witnesses were given up publishes what it had signed."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    stage.follower(store).step(30)
    assert stage.signer(store, publish_at_once=False).step() is not None
    assert store.latest_published() is None
    assert stage.signer(store).step() is None
    newest = store.latest_published()
    assert newest is not None
    assert newest.size == 30
    stage.close()


def test_the_empty_log_is_signed(tmp_path: Path) -> None:
    """Whoever looks at a new log sees that there is nothing in it yet."""
    stage = TreeStage(tmp_path)
    signed = stage.signer(stage.store()).step()
    assert signed is not None
    assert (signed.size, signed.root) == (0, stage.stores[0].root_at(0))
    stage.close()


def test_another_key_signs_nothing(tmp_path: Path) -> None:
    """Not even one of the same name: the tree knows whose it is."""
    stage = TreeStage(tmp_path)
    other = SigningKey.generate("tree.test/log")
    with pytest.raises(ForkError, match="another name and key"):
        stage.signer(stage.store(), key=other).step()
    stage.close()


def test_a_machine_that_was_not_stopped_ends_when_a_shorter_log_is_accepted(
    tree_stage: TreeStage,
) -> None:
    """It neither signs with the old key nor appends to the tree of the new one."""
    store = tree_stage.store()
    follower, signer = tree_stage.follower(store), tree_stage.signer(store)
    follower.step(40)
    assert signer.step() is not None
    last = 30
    elsewhere = tree_stage.store()
    elsewhere.continue_as(last, "tree.test/log/r2", "vkey2")
    for _ in range(2):
        with pytest.raises(OtherTreeError, match="another name and key"):
            follower.step()
        with pytest.raises(ForkError, match="another name and key"):
            signer.step()
    assert elsewhere.size == last
    assert elsewhere.latest_signed() is None


# --- Databases that change under a running signer ------------------------------------------------


def swap(stage: TreeStage, keep: int) -> None:
    """The database is exchanged for one that knows less, under open connections: the leaves behind
    `keep` and all that was signed of them are gone, and others come in their place.
    """
    store = stage.store()
    with store.engine.begin() as connection:
        connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.size > keep))
        connection.execute(update(TREES).values(size=keep))
    for party in stage.parties.keys:
        stage.parties.keys[party] = b"z" * 32
    stage.follower(store).catch_up()


def test_a_failover_under_a_running_signer_is_noticed(tree_stage: TreeStage) -> None:
    """The tree regrew past what was signed before the signer looked again: nothing is signed."""
    store = tree_stage.store()
    tree_stage.follower(store).step(30)
    signer = tree_stage.signer(store)
    assert signer.step() is not None
    known = kept(tree_stage)
    swap(tree_stage, 20)
    assert store.size > known.size
    with pytest.raises(ForkError, match="would be a fork"):
        signer.step()
    assert kept(tree_stage) == known
    assert store.latest_signed() is None


def test_what_is_kept_in_memory_hides_no_fork(tmp_path: Path) -> None:
    """A full tile that this process read before is read anew."""
    stage = TreeStage(tmp_path)
    while stage.log.last()[0] < 600:
        stage.history.open_campaign()
    stage.viewing.catch_up()
    store = stage.store()
    follower, signer = stage.follower(store), stage.signer(store)
    follower.step(200)
    assert signer.step() is not None
    follower.step(350)
    assert store.root_at(200) == bytes.fromhex(kept(stage).root)
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE place = 0"
        )
    assert store.root_at(200) == bytes.fromhex(kept(stage).root), "from memory"
    with pytest.raises(ForkError, match="would be a fork"):
        signer.step()
    stage.close()


def another_machine(stage: TreeStage, folder: Path) -> TreeStage:
    """The same log and tree, with a keys directory of another machine."""
    other = object.__new__(TreeStage)
    other.__dict__ = dict(stage.__dict__)
    folder.mkdir()
    other.settings = msgspec.structs.replace(stage.settings, keys_dir=folder)
    return other


def test_a_machine_that_stands_by_knows_what_was_signed(
    tree_stage: TreeStage, tmp_path: Path
) -> None:
    """It never signed, and when its turn comes after a restore it signs no fork."""
    other = another_machine(tree_stage, tmp_path / "other")
    store = tree_stage.store()
    waiting = other.signer(store)
    waiting.stand_by()
    tree_stage.follower(store).step(30)
    assert tree_stage.signer(store).step() is not None
    waiting.stand_by()
    assert kept(other) == kept(tree_stage)
    swap(tree_stage, 20)
    for signer in (waiting, other.signer(other.store())):
        with pytest.raises(ForkError, match="would be a fork"):
            signer.step()
    assert store.latest_signed() is None


def test_turns_may_change_between_machines(tree_stage: TreeStage, tmp_path: Path) -> None:
    """Each goes on from what the other signed, and its note never goes back."""
    other = another_machine(tree_stage, tmp_path / "other")
    store = tree_stage.store()
    follower = tree_stage.follower(store)
    one, two = tree_stage.signer(store), other.signer(store)
    sizes = []
    for signing, waiting in ((one, two), (two, one), (one, two)):
        follower.step(10)
        signed = signing.step()
        assert signed is not None
        sizes.append(signed.size)
        waiting.stand_by()
        assert kept(tree_stage).size == kept(other).size == signed.size
    assert sizes == [10, 20, 30]
    assert [each.size for each in store.checkpoints()] == sizes
