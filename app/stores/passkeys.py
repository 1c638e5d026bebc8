"""Passkeys: public keys of people whose devices hold the private halves.

A challenge is what a device has to sign. It belongs to one browser, is answered once, and ends
after a few minutes, so that an answer that was overheard is worth nothing.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import Column, Index, LargeBinary, RowMapping, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, one_row, upsert

CHALLENGE_MS: Final = 5 * 60_000
"""How long a device may take to answer, in milliseconds."""

Aim = Literal["register", "sign_in", "step_up"]
"""What a challenge is for."""

PASSKEYS: Final = Table(
    "passkeys",
    METADATA,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("party", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", Number, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("used_at", Number),
    Index("passkeys_by_party", "party"),
    sqlite_strict=True,
)

CHALLENGES: Final = Table(
    "passkey_challenges",
    METADATA,
    Column("browser_hash", LargeBinary, primary_key=True),
    Column("aim", Text, primary_key=True),
    Column("challenge", LargeBinary, nullable=False),
    Column("expires_at", Number, nullable=False),
    sqlite_strict=True,
)


class PasskeyTakenError(Exception):
    """This passkey is registered already."""


class Passkey(Struct, frozen=True, kw_only=True):
    """A registered passkey. `sign_count` is what its device counted last; many always say 0."""

    credential_id: bytes
    party: str
    public_key: bytes
    sign_count: int
    name: str
    created_at: int
    used_at: int | None = None

    @property
    def id(self) -> str:
        """The credential's id as addresses and forms carry it."""
        return self.credential_id.hex()


class Passkeys:
    """The passkeys of all accounts, and the challenges under way."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, passkey: Passkey) -> None:
        """Keep a new passkey. Raises PasskeyTakenError."""
        row = {name: getattr(passkey, name) for name in passkey.__struct_fields__}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(PASSKEYS), row)
        except IntegrityError as fault:
            raise PasskeyTakenError(passkey.id) from fault

    async def find(self, credential_id: bytes) -> Passkey | None:
        """The passkey with this id."""
        query = select(PASSKEYS).where(PASSKEYS.c.credential_id == credential_id)
        row = await one_row(self._engine, query)
        return None if row is None else _passkey(row)

    async def of_party(self, party: str) -> list[Passkey]:
        """An account's passkeys, the oldest first."""
        query = select(PASSKEYS).where(PASSKEYS.c.party == party)
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                query.order_by(PASSKEYS.c.created_at, PASSKEYS.c.credential_id)
            )
            return [_passkey(row) for row in rows.mappings()]

    async def used(self, passkey: Passkey, *, sign_count: int, at: int) -> None:
        """Note that a passkey was shown, and what its device counted."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(PASSKEYS)
                .where(PASSKEYS.c.credential_id == passkey.credential_id)
                .values(sign_count=sign_count, used_at=at)
            )

    async def remove(self, party: str, credential_id: bytes) -> bool:
        """Remove one of an account's passkeys; whether there was such a one."""
        this = (PASSKEYS.c.party == party, PASSKEYS.c.credential_id == credential_id)
        async with self._engine.begin() as connection:
            gone = await connection.execute(delete(PASSKEYS).where(*this))
        return gone.rowcount == 1

    async def remove_all(self, party: str) -> None:
        """Remove every passkey of an account."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(PASSKEYS).where(PASSKEYS.c.party == party))

    # --- Challenges ------------------------------------------------------------------------------

    async def challenge(self, browser: str, aim: Aim, challenge: bytes, *, at: int) -> None:
        """Keep what a browser's device was asked to sign; an earlier question of its kind ends."""
        row = {
            "browser_hash": _hash(browser),
            "aim": aim,
            "challenge": challenge,
            "expires_at": at + CHALLENGE_MS,
        }
        statement = upsert(CHALLENGES).values(row)
        async with self._engine.begin() as connection:
            await connection.execute(delete(CHALLENGES).where(CHALLENGES.c.expires_at <= at))
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["browser_hash", "aim"], set_=row)
            )

    async def answer(self, browser: str, aim: Aim, *, at: int) -> bytes | None:
        """Take the challenge that a browser answers: it is gone, whatever the answer is worth."""
        taken = (
            delete(CHALLENGES)
            .where(CHALLENGES.c.browser_hash == _hash(browser), CHALLENGES.c.aim == aim)
            .returning(CHALLENGES.c.challenge, CHALLENGES.c.expires_at)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(taken)).one_or_none()
        if row is None or row.expires_at <= at:
            return None
        return bytes(row.challenge)


def _hash(browser: str) -> bytes:
    return hashlib.sha256(browser.encode()).digest()


def _passkey(row: RowMapping) -> Passkey:
    return Passkey(**row)
