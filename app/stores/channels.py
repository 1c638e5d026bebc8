"""Channels: the storefronts of institutions, and the terms each proposes to its creators."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Column, LargeBinary, RowMapping, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, one_row, upsert
from domain.terms import Terms

CHANNELS: Final = Table(
    "channels",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("languages", Text, nullable=False),
    Column("currencies", Text, nullable=False),
    Column("terms", LargeBinary, nullable=False),
    Column("updated_at", Number, nullable=False),
    sqlite_strict=True,
)


class UnknownChannelError(LookupError):
    """No channel has this id."""


class Channel(Struct, frozen=True, kw_only=True):
    """A storefront. The first language and currency are the ones offered first.

    `terms` are what it proposes; a campaign keeps those it was launched with.
    """

    id: str
    name: str
    languages: tuple[str, ...]
    currencies: tuple[str, ...]
    terms: Terms


class Channels:
    """The channels of this log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, channel: Channel, *, at: int) -> None:
        """Add a channel, or replace the one with the same id."""
        row = {
            "id": channel.id,
            "name": channel.name,
            "languages": " ".join(channel.languages),
            "currencies": " ".join(channel.currencies),
            "terms": msgspec.json.encode(channel.terms),
            "updated_at": at,
        }
        statement = upsert(CHANNELS).values(row)
        async with self._engine.begin() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["id"], set_=row)
            )

    async def get(self, channel_id: str) -> Channel:
        """Return one channel. Raises UnknownChannelError."""
        row = await one_row(self._engine, select(CHANNELS).where(CHANNELS.c.id == channel_id))
        if row is None:
            raise UnknownChannelError(channel_id)
        return _channel(row)

    async def all(self) -> list[Channel]:
        """Return every channel, in the order of their ids."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(CHANNELS).order_by(CHANNELS.c.id))
            return [_channel(row) for row in rows.mappings()]


def _channel(row: RowMapping) -> Channel:
    return Channel(
        id=row["id"],
        name=row["name"],
        languages=tuple(row["languages"].split()),
        currencies=tuple(row["currencies"].split()),
        terms=msgspec.json.decode(row["terms"], type=Terms),
    )
