"""How far the log was told in mails: moved in the same transaction as the mails it leads to."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.rows import METADATA, Number, Text, one_row, upsert

MAIL_NEWS: Final = Table(
    "mail_news",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("position", Number, nullable=False),
    Column("stage", Number, nullable=False),
    Column("after", Number, nullable=False),
    sqlite_strict=True,
)


class Place(Struct, frozen=True):
    """Everything up to `position` was told. The next event is under way where `stage` (which of
    its groups of people) and `after` (the last of that group who was seen to) are not 0.
    """

    position: int
    stage: int = 0
    after: int = 0


class MovedByAnotherError(Exception):
    """Another process told this already: its mails are there, ours are rolled back."""


async def begin_at(engine: AsyncEngine, name: str, position: int) -> Place:
    """Where this follower stands; it begins at this position where it never stood anywhere."""
    row = {"name": name, "position": position, "stage": 0, "after": 0}
    async with engine.begin() as connection:
        await connection.execute(upsert(MAIL_NEWS).on_conflict_do_nothing(), row)
        found = await one_row(connection, select(MAIL_NEWS).where(MAIL_NEWS.c.name == name))
    assert found is not None, "it was written a moment ago"
    return Place(found["position"], found["stage"], found["after"])


async def move(connection: AsyncConnection, name: str, was: Place, to: Place) -> None:
    """Move on, in the transaction that keeps the mails. Raises MovedByAnotherError."""
    still = (
        MAIL_NEWS.c.name == name,
        MAIL_NEWS.c.position == was.position,
        MAIL_NEWS.c.stage == was.stage,
        MAIL_NEWS.c.after == was.after,
    )
    moved = await connection.execute(
        update(MAIL_NEWS).where(*still).values(position=to.position, stage=to.stage, after=to.after)
    )
    if moved.rowcount != 1:
        raise MovedByAnotherError
