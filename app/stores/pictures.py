"""Which sizes there are of a picture, and what it shows in words.

The bytes lie in the content store, each size under its own hash. A picture is named by the hash of
its largest size: where that was taken down, none of its sizes is given out any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, in_parts, one_row

PICTURES: Final = Table(
    "pictures",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("small", Text, nullable=False),
    Column("middle", Text, nullable=False),
    Column("width", Number, nullable=False),
    Column("height", Number, nullable=False),
    Column("alt", Text, nullable=False),
    Column("draft", Text, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", Number, nullable=False),
    Index("pictures_by_draft", "draft", "put_at"),
    sqlite_strict=True,
)

SMALL_PX: Final = 480
MIDDLE_PX: Final = 960
LARGE_PX: Final = 1600


class PictureInfo(Struct, frozen=True, kw_only=True):
    """A picture that was uploaded; `width` and `height` are its largest size's, in pixels.

    `small` and `middle` are the hashes of those sizes; where the picture is not larger than such a
    size, that of the next larger one. `draft` is the campaign it was uploaded for.
    """

    hash: str
    small: str
    middle: str
    width: int
    height: int
    alt: str
    draft: str
    put_by: str
    put_at: int

    def sized(self, width: int) -> str:
        """The hash of the smallest size that is at least so many pixels wide, or the largest."""
        if width <= SMALL_PX:
            return self.small
        return self.middle if width <= MIDDLE_PX else self.hash


class Pictures:
    """The pictures of campaigns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, info: PictureInfo) -> None:
        """Keep what is known of a picture whose sizes are in the content store."""
        row = {column.name: getattr(info, column.name) for column in PICTURES.columns}
        async with self._engine.begin() as connection:
            await connection.execute(insert(PICTURES), row)

    async def get(self, picture_hash: str) -> PictureInfo | None:
        """What is known of a picture."""
        row = await one_row(self._engine, select(PICTURES).where(PICTURES.c.hash == picture_hash))
        return None if row is None else PictureInfo(**row)

    async def get_many(self, hashes: Iterable[str]) -> dict[str, PictureInfo]:
        """The same of several, by hash; what is unknown is left out."""
        found: dict[str, PictureInfo] = {}
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(hashes))):
                rows = await connection.execute(select(PICTURES).where(PICTURES.c.hash.in_(part)))
                found.update((row["hash"], PictureInfo(**row)) for row in rows.mappings())
        return found

    async def of_draft(self, draft_id: str) -> list[PictureInfo]:
        """The pictures that were uploaded for a campaign, in their order."""
        query = select(PICTURES).where(PICTURES.c.draft == draft_id)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(PICTURES.c.put_at, PICTURES.c.hash))
            return [PictureInfo(**row) for row in rows.mappings()]
