"""The log in PostgreSQL."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    InterfaceError,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
)
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int4, Int8

from app.log.ports import CommitUnknown, KeyEntry, LogRow, NewKey, NewRow
from app.log.postgres_connection import (
    LOCK_TIMEOUT_S,
    Connection,
    Listener,
    Readers,
    connect_writer,
    is_lost,
    library_errors,
)
from app.log.postgres_rows import (
    KNOWN_STREAMS,
    LEAST_COPY,
    StreamNames,
    copy_events,
    fetch,
    fetch_after,
    fetch_bodies,
    fetch_keys,
    insert_events,
    insert_keys,
    insert_streams,
    selecting,
)
from app.log.postgres_schema import log_id_of, require_version
from app.log.sqlite import TurnHooks
from app.log.stored import new_rows, stream_of
from app.log.subscription import LogSubscription
from app.patience import ANSWER_WITHIN_S

POLL_S: Final = 1.0
"""How often a waiting reader looks for itself, behind what NOTIFY tells it."""

_LAST: Final = "SELECT position, at FROM log.events ORDER BY position DESC LIMIT 1"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_LOCK: Final = "SELECT pg_advisory_xact_lock({key})"
_NUMBER: Final = """
    SELECT (SELECT id FROM log.streams WHERE name = %b),
        (SELECT coalesce(max(id), 0) FROM log.streams)"""
_OF_STREAM: Final = "stream = (SELECT id FROM log.streams WHERE name = %b)"
_READ: Final = selecting("position > %b", "position")
_READ_STREAM: Final = selecting(f"{_OF_STREAM} AND version > %b", "version")
_READ_VERSIONS: Final = selecting(f"{_OF_STREAM} AND version = ANY(%b::integer[])", "version")
_HEADS: Final = """
    SELECT s.name, e.version FROM log.streams s CROSS JOIN LATERAL (
        SELECT version FROM log.events WHERE stream = s.id ORDER BY version DESC LIMIT 1
    ) e"""
_HEADS_AFTER: Final = f"""{_HEADS}
    WHERE s.id IN (SELECT DISTINCT stream FROM log.events WHERE position > %b)"""  # noqa: S608

_logger = logging.getLogger(__name__)


class PostgresTurn:
    """One append turn on the writer's connection.

    The lock is a statement of its own: what comes after it is read as it stands when the lock is
    had. A statement that takes the lock and reads sees the log as it was before it waited. The
    three statements go in one message, each with a view of its own, which costs less than psycopg's
    pipeline mode.
    """

    def __init__(
        self,
        connection: Connection,
        lock_key: int,
        names: StreamNames,
        numbers: dict[str, int],
        hooks: TurnHooks,
    ) -> None:
        self._connection = connection
        self._names = names
        self._numbers = numbers
        self._hooks = hooks
        statements = f"{_BEGIN}; {_LOCK.format(key=lock_key)}; {_LAST}"
        with connection.waiting(LOCK_TIMEOUT_S + ANSWER_WITHIN_S):
            *_, head = connection.execute(statements, prepare=False).results()
        self.position, self.at = head.fetchone() or (0, 0)
        self.written, self._written_at = self.position, self.at
        self._last_number = 0
        self._unwritten_streams: dict[str, int] = {}
        self.new_numbers: dict[str, int] = {}
        self.changed = False

    def tail(self, after: int) -> list[LogRow]:
        """Return every row after a position."""
        return fetch_after(self._connection, self._known_names(), _READ, after, limit=None)

    def _known_names(self) -> StreamNames:
        # What this turn wrote may be rolled back, and the numbers of its streams given again.
        return StreamNames() if self.changed else self._names

    def stream_number(self, stream: str) -> int:
        """Return the stream's small number, giving it one if it has none."""
        known = self._numbers.get(stream) or self.new_numbers.get(stream)
        if known is not None:
            return known
        found = self._connection.execute(_NUMBER, (stream,), prepare=True).fetchone()
        assert found is not None, "a query without a table returns a row"
        number: int | None = found[0]
        if number is None:
            number = self._last_number = max(self._last_number, found[1]) + 1
            self._unwritten_streams[stream] = number
        self.new_numbers[stream] = number
        return number

    def keys(self, hashes: Sequence[bytes]) -> dict[bytes, KeyEntry]:
        """Return those of the given key hashes that the log has, with what they led to."""
        return fetch_keys(self._connection, self._known_names(), hashes)

    def append(self, rows: Sequence[NewRow], keys: Sequence[NewKey] = ()) -> None:
        """Write rows, their positions following the log's last, and idempotency keys.

        Raises IntegrityError where a (stream, version) or a key is taken.
        """
        if rows:
            written = self.written + len(rows)
            positions = range(self.written + 1, written + 1)
            assert [row[0] for row in rows] == list(positions), "positions have no gap"
            assert rows[0][3] >= self._written_at, "time never runs backwards"
            self.written, self._written_at = written, rows[-1][3]
        self._write(rows, keys)
        if self._hooks.after_append:
            self._hooks.after_append()

    def finish(self) -> None:
        """Write the streams that were given a number and no event."""
        if self._unwritten_streams:
            self._write((), ())

    def _write(self, rows: Sequence[NewRow], keys: Sequence[NewKey]) -> None:
        """Write each kind in one statement."""
        connection, streams = self._connection, self._unwritten_streams
        self.changed = self.changed or bool(rows or keys or streams)
        if streams:
            insert_streams(connection, streams)
            self._unwritten_streams = {}
        if len(rows) >= LEAST_COPY:
            copy_events(connection, rows)
        elif rows:
            insert_events(connection, rows)
        if keys:
            insert_keys(connection, keys)


