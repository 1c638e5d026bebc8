"""The last traces of what was erased: bytes that no row leads to any more.

SQLite overwrites what it deletes (`secure_delete`). But where a page was split while rows were
written, a copy of a row may lie in the unused part of a page, which deleting the row does not
touch: of 1,500 deleted rows 5 were found so. A file that is written anew has no such places.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from app.settings import Settings

BUSY_TIMEOUT_S: Final = 10.0
TRIES: Final = 20
PAUSE_S: Final = 0.1


def sweep(settings: Settings) -> bool:
    """Write the people store anew without what was erased; True when no byte of that is left.

    Writers wait meanwhile: a second or two for a million people. False where a reader kept the
    write-ahead log in use. In PostgreSQL the places are given free, to be overwritten later, and
    its write-ahead log passes: docs/erasure.md says what is its operator's to do.
    """
    if settings.database_url:
        with psycopg.connect(settings.database_url, autocommit=True) as database:
            named = database.execute(
                "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'people'"
            )
            tables = ", ".join(f"people.{name}" for (name,) in named.fetchall())
            database.execute(f"VACUUM {tables}".encode())
        return True
    gone = [rewrite(path) for path in (settings.people_path, settings.search_path)]
    return all(gone)


def rewrite(path: Path) -> bool:
    """Write a SQLite file anew, and empty its write-ahead log; whether that was let go of."""
    if not path.exists():
        return True
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    with closing(connection):
        connection.execute("PRAGMA secure_delete = ON")
        try:
            connection.execute("VACUUM")
            for _ in range(TRIES):
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if not busy:
                    return True
                time.sleep(PAUSE_S)
        except sqlite3.OperationalError:
            return False
    return False
