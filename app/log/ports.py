"""What the engine, the projections and the audit ask of a log, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from eventsourcing.persistence import PersistenceError
from msgspec import Struct


class LogRow(NamedTuple):
    """One stored fact. `body` is the truth; the other columns are copies of what it says.

    `position` counts from 1 over the whole log without a gap, `version` from 1 within the
    stream, `at` is milliseconds UTC.
    """

    position: int
    stream: str
    version: int
    at: int
    tag: str
    body: bytes


NewRow = tuple[int, int, int, int, str, bytes]
"""A row to append: (position, stream number, version, at, tag, body)."""


class KeyEntry(Struct, frozen=True, gc=False):
    """What an idempotency key led to: `count` events of `stream` from `version` on.

    `digest` is the hash of the command's content, `position` the place in the log of the first
    event (of the last one before, where the command changed nothing and `count` is 0).
    """

    digest: bytes
    stream: str
    version: int
    position: int
    count: int


NewKey = tuple[bytes, bytes, int, int, int, int]
"""A key to keep: (key hash, content hash, stream number, version, position, count)."""


class Snapshot(NamedTuple):
    """A saved state: `version` is the stream's at that time, `anchor` the SHA-256 of that
    version's stored body, `weight` what the state weighed, `chunks` its bytes in order.
    """

    version: int
    anchor: bytes
    weight: int
    chunks: list[bytes]


class SnapshotHead(NamedTuple):
    """Where the newest snapshot of a stream stands."""

    version: int
    weight: int


class CommitUnknown(PersistenceError):  # noqa: N818 - not an error to repair: a fact to tell
    """The commit was asked for and its fate is not known: the events may be in the log or not."""


class SnapshotCorrupt(PersistenceError):  # noqa: N818
    """A stored snapshot is not what was saved."""


class Turn(Protocol):
    """One append turn: the only writer, between its lock and its commit.

    Every error before the commit leaves the log as it was.
    """

    @property
    def position(self) -> int:
        """The log's last position when the turn began; 0 for an empty log."""

    @property
    def at(self) -> int:
        """The time of the last event when the turn began, ms UTC; 0 for an empty log."""

    def tail(self, after: int) -> list[LogRow]:
        """Return every row after a position."""

    def stream_number(self, stream: str) -> int:
        """Return the stream's small number, giving it one if it has none."""

    def keys(self, hashes: Sequence[bytes]) -> dict[bytes, KeyEntry]:
        """Return those of the given key hashes that the log has, with what they led to."""

    def append(self, rows: Sequence[NewRow], keys: Sequence[NewKey] = ()) -> None:
        """Write rows, their positions following the log's last, and idempotency keys.

        Raises eventsourcing's IntegrityError where a (stream, version) or a key is taken.
        """


class EventLog(Protocol):
    """The one ordered sequence of all events."""

    @property
    def log_id(self) -> str:
        """The log's random id (UUID), given when it was created."""

    @property
    def schema_version(self) -> int:
        """The version of the log's tables."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Return up to `limit` rows after a position, in order."""

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """Return the rows of one stream after a version, in order; none for an unknown stream."""

    def read_versions(self, stream: str, versions: Iterable[int]) -> list[LogRow]:
        """Return those rows of one stream that have one of the versions, in order."""

    def last(self) -> tuple[int, int]:
        """Return the last event's (position, at); (0, 0) for an empty log."""

    def position_of(self, stream: str, version: int) -> int | None:
        """Return where a stream's version stands in the log; None if it is not there."""

    def heads(self, after: int = 0) -> list[tuple[str, int]]:
        """Return each stream that moved after a position, with its present version."""

    def wait(self, after: int, timeout: float) -> int:
        """Wait up to `timeout` seconds for an event after a position; return the last position.

        Appends of this process wake the caller at once, those of others within about 50 ms (on
        PostgreSQL at once, or within a second where its NOTIFY is not heard).
        """

    def turn(self) -> AbstractContextManager[Turn]:
        """Begin an append turn: commit at a clean exit, roll back on any exception.

        Raises CommitUnknown where the commit was asked for and failed. Any other error means
        that nothing was written.
        """

    def close(self) -> None:
        """Close the log. Nothing can be read or written afterwards."""


class SnapshotStore(Protocol):
    """Saved states beside a log. They can be thrown away at any time."""

    def save(
        self,
        stream: str,
        schema: int,
        version: int,
        anchor: bytes,
        weight: int,
        chunks: Iterable[bytes],
    ) -> None:
        """Keep a state of a stream and forget its older ones."""

    def latest(self, stream: str, schema: int) -> Snapshot | None:
        """Return the newest state of that schema; raises SnapshotCorrupt where it is damaged."""

    def head(self, stream: str, schema: int) -> SnapshotHead | None:
        """Return where the newest state of that schema stands, without its bytes."""

    def close(self) -> None:
        """Close the store."""
