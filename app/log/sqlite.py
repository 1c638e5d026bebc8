"""The log in one SQLite file."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from eventsourcing.persistence import (
    ApplicationRecorder,
    InterfaceError,
    Notification,
    StoredEvent,
    Subscription,
)

from app.log.connection import (
    WRITER_CACHE_KIB,
    WRITER_CHECKPOINT_PAGES,
    Readers,
    TurnLock,
    connect,
    library_errors,
)
from app.log.ports import CommitUnknown, KeyEntry, LogRow, NewKey, NewRow
from app.log.rows import (
    KNOWN_STREAMS,
    StreamNames,
    fetch,
    fetch_after,
    fetch_bodies,
    fetch_keys,
    insert_many,
    packed,
)
from app.log.schema import prepare
from app.log.stored import new_rows, stream_of
from app.log.subscription import LogSubscription

POLL_S: Final = 0.01
"""How often a waiting reader looks for what other processes wrote."""

_LAST: Final = "SELECT position, at FROM events ORDER BY position DESC LIMIT 1"
_READ: Final = packed("e.position > ?", "e.position")
_READ_STREAM: Final = packed(
    "e.stream = (SELECT id FROM streams WHERE name = ?) AND e.version > ?", "e.version"
)
_HEADS: Final = """
    SELECT name, (SELECT max(version) FROM events WHERE stream = streams.id) FROM streams"""
_HEADS_AFTER: Final = """
    SELECT name, (SELECT max(version) FROM events WHERE stream = streams.id) FROM streams
    WHERE id IN (SELECT stream FROM events WHERE position > ?)"""
_READ_VERSIONS: Final = packed(
    "e.stream = (SELECT id FROM streams WHERE name = ?)"
    " AND e.version IN (SELECT value FROM json_each(?))",
    "e.version",
)

_logger = logging.getLogger(__name__)


class TurnHooks(msgspec.Struct, frozen=True, kw_only=True):
    """What tests do in the middle of an append turn: stop the process, or fail."""

    after_append: Callable[[], None] | None = None
    before_commit: Callable[[], None] | None = None
    after_commit: Callable[[], None] | None = None


class SQLiteTurn:
    """One append turn on the writer's connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        hooks: TurnHooks,
        numbers: dict[str, int],
        names: StreamNames,
    ) -> None:
        self._connection = connection
        self._names = names
        self._hooks = hooks
        self._numbers = numbers
        self.new_numbers: dict[str, int] = {}
        last: tuple[int, int] = connection.execute(_LAST).fetchone() or (0, 0)
        self.position, self.at = last
        self.written, self._written_at = last
        self.changed = False

    def tail(self, after: int) -> list[LogRow]:
        """Return every row after a position."""
        # What this turn wrote may be rolled back, and the numbers of its streams given again.
        names = StreamNames() if self.changed else self._names
        return fetch_after(self._connection, names, _READ, after, limit=None)

    def stream_number(self, stream: str) -> int:
        """Return the stream's small number, giving it one if it has none."""
        known = self._numbers.get(stream) or self.new_numbers.get(stream)
        if known is not None:
            return known
        look = "SELECT id FROM streams WHERE name = ?"
        row = self._connection.execute(look, (stream,)).fetchone()
        if row is None:
            self.changed = True
            add = "INSERT INTO streams (name) VALUES (?) RETURNING id"
            (row,) = self._connection.execute(add, (stream,)).fetchall()
        number: int = row[0]
        self.new_numbers[stream] = number
        return number

    def keys(self, hashes: Sequence[bytes]) -> dict[bytes, KeyEntry]:
        """Return those of the given key hashes that the log has, with what they led to."""
        return fetch_keys(self._connection, hashes)

    def append(self, rows: Sequence[NewRow], keys: Sequence[NewKey] = ()) -> None:
        """Write rows, their positions following the log's last, and idempotency keys.

        Raises IntegrityError where a (stream, version) or a key is taken.
        """
        if rows:
            written = self.written + len(rows)
            positions = range(self.written + 1, written + 1)
            assert [row[0] for row in rows] == list(positions), "positions have no gap"
            assert rows[0][3] >= self._written_at, "time never runs backwards"
            self.changed = True
            insert_many(self._connection, "events", rows)
            self.written, self._written_at = written, rows[-1][3]
        if self._hooks.after_append:
            self._hooks.after_append()
        if keys:
            self.changed = True
            insert_many(self._connection, "keys", keys)


