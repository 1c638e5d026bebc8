"""Attempts: how often something was tried lately, so that guessing does not pay.

Subjects (a mail address, a browser's address) are kept as keyed hashes: the table tells who reads
it nothing about who tried, and without the key nobody can search it for an address.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Column, Index, LargeBinary, Select, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.rows import METADATA, Number, writing

KEPT_MS: Final = 86_400_000
"""How long an attempt is remembered, in milliseconds: a day."""

ATTEMPTS: Final = Table(
    "attempts",
    METADATA,
    Column("id", Number, primary_key=True),
    Column("subject_hash", LargeBinary, nullable=False),
    Column("at", Number, nullable=False),
    Index("attempts_by_subject", "subject_hash", "at"),
    Index("attempts_by_time", "at"),
    sqlite_strict=True,
)


class Attempts:
    """What was tried in the last day, by subject. `secret` is the key of the hashes."""

    def __init__(self, engine: AsyncEngine, secret: bytes) -> None:
        self._engine = engine
        self._secret = secret

    async def admit(
        self, limits: Mapping[str, int], *, at: int, since: int, note_refused: bool = False
    ) -> bool:
        """Note an attempt of each subject and return True, where each tried less often after
        `since` (ms UTC) than its limit says. Else False, and noted only with `note_refused`.

        However many try at the same moment, wherever, no more than that are admitted.
        """
        async with writing(self._engine, *(f"attempts {subject}" for subject in limits)) as there:
            counts = [
                (await there.execute(self._counted(subject, since))).scalar_one()
                for subject in limits
            ]
            admitted = all(
                count < most for count, most in zip(counts, limits.values(), strict=True)
            )
            if admitted or note_refused:
                await self._keep(there, limits, at)
        return admitted

    async def note(self, subject: str, at: int) -> None:
        """Remember one attempt; what is older than a day goes."""
        async with self._engine.begin() as connection:
            await self._keep(connection, [subject], at)

    async def _keep(self, connection: AsyncConnection, subjects: Iterable[str], at: int) -> None:
        rows = [{"subject_hash": self._hash(subject), "at": at} for subject in subjects]
        await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.at <= at - KEPT_MS))
        await connection.execute(insert(ATTEMPTS), rows)

    async def count(self, subject: str, since: int) -> int:
        """How often a subject tried after this time (ms UTC)."""
        async with self._engine.connect() as connection:
            return int((await connection.execute(self._counted(subject, since))).scalar_one())

    def _counted(self, subject: str, since: int) -> Select[int]:
        return (
            select(func.count())
            .select_from(ATTEMPTS)
            .where(ATTEMPTS.c.subject_hash == self._hash(subject), ATTEMPTS.c.at > since)
        )

    async def forget(self, subject: str) -> None:
        """Forget what a subject tried: it was right in the end."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(ATTEMPTS).where(ATTEMPTS.c.subject_hash == self._hash(subject))
            )

    def _hash(self, subject: str) -> bytes:
        return hmac.new(self._secret, f"attempt {subject}".encode(), hashlib.sha256).digest()
