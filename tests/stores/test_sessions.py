"""Sessions: which party a browser speaks for."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.sessions import LIFETIME_MS, Session, Sessions


async def test_a_token_speaks_for_its_party(
    engine: AsyncEngine, on_disk: Callable[[], bytes]
) -> None:
    """It does so until its end; the token itself is nowhere on the disk."""
    sessions = Sessions(engine)
    token = await sessions.begin("alice", at=1)
    assert await sessions.find(token, at=LIFETIME_MS) == Session("alice", None, None)
    assert await sessions.find(token, at=LIFETIME_MS + 1) is None
    assert await sessions.find("another", at=1) is None
    assert b"alice" in on_disk()
    assert token.encode() not in on_disk()


async def test_a_session_can_be_ended(engine: AsyncEngine) -> None:
    """Once ended it stays so; other sessions of the party go on."""
    sessions = Sessions(engine)
    one, two = await sessions.begin("alice", at=1), await sessions.begin("alice", at=1)
    await sessions.end(one)
    await sessions.end(one)
    assert await sessions.find(one, at=1) is None
    assert await sessions.find(two, at=1) == Session("alice", None, None)


async def test_ended_sessions_are_cleared_away(engine: AsyncEngine) -> None:
    """A new session takes those with it whose time is over."""
    sessions = Sessions(engine)
    await sessions.begin("alice", at=1)
    await sessions.begin("bob", at=LIFETIME_MS + 1)
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT party FROM sessions")
        assert [row.party for row in rows] == ["bob"]
