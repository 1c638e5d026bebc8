"""The follower that takes snapshots, so that no state is ever rebuilt from all its events."""

from __future__ import annotations

import logging
from typing import Final, Generic

from app.engine.decider import Decider, S
from app.engine.states import BrokenStream, anchor_of, load_state
from app.log import EventLog, SnapshotStore, UnreadableEvent

LEAST_TAIL: Final = 10_000
"""A tail of fewer events is replayed in fifty milliseconds."""

_logger = logging.getLogger(__name__)


class SnapshotFollower(Generic[S]):
    """Saves a stream's state whenever the tail after its snapshot exceeds a quarter of it.

    Runs beside the engine, in a thread or process of its own, on states of its own.
    """

    def __init__(
        self,
        log: EventLog,
        snapshots: SnapshotStore,
        decider: Decider[S],
        least_tail: int = LEAST_TAIL,
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._decider = decider
        self._least_tail = least_tail
        self._position = 0

    @property
    def position(self) -> int:
        """Up to where streams were looked after."""
        return self._position

    def take_due_snapshots(self) -> int:
        """Look at the streams that moved since the last call; return how many were saved."""
        position, _ = self._log.last()
        taken = 0
        for stream, version in self._log.heads(self._position):
            if not stream.startswith(self._decider.prefix) or not self._is_due(stream, version):
                continue
            try:
                self._take(stream)
                taken += 1
            except (UnreadableEvent, BrokenStream):
                # The engine tells it to whoever needs this stream; the others go on.
                _logger.exception("no snapshot can be taken of %s", stream)
        self._position = position
        return taken

    def _is_due(self, stream: str, version: int) -> bool:
        head = self._snapshots.head(stream, self._decider.schema)
        if head is None or head.version > version:
            return version >= self._least_tail
        return version - head.version >= max(self._least_tail, head.weight // 4)

    def _take(self, stream: str) -> None:
        state = load_state(self._log, self._snapshots, self._decider, stream)
        self._snapshots.save(
            stream,
            self._decider.schema,
            state.version,
            anchor_of(self._log, stream, state.version),
            self._decider.weight(state),
            self._decider.dump(state),
        )
