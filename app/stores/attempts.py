"""Attempts: how often something was tried lately, so that guessing does not pay.

Subjects (a mail address, a browser's address) are kept as keyed hashes: the table tells who reads
it nothing about who tried, and without the key nobody can search it for an address.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA

KEPT_MS: Final = 86_400_000
"""How long an attempt is remembered, in milliseconds: a day."""

ATTEMPTS: Final = Table(
    "attempts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("subject_hash", LargeBinary, nullable=False),
    Column("at", Integer, nullable=False),
    Index("attempts_by_subject", "subject_hash", "at"),
    Index("attempts_by_time", "at"),
    sqlite_strict=True,
)


class Attempts:
    """What was tried in the last day, by subject. `secret` is the key of the hashes."""

    def __init__(self, engine: AsyncEngine, secret: bytes) -> None:
        self._engine = engine
        self._secret = secret

    async def note(self, subject: str, at: int) -> None:
        """Remember one attempt; what is older than a day goes."""
        row = {"subject_hash": self._hash(subject), "at": at}
        async with self._engine.begin() as connection:
            await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.at <= at - KEPT_MS))
            await connection.execute(insert(ATTEMPTS), row)

    async def count(self, subject: str, since: int) -> int:
        """How often a subject tried after this time (ms UTC)."""
        query = (
            select(func.count())
            .select_from(ATTEMPTS)
            .where(ATTEMPTS.c.subject_hash == self._hash(subject), ATTEMPTS.c.at > since)
        )
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def forget(self, subject: str) -> None:
        """Forget what a subject tried: it was right in the end."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(ATTEMPTS).where(ATTEMPTS.c.subject_hash == self._hash(subject))
            )

    def _hash(self, subject: str) -> bytes:
        return hmac.new(self._secret, f"attempt {subject}".encode(), hashlib.sha256).digest()
