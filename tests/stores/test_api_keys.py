from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.api_keys import (
    API_KEYS,
    CACHE_MS,
    ROLE_SCOPES,
    ApiKeys,
    UnknownKeyError,
    UnknownScopeError,
)
from app.stores.rows import one_row


async def test_a_token_proves_its_key(engine: AsyncEngine) -> None:
    """The token shown at creation authenticates as its owner, with the scopes of the role."""
    keys = ApiKeys(engine)
    token, key = await keys.create(role="auditor", owner="p-1", at=10)
    assert token.startswith(f"trb_{key.id}_")
    assert await keys.authenticate(token, at=11) == key
    assert (key.by, key.scopes) == ("auditor:p-1", frozenset({"account", "events:read"}))
    assert await ApiKeys(engine).authenticate(token, at=11) == key


async def test_only_a_hash_is_kept(engine: AsyncEngine, on_disk: Callable[[], bytes]) -> None:
    """The secret of a token is nowhere on disk; its SHA-256 is."""
    token, key = await ApiKeys(engine).create(role="staff", owner="p-1", at=10)
    secret = token.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    row = await one_row(engine, select(API_KEYS).where(API_KEYS.c.id == key.id))
    assert row is not None
    assert row["secret_hash"] == hashlib.sha256(secret.encode()).digest()
    kept = on_disk()
    assert secret.encode() not in kept
    assert bytes.fromhex(secret) not in kept


async def test_other_tokens_prove_nothing(engine: AsyncEngine) -> None:
    """A wrong secret, id or form is no key, also while the right one is in memory."""
    keys = ApiKeys(engine)
    token, key = await keys.create(role="staff", owner="p-1", at=10)
    other, _ = await keys.create(role="staff", owner="p-2", at=10)
    await keys.authenticate(token, at=11)
    secret = token.rpartition("_")[2]
    for wrong in (
        "",
        "trb",
        f"trb_{key.id}",
        f"trb_{key.id}_",
        f"trb_{key.id}_{other.rpartition('_')[2]}",
        f"trb_{'0' * 16}_{secret}",
        f"xyz_{key.id}_{secret}",
        f"{token}0",
        token[:-1],
        "trb_\N{SNOWMAN}_\N{SNOWMAN}",
    ):
        assert (wrong, await keys.authenticate(wrong, at=12)) == (wrong, None)


async def test_scopes_may_be_chosen(engine: AsyncEngine) -> None:
    """Chosen scopes replace those of the role; an unknown one is refused."""
    keys = ApiKeys(engine)
    token, _ = await keys.create(
        role="staff", owner="p-1", scopes=["pledges:import", "backers:write"], at=10
    )
    found = await keys.authenticate(token, at=11)
    assert found is not None
    assert found.scopes == {"pledges:import", "backers:write"}
    with pytest.raises(UnknownScopeError, match="root"):
        await keys.create(role="staff", owner="p-1", scopes=["root"], at=10)  # type: ignore[list-item]
    assert len(await keys.all()) == 1
    assert set().union(*ROLE_SCOPES.values()) >= {"pledges:import", "events:read", "staff"}


async def test_a_revoked_key_ends_at_once_here(engine: AsyncEngine) -> None:
    """The process that revokes a key never takes it again, though it had it in memory."""
    keys = ApiKeys(engine)
    token, key = await keys.create(role="staff", owner="p-1", at=10)
    assert await keys.authenticate(token, at=11)
    await keys.revoke(key.id, at=12)
    assert await keys.authenticate(token, at=12) is None
    await keys.revoke(key.id, at=99)
    assert [listed.revoked_at for listed in await keys.all()] == [12]
    with pytest.raises(UnknownKeyError):
        await keys.revoke("0" * 16, at=12)


async def test_a_key_revoked_while_it_is_read_ends(engine: AsyncEngine) -> None:
    """A reading that began before the revocation and ends after it does not bring the key back."""
    keys = ApiKeys(engine)
    token, key = await keys.create(role="staff", owner="p-1", at=10)
    before = await keys._find(key.id, 11)
    assert before is not None
    await keys.revoke(key.id, at=12)
    keys._cache[key.id] = before
    assert await keys.authenticate(token, at=12) is None


async def test_a_key_revoked_elsewhere_ends_soon(engine: AsyncEngine) -> None:
    """Another process takes a revoked key for CACHE_MS at most."""
    here, elsewhere = ApiKeys(engine), ApiKeys(engine)
    token, key = await here.create(role="staff", owner="p-1", at=10)
    assert await here.authenticate(token, at=1000)
    await elsewhere.revoke(key.id, at=1001)
    assert await here.authenticate(token, at=1000 + CACHE_MS - 1)
    assert await here.authenticate(token, at=1000 + CACHE_MS) is None


async def test_a_key_expires(engine: AsyncEngine) -> None:
    """From its expiry on a key is no key, also while it is in memory."""
    keys = ApiKeys(engine)
    token, _ = await keys.create(role="staff", owner="p-1", at=10, expires_at=100)
    assert await keys.authenticate(token, at=99)
    assert await keys.authenticate(token, at=100) is None


async def test_a_key_in_use_costs_no_query(engine: AsyncEngine) -> None:
    """A thousand calls within a few seconds read the table once."""
    keys = ApiKeys(engine)
    token, _ = await keys.create(role="staff", owner="p-1", at=10)
    queries = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: queries.append(args[2]))
    for n in range(1000):
        assert await keys.authenticate(token, at=10 + n)
    assert len(queries) == 1
