"""What must be kept about a person and nobody else should read: sealed with the person's own key.

Each entry is AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA256 (RFC 5869) makes of the
person's, apart from the one that salts commitments; party, kind and place are bound to it, so that
no entry can be put in another's place. When the person is erased the row goes; where a copy of it
is left (a backup, a dump), it cannot be read any more once that person's key is gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    Table,
    delete,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.party_keys import KEY_BYTES, NONCE_BYTES, Master, master_of
from app.stores.people import PARTIES, UnknownPartyError
from app.stores.rows import METADATA, Number, Text, in_parts, one_row, scrub, upsert

ADDRESS: Final = "address"
"""The kind of postal addresses; their place is `campaign/no`."""

SEALED: Final = Table(
    "sealed",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", Number, nullable=False),
    Index("sealed_by_party", "party"),
    sqlite_strict=True,
)

_INFO: Final = b"tributary sealed v1"


class BrokenSealError(Exception):
    """An entry was changed, or put in another's place."""


class Entry(Struct, frozen=True):
    """What was sealed: of whom, of which kind, where it belongs, the bytes, since when (ms UTC)."""

    party: str
    kind: str
    ref: str
    body: bytes
    at: int


def seal(key: bytes, party: str, kind: str, ref: str, body: bytes) -> bytes:
    """Seal bytes with a person's key: nonce (12 bytes), then what was sealed."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, body, _bound(party, kind, ref))


def unseal(key: bytes, party: str, kind: str, ref: str, sealed: bytes) -> bytes:
    """Return what was sealed with a person's key. Raises BrokenSealError."""
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return _cipher(key).decrypt(nonce, rest, _bound(party, kind, ref))
    except InvalidTag:
        raise BrokenSealError(f"the {kind} {ref} is not what was sealed there") from None


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=_INFO).derive(key))


def _bound(party: str, kind: str, ref: str) -> bytes:
    return f"{party}\0{kind}\0{ref}".encode()


class Sealed:
    """The sealed entries of the people store. An entry whose person was erased is not there."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._master = master_of(engine)

    async def put(self, entry: Entry) -> None:
        """Seal an entry, in place of the one before. Raises UnknownPartyError for who is none of
        ours or was erased.
        """
        async with self._engine.begin() as connection:
            key = await self._key(connection, entry.party)
            row = _row(key, entry)
            await connection.execute(
                upsert(SEALED)
                .values(row)
                .on_conflict_do_update(index_elements=["kind", "ref"], set_=row)
            )

    async def _key(self, connection: AsyncConnection, party: str) -> bytes:
        wrapped = await one_row(connection, select(PARTIES.c.key).where(PARTIES.c.id == party))
        if wrapped is None or wrapped["key"] is None:
            raise UnknownPartyError(party)
        return self._master.unwrap(party, wrapped["key"])

    async def get_many(self, kind: str, refs: Collection[str]) -> list[Entry]:
        """The entries of a kind in these places; missing ones are left out."""
        return await self._found(SEALED.c.ref, refs, SEALED.c.kind == kind)

    async def of_parties(self, parties: Iterable[str], kind: str = "") -> list[Entry]:
        """Every entry of these parties, of one kind or all."""
        wanted = (SEALED.c.kind == kind,) if kind else ()
        return await self._found(SEALED.c.party, parties, *wanted)

    async def _found(
        self, column: ColumnElement[str], values: Iterable[str], *wanted: ColumnElement[bool]
    ) -> list[Entry]:
        found: list[Entry] = []
        query = select(*SEALED.c, PARTIES.c.key).join_from(
            SEALED, PARTIES, PARTIES.c.id == SEALED.c.party
        )
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(values))):
                these = query.where(*wanted, column.in_(part), PARTIES.c.key.is_not(None))
                found += [self._opened(row) for row in await connection.execute(these)]
        return found

    def _opened(self, row: Any) -> Entry:  # noqa: ANN401 - a row of the query above
        key = self._master.unwrap(row.party, row.key)
        body = unseal(key, row.party, row.kind, row.ref, row.body)
        return Entry(row.party, row.kind, row.ref, body, row.at)

    async def forget(self, party: str, kind: str) -> bool:
        """Throw away every entry of a kind of a party.

        True when the bytes have left the disk too, False when a reader delays that (see `scrub`).
        """
        these = (SEALED.c.party == party, SEALED.c.kind == kind)
        async with self._engine.begin() as connection:
            await connection.execute(delete(SEALED).where(*these))
        return await scrub(self._engine)


def _row(key: bytes, entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "ref": entry.ref,
        "party": entry.party,
        "body": seal(key, entry.party, entry.kind, entry.ref, entry.body),
        "at": entry.at,
    }


def seal_addresses(connection: Connection, master: Master) -> int:
    """Seal the postal addresses that an older version kept as they were; return how many.

    Those of persons without a key go: who was erased has no address.
    """
    if not inspect(connection).has_table("addresses"):
        return 0
    old = text(
        "SELECT a.*, p.key AS wrapped FROM addresses a JOIN parties p ON p.id = a.party"
        " WHERE p.key IS NOT NULL"
    )
    rows = []
    for found in connection.execute(old).mappings().all():
        row = dict(found)
        party, ref = row.pop("party"), f"{row.pop('campaign')}/{row.pop('no')}"
        key, at = master.unwrap(party, row.pop("wrapped")), row.pop("given_at")
        rows.append(_row(key, Entry(party, ADDRESS, ref, msgspec.json.encode(row), at)))
    if rows:
        connection.execute(SEALED.insert(), rows)
    connection.execute(text("DROP TABLE addresses"))
    return len(rows)
