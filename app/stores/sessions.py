"""Sessions: which person a browser speaks for.

A row is written when somebody signs in, or pledges for the first time in a browser, and not
before. Only the SHA-256 of a token is kept: it has 256 random bits, so who reads the table can
step into no session.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, LargeBinary, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, one_row

TOKEN_BYTES: Final = 32
LIFETIME_MS: Final = 180 * 86_400_000
"""A session may be a backer's only way to their pledges: it lasts about as long as a campaign."""

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("party", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("expires_at", Number, nullable=False),
    Column("signed_in_at", Number),
    Column("stepped_up_at", Number),
    Column("browser", Text),
    Index("sessions_by_party", "party"),
    # Every first pledge looks for what has ended.
    Index("sessions_by_end", "expires_at"),
    sqlite_strict=True,
)


class Session(Struct, frozen=True):
    """A session of a browser. `signed_in_at` is None where the browser only pledged: the person
    then showed nothing that proves an account. `stepped_up_at` is when they last proved it anew.
    """

    party: str
    signed_in_at: int | None
    stepped_up_at: int | None


class Place(Struct, frozen=True):
    """Where somebody is signed in. `id` names the session without opening it; `browser` is what
    the browser said it is, in short.
    """

    id: str
    browser: str
    created_at: int
    signed_in: bool


class Sessions:
    """The sessions of all browsers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, party: str, *, at: int, signed_in: bool = False) -> str:
        """Begin a session under a token of its own, and return the token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        row = {
            "token_hash": _hash(token),
            "party": party,
            "created_at": at,
            "expires_at": at + LIFETIME_MS,
            "signed_in_at": at if signed_in else None,
            "stepped_up_at": at if signed_in else None,
        }
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= at))
            await connection.execute(insert(SESSIONS), row)
        return token

    async def find(self, token: str, *, at: int) -> Session | None:
        """The session of a token; None where it has none."""
        columns = SESSIONS.c.party, SESSIONS.c.signed_in_at, SESSIONS.c.stepped_up_at
        query = select(*columns).where(
            SESSIONS.c.token_hash == _hash(token), SESSIONS.c.expires_at > at
        )
        row = await one_row(self._engine, query)
        return None if row is None else Session(**row)

    async def step_up(self, token: str, *, at: int) -> None:
        """Note that the person has just proved again who they are."""
        this = (SESSIONS.c.token_hash == _hash(token), SESSIONS.c.signed_in_at.is_not(None))
        async with self._engine.begin() as connection:
            await connection.execute(update(SESSIONS).where(*this).values(stepped_up_at=at))

    async def name(self, token: str, browser: str) -> None:
        """Note in which browser a session is, so that its person can tell their sessions apart."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(SESSIONS)
                .where(SESSIONS.c.token_hash == _hash(token))
                .values(browser=browser)
            )

    async def places(self, parties: Collection[str], *, at: int) -> list[Place]:
        """Every browser in which a person has a session, the newest first."""
        query = select(SESSIONS).where(SESSIONS.c.party.in_(parties), SESSIONS.c.expires_at > at)
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                query.order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.token_hash)
            )
            return [
                Place(
                    row.token_hash.hex(),
                    row.browser or "",
                    row.created_at,
                    row.signed_in_at is not None,
                )
                for row in rows
            ]

    async def end(self, token: str) -> None:
        """End a session; one that has ended stays so."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == _hash(token)))

    async def end_place(self, party: str, place_id: str) -> None:
        """End one of a person's sessions by its id; one that has ended stays so."""
        try:
            token_hash = bytes.fromhex(place_id)
        except ValueError:
            return  # no session has such an id
        this = (SESSIONS.c.party == party, SESSIONS.c.token_hash == token_hash)
        async with self._engine.begin() as connection:
            await connection.execute(delete(SESSIONS).where(*this))

    async def end_all(self, party: str, *, but: str = "") -> int:
        """End every session of a person, everywhere, or all but the one of this token; return how
        many there were.
        """
        these = (SESSIONS.c.party == party, SESSIONS.c.token_hash != _hash(but))
        async with self._engine.begin() as connection:
            ended = await connection.execute(delete(SESSIONS).where(*these))
        return ended.rowcount


def place_of(token: str) -> str:
    """The id of a token's session, as `Sessions.places` gives it."""
    return _hash(token).hex()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
