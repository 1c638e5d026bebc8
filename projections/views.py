"""The files that views live in, and how readers and writers find the current one.

`views.db` is a symbolic link to `views-<n>.db`. A rebuild makes the next file beside it and then
replaces the link, which is one atomic step of the file system. Whoever opens `views.db` by any
means gets a whole file; whoever has one open keeps it until done. (A file under the name of
another would not do: SQLite would find the old file's write-ahead log beside the new file.)

Views lie apart from the log, so that projecting never blocks appending. They run with
`synchronous=NORMAL`: a power cut may lose the last transactions, each with its checkpoint, and the
follower does them again. Nothing is lost that the log does not have.
"""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

BUSY_TIMEOUT_S: Final = 10.0
WRITER_CACHE_KIB: Final = 128 * 1024
READER_CACHE_KIB: Final = 16 * 1024
CHECKPOINT_PAGES: Final = 10_000
"""A checkpoint moves pages from the write-ahead log to the file; 10,000 pages are 40 MB."""


class ViewsFile:
    """One file of views. Its engines are made when they are first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lent = 0

    def current(self) -> ViewsFile:
        """A file stands for itself: what a follower writes to while it rebuilds."""
        return self

    @cached_property
    def writer(self) -> Engine:
        """For the follower: each transaction takes the write lock when it begins."""
        engine = create_engine(f"sqlite:///{self.path}", pool_size=1)
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    @cached_property
    def reader(self) -> AsyncEngine:
        """For everybody else; it cannot write."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}", pool_size=4)
        event.listen(engine.sync_engine, "connect", _prepare_reader)
        return engine

    @cached_property
    def reader_sync(self) -> Engine:
        """The same, for threads and commands."""
        engine = create_engine(f"sqlite:///{self.path}", pool_size=4)
        event.listen(engine, "connect", _prepare_reader)
        return engine

    def settle(self) -> None:
        """Bring what was written from the write-ahead log to the file and onto the disk.

        Before a link names a file, so that a power cut does not leave the link without it.
        """
        raw = self.writer.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()

    def close_sync(self) -> None:
        """Close the connections that are not a coroutine's."""
        for name in ("writer", "reader_sync"):
            if name in self.__dict__:
                self.__dict__[name].dispose()

    async def close(self) -> None:
        """Close every connection."""
        self.close_sync()
        if "reader" in self.__dict__:
            await self.reader.dispose()

    def remove(self) -> None:
        """Delete the file and what SQLite keeps beside it."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


class Views:
    """The views of a log, through the link at `path`.

    Where there is none, an empty file is made; the first follower makes the tables.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._retired: list[ViewsFile] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink():
            with only_one(path):
                if not path.is_symlink():
                    self._create()
        self._file = linked(path)

    def _create(self) -> None:
        first = ViewsFile(numbered(self._path, 1))
        first.remove()
        first.settle()
        first.close_sync()
        point(self._path, first.path)

    def current(self) -> ViewsFile:
        """The file that the link names now."""
        name = self._path.readlink().name
        with self._lock:
            if name != self._file.path.name:
                self._retired.append(self._file)
                self._file = linked(self._path)
            return self._file

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection to the current views, which sees one moment of them."""
        file = self.current()
        file.lent += 1
        try:
            async with file.reader.connect() as conn:
                yield conn
        finally:
            file.lent -= 1
            await self._bury()

    @contextmanager
    def connect_sync(self) -> Iterator[Connection]:
        """The same, for threads and commands."""
        with self.current().reader_sync.connect() as conn:
            yield conn

    async def _bury(self) -> None:
        """Close files that are current no more, once nobody reads them."""
        done = [file for file in self._retired if not file.lent]
        for file in done:
            self._retired.remove(file)
            await file.close()

    async def close(self) -> None:
        """Close every connection."""
        for file in (*self._retired, self._file):
            await file.close()


# --- The link ------------------------------------------------------------------------------------


def linked(path: Path) -> ViewsFile:
    """The file that a link names. Raises OSError where there is no link."""
    return ViewsFile(path.with_name(path.readlink().name))


def point(path: Path, target: Path) -> None:
    """Let the link name another file, in one step."""
    fresh = path.with_name(f"{path.name}.next")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(path)


def numbered(path: Path, number: int) -> Path:
    """The name of the n-th file."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def number_of(path: Path, file: Path) -> int:
    """Which file of the link it is."""
    return int(file.stem.removeprefix(f"{path.stem}-"))


class RebuildingError(Exception):
    """The views are being rebuilt by somebody else."""


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Keep others from making files meanwhile. Raises RebuildingError."""
    with path.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RebuildingError("The views are being rebuilt already.") from None
        yield


# --- SQLite --------------------------------------------------------------------------------------


def _prepare_writer(connection: Any, _entry: object) -> None:  # noqa: ANN401 - a driver's own
    connection.isolation_level = None  # transactions begin where `_begin_immediate` says
    _set(
        connection,
        f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"cache_size = -{WRITER_CACHE_KIB}",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        "secure_delete = OFF",  # nothing here is secret, and wiping what moves costs a tenth
    )


def _begin_immediate(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_reader(connection: Any, _entry: object) -> None:  # noqa: ANN401 - the same
    _set(
        connection,
        f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
        f"cache_size = -{READER_CACHE_KIB}",
        "query_only = ON",
    )


def _set(connection: Any, *pragmas: str) -> None:  # noqa: ANN401 - the same
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
