"""Where an auditor reads a log or its tree: a SQLite file, or a PostgreSQL database; for reading
only.

Both keep them in tables of the same names, so one statement, with `?` for its values, does for
both.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

LogPlace = Path | str
"""A SQLite file, or the postgresql:// URL of a database. A URL may hold a password."""

Value = int | str
Row = tuple[Any, ...]

CONNECT_TIMEOUT_S: Final = 10


class CannotAudit(Exception):  # noqa: N818 - a statement for a person
    """What was asked cannot be answered; the message is for the person who asked."""


class Tables(NamedTuple):
    """What a source has to have: the words for it, the schema in PostgreSQL, and its tables."""

    what: str
    schema: str
    names: str


LOG: Final = Tables("event log", "log", "meta, streams, events, keys")
TREE: Final = Tables("transparency tree", "transparency", "trees, tiles, bundles, checkpoints")


class Source(Protocol):
    """Answers SELECTs on the tables of a log. Used by one thread."""

    @property
    def names_from(self) -> str:
        """The statement for the names of streams that begin with a text, in their order; its values
        are the text and the first one after all of them.
        """

    @property
    def nothing_else(self) -> str:
        """The operator by which two values differ or only one is NULL."""

    @property
    def hex_of_key(self) -> str:
        """The expression for a key `k.key` in hex digits."""

    def rows(self, statement: str, *values: Value) -> list[Row]:
        """Return all rows; raises CannotAudit or sqlite3.Error where they cannot be read."""

    def close(self) -> None:
        """Let go of it."""


def open_source(place: LogPlace, tables: Tables = LOG) -> Source:
    """Open a log, or its tree; raises CannotAudit where there is none."""
    return _Postgres(place, tables) if isinstance(place, str) else _SQLite(place, tables)


def _there(tables: Tables) -> str:
    return f"SELECT 1 FROM {tables.names} LIMIT 0"  # noqa: S608 - names of ours


# --- SQLite --------------------------------------------------------------------------------------


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a SQLite file so that nothing can be written; raises CannotAudit where there is none.

    On a medium that cannot be written, a file that nobody has open is read as unchangeable:
    SQLite could not make the files beside it that readers share.
    """
    if not path.is_file():
        raise CannotAudit(f"There is no {path}.")
    path = path.resolve()  # beside what a link names, not beside the link, SQLite keeps its files
    location = f"{path.as_uri()}?mode=ro"
    shared = path.with_name(f"{path.name}-shm")
    if not os.access(path.parent, os.W_OK) and not shared.exists():
        location += "&immutable=1"
    connection = sqlite3.connect(location, uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _with_marks(text: bytes) -> str:
    return text.decode(errors="replace")


class _SQLite:
    """A file."""

    names_from = "SELECT name FROM streams WHERE name >= ? AND name < ? ORDER BY name LIMIT 2"
    nothing_else = "IS NOT"
    hex_of_key = "hex(k.key)"

    def __init__(self, path: Path, tables: Tables) -> None:
        self._connection = open_for_reading(path)
        try:
            self._connection.execute(_there(tables))
            self._connection.execute("PRAGMA schema_version").fetchall()
        except sqlite3.DatabaseError as fault:
            self.close()
            article = "an" if tables.what.startswith("e") else "a"
            raise CannotAudit(f"{path} is not {article} {tables.what}: {fault}.") from fault

    def rows(self, statement: str, *values: Value) -> list[Row]:
        """Return all rows; text that is none, in a damaged file, comes with marks in it."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as fault:
            if "decode" not in str(fault):
                raise
        self._connection.text_factory = _with_marks
        try:
            return self._connection.execute(statement, values).fetchall()
        finally:
            self._connection.text_factory = str

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


# --- PostgreSQL ----------------------------------------------------------------------------------

_SESSION: Final = """
    SELECT
        set_config('default_transaction_read_only', 'on', false),
        set_config('search_path', %s, false),
        set_config('jit', 'off', false),
        set_config('enable_seqscan', 'off', false),
        set_config('max_parallel_workers_per_gather', '0', false)"""


class _Postgres:
    """A database. A standby that only reads will do."""

    names_from = """
        SELECT name FROM streams WHERE name COLLATE "C" >= ? AND name COLLATE "C" < ?
        ORDER BY name COLLATE "C" LIMIT 2"""
    nothing_else = "IS DISTINCT FROM"
    hex_of_key = "upper(encode(k.key, 'hex'))"

    def __init__(self, url: str, tables: Tables) -> None:
        import psycopg  # noqa: PLC0415 - a log in a file needs no driver

        self._error = psycopg.Error
        with self._told():
            self._connection = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="tributary audit",
            )
            try:
                self._connection.execute(_SESSION, [tables.schema])
                self._connection.execute(_there(tables).encode())
            except psycopg.errors.UndefinedTable as fault:
                self.close()
                raise CannotAudit(f"The database holds no {tables.what}.") from fault
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._error as fault:
            raise CannotAudit(f"The log's database cannot be read: {str(fault).strip()}") from fault

    def rows(self, statement: str, *values: Value) -> list[Row]:
        """Return all rows."""
        with self._told():
            found = self._connection.execute(_translated(statement), values, binary=True)
            return found.fetchall()

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


@cache
def _translated(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()
