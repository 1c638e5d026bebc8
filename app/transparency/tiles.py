"""Where the parts of the tree are found, and how entries lie beside each other (C2SP tlog-tiles).

A tile holds up to 256 consecutive hashes of one level; a tree's last tile of a level may hold
fewer. A bundle holds the entries whose hashes one tile of level 0 holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
HIGHEST_LEVEL: Final = 63
MOST_LEAVES: Final = 1 << 63
"""A tree has fewer leaves: sizes fit a signed 64-bit number everywhere."""
LONGEST_ENTRY: Final = 0xFFFF
"""Bytes: an entry's length is two bytes in a bundle."""

_LONGEST_PATH: Final = 64
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/"
    r"(?P<n>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


class TilePathError(ValueError):
    """A path names no tile."""


class BundleError(ValueError):
    """Bytes are no bundle of entries."""


class TilePath(msgspec.Struct, frozen=True):
    """Which tile a path names; a level of None means a bundle of entries."""

    level: int | None
    n: int
    width: int


def tile_path(level: int | Literal["entries"], n: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below the log's address, such as `tile/0/x001/x234/067.p/12`."""
    if level != "entries" and not 0 <= level <= HIGHEST_LEVEL:
        raise ValueError("a level is 0 to 63")
    if not 0 <= n < MOST_LEAVES or not 1 <= width <= TILE_WIDTH:
        raise ValueError("a tile has a number from 0 and a width of 1 to 256")
    last = f"{n % 1000:03}"
    above = []
    while n := n // 1000:
        above.append(f"x{n % 1000:03}/")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{''.join(reversed(above))}{last}{partial}"


def parse_tile_path(path: str) -> TilePath:
    """Read a path as `tile_path` writes it, and in no other spelling; raises TilePathError."""
    found = _PATH.fullmatch(path) if len(path) <= _LONGEST_PATH else None
    if found is None:
        raise TilePathError("this is not the path of a tile")
    named, width = found["level"], int(found["width"] or TILE_WIDTH)
    level = None if named == "entries" else int(named)
    n = int(found["n"].replace("x", "").replace("/", ""))
    if n >= MOST_LEAVES or width > TILE_WIDTH or (level or 0) > HIGHEST_LEVEL:
        raise TilePathError("a tile's level, number or width is out of range")
    if tile_path("entries" if level is None else level, n, width) != path:
        raise TilePathError("the path of a tile has one spelling only")
    return TilePath(level, n, width)


def width_at(level: int, n: int, size: int) -> int:
    """How many hashes the tile has in a tree of `size` leaves; 0 where there is no such tile."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH))


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile (level, n, width) of a tree of so many leaves, from the leaves up."""
    level = 0
    while hashes := size >> (TILE_HEIGHT * level):
        full, rest = divmod(hashes, TILE_WIDTH)
        for n in range(full):
            yield level, n, TILE_WIDTH
        if rest:
            yield level, full, rest
        level += 1


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries one after another, each behind its length; raises BundleError on one too long."""
    parts = []
    for entry in entries:
        if len(entry) > LONGEST_ENTRY:
            raise BundleError("an entry of a bundle has at most 65,535 bytes")
        parts.append(len(entry).to_bytes(2, "big"))
        parts.append(entry)
    return b"".join(parts)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; raises BundleError on bytes left over and on more than 256."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise BundleError("a bundle ends in the middle of an entry")
        if len(entries) == TILE_WIDTH:
            raise BundleError("a bundle has at most 256 entries")
        entries.append(data[start:at])
    return entries
