"""The stored tree: it grows whole or not at all, and keeps every past size."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path
from random import Random

import msgspec
import pytest

from app.stores.shapes import NotMigratedError, SchemaTooNewError
from app.transparency.edge import Edge, grown
from app.transparency.leaf import LEAF_BYTES, Leaf, parse_leaf
from app.transparency.merkle import (
    MissingTileError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from app.transparency.note import SigningKey
from app.transparency.store import (
    OtherTreeError,
    SignedCheckpoint,
    TransparencyStore,
    TreeMovedError,
    migrate_transparency,
    open_transparency,
    read_transparency,
)
from app.transparency.tiles import tiles_of, unbundle
from tests.postgresql import PostgresServer
from tests.stores.conftest import settings_in
from tests.transparency.tree_stage import TreeStage


def leaves(count: int, start: int = 0) -> list[bytes]:
    """Leaves that differ."""
    numbers = range(start, start + count)
    return [Leaf(n + 1, bytes([n % 251]) * 32, b"e" * 32).encode() for n in numbers]


def grow(store: TransparencyStore, *sizes: int) -> list[bytes]:
    """Grow to each of these sizes in turn; return all leaves."""
    made: list[bytes] = []
    for size in sizes:
        more = leaves(size - len(made), len(made))
        assert store.append(len(made), more) == size
        made += more
    return made


def test_every_past_root_is_recomputed_from_what_is_stored(tree_stage: TreeStage) -> None:
    """However the leaves came: by ones, over the edges of tiles, or many at once."""
    store = tree_stage.store()
    made = grow(store, 1, 2, 3, 255, 256, 257, 300, 513, 1_500)
    hashes = [leaf_hash(leaf) for leaf in made]
    fresh = tree_stage.store()
    for size in (0, 1, 2, 3, 200, 255, 256, 257, 511, 512, 513, 1_023, 1_024, 1_500):
        assert fresh.root_at(size) == root_of(hashes[:size])
    assert fresh.size == 1_500


def test_proofs_are_made_from_what_is_stored(tree_stage: TreeStage) -> None:
    """Inclusion and consistency, for a tree that grew in pieces."""
    store = tree_stage.store()
    made = grow(store, 100, 700, 701)
    chance = Random(1)
    for _ in range(50):
        size = chance.randrange(1, 702)
        index, old = chance.randrange(size), chance.randrange(size + 1)
        root = store.root_at(size)
        proof = inclusion_proof(store, index, size)
        verify_inclusion(leaf_hash(made[index]), index, size, proof, root)
        proof = consistency_proof(store, old, size)
        verify_consistency(old, size, store.root_at(old), root, proof)


def test_tiles_and_bundles_hold_what_they_should(tree_stage: TreeStage) -> None:
    """Every tile of the tree, whole and in part; the leaves' bytes beside them."""
    store = tree_stage.store()
    made = grow(store, 300, 66_000)
    for level, n, width in list(tiles_of(66_000))[::37]:
        assert len(store.tile(level, n, width)) == 32 * width
    assert store.tile(0, 257, 100) == b"".join(map(leaf_hash, made[65_792:65_892]))
    assert unbundle(store.bundle(257, 208)) == made[65_792:66_000]
    assert unbundle(store.bundle(1, 7)) == made[256:263]
    assert store.leaf(65_999) == parse_leaf(made[-1])
    for missing in ((0, 257, 209), (0, 258, 1), (1, 1, 2), (3, 0, 1)):
        with pytest.raises(MissingTileError):
            store.tile(*missing)
    with pytest.raises(MissingTileError):
        store.bundle(257, 209)
    with pytest.raises(MissingTileError):
        store.leaf(66_000)


def test_only_who_knows_the_size_appends(tree_stage: TreeStage) -> None:
    """Of two writers one wins; the other has written nothing and can go on from there."""
    one, two = tree_stage.store(), tree_stage.store()
    grow(one, 300)
    with pytest.raises(TreeMovedError):
        two.append(0, leaves(10))
    assert two.append(300, leaves(300, 300)) == 600
    with pytest.raises(TreeMovedError):
        one.append(300, leaves(5, 300))
    assert one.append(600, leaves(1, 600)) == 601
    hashes = [leaf_hash(leaf) for leaf in leaves(601)]
    assert one.root_at(601) == two.root_at(601) == root_of(hashes)


