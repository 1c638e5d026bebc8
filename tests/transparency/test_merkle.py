"""Roots and proofs are those of RFC 6962; a wrong proof proves nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.merkle import (
    EMPTY_ROOT,
    MemoryTiles,
    MissingTileError,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
    root_of_tile,
    verify_consistency,
    verify_inclusion,
)
from app.transparency.tiles import HASH_BYTES, TILE_WIDTH, tiles_of, width_at
from tests.transparency.merkle_trees import (
    MOST,
    by_definition,
    growth_by_definition,
    hashes,
    mutations,
    path_by_definition,
)

TREE = MemoryTiles(hashes())
SMALL = range(131)
AT_TILES = (255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1025, MOST)
WIDE = 3 * TILE_WIDTH * TILE_WIDTH + 5 * TILE_WIDTH + 7
"""A tree with tiles on three levels."""


class CountingTiles:
    """Tiles that note which of them are read."""

    def __init__(self, tiles: MemoryTiles) -> None:
        self._tiles = tiles
        self.read: Counter[tuple[int, int]] = Counter()

    def tile(self, level: int, n: int, width: int) -> bytes:
        """A tile of the others."""
        self.read[level, n] += 1
        return self._tiles.tile(level, n, width)


@pytest.fixture(scope="module")
def wide() -> MemoryTiles:
    """A tree of 197,895 leaves."""
    return MemoryTiles(n.to_bytes(HASH_BYTES, "big") for n in range(WIDE))


@pytest.mark.parametrize("size", [*SMALL, *AT_TILES])
def test_roots_are_those_of_the_definition(size: int) -> None:
    """From leaf hashes and from tiles, at every size around which tiles begin."""
    leaves = hashes()[:size]
    root = by_definition(leaves)
    assert root_of(leaves) == root
    assert root_at(TREE, size) == root
    assert root_at(MemoryTiles(leaves), size) == root


def test_a_tree_without_leaves_has_the_hash_of_nothing() -> None:
    """RFC 6962 section 2.1; and one leaf is its own root."""
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert root_of([]) == root_at(TREE, 0) == EMPTY_ROOT
    assert root_of([leaf_hash(b"")]) == leaf_hash(b"")


@pytest.mark.parametrize("size", [*range(1, 70), *AT_TILES])
def test_inclusion_proofs_are_those_of_the_definition(size: int) -> None:
    """Each proof has the hashes of RFC 6962 section 2.1.1 in their order, and verifies."""
    leaves, root = hashes()[:size], root_at(TREE, size)
    indexes = range(size) if size < 70 else {0, 1, size // 2, 254, size - 2, size - 1}
    for index in indexes:
        proof = inclusion_proof(TREE, index, size)
        assert proof == path_by_definition(index, leaves)
        verify_inclusion(leaves[index], index, size, proof, root)


@pytest.mark.parametrize("size", [*range(1, 70), *AT_TILES])
def test_consistency_proofs_are_those_of_the_definition(size: int) -> None:
    """Each proof has the hashes of RFC 6962 section 2.1.2 in their order, and verifies."""
    leaves, root = hashes()[:size], root_at(TREE, size)
    olds = range(1, size + 1) if size < 70 else {1, 2, 128, 255, size // 2, size - 1, size}
    for old in olds:
        proof = consistency_proof(TREE, old, size)
        assert proof == growth_by_definition(old, leaves)
        verify_consistency(old, size, root_at(TREE, old), root, proof)


@given(st.data())
def test_what_is_proven_is_true(data: st.DataObject) -> None:
    """Of any size, leaf and older size: the proofs verify, and not for another leaf or root."""
    size = data.draw(st.integers(1, MOST))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    root = root_at(TREE, size)
    proof = inclusion_proof(TREE, index, size)
    verify_inclusion(hashes()[index], index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index or size == 1))
    if other != index:
        with pytest.raises(ProofError):
            verify_inclusion(hashes()[other], index, size, proof, root)
        with pytest.raises(ProofError):
            verify_inclusion(hashes()[index], other, size, proof, root)
    growth = consistency_proof(TREE, old, size)
    verify_consistency(old, size, root_at(TREE, old), root, growth)
    if 0 < old < size:
        with pytest.raises(ProofError):
            verify_consistency(old, size, root_at(TREE, old - 1), root, growth)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 64, 65, 300, 1024, 1099])
def test_a_changed_proof_proves_nothing(size: int) -> None:
    """A bit, a hash less or more, two exchanged, a short hash: each is refused."""
    root = root_at(TREE, size)
    for index in {0, size // 3, size - 1}:
        for wrong in mutations(inclusion_proof(TREE, index, size)):
            with pytest.raises(ProofError):
                verify_inclusion(hashes()[index], index, size, wrong, root)
    for old in {1, size // 2, size - 1, size} - {0}:
        for wrong in mutations(consistency_proof(TREE, old, size)):
            with pytest.raises(ProofError):
                verify_consistency(old, size, root_at(TREE, old), root, wrong)


def test_a_proof_is_as_long_as_its_tree_is_high() -> None:
    """Hashes that do lead to the stated roots, but from another height, are no proof."""
    one, two, three, four = hashes()[:4]
    both = node_hash(one, two)
    for index, size, proof, root in (
        (0, 4, [two], both),
        (0, 1, [two], node_hash(two, one)),
        (0, 1, [two], both),
        (0, 2, [two, three], node_hash(three, both)),
        (0, 2, [two, three], node_hash(both, three)),
    ):
        with pytest.raises(ProofError, match=r"inclusion proof is too (long|short)"):
            verify_inclusion(one, index, size, proof, root)
    proof = [three, four, both]
    old_root, root = root_at(TREE, 3), root_at(TREE, 4)
    verify_consistency(3, 4, old_root, root, proof)
    with pytest.raises(ProofError, match="consistency proof is too short"):
        verify_consistency(3, 8, old_root, root, proof)
    with pytest.raises(ProofError, match="consistency proof is too short"):
        verify_consistency(2, 4, both, both, [])
    with pytest.raises(ProofError, match="consistency proof is too long"):
        verify_consistency(*(3, 4, node_hash(one, old_root), node_hash(one, root)), [*proof, one])


def test_another_history_is_not_consistent() -> None:
    """Neither root stands in for the other, in whatever place."""
    other = MemoryTiles(hashes(kind=b"other"))
    for old, size in ((1, 2), (5, 9), (8, 16), (256, 1000), (300, 1000)):
        proof = consistency_proof(TREE, old, size)
        with pytest.raises(ProofError):
            verify_consistency(old, size, root_at(other, old), root_at(TREE, size), proof)
        with pytest.raises(ProofError):
            verify_consistency(old, size, root_at(TREE, old), root_at(other, size), proof)
        with pytest.raises(ProofError):
            verify_consistency(
                *(old, size, root_at(other, old), root_at(TREE, size)),
                consistency_proof(other, old, size),
            )


def test_nothing_is_the_beginning_of_everything() -> None:
    """An empty old tree needs no proof, and has one root only."""
    root = root_at(TREE, 9)
    verify_consistency(0, 9, EMPTY_ROOT, root, [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    for wrong in ((0, 9, root, root, []), (0, 9, EMPTY_ROOT, root, [root]), (0, 0, root, root, [])):
        with pytest.raises(ProofError):
            verify_consistency(*wrong)


@pytest.mark.parametrize(
    ("index", "size"), [(-1, 9), (9, 9), (10, 9), (0, 0), (0, -1), (0, 1 << 63), (1 << 63, 1 << 64)]
)
def test_sizes_out_of_range_are_refused(index: int, size: int) -> None:
    """Neither made nor verified."""
    with pytest.raises(ProofError):
        verify_inclusion(bytes(32), index, size, [], bytes(32))
    with pytest.raises(ValueError, match="a "):
        inclusion_proof(TREE, index, size)
    with pytest.raises(ProofError):
        verify_consistency(size + 1, size, bytes(32), bytes(32), [])
    with pytest.raises(ValueError, match="t"):
        consistency_proof(TREE, size + 1, size)


@given(
    st.integers(0, (1 << 63) + 5),
    st.integers(0, (1 << 63) + 5),
    st.lists(st.binary(min_size=31, max_size=33) | st.just(bytes(32)), max_size=70),
    st.binary(min_size=32, max_size=32),
)
def test_no_proof_breaks_the_verifier(
    first: int, second: int, proof: list[bytes], root: bytes
) -> None:
    """Whatever is handed in: it is a proof, or a ProofError."""
    with suppress(ProofError):
        verify_inclusion(bytes(32), first, second, proof, root)
    with suppress(ProofError):
        verify_consistency(first, second, bytes(32), root, proof)


def test_a_proof_reads_few_tiles_and_each_once(wide: MemoryTiles) -> None:
    """At most two per level: where the leaf is, and the right edge."""
    for index in (0, 255, 256, 70_000, WIDE - 1):
        tiles = CountingTiles(wide)
        proof = inclusion_proof(tiles, index, WIDE)
        assert len(tiles.read) <= 6
        assert set(tiles.read.values()) == {1}
        leaf = index.to_bytes(HASH_BYTES, "big")
        verify_inclusion(leaf, index, WIDE, proof, root_at(wide, WIDE))
    for old in (1, 255, 65_536, 131_071, WIDE - 1):
        tiles = CountingTiles(wide)
        proof = consistency_proof(tiles, old, WIDE)
        assert len(tiles.read) <= 6
        assert set(tiles.read.values()) == {1}
        verify_consistency(old, WIDE, root_at(wide, old), root_at(wide, WIDE), proof)


def test_the_root_of_a_wide_tree_is_that_of_its_leaves(wide: MemoryTiles) -> None:
    """Over tiles of three levels, and at the sizes where one becomes full."""
    for size in (WIDE, TILE_WIDTH**2 - 1, TILE_WIDTH**2, TILE_WIDTH**2 + 1):
        leaves = [n.to_bytes(HASH_BYTES, "big") for n in range(size)]
        assert root_at(wide, size) == root_of(leaves)


@given(st.lists(st.integers(0, 400), max_size=6))
def test_a_tree_grows_the_same_in_any_steps(steps: list[int]) -> None:
    """Its tiles depend on its leaves, not on how many were added at once."""
    tiles, size = MemoryTiles(), 0
    for step in steps:
        leaves = hashes(2_400)[size : size + step]
        tiles.append(leaves)
        size += step
    at_once = MemoryTiles(hashes(2_400)[:size])
    assert tiles.size == size
    for level, n, width in tiles_of(size):
        assert tiles.tile(level, n, width) == at_once.tile(level, n, width)
        if level:
            below = tiles.tile(level - 1, n * TILE_WIDTH, TILE_WIDTH)
            assert root_of_tile(below) == tiles.tile(level, n, width)[:HASH_BYTES]


def test_a_missing_tile_is_said() -> None:
    """Never a wrong root of what is there."""
    tiles = MemoryTiles(hashes()[:300])
    for ask in (
        lambda: root_at(tiles, 301),
        lambda: inclusion_proof(tiles, 0, 600),
        lambda: consistency_proof(tiles, 10, 301),
    ):
        with pytest.raises(MissingTileError):
            ask()

    class Short:
        def tile(self, level: int, n: int, width: int) -> bytes:
            return tiles.tile(level, n, width)[:-1]

    with pytest.raises(MissingTileError):
        root_at(Short(), 300)
    with pytest.raises(ValueError, match="32 bytes"):
        root_of([bytes(31)])
    with pytest.raises(ValueError, match="32 bytes"):
        root_of_tile(b"")
    assert width_at(1, 0, 300) == 1
    assert width_at(1, 1, 300) == 0
