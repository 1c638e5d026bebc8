"""Tokens in mails: good once, for one purpose, until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.mail_tokens import LIFETIMES_MS, MailToken, MailTokens

RESET = MailToken(purpose="reset", party="alice", mail="a@example.org", next="/me")


async def test_a_token_is_used_once(engine: AsyncEngine, on_disk: Callable[[], bytes]) -> None:
    """Of many at once one gets it; the token itself is nowhere on the disk."""
    tokens = MailTokens(engine)
    secret = await tokens.issue(RESET, at=1)
    assert secret.encode() not in on_disk()
    assert await tokens.find(secret, "reset", at=1) == RESET
    used = await asyncio.gather(*(tokens.use(secret, "reset", at=1) for _ in range(8)))
    assert [found for found in used if found] == [RESET]
    assert await tokens.find(secret, "reset", at=1) is None


async def test_a_token_is_for_one_purpose_and_a_time(engine: AsyncEngine) -> None:
    """For another purpose, or when it has ended, it is nothing, and is not used up by trying."""
    tokens = MailTokens(engine)
    secret = await tokens.issue(RESET, at=1)
    assert await tokens.use(secret, "sign_in", "confirm", at=1) is None
    assert await tokens.use(secret, "reset", at=1 + LIFETIMES_MS["reset"]) is None
    assert await tokens.use("another", "reset", at=1) is None
    assert await tokens.use(secret, "reset", at=LIFETIMES_MS["reset"]) == RESET


async def test_links_of_an_account_can_be_ended(engine: AsyncEngine) -> None:
    """Those of the kinds that are named; others stay."""
    tokens = MailTokens(engine)
    reset = await tokens.issue(RESET, at=1)
    join = await tokens.issue(
        MailToken(purpose="join", party="alice", mail="a@example.org", joins="bob"), at=1
    )
    assert await tokens.is_waiting("join", "alice", joins="bob", at=1)
    assert not await tokens.is_waiting("join", "alice", joins="carol", at=1)
    assert not await tokens.is_waiting("join", "alice", joins="bob", at=1 + LIFETIMES_MS["join"])
    await tokens.end_all("alice", "reset", "sign_in")
    assert await tokens.find(reset, "reset", at=1) is None
    assert await tokens.find(join, "join", at=1) is not None


async def test_what_ended_is_cleared_away(engine: AsyncEngine) -> None:
    """A new token takes those with it whose time is over."""
    tokens = MailTokens(engine)
    await tokens.issue(RESET, at=1)
    await tokens.issue(RESET, at=1 + LIFETIMES_MS["reset"])
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*) FROM mail_tokens")
        assert rows.scalar() == 1
