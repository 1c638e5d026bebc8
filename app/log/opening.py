"""The log and its snapshots in the store that the settings name."""

from __future__ import annotations

from pathlib import Path

from app.log.postgres import PostgresLog
from app.log.postgres_schema import migrate_log
from app.log.postgres_snapshots import PostgresSnapshots
from app.log.snapshots import SQLiteSnapshots
from app.log.sqlite import SQLiteLog, TurnHooks

__all__ = ["migrate_log", "open_log", "open_snapshots"]


def open_log(
    database_url: str, path: Path, hooks: TurnHooks | None = None
) -> SQLiteLog | PostgresLog:
    """Open the log: in PostgreSQL where a URL is given, else in the SQLite file `path`.

    Raises ProgrammingError where it was made by a newer Tributary or, in PostgreSQL, is not
    migrated; OperationalError where the server cannot be reached.
    """
    return PostgresLog(database_url, hooks) if database_url else SQLiteLog(path, hooks)


def open_snapshots(database_url: str, path: Path) -> SQLiteSnapshots | PostgresSnapshots:
    """Open the snapshots beside the log: in PostgreSQL, or in the SQLite file `path`."""
    return PostgresSnapshots(database_url) if database_url else SQLiteSnapshots(path)
