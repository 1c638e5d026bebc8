"""API keys: what a program shows instead of signing in.

A token is `trb_<id>_<secret>`, shown once. Only the SHA-256 of its secret is kept: the secret has
256 random bits, so there is nothing to guess and a slow password hash would only slow us down.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, get_args

from msgspec import Struct
from sqlalchemy import Column, LargeBinary, RowMapping, Select, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.people import Role
from app.stores.rows import METADATA, Number, Text, one_row
from app.stores.sharing import Shared

Scope = Literal[
    "account",
    "backers:write",
    "campaigns:read",
    "campaigns:write",
    "events:read",
    "payouts:approve",
    "pledges:import",
    "pledges:read",
    "pledges:write",
    "staff",
]
"""What a key may do. `pledges:import` may pledge for any backer, `pledges:write` for its owner
alone; what may write may read the same. `account` makes and ends its owner's other keys and
chooses their mails."""

ROLE_SCOPES: Final[Mapping[Role, frozenset[Scope]]] = {
    "backer": frozenset({"account", "pledges:read", "pledges:write"}),
    "creator": frozenset({"account", "campaigns:read", "campaigns:write"}),
    "staff": frozenset(
        {"account", "backers:write", "campaigns:read", "campaigns:write", "pledges:import", "staff"}
    ),
    "treasurer": frozenset({"account", "payouts:approve"}),
    "auditor": frozenset({"account", "events:read"}),
}
"""What a key of each role may do unless its maker says otherwise."""

SECRET_BYTES: Final = 32
ID_BYTES: Final = 8
CACHE_MS: Final = 1_000
"""How long a key is trusted without asking the table: a key revoked by another process works
this much longer at most."""
CACHED_KEYS: Final = 10_000

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("expires_at", Number),
    Column("revoked_at", Number),
    Column("channel", Text),
    sqlite_strict=True,
)


class UnknownKeyError(LookupError):
    """No key has this id."""


class UnknownScopeError(ValueError):
    """There is no such scope."""


class ApiKey(Struct, frozen=True, kw_only=True):
    """Who a key speaks for and what it may do. Times are ms UTC.

    `channel` is where its role counts; empty for every channel of the log, as the operator's own
    keys are.
    """

    id: str
    role: Role
    owner: str
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    channel: str = ""

    @property
    def by(self) -> str:
        """The actor that events name."""
        return f"{self.role}:{self.owner}"

    def valid(self, at: int) -> bool:
        """Tell whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


class _Cached(Struct, frozen=True):
    key: ApiKey
    secret_hash: bytes
    read_at: int


class ApiKeys:
    """The keys of this log, with the ones in use kept in memory for a few seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._cache: dict[str, _Cached] = {}
        # A reading under way while a key is revoked may bring back what it was before.
        self._revoked: set[str] = set()
        self._asked: Shared[str, _Cached | None] = Shared()

    async def create(
        self,
        *,
        role: Role,
        owner: str,
        scopes: Collection[Scope] | None = None,
        at: int,
        expires_at: int | None = None,
        channel: str = "",
    ) -> tuple[str, ApiKey]:
        """Make a key for this party; the token is never seen again. Raises UnknownScopeError."""
        key = ApiKey(
            id=secrets.token_hex(ID_BYTES),
            role=role,
            owner=owner,
            scopes=ROLE_SCOPES[role] if scopes is None else frozenset(scopes),
            created_at=at,
            expires_at=expires_at,
            revoked_at=None,
            channel=channel,
        )
        if unknown := key.scopes - set(get_args(Scope)):
            raise UnknownScopeError(", ".join(sorted(unknown)))
        secret = secrets.token_hex(SECRET_BYTES)
        row = {
            "id": key.id,
            "secret_hash": _hash(secret),
            "role": key.role,
            "owner": key.owner,
            "scopes": " ".join(sorted(key.scopes)),
            "created_at": at,
            "expires_at": expires_at,
            "channel": channel or None,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(API_KEYS), row)
        return f"trb_{key.id}_{secret}", key

    async def authenticate(self, token: str, *, at: int) -> ApiKey | None:
        """Return the valid key that this token proves, or None.

        Takes the same comparison whether or not the id exists, so that timing tells nothing.
        """
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        found = await self._find(key_id, at) if prefix == "trb" else None
        proven = hmac.compare_digest(_hash(secret), found.secret_hash if found else _NO_HASH)
        if found is None or not proven or key_id in self._revoked or not found.key.valid(at):
            return None
        return found.key

    async def _find(self, key_id: str, at: int) -> _Cached | None:
        cached = self._cache.get(key_id)
        if cached is not None and 0 <= at - cached.read_at < CACHE_MS:
            return cached
        return await self._asked.ask(key_id, lambda: self._read(key_id, at))

    async def _read(self, key_id: str, at: int) -> _Cached | None:
        row = await one_row(self._engine, select(API_KEYS).where(API_KEYS.c.id == key_id))
        if row is None:
            return None
        if len(self._cache) >= CACHED_KEYS:
            self._cache.clear()
        self._cache[key_id] = found = _Cached(_key(row), row["secret_hash"], at)
        return found

    async def revoke(self, key_id: str, *, at: int) -> None:
        """End a key; revoking it again changes nothing. Raises UnknownKeyError."""
        this = API_KEYS.c.id == key_id
        async with self._engine.begin() as connection:
            await connection.execute(
                update(API_KEYS).where(this, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=at)
            )
            known = await one_row(connection, select(API_KEYS.c.id).where(this))
        if known is None:
            raise UnknownKeyError(key_id)
        self._revoked.add(key_id)

    async def revoke_role(self, owner: str, role: Role, channel: str, *, at: int) -> None:
        """End the keys that a party made for a role in a channel: it has that role no more."""
        these = (
            API_KEYS.c.owner == owner,
            API_KEYS.c.role == role,
            API_KEYS.c.channel == channel,
            API_KEYS.c.revoked_at.is_(None),
        )
        async with self._engine.begin() as connection:
            ended = await connection.execute(
                update(API_KEYS).where(*these).values(revoked_at=at).returning(API_KEYS.c.id)
            )
            self._revoked.update(ended.scalars())

    async def all(self) -> list[ApiKey]:
        """Return every key, also those that ended, the oldest first."""
        return await self._list(select(API_KEYS))

    async def of_owner(self, owner: str) -> list[ApiKey]:
        """Return a party's keys, also those that ended, the oldest first."""
        return await self._list(select(API_KEYS).where(API_KEYS.c.owner == owner))

    async def _list(self, query: Select[Any]) -> list[ApiKey]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(API_KEYS.c.created_at, API_KEYS.c.id))
            return [_key(row) for row in rows.mappings()]


def beyond_role(role: Role, scopes: Collection[str]) -> list[str]:
    """Those of these scopes that a key of this role may not have."""
    return sorted(set(scopes) - ROLE_SCOPES[role])


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_NO_HASH: Final = bytes(32)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"],
        role=row["role"],
        owner=row["owner"],
        scopes=frozenset(row["scopes"].split()),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        channel=row["channel"] or "",
    )
