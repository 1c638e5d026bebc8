"""The right edge of a growing tree: what has to be known of it to append, and what then changes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from app.transparency.leaf import LEAF_BYTES
from app.transparency.merkle import MissingTileError, Tiles, root_of_tile
from app.transparency.tiles import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, width_at

ENTRY_BYTES: Final = 2 + LEAF_BYTES
"""Every entry of a bundle is as long: a leaf behind its length."""

_LENGTH: Final = LEAF_BYTES.to_bytes(2)
_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
_BUNDLE_BYTES: Final = TILE_WIDTH * ENTRY_BYTES


class Edge(Struct, frozen=True):
    """The last tile of each level and the last bundle of a tree of `size` leaves, where these are
    not full; empty bytes where they are. `last` is the last leaf, empty where there is none.
    """

    size: int = 0
    tiles: tuple[bytes, ...] = ()
    bundle: bytes = b""
    last: bytes = b""


class Grown(Struct, frozen=True):
    """What an append writes: tiles by (level, n), bundles by n, each whole; and the edge after."""

    tiles: dict[tuple[int, int], bytes]
    bundles: dict[int, bytes]
    edge: Edge


def edge_of(tiles: Tiles, bundle: bytes, last: bytes, size: int) -> Edge:
    """The edge of a tree of which all is stored. Raises MissingTileError."""
    if len(bundle) != size % TILE_WIDTH * ENTRY_BYTES:
        raise MissingTileError(f"the last bundle of {size} leaves has {len(bundle)} bytes")
    partial = []
    level = 0
    while hashes := size >> (TILE_HEIGHT * level):
        n = hashes // TILE_WIDTH
        width = width_at(level, n, size)
        partial.append(tiles.tile(level, n, width) if width else b"")
        level += 1
    return Edge(size, tuple(partial), bundle, last)


def grown(edge: Edge, leaves: Sequence[bytes]) -> Grown:
    """Append encoded leaves to a tree with this edge."""
    tiles: dict[tuple[int, int], bytes] = {}
    partial: list[bytes] = []
    added = b"".join([sha256(b"\0" + leaf).digest() for leaf in leaves])
    level = 0
    while added or level < len(edge.tiles):
        before = edge.tiles[level] if level < len(edge.tiles) else b""
        row = before + added
        n = (edge.size >> (TILE_HEIGHT * level)) // TILE_WIDTH
        full = len(row) // _TILE_BYTES * _TILE_BYTES
        above = []
        for start in range(0, full, _TILE_BYTES):
            tile = row[start : start + _TILE_BYTES]
            tiles[level, n] = tile
            above.append(root_of_tile(tile))
            n += 1
        rest = row[full:]
        if rest and added:
            tiles[level, n] = rest
        partial.append(rest)
        added = b"".join(above)
        level += 1
    entries = edge.bundle + b"".join([_LENGTH + leaf for leaf in leaves])
    first = edge.size // TILE_WIDTH
    bundles = {
        first + at // _BUNDLE_BYTES: entries[at : at + _BUNDLE_BYTES]
        for at in range(0, len(entries), _BUNDLE_BYTES)
    }
    rest = entries[len(entries) // _BUNDLE_BYTES * _BUNDLE_BYTES :]
    size = edge.size + len(leaves)
    after = Edge(size, tuple(partial), rest, leaves[-1] if leaves else edge.last)
    return Grown(tiles, bundles, after)
