"""What a witness remembers, in one SQLite file: of each log the last checkpoint that it cosigned.

What was answered is on disk before it is answered. Any number of processes may share the file: who
changes it holds its one lock from before it reads until after it wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

BUSY_S: Final = 15.0
"""How long a request waits for others, in seconds."""
MOST_CONTRADICTIONS: Final = 100
"""Kept of each log; one alone is proof enough."""

_VERSION: Final = 1
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS logs (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
        at_s INTEGER NOT NULL, note TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS contradictions (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        at_s INTEGER NOT NULL, note TEXT NOT NULL, against TEXT NOT NULL,
        PRIMARY KEY (origin, size, root)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS owner (
        one INTEGER PRIMARY KEY CHECK (one = 1), vkey TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS never_back BEFORE UPDATE ON logs
    WHEN NEW.origin <> OLD.origin OR NEW.size < OLD.size
        OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
    BEGIN SELECT RAISE(ABORT, 'a witness does not go back'); END;
    CREATE TRIGGER IF NOT EXISTS never_gone BEFORE DELETE ON logs
    BEGIN SELECT RAISE(ABORT, 'a witness does not forget'); END;
"""


class WitnessStoreError(Exception):
    """The file cannot be used; the message says why."""


class Seen(msgspec.Struct, frozen=True):
    """The last checkpoint of a log that was cosigned: `note` is all of it with the log's signature
    and our cosignature, `at_s` is when, in seconds since 1970.
    """

    origin: str
    size: int
    root: bytes
    at_s: int
    note: str


class Contradiction(msgspec.Struct, frozen=True):
    """Two checkpoints of one size with different roots, both signed by the log."""

    size: int
    at_s: int
    note: str
    against: str


class WitnessStore:
    """The file; it holds no connection, so that threads and forks may share the object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise WitnessStoreError(f"{path} was made by a newer version")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            with closing(connection):
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as fault:
            raise WitnessStoreError(f"{self._path}: {fault}") from fault

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def belong_to(self, vkey: str) -> None:
        """Be the memory of the witness with this key, and of no other; raises WitnessStoreError."""
        with self._alone() as connection:
            connection.execute("INSERT OR IGNORE INTO owner (one, vkey) VALUES (1, ?)", (vkey,))
            (owner,) = connection.execute("SELECT vkey FROM owner").fetchone()
        if owner != vkey:
            raise WitnessStoreError(f"{self._path} is the memory of another witness: {owner}")

    def seen(self, origin: str) -> Seen | None:
        """The last checkpoint of this log that was cosigned."""
        with self._connected() as connection:
            return _seen(connection, origin)

    def cosign(self, origin: str, decide: Callable[[Seen | None], Seen]) -> Seen:
        """Let `decide` look at the last checkpoint and return the next, or raise to leave things
        as they are; what it returns is on disk when this returns. Nobody else decides meanwhile.
        """
        with self._alone() as connection:
            new = decide(_seen(connection, origin))
            connection.execute(
                "INSERT INTO logs (origin, size, root, at_s, note) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root,"
                " at_s = excluded.at_s, note = excluded.note",
                (origin, new.size, new.root, new.at_s, new.note),
            )
        return new

    def keep_contradiction(self, origin: str, root: bytes, found: Contradiction) -> None:
        """Keep the proof that a log signed two trees of one size."""
        with self._alone() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO contradictions (origin, size, root, at_s, note, against)"
                " SELECT ?, ?, ?, ?, ?, ?"
                " WHERE (SELECT count(*) FROM contradictions WHERE origin = ?) < ?",
                (
                    *(origin, found.size, root, found.at_s, found.note, found.against),
                    *(origin, MOST_CONTRADICTIONS),
                ),
            )

    def contradictions(self, origin: str) -> list[Contradiction]:
        """What proves that this log signed two trees of one size, oldest first."""
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT size, at_s, note, against FROM contradictions WHERE origin = ?"
                " ORDER BY at_s, size",
                (origin,),
            ).fetchall()
        return [Contradiction(*row) for row in rows]


def _seen(connection: sqlite3.Connection, origin: str) -> Seen | None:
    row = connection.execute(
        "SELECT origin, size, root, at_s, note FROM logs WHERE origin = ?", (origin,)
    ).fetchone()
    return Seen(*row) if row else None
