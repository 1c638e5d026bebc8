"""Doing something alone under a name, among all who do it under the same: in this process, in the
others on this machine, and with PostgreSQL on every machine.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol
from weakref import WeakValueDictionary

from sqlalchemy import Function, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.connecting import StoreUnavailableError
from app.stores.rows import lock_number

FIRST_PAUSE_S: Final = 0.005
LAST_PAUSE_S: Final = 0.1


class _Locks(Protocol):
    """Locks by number that one process holds against all others."""

    def take(self, number: int) -> Awaitable[bool]:
        """Take a lock; False where another process holds it."""

    def release(self, number: int) -> Awaitable[None]:
        """Let go of it."""


class Alone:
    """The names under which things of one purpose are done alone. One for each process, store and
    purpose: what it holds it holds for the whole process.
    """

    def __init__(self, engine: AsyncEngine, purpose: str) -> None:
        self._purpose = purpose
        self._here: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        is_file = engine.dialect.name == "sqlite"
        self._elsewhere: _Locks = (
            _FileLocks(f"{engine.url.database}-{purpose}") if is_file else _DatabaseLocks(engine)
        )

    @asynccontextmanager
    async def under(self, name: str) -> AsyncIterator[None]:
        """Wait for all who do something under this name, and be alone until the end."""
        lock = self._here.get(name)
        if lock is None:
            lock = self._here[name] = asyncio.Lock()
        number = lock_number(f"{self._purpose} {name}")
        async with lock:
            pause_s = FIRST_PAUSE_S
            while not await self._elsewhere.take(number):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            try:
                yield
            finally:
                await asyncio.shield(self._elsewhere.release(number))


class _FileLocks:
    """A lock is a byte of a file, far beyond its end: whoever ends lets go of all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    async def take(self, number: int) -> bool:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._file)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(number))
        except OSError as fault:
            if fault.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            raise
        return True

    async def release(self, number: int) -> None:
        assert self._file is not None, "what is let go of was taken"
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(number))


def _place(number: int) -> int:
    return number & (2**62 - 1)


class _DatabaseLocks:
    """Advisory locks of one connection, which is kept while any is held. Where it breaks, all are
    let go of: what is done alone has to bear being done twice, it is only spared that.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._held: set[int] = set()

    async def take(self, number: int) -> bool:
        async with self._turn:
            taken = await self._ask(func.pg_try_advisory_lock(number))
            if taken:
                self._held.add(number)
            await self._rest()
            return taken

    async def release(self, number: int) -> None:
        async with self._turn:
            if number in self._held:
                self._held.discard(number)
                with suppress(StoreUnavailableError):  # the lock went with the connection
                    await self._ask(func.pg_advisory_unlock(number))
                await self._rest()

    async def _ask(self, question: Function[bool]) -> bool:
        if self._connection is None:
            connection = await self._engine.connect()
            self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            return bool((await self._connection.execute(select(question))).scalar_one())
        except BaseException:
            # Nobody knows what it still holds.
            broken, self._connection = self._connection, None
            self._held.clear()
            await broken.invalidate()
            await broken.close()
            raise

    async def _rest(self) -> None:
        if not self._held and self._connection is not None:
            idle, self._connection = self._connection, None
            await idle.close()