class SQLiteLog(ApplicationRecorder):
    """The log, and the recorder by which the `eventsourcing` library reads and writes it.

    `path` is the database file; two lock files stand beside it. Any number of threads may read,
    and any number of threads and processes may take turns to append.
    """

    def __init__(self, path: Path, hooks: TurnHooks | None = None) -> None:
        self._path = path
        self.hooks = hooks or TurnHooks()
        self._lock = TurnLock(path)
        self._readers = Readers(path)
        self._moved = threading.Condition()
        self._announced = 0
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}
        self._names = StreamNames()
        try:
            with self._lock, library_errors():
                self._writer = _open_writer(path)
                self._log_id, self._schema_version = prepare(self._writer)
        except BaseException:
            self.close()
            raise

    @property
    def log_id(self) -> str:
        """The log's random id (UUID), given when it was created."""
        return self._log_id

    @property
    def schema_version(self) -> int:
        """The version of the log's tables."""
        return self._schema_version

    # --- Reading ---------------------------------------------------------------------------------

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Return up to `limit` rows after a position, in order."""
        with self._readers.borrow() as connection:
            return fetch_after(connection, self._names, _READ, after, limit=limit)

    def read_bodies(self, after: int, limit: int) -> tuple[int, int, list[str], bytes] | None:
        """Return what `read` does in one piece, at a third of the cost: the first and the last
        position, the tags, and a JSON list of the bodies; None where there is nothing.
        """
        with self._readers.borrow() as connection:
            return fetch_bodies(connection, after, limit)

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """Return the rows of one stream after a version, in order; none for an unknown stream."""
        with self._readers.borrow() as connection:
            return fetch_after(
                connection, self._names, _READ_STREAM, stream, after_version, limit=limit
            )

    def read_versions(self, stream: str, versions: Iterable[int]) -> list[LogRow]:
        """Return those rows of one stream that have one of the versions, in order."""
        wanted = json.dumps(sorted(set(versions)))
        with self._readers.borrow() as connection:
            return fetch(connection, self._names, _READ_VERSIONS, stream, wanted, -1)

    def last(self) -> tuple[int, int]:
        """Return the last event's (position, at); (0, 0) for an empty log."""
        with self._readers.borrow() as connection:
            last: tuple[int, int] = connection.execute(_LAST).fetchone() or (0, 0)
            return last

    def position_of(self, stream: str, version: int) -> int | None:
        """Return where a stream's version stands in the log; None if it is not there."""
        rows = self.read_stream(stream, version - 1, 1)
        return rows[0].position if rows and rows[0].version == version else None

    def heads(self, after: int = 0) -> list[tuple[str, int]]:
        """Return each stream that moved after a position, with its present version."""
        with self._readers.borrow() as connection:
            # From the beginning the streams tell it faster than all their events.
            statement, values = (_HEADS_AFTER, (after,)) if after else (_HEADS, ())
            found = connection.execute(statement, values)
            return [(name.decode(), version) for name, version in found if version is not None]

    def wait(self, after: int, timeout: float) -> int:
        """Wait up to `timeout` seconds for an event after a position; return the last position."""
        deadline = time.monotonic() + timeout
        while True:
            position, _ = self.last()
            remaining = deadline - time.monotonic()
            if position > after or remaining <= 0:
                return position
            with self._moved:
                if self._announced <= after:
                    self._moved.wait(min(remaining, POLL_S))

    # --- Appending -------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[SQLiteTurn]:
        """Begin an append turn: commit at a clean exit, roll back on any exception.

        Raises CommitUnknown where the commit was asked for and failed. Any other error means
        that nothing was written.
        """
        with self._lock, library_errors():
            connection = self._open_writer()
            try:
                connection.execute("BEGIN IMMEDIATE")
                turn = SQLiteTurn(connection, self.hooks, self._numbers, self._names)
                yield turn
                if self.hooks.before_commit:
                    self.hooks.before_commit()
            except BaseException:
                self._roll_back(connection)
                raise
            if turn.changed:
                self._commit(connection)
            else:
                self._roll_back(connection)
            if len(self._numbers) > KNOWN_STREAMS:
                self._numbers.clear()
            self._numbers.update(turn.new_numbers)
        if turn.written > turn.position:
            self._announce(turn.written)

    def _open_writer(self) -> sqlite3.Connection:
        if self._closed:
            raise InterfaceError("the log is closed")
        if self._writer is None:
            self._writer = _open_writer(self._path)
        return self._writer

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """End a transaction that nobody asked to commit."""
        try:
            connection.rollback()
        except sqlite3.Error:
            _logger.exception("the writer's connection could not roll back; it is opened anew")
            self._drop_writer()

    def _drop_writer(self) -> None:
        """Close the writer's connection, which rolls back whatever it had begun."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
            if self.hooks.after_commit:
                self.hooks.after_commit()
        except Exception as fault:
            # A commit that failed half-way may still be found by a recovery after a crash.
            self._drop_writer()
            raise CommitUnknown(
                f"it is not known whether the turn was recorded: {fault}"
            ) from fault

    def _announce(self, position: int) -> None:
        with self._moved:
            self._announced = max(self._announced, position)
            self._moved.notify_all()

    def close(self) -> None:
        """Close the log after the turn that may be running."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            self._drop_writer()
        self._readers.close()
        self._lock.close()

    # --- The library's recorder ------------------------------------------------------------------

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ANN401 - as the library has it
    ) -> Sequence[int]:
        """Append the library's stored events in a turn of their own; return their positions.

        `at` of a topic of ours is read from its body. A foreign topic is stamped with the keyword
        argument `at` (ms UTC) or 0, but not before the log's last event. Raises IntegrityError
        where a version is taken or time would run backwards.
        """
        if not stored_events:
            return []
        with self.turn() as turn:
            rows = new_rows(turn, stored_events, kwargs.get("at") or 0)
            turn.append(rows)
        return [row[0] for row in rows]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the stored events of one stream, versions above `gt` up to `lte`."""
        where = ["e.stream = (SELECT id FROM streams WHERE name = ?)"]
        values: list[Any] = [stream_of(originator_id)]
        if gt is not None:
            where.append("e.version > ?")
            values.append(gt)
        if lte is not None:
            where.append("e.version <= ?")
            values.append(lte)
        statement = packed(" AND ".join(where), "e.version DESC" if desc else "e.version")
        with self._readers.borrow() as connection:
            rows = fetch(
                connection, self._names, statement, *values, -1 if limit is None else limit
            )
        return [StoredEvent(row.stream, row.version, row.tag, row.body) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return notifications of the log, whose ids are positions."""
        where = ["e.position >= ?" if inclusive_of_start else "e.position > ?"]
        values: list[Any] = [0 if start is None else start]
        if stop is not None:
            where.append("e.position <= ?")
            values.append(stop)
        if topics:
            where.append(f"e.tag IN ({','.join('?' * len(topics))})")
            values.extend(topics)
        statement = packed(" AND ".join(where), "e.position")
        with self._readers.borrow() as connection:
            rows = fetch(connection, self._names, statement, *values, limit)
        return [
            Notification(row.stream, row.version, row.tag, row.body, row.position) for row in rows
        ]

    def max_notification_id(self) -> int | None:
        """Return the last position; None for an empty log."""
        return self.last()[0] or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Follow the log after a position, also what other processes append."""
        return LogSubscription(self, gt=gt, topics=topics)


def _open_writer(path: Path) -> sqlite3.Connection:
    return connect(path, cache_kib=WRITER_CACHE_KIB, checkpoint_pages=WRITER_CHECKPOINT_PAGES)
