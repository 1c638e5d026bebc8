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

from app.settings import Settings

PATIENCE_S: Final = 10.0
"""How long a reader or writer is waited for."""
PAUSE_S: Final = 0.1


def sweep(settings: Settings) -> bool:
    """Write the people store anew without what was erased; True when no byte of that is left.

    Writers wait meanwhile: a second or two for a million people. False where a reader kept the
    write-ahead log in use. In PostgreSQL the places are given free, to be overwritten later, and
    its write-ahead log passes: docs/erasure.md says what is its operator's to do.
    """
    # An index of words keeps those of a row that went until its parts are joined.
    join = "INSERT INTO words(words) VALUES('optimize')"
    searched = rewrite(settings.search_path, join)
    if not settings.database_url:
        return rewrite(settings.people_path) and searched
    _vacuum(settings.database_url)
    return searched


def _vacuum(database_url: str) -> None:
    """Give the places of deleted rows free."""
    import psycopg  # noqa: PLC0415 - who keeps everything in SQLite does not load the driver

    with psycopg.connect(database_url, autocommit=True) as database:
        named = database.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'people'"
        )
        tables = ", ".join(f"people.{name}" for (name,) in named.fetchall())
        database.execute(f"VACUUM {tables}".encode())


def rewrite(path: Path, first: str = "", *, patience_s: float = PATIENCE_S) -> bool:
    """Write a SQLite file anew, and empty its write-ahead log; whether that was let go of.

    `first` is a statement to begin with.
    """
    if not path.exists():
        return True
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    until = time.monotonic() + patience_s
    with closing(connection):
        connection.execute("PRAGMA secure_delete = ON")
        try:
            for statement in filter(None, (first, "VACUUM")):
                connection.execute(statement)
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() >= until:
                    return False
                time.sleep(PAUSE_S)
        except sqlite3.OperationalError:
            return False
    return True
