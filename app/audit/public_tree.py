"""The tree as an auditor from outside makes it anew: from the leaves alone, up to the root."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import starmap
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from app.audit.findings import Findings
from app.audit.progress import Progress
from app.audit.public_source import CannotReadError, Source
from app.transparency.leaf import COMMITMENT_BYTES, LEAF_BYTES
from app.transparency.merkle import EMPTY_ROOT, MemoryTiles, root_at
from app.transparency.tiles import HASH_BYTES, TILE_WIDTH, tile_path, tiles_of, width_at

_SPACED: Final = Layout(f">H{LEAF_BYTES}s")
"""A leaf in a bundle: its length before it."""
_LEAF: Final = Layout(f">Q{COMMITMENT_BYTES}s{COMMITMENT_BYTES}s")

MOST_NAMED: Final = 20
"""So many wrong hashes of one tile are named one by one."""


class Tree(Struct):
    """What the leaves make: every hash of every level, and each leaf's first commitment, 32 bytes
    after 32 bytes in order of positions.
    """

    size: int
    tiles: MemoryTiles
    commitments: bytearray

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return root_at(self.tiles, size) if size else EMPTY_ROOT

    def first_difference(self, other: Tree) -> int | None:
        """The first position at which another tree has another leaf; None where one is the
        beginning of the other.
        """
        for n in range(min(self.size, other.size) // TILE_WIDTH + 1):
            width = min(width_at(0, n, self.size), width_at(0, n, other.size))
            if width and (one := self.tiles.tile(0, n, width)) != (
                two := other.tiles.tile(0, n, width)
            ):
                return n * TILE_WIDTH + next(_differing(one, two)) + 1
        return None


def read_tree(source: Source, size: int, findings: Findings, progress: Progress) -> Tree:
    """Make the tree of so many leaves. Leaves that are not what stands at their place are found.

    Raises CannotReadError where leaves are missing or are none.
    """
    tree = Tree(size, MemoryTiles(), bytearray())
    # One after another: the size is what the log claims, and the first that is missing ends it.
    asked = (tile_path("entries", n, width_at(0, n, size)) for n in range(-(-size // TILE_WIDTH)))
    for n, data in enumerate(source.read_all(asked)):
        width = width_at(0, n, size)
        _add(tree, n, _whole(source, data, n, width), findings)
        progress(min(size, (n + 1) * TILE_WIDTH), size)
    return tree


def _whole(source: Source, data: bytes | None, n: int, width: int) -> bytes:
    """The bundle of so many leaves; a full one holds what a partial one did."""
    if data is None and width < TILE_WIDTH:
        data = source.read(tile_path("entries", n))
    wanted = width * _SPACED.size
    if data is None or len(data) < wanted:
        first, last = n * TILE_WIDTH + 1, n * TILE_WIDTH + width
        raise CannotReadError(f"The leaves of positions {first:,} to {last:,} are not published.")
    return data[:wanted]


def _add(tree: Tree, n: int, data: bytes, findings: Findings) -> None:
    leaves = [leaf for length, leaf in _SPACED.iter_unpack(data) if length == LEAF_BYTES]
    position = n * TILE_WIDTH + 1
    if len(leaves) * _SPACED.size != len(data):
        raise CannotReadError(f"The bundle of positions {position:,} on holds no leaves of ours.")
    tree.tiles.append([sha256(b"\x00" + leaf).digest() for leaf in leaves])
    # As lists: both are compared and joined at once, not leaf by leaf.
    said, commitments, _ = zip(*starmap(_LEAF.unpack, ((leaf,) for leaf in leaves)), strict=True)
    tree.commitments += b"".join(commitments)
    expected = range(position, position + len(leaves))
    if said != tuple(expected):
        for place, number in zip(expected, said, strict=True):
            if place != number:
                sentence = f"The leaf says that it is position {number:,}."
                findings.add("positions", sentence, place)


# --- What is published beside the leaves ---------------------------------------------------------


def check_tiles(
    source: Source, tree: Tree, root: bytes, findings: Findings, progress: Progress
) -> bool:
    """Compare every published tile with the tree of the leaves, and the root with the checkpoint's;
    name what differs. Returns whether the leaves lead to the root.
    """
    size = tree.size
    leads = tree.root(size) == root
    places = list(tiles_of(size))
    asked = (tile_path(level, n, width) for level, n, width in places)
    wrong: list[tuple[int, int, bytes, bytes]] = []
    for done, ((level, n, width), data) in enumerate(
        zip(places, source.read_all(asked), strict=True), 1
    ):
        published = data
        if published is None and width < TILE_WIDTH:
            published = source.read(tile_path(level, n))
        ours = tree.tiles.tile(level, n, width)
        if published is None or len(published) < len(ours):
            findings.add("tiles", f"Tile {n:,} of level {level} is not published.")
        elif published[: len(ours)] != ours:
            wrong.append((level, n, ours, published[: len(ours)]))
        progress(done, len(places))
    if leads:
        for level, n, ours, published in wrong:
            _name_tile(level, n, ours, published, findings)
    else:
        _name_leaves(tree, root, wrong, findings)
    return leads


def _name_tile(level: int, n: int, ours: bytes, published: bytes, findings: Findings) -> None:
    under = TILE_WIDTH**level
    for place in list(_differing(ours, published))[:MOST_NAMED]:
        first = (n * TILE_WIDTH + place) * under + 1
        sentence = (
            "The published hash of this leaf is not its hash."
            if not level
            else f"The published hash over positions {first:,} to {first + under - 1:,} is not"
            f" theirs (tile {n:,} of level {level})."
        )
        findings.add("tiles", sentence, first)


def _name_leaves(
    tree: Tree, root: bytes, wrong: list[tuple[int, int, bytes, bytes]], findings: Findings
) -> None:
    """The leaves do not lead to the checkpoint's root: name those that the tiles do not know."""
    told = {n: published for level, n, _, published in wrong if not level}
    instead = MemoryTiles()
    for n in range(-(-tree.size // TILE_WIDTH)):
        instead.append([told.get(n) or tree.tiles.tile(0, n, width_at(0, n, tree.size))])
    if told and root_at(instead, tree.size) == root:
        for level, n, ours, published in wrong:
            if level:
                continue
            for place in list(_differing(ours, published))[:MOST_NAMED]:
                sentence = "The published leaf is not the one that the checkpoint covers."
                findings.add("leaves", sentence, n * TILE_WIDTH + place + 1)
        return
    findings.add(
        "root",
        f"The {tree.size:,} published leaves lead to another root than the one that is signed.",
    )
    for level, n, ours, published in wrong:
        _name_tile(level, n, ours, published, findings)


def _differing(one: bytes, two: bytes) -> Iterator[int]:
    """The numbers of the hashes in which two tiles differ."""
    for place, start in enumerate(range(0, len(one), HASH_BYTES)):
        if one[start : start + HASH_BYTES] != two[start : start + HASH_BYTES]:
            yield place
