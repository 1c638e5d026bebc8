"""The Merkle tree of RFC 6962 and RFC 9162 with SHA-256: roots, proofs and their verification.

A tree of n leaves splits at the largest power of two below n. Proofs are made from tiles; each
reads a few per level and hashes none of their parts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Protocol

from app.transparency.tiles import (
    HASH_BYTES,
    MOST_LEAVES,
    TILE_HEIGHT,
    TILE_WIDTH,
    width_at,
)

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""
LONGEST_PROOF: Final = 64
"""No proof of a tree with fewer than 2**63 leaves has more hashes."""


class ProofError(ValueError):
    """A proof does not prove what it should."""


class MissingTileError(LookupError):
    """A tile is not there, or not wide enough."""


class Tiles(Protocol):
    """Where the tiles of a tree are read."""

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of the n-th tile of the level, 32 bytes each; raises
        MissingTileError.
        """
        ...


def leaf_hash(leaf: bytes) -> bytes:
    """The hash that stands for a leaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two hashes below it."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; raises ValueError on one that has not 32 bytes."""
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ValueError("a hash has 32 bytes")
    return _fold(b"".join(hashes)) if hashes else EMPTY_ROOT


def root_of_tile(data: bytes) -> bytes:
    """The root over the concatenated hashes of a tile: of a full one, its hash one level above."""
    if not data or len(data) % HASH_BYTES:
        raise ValueError("a tile has one or more hashes of 32 bytes")
    return _fold(data)


def _fold(data: bytes) -> bytes:
    """The root over concatenated hashes: pairs are hashed row by row, and what has no neighbour
    moves up as it is, which is the same tree as RFC 6962's.
    """
    pair = 2 * HASH_BYTES
    while (end := len(data)) > HASH_BYTES:
        odd = end % pair
        row = [sha256(b"\x01" + data[at : at + pair]).digest() for at in range(0, end - odd, pair)]
        if odd:
            row.append(data[-HASH_BYTES:])
        data = b"".join(row)
    return data


class _Nodes:
    """The hashes of a tree of one size, from its tiles; each tile is read once."""

    def __init__(self, tiles: Tiles, size: int) -> None:
        if not 0 <= size < MOST_LEAVES:
            raise ValueError("a tree's size is 0 to 2**63 - 1")
        self._tiles, self._size = tiles, size
        self._read: dict[tuple[int, int], bytes] = {}

    def _tile(self, level: int, n: int) -> bytes:
        data = self._read.get((level, n))
        if data is None:
            width = width_at(level, n, self._size)
            data = self._tiles.tile(level, n, width)
            if len(data) != width * HASH_BYTES:
                raise MissingTileError(f"tile {n} of level {level} has not {width} hashes")
            self._read[level, n] = data
        return data

    def complete(self, height: int, at: int) -> bytes:
        """The hash over the leaves from at * 2**height, 2**height of them, all in the tree."""
        level, within = divmod(height, TILE_HEIGHT)
        n, place = divmod(at << within, TILE_WIDTH)
        start = place * HASH_BYTES
        return _fold(self._tile(level, n)[start : start + (HASH_BYTES << within)])

    def edge(self, start: int) -> bytes:
        """The hash over all leaves from `start`, which is where a subtree begins: the complete
        subtrees along the right edge, joined from the smallest up.
        """
        found = b""
        for height in range((self._size - start).bit_length()):
            if (self._size - start) >> height & 1:
                subtree = self.complete(height, (self._size >> height) - 1)
                found = node_hash(subtree, found) if found else subtree
        return found

    def over(self, start: int, end: int) -> bytes:
        """The hash over the leaves from `start` to before `end`, which are a subtree."""
        if end == self._size:
            return self.edge(start)
        height = (end - start).bit_length() - 1
        return self.complete(height, start >> height)


def root_at(tiles: Tiles, size: int) -> bytes:
    """The root of the tree's first `size` leaves; raises MissingTileError."""
    nodes = _Nodes(tiles, size)
    return nodes.edge(0) if size else EMPTY_ROOT


def inclusion_proof(tiles: Tiles, index: int, size: int) -> list[bytes]:
    """What shows that the leaf of this index (from 0) is in the tree of `size` leaves: the hashes
    beside its way to the root, from the leaf up (RFC 6962 section 2.1.1).
    """
    nodes = _Nodes(tiles, size)
    if not 0 <= index < size:
        raise ValueError("a leaf's index is below the size of the tree")
    proof = []
    start, last, height = index, size - 1, 0
    while last:
        beside = start ^ 1
        if beside < last:
            proof.append(nodes.complete(height, beside))
        elif beside == last:
            proof.append(nodes.edge(beside << height))
        start, last, height = start >> 1, last >> 1, height + 1
    return proof


