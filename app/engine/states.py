"""States in memory: loaded from a snapshot and the tail after it, kept as long as they fit."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Generic

from app.engine.decider import Decider, S
from app.log import EventLog, LogRow, SnapshotStore, decode_row

PAGE_ROWS: Final = 10_000
STREAM_ROWS: Final = 2_000
"""Events of a stream that are read at once: few, for no other thread runs meanwhile."""
SMALL: Final = 2_000
"""Events, or pledges of a snapshot, that are loaded between two turns; all others wait for more."""

_logger = logging.getLogger(__name__)


class BrokenStream(Exception):  # noqa: N818 - what was found, named for who must act on it
    """A stream's versions do not follow each other, or end too early."""


def evolve_row(decider: Decider[S], state: S, row: LogRow) -> None:
    """Add a stored row to a state; raises UnreadableEvent, and BrokenStream at a gap."""
    if row.version != state.version + 1:
        raise BrokenStream(
            f"position {row.position}, stream {row.stream}: version {row.version} follows"
            f" {state.version}"
        )
    decider.evolve(state, decode_row(row))
    if state.version != row.version:
        raise BrokenStream(
            f"position {row.position}, stream {row.stream}: the body of version {row.version} says"
            f" {state.version}"
        )


def load_state(
    log: EventLog, snapshots: SnapshotStore | None, decider: Decider[S], stream: str
) -> S:
    """Return a stream's present state: its newest snapshot and the tail, or all its events.

    Raises UnreadableEvent at an event that this code cannot read.
    """
    state = None if snapshots is None else _from_snapshot(log, snapshots, decider, stream)
    if state is None:
        state = decider.initial(stream)
    follow_on(log, decider, stream, state)
    return state


def load_small(
    log: EventLog, snapshots: SnapshotStore | None, decider: Decider[S], stream: str
) -> S | None:
    """Do as `load_state` where that takes milliseconds; None for a stream that takes longer."""
    after = 0
    if snapshots is not None and (head := snapshots.head(stream, decider.schema)) is not None:
        if head.weight > SMALL:
            return None
        after = head.version
    if after == 0:
        rows = log.read_stream(stream, 0, SMALL + 1)
        if len(rows) > SMALL:
            return None
        state = decider.initial(stream)
        for row in rows:
            evolve_row(decider, state, row)
        return state
    if log.read_stream(stream, after + SMALL, 1):
        return None
    return load_state(log, snapshots, decider, stream)


def follow_on(log: EventLog, decider: Decider[S], stream: str, state: S) -> None:
    """Add to a state what its stream holds beyond it; raises as `load_state`."""
    while True:
        rows = log.read_stream(stream, state.version, STREAM_ROWS)
        for row in rows:
            evolve_row(decider, state, row)
        if len(rows) < STREAM_ROWS:
            return


def anchor_of(log: EventLog, stream: str, version: int) -> bytes:
    """Return the SHA-256 of the stored body of a stream's version; BrokenStream if it has none."""
    rows = log.read_stream(stream, version - 1, 1)
    if not rows or rows[0].version != version:
        raise BrokenStream(f"stream {stream} has no version {version}")
    return hashlib.sha256(rows[0].body).digest()


def _from_snapshot(
    log: EventLog, snapshots: SnapshotStore, decider: Decider[S], stream: str
) -> S | None:
    try:
        return _read_snapshot(log, snapshots, decider, stream)
    except Exception:  # a snapshot can always be done without: whatever is wrong with it, replay
        _logger.warning("the snapshot of %s is not used; all is replayed", stream, exc_info=True)
        return None


def _read_snapshot(
    log: EventLog, snapshots: SnapshotStore, decider: Decider[S], stream: str
) -> S | None:
    snapshot = snapshots.latest(stream, decider.schema)
    if snapshot is None:
        return None
    if snapshot.anchor != anchor_of(log, stream, snapshot.version):
        raise BrokenStream("it was taken of another log")
    state = decider.load(snapshot.chunks)
    if state.version != snapshot.version:
        raise BrokenStream(f"it stands at {state.version}, not at {snapshot.version}")
    return state


class StateCache(Generic[S]):
    """The states used last, as many as `limit` lets in by their weight. Used by one thread."""

    def __init__(self, decider: Decider[S], limit: int) -> None:
        self._decider = decider
        self._limit = limit
        self._states: OrderedDict[str, S] = OrderedDict()
        self._weights: dict[str, int] = {}
        self._weight = 0

    def __len__(self) -> int:
        return len(self._states)

    @property
    def weight(self) -> int:
        """The weight of all states together, as they were when last settled."""
        return self._weight

    def __contains__(self, stream: str) -> bool:
        return stream in self._states

    def get(self, stream: str) -> S | None:
        """Return the state of a stream, if it is here."""
        return self._states.get(stream)

    def put(self, stream: str, state: S) -> None:
        """Keep a state at least until the next `settle`."""
        self._states[stream] = state

    def drop(self, stream: str) -> None:
        """Forget a stream's state, which may not be what the log says."""
        if self._states.pop(stream, None) is not None:
            self._weight -= self._weights.pop(stream, 0)

    def clear(self) -> None:
        """Forget every state."""
        self._states.clear()
        self._weights.clear()
        self._weight = 0

    def settle(self, used: Iterable[str]) -> None:
        """Weigh the states that were used, then forget those unused for longest.

        The one used last stays, whatever it weighs; one without events never does.
        """
        for stream in used:
            state = self._states.get(stream)
            if state is None:
                continue
            if not state.version:
                self.drop(stream)
                continue
            weight = self._decider.weight(state)
            self._weight += weight - self._weights.get(stream, 0)
            self._weights[stream] = weight
            self._states.move_to_end(stream)
        while self._weight > self._limit and len(self._states) > 1:
            self.drop(next(iter(self._states)))
