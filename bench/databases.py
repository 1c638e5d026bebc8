"""Where benchmarks keep their data: a directory on the real disk, a database of their own.

A temporary directory may lie in memory, where a commit costs nothing: the directory is made in
`var/` of this checkout. PostgreSQL is found at TRIBUTARY_TEST_POSTGRES_URL, else on 127.0.0.1:5432
as user `postgres`; each database is new, its log is made as `tributary migrate` does, and it is
dropped in the end.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

import psycopg

from app.log.opening import migrate_log

ROOT: Final = Path(__file__).resolve().parent.parent
SERVER: Final = os.environ.get(
    "TRIBUTARY_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"
)

Store = Literal["SQLite", "PostgreSQL"]
STORES: Final[tuple[Store, ...]] = get_args(Store)


class NoServerError(Exception):
    """There is no PostgreSQL to measure with; the message says what was tried."""


@contextmanager
def directory() -> Iterator[Path]:
    """A directory of one's own on the disk of this checkout, removed in the end."""
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as found:
        yield Path(found)


@contextmanager
def database(store: Store) -> Iterator[str]:
    """The `database_url` of an empty log: "" for SQLite, else of a new database.

    Raises NoServerError.
    """
    if store == "SQLite":
        yield ""
        return
    name = f"t_bench_{uuid.uuid4().hex[:12]}"
    with _server() as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        url = urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
        migrate_log(url)
        yield url
    finally:
        with _server() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def postgres_settings() -> dict[str, str]:
    """What bounds and proves durability on the server. Raises NoServerError."""
    names = (
        "server_version",
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "wal_sync_method",
        "shared_buffers",
        "max_wal_size",
    )
    with _server() as connection:
        found: dict[str, str] = {}
        for name in names:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert row is not None, "every setting has a value"
            found[name] = row[0]
        return found


@contextmanager
def _server() -> Iterator[psycopg.Connection[tuple[str]]]:
    try:
        connection = psycopg.connect(SERVER, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as fault:
        parts = urlsplit(SERVER)
        raise NoServerError(f"no PostgreSQL at {parts.hostname}:{parts.port or 5432}") from fault
    with connection:
        yield connection
