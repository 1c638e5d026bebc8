"""The log's tables in SQLite."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Final

from eventsourcing.persistence import ProgrammingError

SCHEMA_VERSION: Final = 1

_TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        at INTEGER NOT NULL,
        tag TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX events_by_stream ON events (stream, version)",
    """CREATE TABLE keys (
        key BLOB PRIMARY KEY,
        digest BLOB NOT NULL,
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        count INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # Nothing is ever edited or deleted in the log; an append costs nothing by these.
    """CREATE TRIGGER events_stay BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END""",
    """CREATE TRIGGER events_are_final BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are never changed'); END""",
)


def prepare(connection: sqlite3.Connection) -> tuple[str, int]:
    """Make the tables where there are none; return the log's id and its schema version.

    Raises ProgrammingError where the file was made by a newer Tributary.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        made = connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'"
        ).fetchone()
        if made is None:
            _create(connection)
        rows = connection.execute("SELECT name, value FROM meta").fetchall()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    meta = {name.decode(): value.decode() for name, value in rows}
    version = int(meta["schema_version"])
    if version > SCHEMA_VERSION:
        raise ProgrammingError(
            f"the log has schema {version}, this Tributary knows up to {SCHEMA_VERSION}"
        )
    return meta["log_id"], version


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [
            ("log_id", str(uuid.uuid4())),
            ("schema_version", str(SCHEMA_VERSION)),
        ],
    )
