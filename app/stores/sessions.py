"""Sessions: which backer a browser speaks for.

A row is written with a visitor's first pledge and not before. Only the SHA-256 of a token is kept:
it has 256 random bits, so who reads the table can step into no session.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, one_row

TOKEN_BYTES: Final = 32
LIFETIME_MS: Final = 180 * 86_400_000
"""A session is a backer's only way to their pledges, so it lasts about as long as a campaign."""

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("party", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    sqlite_strict=True,
)


class Sessions:
    """The sessions of all browsers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, party: str, *, at: int) -> str:
        """Begin a session under a token of its own, and return the token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        row = {
            "token_hash": _hash(token),
            "party": party,
            "created_at": at,
            "expires_at": at + LIFETIME_MS,
        }
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= at))
            await connection.execute(insert(SESSIONS), row)
        return token

    async def party_of(self, token: str, *, at: int) -> str | None:
        """Return the party that a token speaks for; None where it speaks for nobody."""
        query = select(SESSIONS.c.party).where(
            SESSIONS.c.token_hash == _hash(token), SESSIONS.c.expires_at > at
        )
        row = await one_row(self._engine, query)
        return None if row is None else str(row["party"])

    async def end(self, token: str) -> None:
        """End a session; one that has ended stays so."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
