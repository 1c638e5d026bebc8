"""The names that streams have claimed in the whole log, each once: the ids of pledges.

What was claimed follows from the events, so it is kept in memory and not in a table: a key at
random dirties a page of its own, which at a million pledges costs more than all else together.
Here a name is 64 bits. Two different names with the same bits (one in 10^11 for a new pledge among
a hundred million) would refuse the second, which its client then sends under another id; a name is
never given twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np
from eventsourcing.persistence import PersistenceError
from numpy.typing import NDArray

from app.engine.decider import Decider, S
from app.log import EventLog, LogRow, SnapshotStore

RECENT: Final = 131_072
"""Claims that are kept in a set, before they are sorted into the runs."""
PAGE_ROWS: Final = 10_000
LEAST_TAIL: Final = 200_000
"""A tail of fewer events is read in less than a second when the engine starts."""
_CHUNK: Final = 1_000_000
_SCHEMA: Final = 1
_BITS: Final = np.dtype("<u8")

_logger = logging.getLogger(__name__)

Run = NDArray[np.uint64]


class Kept(NamedTuple):
    """What a snapshot of the claims holds: sorted runs, as the log stood at `position`."""

    position: int
    runs: tuple[Run, ...]


class Claims:
    """A growing set of 64-bit names: the newest in a set, the others in sorted arrays.

    An array is merged with the one before it as soon as that is less than four times as long, so
    that there are few to look in, and each name is merged a few times in all.
    """

    def __init__(self, runs: Iterable[Run] = (), recent: int = RECENT) -> None:
        self._runs: list[Run] = list(runs)
        self._recent: set[int] = set()
        self._most_recent = recent

    def __len__(self) -> int:
        return len(self._recent) + sum(len(run) for run in self._runs)

    def add(self, names: Iterable[int]) -> None:
        """Keep names; the same one may come again."""
        self._recent.update(names)
        if len(self._recent) >= self._most_recent:
            self._settle()

    def known(self, names: Sequence[int]) -> set[int]:
        """Return those of the names that are claimed."""
        found = self._recent.intersection(names)
        if self._runs and names:
            asked = np.array(names, dtype=np.uint64)
            asked.sort()
            for run in self._runs:
                places = np.searchsorted(run, asked)
                places[places == len(run)] = 0
                found.update(asked[run[places] == asked].tolist())
        return found

    def runs(self) -> tuple[Run, ...]:
        """Return all names in sorted arrays, which are never changed any more."""
        return (*self._runs, *((_sorted(self._recent),) if self._recent else ()))

    def _settle(self) -> None:
        self._runs.append(_sorted(self._recent))
        self._recent = set()
        while len(self._runs) > 1 and len(self._runs[-2]) < 4 * len(self._runs[-1]):
            merged = np.concatenate(self._runs[-2:])
            merged.sort(kind="stable")
            self._runs[-2:] = [merged]


def _sorted(names: set[int]) -> Run:
    run = np.fromiter(names, dtype=np.uint64, count=len(names))
    run.sort()
    return run


# --- From the log --------------------------------------------------------------------------------


def claims_of(decider: Decider[S], rows: Iterable[LogRow]) -> list[int]:
    """Return the names that stored events claimed. One that cannot be read claims nothing: whoever
    needs its stream is told, and the other campaigns go on.
    """
    claimed, names = decider.claimed, []
    for row in rows:
        try:
            name = claimed(row.tag, row.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            _logger.exception("position %d cannot be read for what it claims", row.position)
            continue
        if name is not None:
            names.append(name)
    return names


def load_claims(
    log: EventLog, snapshots: SnapshotStore | None, decider: Decider[S], until: int
) -> tuple[Claims, int]:
    """Return what was claimed up to a position, and how much of the log its snapshot held."""
    kept = Kept(0, ()) if snapshots is None else _from_snapshot(log, snapshots, decider, until)
    claims = Claims(kept.runs)
    position = kept.position
    while position < until:
        rows = log.read(position, min(PAGE_ROWS, until - position))
        if not rows:
            break
        claims.add(claims_of(decider, rows))
        position = rows[-1].position
    return claims, kept.position


def save_claims(log: EventLog, snapshots: SnapshotStore, decider: Decider[S], kept: Kept) -> None:
    """Keep a snapshot of the claims as they stood at a position of the log."""
    names = sum(len(run) for run in kept.runs)
    chunks = [
        run[start : start + _CHUNK].astype(_BITS).tobytes()
        for run in kept.runs
        for start in range(0, len(run), _CHUNK)
    ]
    anchor = _anchor(log, kept.position)
    # A snapshot has at least one chunk, even of nothing.
    snapshots.save(_name(decider), _SCHEMA, kept.position, anchor, names, chunks or [b""])


def _from_snapshot(
    log: EventLog, snapshots: SnapshotStore, decider: Decider[S], until: int
) -> Kept:
    """Return the snapshot's claims; none where it is missing, damaged, or of another log."""
    try:
        found = snapshots.latest(_name(decider), _SCHEMA)
        if found is None or found.version > until:
            return Kept(0, ())
        if found.anchor != _anchor(log, found.version):
            raise PersistenceError("it was taken of another log")  # noqa: TRY301 - told below
        chunks = [
            np.frombuffer(chunk, dtype=_BITS).astype(np.uint64) for chunk in found.chunks if chunk
        ]
        if any(not (chunk[:-1] <= chunk[1:]).all() for chunk in chunks):
            raise PersistenceError("it is not in order")  # noqa: TRY301 - told below
        return Kept(found.version, tuple(_joined(chunks)))
    except Exception:  # a snapshot can always be done without: the log tells it all
        _logger.warning("the snapshot of the claims is not used; all are read", exc_info=True)
        return Kept(0, ())


def _joined(chunks: Sequence[Run]) -> list[Run]:
    """Join the chunks of one run again: one that goes on where the last ended."""
    if not chunks:
        return []
    starts = [0, *(n for n, (one, other) in enumerate(pairwise(chunks), 1) if one[-1] > other[0])]
    return [
        np.concatenate(chunks[start:end])
        for start, end in zip(starts, [*starts[1:], len(chunks)], strict=True)
    ]


def _anchor(log: EventLog, position: int) -> bytes:
    rows = log.read(position - 1, 1)
    if not rows or rows[0].position != position:
        raise PersistenceError(f"the log has no position {position}")
    return hashlib.sha256(rows[0].body).digest()


def _name(decider: Decider[S]) -> str:
    return f"claims:{decider.prefix}"