def test_many_writers_make_one_tree(tree_stage: TreeStage) -> None:
    """Processes that append at once, each from what it saw: no leaf is lost, none comes twice."""
    tree_stage.store()
    context = multiprocessing.get_context("spawn")
    racers = [
        context.Process(target=race, args=(str(tree_stage.settings.data_dir), url, 700))
        for url in [tree_stage.settings.database_url] * 3
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
    store = tree_stage.store()
    hashes = [leaf_hash(leaf) for leaf in leaves(store.size)]
    assert store.size >= 700
    assert store.root_at(store.size) == root_of(hashes)


def race(folder: str, database_url: str, until: int) -> None:
    """Append a few leaves wherever the tree stands, until it is large."""
    store = open_transparency(settings_in(Path(folder), database_url))
    assert store.tree() is not None
    while (size := store.size) < until:
        try:
            store.append(size, leaves(37, size))
        except TreeMovedError:
            continue
    store.close()


def test_a_failed_append_leaves_the_tree_as_it_was(
    tree_stage: TreeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in the midst of writing is rolled back, and the next append is right."""
    store = tree_stage.store()
    grow(store, 300)
    put = store._put

    def fail(connection: object, table: str, *rest: object) -> None:
        put(connection, table, *rest)  # type: ignore[arg-type]
        if table == "tiles":
            raise OSError("the disk is full")

    monkeypatch.setattr(store, "_put", fail)
    with pytest.raises(OSError, match="full"):
        store.append(300, leaves(300, 300))
    monkeypatch.undo()
    assert store.size == 300
    store.append(300, leaves(300, 300))
    assert store.root_at(600) == root_of([leaf_hash(leaf) for leaf in leaves(600)])


def test_the_edge_grows_as_the_tree_does() -> None:
    """Tile by tile the same, in one step or in many."""
    edge, tiles = Edge(), dict[tuple[int, int], bytes]()
    made = leaves(70_000)
    for start in range(0, 70_000, 777):
        more = grown(edge, made[start : start + 777])
        tiles |= more.tiles
        edge = more.edge
    at_once = grown(Edge(), made)
    assert tiles == at_once.tiles
    assert edge == at_once.edge
    assert set(tiles) == {(level, n) for level, n, _ in tiles_of(70_000)}
    assert len(made[0]) == LEAF_BYTES


# --- Whose it is ---------------------------------------------------------------------------------


def test_a_tree_goes_on_with_its_own_keys_only(tree_stage: TreeStage) -> None:
    """Another secret, another signing key or another log is refused in a sentence."""
    store = tree_stage.store()
    tree = store.tree()
    assert tree is not None
    known = (tree.log_id, tree.origin, tree.vkey, tree.log_secret)
    assert store.begin(*known) == tree
    other = SigningKey.generate(tree.origin).verifier.encode()
    for wrong, said in (
        (("another", *known[1:]), "another log"),
        ((known[0], known[1], other, known[3]), "signing key"),
        ((*known[:3], b"x" * 32), "secret"),
    ):
        with pytest.raises(OtherTreeError, match=said):
            store.begin(*wrong)


def test_a_shorter_log_is_gone_on_with_under_another_name(tree_stage: TreeStage) -> None:
    """The tree is cut to what is left; what was signed of it stays, what was signed of more goes;
    and it grows again as any tree does.
    """
    store = tree_stage.store()
    made = grow(store, 66_000)
    for size in (100, 60_000, 66_000):
        store.add_checkpoint(SignedCheckpoint(size, store.root_at(size), 1, "note", "note"))
    tree = store.continue_as(65_700, "tree.test/log/r2", "vkey2")
    assert (tree.number, tree.size, tree.origin) == (2, 65_700, "tree.test/log/r2")
    assert [one.origin for one in store.trees()] == ["tree.test/log", "tree.test/log/r2"]
    hashes = [leaf_hash(leaf) for leaf in made[:65_700]]
    for each in (store, tree_stage_store(tree_stage)):
        assert each.root_at(65_700) == root_of(hashes)
        with pytest.raises(MissingTileError):
            each.tile(0, 256, 165)
        with pytest.raises(MissingTileError):
            each.bundle(256, 165)
        assert [one.size for one in each.checkpoints()] == [100, 60_000]
        assert each.latest_signed() is None
        assert each.latest_published() is None
    store.append(65_700, leaves(400, 70_000))
    hashes += [leaf_hash(leaf) for leaf in leaves(400, 70_000)]
    assert store.root_at(66_100) == root_of(hashes)


def tree_stage_store(stage: TreeStage) -> TransparencyStore:
    """The store as another process has it, of whatever identity."""
    store = open_transparency(stage.settings)
    stage.stores.append(store)
    return store


# --- Checkpoints ---------------------------------------------------------------------------------


def test_checkpoints_are_kept_and_published(tree_stage: TreeStage) -> None:
    """The newest of each, and all of them in order."""
    store = tree_stage.store()
    assert (store.latest_signed(), store.latest_published()) == (None, None)
    first = SignedCheckpoint(10, b"r" * 32, 1, "one")
    second = SignedCheckpoint(20, b"s" * 32, 2, "two")
    store.add_checkpoint(first)
    store.add_checkpoint(second)
    assert store.latest_signed() == second
    assert store.latest_published() is None
    store.publish(10, "one, witnessed")
    published = SignedCheckpoint(10, b"r" * 32, 1, "one, witnessed", "one, witnessed")
    assert store.latest_published() == published
    assert store.published_covering(9) == published
    assert store.published_covering(10) is None
    kept = msgspec.structs.replace(first, published="one, witnessed")
    assert store.checkpoints() == [kept, second]
    assert store.checkpoints(10) == [second]
    assert store.checkpoints(0, 1) == [kept]
    store.add_checkpoint(SignedCheckpoint(20, b"t" * 32, 3, "three"))
    assert store.latest_signed() == second, "what was signed first stays"


def test_of_two_of_one_size_none_is_left_out(tree_stage: TreeStage) -> None:
    """A page of checkpoints is as long as it has to be."""
    store = tree_stage.store()
    grow(store, 20)
    store.add_checkpoint(SignedCheckpoint(5, b"r" * 32, 1, "old"))
    store.continue_as(5, "tree.test/log/r2", "vkey2")
    store.add_checkpoint(SignedCheckpoint(5, b"r" * 32, 2, "new"))
    assert [one.note for one in store.checkpoints(0, 1)] == ["old", "new"]


# --- Opening -------------------------------------------------------------------------------------


def test_a_file_is_read_without_being_written(tmp_path: Path) -> None:
    """As an auditor opens it, while it is written and when nobody has it open."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    made = grow(store, 300)
    path = stage.settings.transparency_path
    for closing in (False, True):
        if closing:
            stage.close()
        reading = read_transparency(path)
        assert reading.root_at(300) == root_of([leaf_hash(leaf) for leaf in made])
        with pytest.raises(Exception, match=r"readonly|read-only"):
            reading.append(300, leaves(1, 300))
        reading.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """An older program does not write to it."""
    settings = settings_in(tmp_path)
    open_transparency(settings).close()
    with sqlite3.connect(settings.transparency_path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaTooNewError):
        open_transparency(settings)


def test_migrating_says_what_it_did(tmp_path: Path) -> None:
    """For a file."""
    settings = settings_in(tmp_path)
    assert migrate_transparency(settings) == "transparency.db: made, shape 1"
    assert migrate_transparency(settings) == "transparency.db: has shape 1, nothing to do"


@pytest.mark.postgres
def test_a_database_is_migrated_first(
    tmp_path: Path, empty_postgres_url: str, postgres_server: PostgresServer
) -> None:
    """A server does not start on one that was not."""
    assert postgres_server.url
    settings = settings_in(tmp_path, empty_postgres_url)
    with pytest.raises(NotMigratedError, match="transparency"):
        open_transparency(settings)
    assert migrate_transparency(settings) == "schema transparency: made, shape 1"
    assert migrate_transparency(settings) == "schema transparency: has shape 1, nothing to do"
    open_transparency(settings).close()
