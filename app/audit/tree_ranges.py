"""The tree over some of the stored leaves made again, and held against the stored tiles and the
checkpoints that were signed there.

A range is what one tile of level 1 stands for: 65,536 leaves. Ranges do not look at each other, so
processes of their own can make them; what they come to is joined in `app.audit.tree`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from app.audit.findings import Findings
from app.audit.processes import Tell
from app.audit.tree_place import StoredCheckpoint, TreePlace, TreeStore
from app.transparency.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from app.transparency.edge import ENTRY_BYTES
from app.transparency.leaf import LEAF_BYTES, POSITION_BYTES
from app.transparency.merkle import node_hash
from app.transparency.note import NoteError, VerifierKey
from app.transparency.tiles import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH

RANGE_TILES: Final = TILE_WIDTH
RANGE: Final = TILE_WIDTH * TILE_WIDTH
"""Leaves of one range."""

AT_ONCE: Final = 64
"""Bundles that are read together."""

_LENGTH_BYTES: Final = ENTRY_BYTES - LEAF_BYTES
_LENGTH: Final = np.frombuffer(LEAF_BYTES.to_bytes(_LENGTH_BYTES), dtype=np.uint8)
_PLACE_END: Final = _LENGTH_BYTES + POSITION_BYTES
_NO_HASH: Final = bytes(HASH_BYTES)

Rows = list[list[bytes]]
"""Hashes by height: the lowest, then those over pairs of them, and so on; what has no neighbour is
left out above.
"""


class Begun(Struct, array_like=True, frozen=True):
    """A size at which the root is wanted: `root` is what was signed there, empty where it is only
    asked for; `begun` is the hash over the leaves behind the last whole range, empty where there
    are none.
    """

    size: int
    root: bytes
    begun: bytes
    what: str


class TreeRange(Struct, frozen=True):
    """The `number`-th range of a tree of `size` leaves. Sizes in `asked` are looked at as well;
    what is wanted of the range is written into a file of `folder`.
    """

    place: TreePlace
    vkeys: dict[int, str]
    size: int
    number: int
    asked: tuple[int, ...]
    folder: Path

    @property
    def start(self) -> int:
        """How many leaves are before it."""
        return self.number * RANGE

    @property
    def end(self) -> int:
        """How many leaves there are up to its end."""
        return min(self.size, self.start + RANGE)

    @property
    def path(self) -> Path:
        """Where its sizes with their hashes are kept, in the order of sizes."""
        return self.folder / f"range-{self.number}"


class Ranged(Struct, frozen=True):
    """What a range came to: its root where it is whole, else empty; and what is wrong in it."""

    root: bytes
    findings: Findings
    checkpoints: int


def look_at(task: TreeRange, tell: Tell) -> Ranged:
    """Make a range again."""
    findings = Findings()
    with closing(TreeStore(task.place.store)) as store:
        work = _Work(task, store, findings)
        work.run(tell)
        found = work.begun()
    task.path.write_bytes(msgspec.msgpack.encode(found))
    whole = task.end - task.start == RANGE
    return Ranged(work.root() if whole else b"", findings, work.checkpoints)


def kept_of(task: TreeRange) -> Iterator[Begun]:
    """The sizes of a range, as it kept them."""
    yield from msgspec.msgpack.decode(task.path.read_bytes(), type=list[Begun])


class _Work:
    def __init__(self, task: TreeRange, store: TreeStore, findings: Findings) -> None:
        self._task = task
        self._store = store
        self._findings = findings
        self._roots: list[bytes] = []
        self._wrong: set[int] = set()
        self._wanted: list[tuple[int, bytes, bytes, str]] = []
        self._witnesses = _keys(task.place.witnesses)
        self._vkeys = {number: VerifierKey.parse(vkey) for number, vkey in task.vkeys.items()}
        self.checkpoints = 0

    def run(self, tell: Tell) -> None:
        task, store = self._task, self._store
        first, end = task.start // TILE_WIDTH, -(-task.end // TILE_WIDTH)
        above = iter(self._sizes())
        coming = next(above, None)
        for some in range(first, end, AT_ONCE):
            until = min(some + AT_ONCE, end)
            bundles, tiles = store.bundles(some, until), store.tiles(0, some, until)
            for n in range(some, until):
                width = min(TILE_WIDTH, task.end - n * TILE_WIDTH)
                hashes = self._leaf_hashes(n, width, bundles.get(n, b""), tiles.get(n, b""))
                rows = rows_over(hashes)
                while coming is not None and coming[0] <= n * TILE_WIDTH + width:
                    size, root, what = coming
                    within = size - n * TILE_WIDTH
                    part = edge(rows, within % TILE_WIDTH, b"")
                    self._wanted.append((size, root, part, what))
                    coming = next(above, None)
                if width == TILE_WIDTH:
                    self._roots.append(rows[TILE_HEIGHT][0])
            tell(min(until * TILE_WIDTH, task.end) - task.start)
        self._rows = rows_over(self._roots)
        self._check_level_1()

    def root(self) -> bytes:
        return self._rows[TILE_HEIGHT][0]

    def begun(self) -> list[Begun]:
        """The wanted sizes, with the hash over what is behind the last whole range."""
        found = []
        for size, root, part, what in self._wanted:
            tiles = (size - self._task.start) // TILE_WIDTH % RANGE_TILES
            found.append(Begun(size, root, edge(self._rows, tiles, part), what))
        return found

    # --- Leaves and tiles ------------------------------------------------------------------------

    def _leaf_hashes(self, n: int, width: int, bundle: bytes, tile: bytes) -> list[bytes]:
        """The hashes of a bundle's leaves; where they are not there, what the tile says of them."""
        position = n * TILE_WIDTH + 1
        stored = [tile[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]
        entries = np.frombuffer(bundle[: width * ENTRY_BYTES], dtype=np.uint8)
        if len(entries) != width * ENTRY_BYTES or not self._well_placed(entries, position):
            self._wrong.add(n)
            last = position + width - 1
            sentence = f"The leaves of positions {position:,} to {last:,} are not stored whole."
            self._findings.add("tree", sentence, position)
            return [each if len(each) == HASH_BYTES else _NO_HASH for each in stored]
        made = [
            sha256(b"\0" + bundle[at : at + LEAF_BYTES]).digest()
            for at in range(_LENGTH_BYTES, width * ENTRY_BYTES, ENTRY_BYTES)
        ]
        if made != stored:
            self._wrong.add(n)
            at = next(at for at in range(width) if made[at] != stored[at])
            said = "is not that of its leaf" if len(stored[at]) == HASH_BYTES else "is not stored"
            sentence = f"The hash in tile {n:,} of level 0 {said}."
            self._findings.add("tree", sentence, position + at)
        return made

    def _well_placed(self, data: NDArray[np.uint8], first: int) -> bool:
        """Whether entries have the length of leaves; names each that says another position."""
        entries = data.reshape(-1, ENTRY_BYTES)
        if (entries[:, :_LENGTH_BYTES] != _LENGTH).any():
            return False
        said = np.ascontiguousarray(entries[:, _LENGTH_BYTES:_PLACE_END]).view(">u8")[:, 0]
        places = np.arange(first, first + len(entries), dtype=np.uint64)
        for at in np.flatnonzero(said != places).tolist():
            sentence = f"The leaf says that its event is at position {said[at]:,}."
            self._findings.add("tree", sentence, first + at)
        return True

    def _check_level_1(self) -> None:
        if not self._roots:
            return
        number = self._task.number
        stored = self._store.tiles(1, number, number + 1).get(number, b"")
        first = self._task.start // TILE_WIDTH
        check_tile(1, number, self._roots, stored, {n - first for n in self._wrong}, self._findings)

    # --- Checkpoints -----------------------------------------------------------------------------

    def _sizes(self) -> list[tuple[int, bytes, str]]:
        """Every size at which the root is wanted, in order; checkpoints are opened meanwhile."""
        task = self._task
        found: list[tuple[int, bytes, str]] = [(size, b"", "") for size in task.asked]
        for stored in self._store.checkpoints(task.start, task.end):
            self.checkpoints += 1
            found.append((stored.size, self._opened(stored), ""))
        return sorted(found, key=lambda each: each[0])

    def _opened(self, stored: StoredCheckpoint) -> bytes:
        """The root that was signed; what is wrong with a note is named, and the column believed."""
        key = self._vkeys.get(stored.tree)
        fault = "no tree has its number" if key is None else self._fault(stored, key)
        if fault:
            sentence = f"The checkpoint of {stored.size:,} events is not right: {fault}."
            self._findings.add("checkpoint", sentence, stored.size)
        return stored.root

    def _fault(self, stored: StoredCheckpoint, key: VerifierKey) -> str:
        said = Checkpoint(key.name, stored.size, stored.root)
        try:
            for note in {stored.note, stored.published or stored.note}:
                if open_checkpoint(note, key, self._witnesses).checkpoint != said:
                    return "its note says another size or root than its row"
        except CheckpointError as fault:
            return str(fault)
        return ""


def _keys(texts: Sequence[str]) -> tuple[VerifierKey, ...]:
    found = []
    for text in texts:
        try:
            found.append(VerifierKey.parse(text))
        except NoteError:
            continue  # a witness's key of a type that is not known here
    return tuple(found)


# --- Hashing -------------------------------------------------------------------------------------


def rows_over(hashes: Sequence[bytes]) -> Rows:
    """The hashes over pairs, up to a tile's own height."""
    row = list(hashes)
    rows = [row]
    for _ in range(TILE_HEIGHT):
        row = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
        rows.append(row)
    return rows


def edge(rows: Rows, count: int, found: bytes) -> bytes:
    """The hash over the first `count` of the lowest row and over what is right of them, `found`:
    complete subtrees, joined from the smallest up (RFC 9162 section 2.1.1).
    """
    for height in range(count.bit_length()):
        if count >> height & 1:
            subtree = rows[height][(count >> height) - 1]
            found = node_hash(subtree, found) if found else subtree
    return found


def check_tile(
    level: int, n: int, made: Sequence[bytes], stored: bytes, below: set[int], findings: Findings
) -> bool:
    """Name the first hash of a stored tile that is not the one that was made, unless something is
    wrong `below` it (indexes in the tile), which was named; tell whether the tile is right.
    """
    right = True
    for at, each in enumerate(made):
        there = stored[at * HASH_BYTES : (at + 1) * HASH_BYTES]
        if there == each:
            continue
        if at not in below:
            first = ((n * TILE_WIDTH + at) << (TILE_HEIGHT * level)) + 1
            last = first + (1 << (TILE_HEIGHT * level)) - 1
            said = (
                "is not that of the hashes below it"
                if len(there) == HASH_BYTES
                else "is not stored"
            )
            sentence = f"The hash over positions {first:,} to {last:,} (level {level}) {said}."
            findings.add("tree", sentence, first)
            return False
        right = False
    return right
