"""SQLite as the log uses it: connections, errors, the queue of writers."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

WRITER_CACHE_KIB: Final = 256 * 1024
READER_CACHE_KIB: Final = 8 * 1024
CHECKPOINT_PAGES: Final = 10_000
"""A checkpoint moves pages from the WAL to the file; 10,000 pages are 40 MB."""
WRITER_CHECKPOINT_PAGES: Final = 20_000
"""The log's own: over many campaigns the same pages of an index are written again and again, and
the longer the WAL, the fewer of them are moved. It is made in the turn whose commit reaches it: a
checkpoint beside commits would be quicker, but before SQLite 3.51.3 one that meets a commit which
begins the WAL anew can damage the file."""
BUSY_TIMEOUT_S: Final = 10.0
"""How long to wait for a lock that our own queue does not know of (a backup, a shell)."""

_ERRORS: Final[tuple[tuple[type[sqlite3.Error], type[PersistenceError]], ...]] = (
    (sqlite3.IntegrityError, IntegrityError),
    (sqlite3.OperationalError, OperationalError),
    (sqlite3.ProgrammingError, ProgrammingError),
    (sqlite3.DataError, DataError),
    (sqlite3.InternalError, InternalError),
    (sqlite3.NotSupportedError, NotSupportedError),
    (sqlite3.DatabaseError, DatabaseError),
    (sqlite3.InterfaceError, InterfaceError),
    (sqlite3.Error, PersistenceError),
)


@contextmanager
def library_errors() -> Iterator[None]:
    """Raise SQLite's errors as those of `eventsourcing.persistence`."""
    try:
        yield
    except sqlite3.Error as fault:
        for theirs, ours in _ERRORS:
            if isinstance(fault, theirs):
                raise ours(str(fault)) from fault
        raise


def connect(
    path: Path,
    *,
    cache_kib: int,
    synchronous: str = "FULL",
    checkpoint_pages: int = CHECKPOINT_PAGES,
) -> sqlite3.Connection:
    """Open a database file in WAL mode; statements begin and end transactions themselves."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.text_factory = bytes  # packed bodies are not always text; see `rows`
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.execute(f"PRAGMA wal_autocheckpoint={checkpoint_pages}")
        connection.execute("PRAGMA trusted_schema=OFF")
    except BaseException:
        connection.close()
        raise
    return connection


class Readers:
    """Read-only connections, as many as there are threads reading at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; SQLite's errors arrive as the library's.

        Raises InterfaceError after close.
        """
        with library_errors():
            connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _take(self) -> sqlite3.Connection:
        if self._closed:
            raise InterfaceError(f"{self._path.name} is closed")
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, cache_kib=READER_CACHE_KIB)
            connection.execute("PRAGMA query_only=ON")
            return connection

    def close(self) -> None:
        """Close idle connections now and lent ones when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class TurnLock:
    """The queue of writers: threads of this process, then processes on a lock file.

    SQLite's own busy timeout polls and starved one of four writers for seconds. A waiting process
    first takes the queue lock, then waits for the turn lock: so whoever has just ended a turn
    cannot take the next one past it.
    """

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._queue = path.with_suffix(".queue").open("ab")
        self._turn = path.with_suffix(".lock").open("ab")

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            if self._turn.closed:
                raise InterfaceError("the log is closed")  # noqa: TRY301 - the lock must be freed
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._queue, fcntl.LOCK_UN)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            fcntl.flock(self._turn, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Close the lock files, after the turn that may be running."""
        with self._threads:
            self._queue.close()
            self._turn.close()
