"""What a channel's staff picked to be shown first. Only what is shown, so beside the log."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, upsert

FEATURES: Final = Table(
    "features",
    METADATA,
    Column("campaign_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Number, nullable=False),
    Index("features_by_channel", "channel", "at"),
    sqlite_strict=True,
)


class Feature(Struct, frozen=True):
    """A campaign that was picked: in which channel, by which party, when (ms UTC)."""

    campaign_id: str
    channel: str
    by: str
    at: int


class Features:
    """The picks of all channels."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def feature(self, campaign_id: str, channel: str, *, by: str, at: int) -> None:
        """Show a campaign among the first; picking it again moves it to the front."""
        row = {"campaign_id": campaign_id, "channel": channel, "by": by, "at": at}
        statement = upsert(FEATURES).values(row)
        async with self._engine.begin() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["campaign_id"], set_=row)
            )

    async def unfeature(self, campaign_id: str) -> bool:
        """Show it like any other; whether it was picked."""
        async with self._engine.begin() as connection:
            gone = await connection.execute(
                delete(FEATURES).where(FEATURES.c.campaign_id == campaign_id)
            )
            return bool(gone.rowcount)

    async def of(self, channel: str) -> list[Feature]:
        """A channel's picks, the newest first."""
        query = select(FEATURES).where(FEATURES.c.channel == channel).order_by(FEATURES.c.at.desc())
        async with self._engine.connect() as connection:
            return [
                Feature(row.campaign_id, row.channel, row.by, row.at)
                for row in await connection.execute(query)
            ]
