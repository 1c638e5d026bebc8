"""Passkeys and the challenges that devices answer."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.passkeys import CHALLENGE_MS, Passkey, Passkeys, PasskeyTakenError

KEY = Passkey(
    credential_id=b"\x01\xff",
    party="alice",
    public_key=b"\x02",
    sign_count=0,
    name="phone",
    created_at=1,
)


async def test_a_passkey_is_kept_used_and_removed(engine: AsyncEngine) -> None:
    """Only its own party removes it; nobody else can register it meanwhile."""
    passkeys = Passkeys(engine)
    await passkeys.add(KEY)
    with pytest.raises(PasskeyTakenError):
        await passkeys.add(KEY)
    await passkeys.used(KEY, sign_count=7, at=9)
    (found,) = await passkeys.of_party("alice")
    assert (found.sign_count, found.used_at, found.id) == (7, 9, "01ff")
    assert not await passkeys.remove("bob", KEY.credential_id)
    assert await passkeys.remove("alice", KEY.credential_id)
    assert await passkeys.find(KEY.credential_id) is None


async def test_a_challenge_is_answered_once(engine: AsyncEngine) -> None:
    """In its browser, for its aim, within its time; the newest replaces the one before."""
    passkeys = Passkeys(engine)
    await passkeys.challenge("browser", "sign_in", b"old", at=1)
    await passkeys.challenge("browser", "sign_in", b"new", at=1)
    assert await passkeys.answer("other", "sign_in", at=1) is None
    assert await passkeys.answer("browser", "register", at=1) is None
    answers = await asyncio.gather(*(passkeys.answer("browser", "sign_in", at=1) for _ in range(8)))
    assert [found for found in answers if found] == [b"new"]
    await passkeys.challenge("browser", "sign_in", b"late", at=1)
    assert await passkeys.answer("browser", "sign_in", at=1 + CHALLENGE_MS) is None