def consistency_proof(tiles: Tiles, old: int, size: int) -> list[bytes]:
    """What shows that the tree of `size` leaves begins with the tree of `old` leaves (RFC 6962
    section 2.1.2); nothing where the old tree is empty or the same.
    """
    nodes = _Nodes(tiles, size)
    if not 0 <= old <= size:
        raise ValueError("the old tree is not larger than the new one")
    if old in (0, size):
        return []
    proof = []
    start, end = 0, size
    while old != end:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if old <= middle:
            proof.append(nodes.over(middle, end))
            end = middle
        else:
            proof.append(nodes.over(start, middle))
            start = middle
    if start:
        proof.append(nodes.over(start, end))
    proof.reverse()
    return proof


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check an inclusion proof (RFC 9162 section 2.1.3.2); raises ProofError."""
    if not 0 <= index < size < MOST_LEAVES:
        raise ProofError("the leaf's index is not below the size of the tree")
    _check_hashes(proof, leaf_hash, root)
    at, last, found = index, size - 1, leaf_hash
    for beside in proof:
        if not last:
            raise ProofError("the inclusion proof is too long")
        if at & 1 or at == last:
            found = node_hash(beside, found)
            while not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the inclusion proof is too short")
    if not compare_digest(found, root):
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(
    old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree begins with an older one (RFC 9162 section 2.1.4.2); raises ProofError.

    An empty old tree needs no proof, as every tree begins with it.
    """
    if not 0 <= old <= size < MOST_LEAVES:
        raise ProofError("the old tree is larger than the new one")
    _check_hashes(proof, old_root, root)
    for leaves, its_root in ((old, old_root), (size, root)):
        if not leaves and its_root != EMPTY_ROOT:
            raise ProofError("a tree without leaves has another root")
    if old in (0, size):
        if proof:
            raise ProofError("the consistency proof is too long")
        if old and old_root != root:
            raise ProofError("two trees of one size have different roots")
        return
    _verify_growth(old, size, old_root, root, proof)


def _verify_growth(
    old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    # An old tree that is one complete subtree is its own first hash.
    hashes = [old_root, *proof] if not old & (old - 1) else list(proof)
    if not hashes:
        raise ProofError("the consistency proof is too short")
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    found_old = found = hashes[0]
    for beside in hashes[1:]:
        if not last:
            raise ProofError("the consistency proof is too long")
        if at & 1 or at == last:
            found_old, found = node_hash(beside, found_old), node_hash(beside, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the consistency proof is too short")
    if not (compare_digest(found_old, old_root) and compare_digest(found, root)):
        raise ProofError("the consistency proof leads to other roots")


def _check_hashes(proof: Sequence[bytes], *hashes: bytes) -> None:
    if len(proof) > LONGEST_PROOF:
        raise ProofError("a proof has at most 64 hashes")
    if any(len(one) != HASH_BYTES for one in (*hashes, *proof)):
        raise ProofError("a hash has 32 bytes")


class MemoryTiles:
    """A tree in memory, grown leaf by leaf: for an auditor who holds all leaves, and for tests."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self.append(hashes)

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, hashes: Iterable[bytes]) -> None:
        """Add leaf hashes; every tile that becomes full is hashed into the level above."""
        added = b"".join(hashes)
        if len(added) % HASH_BYTES:
            raise ValueError("a hash has 32 bytes")
        whole = HASH_BYTES * TILE_WIDTH
        level = 0
        while added:
            row = self._levels[level]
            first = len(row) // whole
            row += added
            added = b"".join(
                _fold(bytes(row[n * whole : (n + 1) * whole]))
                for n in range(first, len(row) // whole)
            )
            level += 1
            if added and level == len(self._levels):
                self._levels.append(bytearray())

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of the n-th tile of the level; raises MissingTileError."""
        start = n * TILE_WIDTH * HASH_BYTES
        row = self._levels[level] if level < len(self._levels) else bytearray()
        data = bytes(row[start : start + width * HASH_BYTES])
        if len(data) != width * HASH_BYTES:
            raise MissingTileError(f"tile {n} of level {level} has not {width} hashes")
        return data
