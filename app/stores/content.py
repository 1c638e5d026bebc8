"""Texts and pictures by their salted hash.

An event holds only the hash: HMAC-SHA256 of the bytes under a random salt of their own. Without
the salt nobody can tell from the log what a text said, not even by guessing it. A takedown
removes bytes and salt and leaves the fact that something stood here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct
from sqlalchemy import Column, LargeBinary, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, in_parts, one_row, scrub

SALT_BYTES: Final = 32
DOCUMENT: Final = "application/json"

PictureType = Literal["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"]
"""What a browser only ever shows. No SVG: it can carry scripts."""

CONTENT: Final = Table(
    "content",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary),
    Column("salt", LargeBinary),
    Column("put_at", Number, nullable=False),
    Column("taken_down_at", Number),
    sqlite_strict=True,
)


class UnknownContentError(LookupError):
    """Nothing was ever put under this hash."""


class UnsupportedPictureError(ValueError):
    """The media type is not one of PictureType."""


class Picture(Struct, frozen=True):
    """A picture as it was put."""

    media_type: str
    body: bytes


Condition = Literal["intact", "altered", "taken_down", "unknown"]
"""What became of a content: `altered` means that its bytes are not those that were put."""


class Content:
    """The content store."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, document: Mapping[str, object], *, at: int) -> str:
        """Keep a document and return its hash; the same text put twice has two hashes."""
        return await self._put(DOCUMENT, canonical(document), at)

    async def put_bytes(self, media_type: str, body: bytes, *, at: int) -> str:
        """Keep a picture and return its hash. Raises UnsupportedPictureError."""
        if media_type not in get_args(PictureType):
            raise UnsupportedPictureError(media_type)
        return await self._put(media_type, body, at)

    async def _put(self, media_type: str, body: bytes, at: int) -> str:
        salt = secrets.token_bytes(SALT_BYTES)
        content_hash = salted_hash(salt, body)
        row = {
            "hash": content_hash,
            "media_type": media_type,
            "body": body,
            "salt": salt,
            "put_at": at,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(CONTENT), row)
        return content_hash

    async def get_many(self, hashes: Iterable[str]) -> dict[str, dict[str, object]]:
        """Return documents by hash; what is unknown, taken down or a picture is left out."""
        found: dict[str, dict[str, object]] = {}
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(hashes))):
                rows = await connection.execute(
                    select(CONTENT.c.hash, CONTENT.c.body).where(
                        CONTENT.c.hash.in_(part),
                        CONTENT.c.media_type == DOCUMENT,
                        CONTENT.c.body.is_not(None),
                    )
                )
                found.update((row.hash, _DOCUMENT_DECODER.decode(row.body)) for row in rows)
        return found

    async def picture(self, content_hash: str) -> Picture | None:
        """Return a picture; None where it is unknown, taken down or a document."""
        query = select(CONTENT.c.media_type, CONTENT.c.body).where(
            CONTENT.c.hash == content_hash,
            CONTENT.c.media_type != DOCUMENT,
            CONTENT.c.body.is_not(None),
        )
        row = await one_row(self._engine, query)
        return None if row is None else Picture(row["media_type"], row["body"])

    async def take_down(self, content_hash: str, *, at: int) -> bool:
        """Remove bytes and salt, leave the fact. Doing it again changes nothing.

        True when the removed bytes have left the disk too, False when a reader delays that (see
        `scrub`). Raises UnknownContentError.
        """
        this = CONTENT.c.hash == content_hash
        async with self._engine.begin() as connection:
            await connection.execute(
                update(CONTENT)
                .where(this, CONTENT.c.taken_down_at.is_(None))
                .values(body=None, salt=None, taken_down_at=at)
            )
            known = await one_row(connection, select(CONTENT.c.hash).where(this))
        if known is None:
            raise UnknownContentError(content_hash)
        return await scrub(self._engine)

    async def verify(self, content_hash: str) -> Condition:
        """Say whether the bytes kept under this hash are still those that were put."""
        row = await one_row(self._engine, select(CONTENT).where(CONTENT.c.hash == content_hash))
        if row is None:
            return "unknown"
        if row["taken_down_at"] is not None:
            return "taken_down"
        intact = hmac.compare_digest(salted_hash(row["salt"], row["body"]), content_hash)
        return "intact" if intact else "altered"


def canonical(document: Mapping[str, object]) -> bytes:
    """Write a document in one way only: JSON in UTF-8, keys sorted, no spaces."""
    return msgspec.json.encode(document, order="deterministic")


def salted_hash(salt: bytes, body: bytes) -> str:
    """Return HMAC-SHA256 (RFC 2104) of the bytes under the salt, in hex."""
    return hmac.new(salt, body, hashlib.sha256).hexdigest()


_DOCUMENT_DECODER: Final = msgspec.json.Decoder(dict[str, object])
