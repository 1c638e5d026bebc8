"""The key of each person, wrapped by the master key.

A person's key salts the commitments to events about them and seals what is kept for the law
(`app/stores/sealed.py`). In `parties` it stands wrapped: nonce (12 bytes), then AES-256-GCM (NIST
SP 800-38D) of its 32 bytes under the master key with the party's id as associated data, so that no
key can be put in another's place. Who has the database or a backup of it, and not the master key,
has no key; when the wrapped key is overwritten, nobody has it, and what was made under it can never
be read again.

Nonces are random: SP 800-38D allows 2^32 of them under one master key, so many parties.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Engine,
    LargeBinary,
    Table,
    bindparam,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import SettingsError
from app.stores.rows import METADATA, Number, packed, upsert

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + 16
"""A wrapped key: its nonce, the key, and what proves that nobody changed it."""

MASTER: Final = Table(
    "master",
    METADATA,
    # One row: no key was ever wrapped by another master key.
    Column("one", Number, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("fingerprint", LargeBinary, nullable=False),
    sqlite_strict=True,
)

_OPTION: Final = "tributary_master"
"""Under which name an engine of the people store carries its master key."""

_MANY: Final = 10_000
"""Plain keys of an old database that are wrapped at once."""


class WrongMasterError(SettingsError):
    """The master key is not the one by which the persons' keys were wrapped."""


class Master:
    """The master key, ready to wrap and unwrap. Its repr shows nothing of it."""

    __slots__ = ("_cipher", "fingerprint")

    def __init__(self, key: bytes) -> None:
        """Take the key, 32 bytes."""
        assert len(key) == KEY_BYTES, "a master key has 32 bytes"
        self._cipher = AESGCM(key)
        self.fingerprint = hmac.digest(key, b"tributary master key fingerprint", hashlib.sha256)
        """Tells this key from others, and nothing else about it."""

    def wrap(self, party: str, key: bytes) -> bytes:
        """Wrap a party's key (32 bytes) for keeping; 60 bytes."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, party.encode())

    def unwrap(self, party: str, wrapped: bytes) -> bytes:
        """Return a party's key as it was wrapped. Raises WrongMasterError."""
        try:
            return self._cipher.decrypt(
                wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], party.encode()
            )
        except InvalidTag:
            raise WrongMasterError(
                f"the key of party {party} cannot be unwrapped: the master key is another, or the"
                " row was changed"
            ) from None

    def new_key(self, party: str) -> bytes:
        """Make a key for a party; return it wrapped."""
        return self.wrap(party, secrets.token_bytes(KEY_BYTES))


# On SQLite one text of all rows: Python's sqlite3 gives up the interpreter's lock for each row.
_SQLITE: Final = text("""
    SELECT json_group_array(json_array(id, hex(key))) FROM parties
    WHERE id IN (SELECT value FROM json_each(:packed))""")
_POSTGRES: Final = text("""
    SELECT CAST(coalesce(json_agg(json_build_array(id, coalesce(encode(key, 'hex'), ''))), '[]')
        AS text)
    FROM parties WHERE id = ANY(CAST(:parties AS text[]))""")
_found: Final = msgspec.json.Decoder(list[tuple[str, str]])


class PartyKeys:
    """The keys of the parties, for code that runs in a thread or a command."""

    def __init__(self, engine: Engine, master: bytes) -> None:
        """Read them from an open people store, and unwrap them by its master key (32 bytes)."""
        self._engine = engine
        self._master = Master(master)

    def of(self, parties: Collection[str]) -> dict[str, bytes | None]:
        """Return the key of each party, in one query; None where it was destroyed.

        An id that is no party of ours is left out. Raises WrongMasterError.
        """
        if not parties:
            return {}
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                found = connection.execute(_SQLITE, {"packed": packed(parties)}).scalar_one()
            else:
                found = connection.execute(_POSTGRES, {"parties": list(parties)}).scalar_one()
        unwrap, unhex = self._master.unwrap, bytes.fromhex
        return {
            party: unwrap(party, unhex(wrapped)) if wrapped else None
            for party, wrapped in _found.decode(found)
        }


# --- The master key of a store -------------------------------------------------------------------


def carry(master: Master) -> dict[str, object]:
    """The execution options by which an engine of the people store carries its master key."""
    return {_OPTION: master}


def master_of(engine: Engine | AsyncEngine) -> Master:
    """The master key that an engine of the people store carries."""
    master = engine.get_execution_options()[_OPTION]
    assert isinstance(master, Master), "the people store is opened by app.stores.database"
    return master


def known_fingerprint(connection: Connection) -> bytes | None:
    """What the store knows its master key by; None before the first one."""
    found: bytes | None = connection.execute(select(MASTER.c.fingerprint)).scalar()
    return found


def settle_master(connection: Connection, master: Master) -> None:
    """Note the store's first master key; raise WrongMasterError for any other.

    Several processes may do so at once: the first one's stays.
    """
    row = {"one": 1, "fingerprint": master.fingerprint}
    connection.execute(
        upsert(MASTER).values(row).on_conflict_do_nothing(index_elements=[MASTER.c.one])
    )
    if known_fingerprint(connection) != master.fingerprint:
        raise WrongMasterError(
            "The master key is not the one by which the persons' keys of this database were"
            " wrapped: set TRIBUTARY_MASTER_KEY to that one, or put its file back (docs/erasure.md)"
        )


def wrap_plain_keys(connection: Connection, master: Master) -> int:
    """Wrap the keys that an older version kept as they were; return how many.

    In the connection's transaction: a store has either all of them wrapped or none.
    """
    plain = text(
        "SELECT id, key FROM parties WHERE length(key) = :length AND id > :after"
        " ORDER BY id LIMIT :many"
    )
    change = text("UPDATE parties SET key = :wrapped WHERE id = :party")
    change = change.bindparams(bindparam("wrapped", type_=LargeBinary()))
    wrapped, asked = 0, {"length": KEY_BYTES, "after": "", "many": _MANY}
    while rows := connection.execute(plain, asked).all():
        changed = [{"party": row.id, "wrapped": master.wrap(row.id, row.key)} for row in rows]
        connection.execute(change, changed)
        wrapped += len(rows)
        asked["after"] = rows[-1].id
    return wrapped