class PostgresLog(ApplicationRecorder):
    """The log, and the recorder by which the `eventsourcing` library reads and writes it.

    `database_url` names a database that `migrate_log` has prepared. Any number of threads may
    read, and any number of threads and processes, on any machine, may take turns to append: they
    queue on an advisory lock, which PostgreSQL gives in the order they came.
    """

    def __init__(self, database_url: str, hooks: TurnHooks | None = None) -> None:
        """Open the log; raises ProgrammingError where its tables are missing, older or newer."""
        self._url = database_url
        self.hooks = hooks or TurnHooks()
        self._turns = threading.Lock()
        self._readers = Readers(database_url)
        self._moved = threading.Condition()
        self._announced = 0
        self._closed = False
        self._writer: Connection | None = None
        self._names = StreamNames()
        self._numbers: dict[str, int] = {}
        self._warnings: list[str] = []
        self._log_id = ""
        self._schema_version = 0
        with library_errors():
            self._writer = self._connect()
        digest = hashlib.sha256(self._log_id.encode()).digest()
        self._lock_key = int.from_bytes(digest[:8], "big", signed=True)
        channel = f"log {self._log_id}"
        self._channel = channel
        self._listener = Listener(database_url, channel, _last_position, self._announce)

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
        return self._readers.run(
            lambda connection: fetch_after(connection, self._names, _READ, after, limit=limit)
        )

    def read_bodies(self, after: int, limit: int) -> tuple[int, int, list[str], bytes] | None:
        """Return what `read` does in one piece, at a fraction of the cost: the first and the last
        position, the tags, and a JSON list of the bodies; None where there is nothing.
        """
        return self._readers.run(lambda connection: fetch_bodies(connection, after, limit))

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """Return the rows of one stream after a version, in order; none for an unknown stream."""
        return self._readers.run(
            lambda connection: fetch_after(
                connection, self._names, _READ_STREAM, stream, after_version, limit=limit
            )
        )

    def read_versions(self, stream: str, versions: Iterable[int]) -> list[LogRow]:
        """Return those rows of one stream that have one of the versions, in order."""
        wanted = [Int4(version) for version in set(versions)]
        return self._readers.run(
            lambda connection: fetch(
                connection, self._names, _READ_VERSIONS, stream, wanted, Int8(len(wanted))
            )
        )

    def last(self) -> tuple[int, int]:
        """Return the last event's (position, at); (0, 0) for an empty log."""
        return self._readers.run(_last)

    def position_of(self, stream: str, version: int) -> int | None:
        """Return where a stream's version stands in the log; None if it is not there."""
        rows = self.read_stream(stream, version - 1, 1)
        return rows[0].position if rows and rows[0].version == version else None

    def heads(self, after: int = 0) -> list[tuple[str, int]]:
        """Return each stream that moved after a position, with its present version."""

        def look(connection: Connection) -> list[tuple[str, int]]:
            # From the beginning the streams tell it faster than all their events.
            statement, values = (_HEADS_AFTER, (Int8(after),)) if after else (_HEADS, ())
            found = connection.execute(statement, values, prepare=True, binary=True)
            return [(name, version) for name, version in found]

        return self._readers.run(look)

    def wait(self, after: int, timeout: float) -> int:
        """Wait up to `timeout` seconds for an event after a position; return the last position."""
        deadline = time.monotonic() + timeout
        while True:
            position, _ = self.last()
            remaining = deadline - time.monotonic()
            if position > after or remaining <= 0:
                return position
            self._listener.start()
            with self._moved:
                if self._announced <= after:
                    self._moved.wait(min(remaining, POLL_S))

    # --- Appending -------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[PostgresTurn]:
        """Begin an append turn: commit at a clean exit, roll back on any exception.

        Raises CommitUnknown where the commit was asked for and failed. Any other error means
        that nothing was written.
        """
        with self._turns, library_errors():
            turn = self._begin()
            connection = self._open_writer()
            try:
                yield turn
                turn.finish()
                _require_no_error(connection)
                if self.hooks.before_commit:
                    self.hooks.before_commit()
            except BaseException as fault:
                self._roll_back(connection, fault)
                raise
            if turn.changed:
                self._commit(connection, turn)
            else:
                # After a ROLLBACK psycopg forgets what it has prepared.
                connection.execute("COMMIT")
            if len(self._numbers) > KNOWN_STREAMS:
                self._numbers.clear()
            self._numbers.update(turn.new_numbers)
        if turn.written > turn.position:
            self._announce(turn.written)

    def _begin(self) -> PostgresTurn:
        """Take the turn's lock; where the connection broke since the last turn, on a new one."""
        while True:
            is_new = self._writer is None
            connection = self._open_writer()
            try:
                return PostgresTurn(
                    connection,
                    self._lock_key,
                    self._names,
                    self._numbers,
                    self.hooks,
                )
            except BaseException as fault:
                self._roll_back(connection, fault)
                if is_new or not is_lost(connection, fault):
                    raise

    def _open_writer(self) -> Connection:
        if self._closed:
            raise InterfaceError("the log is closed")
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    def _connect(self) -> Connection:
        """Open the writer's connection and see that it leads to this log."""
        connection = connect_writer(self._url)
        try:
            self._schema_version = require_version(connection, "log")
            log_id = log_id_of(connection)
            if self._log_id not in ("", log_id):
                raise OperationalError(  # noqa: TRY301 - the connection must be closed
                    f"the database holds log {log_id}, not {self._log_id}"
                )
            self._log_id = log_id
        except BaseException:
            connection.close()
            raise
        connection.add_notice_handler(self._note)
        self._numbers.clear()
        return connection

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def _roll_back(self, connection: Connection, fault: BaseException) -> None:
        """End a transaction that nobody asked to commit."""
        status = connection.info.transaction_status
        try:
            if is_lost(connection, fault):
                self._drop_writer()
            elif status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                connection.execute("ROLLBACK")
            elif status is not TransactionStatus.IDLE:
                self._drop_writer()
        except psycopg.Error:
            _logger.exception("the writer's connection could not roll back; it is opened anew")
            self._drop_writer()

    def _drop_writer(self) -> None:
        """Close the writer's connection, which rolls back whatever it had begun."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _commit(self, connection: Connection, turn: PostgresTurn) -> None:
        statements = "COMMIT"
        if turn.written > turn.position:
            statements = f"NOTIFY \"{self._channel}\", '{turn.written}'; COMMIT"
        try:
            self._warnings.clear()
            connection.execute(statements, prepare=False)
            # Cut off from its synchronous standbys, a server commits and warns.
            if self._warnings:
                raise OperationalError(self._warnings[0])  # noqa: TRY301 - told as unknown below
            if self.hooks.after_commit:
                self.hooks.after_commit()
        except Exception as fault:
            # The server may have committed before the answer was lost.
            self._drop_writer()
            raise CommitUnknown(
                f"it is not known whether the turn was recorded: {str(fault).strip()}"
            ) from fault

    def _announce(self, position: int) -> None:
        with self._moved:
            self._announced = max(self._announced, position)
            self._moved.notify_all()

    def close(self) -> None:
        """Close the log after the turn that may be running."""
        if self._closed:
            return
        with self._turns:
            self._closed = True
            self._drop_writer()
        self._listener.close()
        self._readers.close()

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
        where = [_OF_STREAM]
        values: list[object] = [stream_of(originator_id)]
        if gt is not None:
            where.append("version > %b")
            values.append(Int8(gt))
        if lte is not None:
            where.append("version <= %b")
            values.append(Int8(lte))
        values.append(None if limit is None else Int8(limit))
        statement = selecting(" AND ".join(where), "version DESC" if desc else "version")
        rows = self._readers.run(
            lambda connection: fetch(connection, self._names, statement, *values)
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
        where = ["position >= %b" if inclusive_of_start else "position > %b"]
        values: list[object] = [Int8(0 if start is None else start)]
        if stop is not None:
            where.append("position <= %b")
            values.append(Int8(stop))
        if topics:
            where.append("tag = ANY(%b::text[])")
            values.append(list(topics))
        values.append(Int8(limit))
        statement = selecting(" AND ".join(where), "position")
        rows = self._readers.run(
            lambda connection: fetch(connection, self._names, statement, *values)
        )
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


def _require_no_error(connection: Connection) -> None:
    """Raise OperationalError where a statement failed and somebody passed over its error.

    PostgreSQL would answer the COMMIT without one, and roll back.
    """
    if connection.info.transaction_status is TransactionStatus.INERROR:
        raise OperationalError("a statement of the turn failed before its commit")


def _last(connection: Connection) -> tuple[int, int]:
    found = connection.execute(_LAST, prepare=True, binary=True).fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def _last_position(connection: Connection) -> int:
    return _last(connection)[0]
