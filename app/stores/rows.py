"""What the stores share: their one set of tables, ids, and how erased bytes leave the disk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import MetaData, RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

METADATA: Final = MetaData()
"""All tables of `people.db`; each store declares its own."""

IDS_PER_QUERY: Final = 500


def new_id() -> str:
    """Make a random id."""
    return str(uuid.uuid4())


def in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list of ids into parts that fit one query."""
    for start in range(0, len(ids), IDS_PER_QUERY):
        yield ids[start : start + IDS_PER_QUERY]


async def one_row(source: AsyncEngine | AsyncConnection, query: Select[Any]) -> RowMapping | None:
    """Return the one row that the query finds, or None."""
    if isinstance(source, AsyncEngine):
        async with source.connect() as connection:
            return await one_row(connection, query)
    row: RowMapping | None = (await source.execute(query)).mappings().one_or_none()
    return row


async def scrub(engine: AsyncEngine) -> bool:
    """Take erased bytes out of the write-ahead log as well.

    False when a reader kept it in use: the bytes then go when it is next truncated.
    """
    async with engine.connect() as connection:
        result = await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        busy: int = result.one()[0]
    return busy == 0
