"""Snapshots of states in a SQLite file of their own, which can be deleted at any time."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import AggregateRecorder, ProgrammingError, StoredEvent

from app.log.connection import READER_CACHE_KIB, Readers, connect, library_errors
from app.log.ports import Snapshot, SnapshotCorrupt, SnapshotHead

_WAL_KEPT_BYTES: Final = 64 * 1024 * 1024

# `topic` holds the state schema; a snapshot's chunks are numbered from 0 up to `chunks` - 1.
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS snapshots (
        stream TEXT NOT NULL,
        topic TEXT NOT NULL,
        version INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        anchor BLOB NOT NULL,
        weight INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT""",
    """CREATE UNIQUE INDEX IF NOT EXISTS snapshots_by_stream
        ON snapshots (stream, version, topic, chunk)""",
)
_INSERT: Final = "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HEAD: Final = """
    SELECT version, weight FROM snapshots
    WHERE stream = ? AND topic = ? AND chunk = 0 ORDER BY version DESC LIMIT 1"""
_CHUNKS: Final = """
    SELECT chunks, anchor, checksum, body FROM snapshots
    WHERE stream = ? AND version = ? AND topic = ? ORDER BY chunk"""

_Row = tuple[str, str, int, int, int, bytes, int, int, bytes]


class SQLiteSnapshots(AggregateRecorder):
    """Saved states by stream, version and state schema, in checksummed chunks."""

    def __init__(self, path: Path) -> None:
        self._readers = Readers(path)
        self._lock = threading.Lock()
        with library_errors():
            # Losing the newest snapshots in a power cut costs nothing but time.
            self._writer = connect(path, cache_kib=READER_CACHE_KIB, synchronous="NORMAL")
            self._writer.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")
            for statement in _TABLES:
                self._writer.execute(statement)

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
        topic = _topic(schema)
        bodies = list(chunks)
        with self._transaction() as connection:
            connection.execute("DELETE FROM snapshots WHERE stream = ?", (stream,))
            connection.executemany(_INSERT, _rows(stream, topic, version, anchor, weight, bodies))

    def head(self, stream: str, schema: int) -> SnapshotHead | None:
        """Return where the newest state of that schema stands, without its bytes."""
        with self._readers.borrow() as connection:
            row = connection.execute(_HEAD, (stream, _topic(schema))).fetchone()
        return None if row is None else SnapshotHead(*row)

    def latest(self, stream: str, schema: int) -> Snapshot | None:
        """Return the newest state of that schema; raises SnapshotCorrupt where it is damaged."""
        head = self.head(stream, schema)
        if head is None:
            return None
        topic = _topic(schema)
        with self._readers.borrow() as connection:
            rows = connection.execute(_CHUNKS, (stream, head.version, topic)).fetchall()
        if not rows:  # replaced by a newer one in the meantime
            return self.latest(stream, schema)
        chunks = [body for _, _, _, body in rows]
        sound = all(zlib.crc32(body) == checksum for _, _, checksum, body in rows)
        if len(chunks) != rows[0][0] or not sound:
            raise SnapshotCorrupt(f"the snapshot of {stream} at version {head.version} is damaged")
        return Snapshot(head.version, rows[0][1], head.weight, chunks)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, library_errors():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.rollback()
                raise
            self._writer.commit()

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._writer.close()
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
            with self._transaction() as connection:
                connection.executemany(_INSERT, rows)

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
        order = "DESC" if desc else "ASC"
        statement = f"""
            SELECT version, topic FROM snapshots WHERE stream = ? AND chunk = 0
            AND version > ? AND version <= ? ORDER BY version {order} LIMIT ?"""  # noqa: S608
        lowest, highest = -1 if gt is None else gt, 2**63 - 1 if lte is None else lte
        values = (str(originator_id), lowest, highest, -1 if limit is None else limit)
        with self._readers.borrow() as connection:
            return [
                StoredEvent(
                    originator_id,
                    version,
                    topic.decode(),
                    b"".join(
                        row[3]
                        for row in connection.execute(
                            _CHUNKS, (originator_id, version, topic.decode())
                        )
                    ),
                )
                for version, topic in connection.execute(statement, values).fetchall()
            ]


def _topic(schema: int) -> str:
    return f"state.v{schema}"


def _rows(
    stream: str, topic: str, version: int, anchor: bytes, weight: int, bodies: list[bytes]
) -> Iterator[_Row]:
    for number, body in enumerate(bodies):
        checksum = zlib.crc32(body)
        yield stream, topic, version, number, len(bodies), anchor, weight, checksum, body
