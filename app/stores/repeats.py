"""Repeated requests: what the first request under an idempotency key was going to do.

The engine answers a repeated command with its first outcome. But a request may mint ids and store
texts before it has a command, and would mint others when it is repeated. So its plan is kept here
before anything is submitted, and a repetition carries out the same plan. What a request does beside
the log is done under ids of its plan, and noted here as done: repeating it does nothing then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import Column, LargeBinary, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.alone import Alone
from app.stores.rows import METADATA, Number, one_row, upsert

REPEATS: Final = Table(
    "repeats",
    METADATA,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("created_at", Number, nullable=False),
    sqlite_strict=True,
)


class KeyReusedError(Exception):
    """The idempotency key was used before with other content."""


class Repeats:
    """The plans of requests that carry an idempotency key."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._alone = Alone(engine, "requests")

    def alone(self, key: str) -> AbstractAsyncContextManager[None]:
        """Let one request under a key be carried out at a time; others wait for it, also those that
        another process answers.
        """
        return self._alone.under(key)

    async def knows(self, key: str) -> bool:
        """Whether there is a plan under this key."""
        key_hash = hashlib.sha256(key.encode()).digest()
        known = select(REPEATS.c.key_hash).where(REPEATS.c.key_hash == key_hash)
        return await one_row(self._engine, known) is not None

    async def plan(
        self, key: str, content: bytes, make: Callable[[], Awaitable[bytes]], *, at: int
    ) -> bytes:
        """Return the plan of the first request under this key, made now where there is none.

        The caller makes `key` unique among all who send keys. Raises KeyReusedError where
        `content` is not that of the first request.
        """
        key_hash, content_hash = (hashlib.sha256(part).digest() for part in (key.encode(), content))
        known = select(REPEATS).where(REPEATS.c.key_hash == key_hash)
        row = await one_row(self._engine, known)
        if row is None:
            values = {
                "key_hash": key_hash,
                "content_hash": content_hash,
                "plan": await make(),
                "created_at": at,
            }
            async with self._engine.begin() as connection:
                await connection.execute(upsert(REPEATS).values(values).on_conflict_do_nothing())
                row = await one_row(connection, known)
            assert row is not None, "a plan that was kept can be read"
        if row["content_hash"] != content_hash:
            raise KeyReusedError(key)
        return bytes(row["plan"])
