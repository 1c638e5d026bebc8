"""Snapshots of states in PostgreSQL, in a schema of their own, which can be emptied at any time."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    InterfaceError,
    ProgrammingError,
    StoredEvent,
)

from app.log.ports import Snapshot, SnapshotCorrupt, SnapshotHead
from app.log.postgres_connection import (
    Connection,
    Readers,
    connect_careless,
    is_lost,
    library_errors,
)
from app.log.postgres_schema import require_version

_COPY: Final = "COPY snapshots.snapshots FROM STDIN (FORMAT BINARY)"
_TYPES: Final = ("text", "text", "int4", "int4", "int4", "bytea", "int4", "int8", "bytea")
_DELETE: Final = "DELETE FROM snapshots.snapshots WHERE stream = %s"
_HEAD: Final = """
    SELECT version, weight FROM snapshots.snapshots
    WHERE stream = %s AND topic = %s AND chunk = 0 ORDER BY version DESC LIMIT 1"""
_CHUNKS: Final = """
    SELECT chunks, anchor, checksum, body FROM snapshots.snapshots
    WHERE stream = %s AND version = %s AND topic = %s ORDER BY chunk"""
_VERSIONS: Final = """
    SELECT version, topic FROM snapshots.snapshots WHERE stream = %s AND chunk = 0
    AND version > %s AND version <= %s ORDER BY version {order} LIMIT %s"""

_Row = tuple[str, str, int, int, int, bytes, int, int, bytes]


class PostgresSnapshots(AggregateRecorder):
    """Saved states by stream, version and state schema, in checksummed chunks."""

    def __init__(self, database_url: str) -> None:
        """Open the store; raises ProgrammingError where its tables are missing, older or newer."""
        self._url = database_url
        self._readers = Readers(database_url)
        self._lock = threading.Lock()
        self._closed = False
        self._writer: Connection | None = None
        with library_errors():
            self._writer = self._connect()

    def _connect(self) -> Connection:
        # Losing the newest snapshots in a power cut costs nothing but time.
        connection = connect_careless(self._url)
        try:
            require_version(connection, "snapshots")
        except BaseException:
            connection.close()
            raise
        return connection

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
        rows = list(_rows(stream, _topic(schema), version, anchor, weight, list(chunks)))

        def replace(connection: Connection) -> None:
            connection.execute(_DELETE, (stream,))
            _insert(connection, rows)

        self._write(replace)

    def head(self, stream: str, schema: int) -> SnapshotHead | None:
        """Return where the newest state of that schema stands, without its bytes."""
        row = self._readers.run(
            lambda connection: connection.execute(_HEAD, (stream, _topic(schema))).fetchone()
        )
        return None if row is None else SnapshotHead(*row)

    def latest(self, stream: str, schema: int) -> Snapshot | None:
        """Return the newest state of that schema; raises SnapshotCorrupt where it is damaged."""
        head = self.head(stream, schema)
        if head is None:
            return None
        values = (stream, head.version, _topic(schema))
        rows = self._readers.run(
            lambda connection: connection.execute(_CHUNKS, values, binary=True).fetchall()
        )
        if not rows:  # replaced by a newer one in the meantime
            return self.latest(stream, schema)
        chunks = [body for _, _, _, body in rows]
        sound = all(zlib.crc32(body) == checksum for _, _, checksum, body in rows)
        if len(chunks) != rows[0][0] or not sound:
            raise SnapshotCorrupt(f"the snapshot of {stream} at version {head.version} is damaged")
        return Snapshot(head.version, rows[0][1], head.weight, chunks)

    def _write(self, work: Callable[[Connection], None]) -> None:
        """Run `work` in a transaction; once more where the connection broke since its last use."""
        with self._lock, library_errors():
            while True:
                if self._closed:
                    raise InterfaceError("the snapshots are closed")
                is_new = self._writer is None
                writer = self._writer = self._writer or self._connect()
                try:
                    with writer.transaction():
                        work(writer)
                    return
                except psycopg.Error as fault:
                    if not is_lost(writer, fault):
                        raise
                    self._drop_writer()
                    if is_new:
                        raise

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(psycopg.Error):
                writer.close()

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._closed = True
            self._drop_writer()
        self._readers.close()

    # --- The library's recorder ------------------------------------------------------------------

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ANN401, ARG002 - as the library has it
    ) -> None:
        """Keep the library's stored snapshots, each in one chunk."""
        rows: list[_Row] = []
        for stored in stored_events:
            if not isinstance(stored.originator_id, str):
                raise ProgrammingError("streams are named by text")
            rows += _rows(
                stored.originator_id,
                stored.topic,
                stored.originator_version,
                b"",
                0,
                [stored.state],
            )
        if rows:
            self._write(lambda connection: _insert(connection, rows))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the snapshots of one stream, versions above `gt` up to `lte`, chunks joined."""
        stream = str(originator_id)
        statement = _VERSIONS.format(order="DESC" if desc else "ASC")
        lowest, highest = -1 if gt is None else gt, 2**31 - 1 if lte is None else lte

        def look(connection: Connection) -> list[StoredEvent]:
            found = connection.execute(statement, (stream, lowest, highest, limit)).fetchall()
            return [
                StoredEvent(
                    originator_id,
                    version,
                    topic,
                    b"".join(
                        row[3] for row in connection.execute(_CHUNKS, (stream, version, topic))
                    ),
                )
                for version, topic in found
            ]

        return self._readers.run(look)


def _topic(schema: int) -> str:
    return f"state.v{schema}"


def _insert(connection: Connection, rows: Iterable[_Row]) -> None:
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)


def _rows(
    stream: str, topic: str, version: int, anchor: bytes, weight: int, bodies: list[bytes]
) -> Iterator[_Row]:
    for number, body in enumerate(bodies):
        checksum = zlib.crc32(body)
        yield stream, topic, version, number, len(bodies), anchor, weight, checksum, body
