"""What the stores share: their one set of tables, what both databases understand, ids, and how
erased bytes leave the disk.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Integer, MetaData, RowMapping, Select, TextClause, func, select
from sqlalchemy.dialects.postgresql import TEXT

# SQLAlchemy has `ON CONFLICT` in its two dialects alone; this one is understood by both.
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeEngine

__all__ = [
    "METADATA",
    "Number",
    "Text",
    "in_parts",
    "lock_number",
    "new_id",
    "one_row",
    "packed",
    "phrased",
    "scrub",
    "upsert",
    "writing",
]

METADATA: Final = MetaData()
"""All tables of the people store; each store declares its own."""

Number: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits: times in ms, money in minor units."""

Text: Final[TypeEngine[str]] = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
"""A text that is compared and ordered by its bytes, as SQLite does, whatever the database's
language.
"""

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


# --- Statements written by hand ------------------------------------------------------------------

_PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "strings": "json_each(:packed)",
        "rows": "json_each(:packed)",
        "pack": "json_group_array(json_array(",
        "packed": "))",
        "least": "min",
        "greatest": "max",
        "skip_locked": "",
        # It never reads the table to find the rows.
        "each_joins": "CROSS JOIN",
        "number": "INTEGER",
    },
    "postgresql": {
        "strings": "json_array_elements_text(CAST(:packed AS json))",
        "rows": "json_array_elements(CAST(:packed AS json))",
        "pack": "CAST(coalesce(json_agg(json_build_array(",
        "packed": ")), '[]') AS text)",
        "least": "least",
        "greatest": "greatest",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "each_joins": "JOIN",
        "number": "BIGINT",
    },
}


def phrased(statement: str) -> Mapping[str, TextClause]:
    """The statement in the words of each database, by SQLAlchemy's name of it.

    `{strings}` and `{rows}` are tables with one column `value`, made of the JSON array `:packed`;
    `value ->> 0` is the first field of a row. `{pack} a, b {packed}` makes one text of all rows:
    Python's sqlite3 gives up the interpreter's lock once for each row, and in a server whose other
    threads compute, a thousand rows would then take seconds. `{least}` and `{greatest}` are
    functions of two numbers, `{number}` the type of a number. `{each_joins}` looks up a table's row
    for each row before it; `{skip_locked}` steps over what others hold.
    """
    return {dialect: sa.text(statement.format(**words)) for dialect, words in _PHRASES.items()}


def packed(values: Iterable[object]) -> str:
    """The rows or strings of a statement that was phrased."""
    return msgspec.json.encode(list(values)).decode()


# --- Looking before writing ----------------------------------------------------------------------


@asynccontextmanager
async def writing(engine: AsyncEngine, *subjects: str) -> AsyncIterator[AsyncConnection]:
    """Begin a transaction for who reads first and writes by what was read.

    Nobody else who names one of these subjects is in such a transaction at the same time, in any
    process on any machine: SQLite has one writer anyhow, PostgreSQL a lock for each subject.
    """
    async with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # In one order, so that two who name the same subjects never wait for each other.
            for number in sorted({lock_number(subject) for subject in subjects}):
                await connection.execute(select(func.pg_advisory_xact_lock(number)))
        yield connection


def lock_number(subject: str) -> int:
    """The number (64 bits, signed) by which PostgreSQL knows the lock of a subject."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], signed=True)


# --- Erasing -------------------------------------------------------------------------------------


async def scrub(engine: AsyncEngine) -> bool:
    """Take erased bytes out of the write-ahead log as well.

    False when a reader kept it in use: the bytes then go when it is next truncated. On PostgreSQL
    always False: its own vacuuming overwrites them later, and its write-ahead log passes.
    """
    if engine.dialect.name != "sqlite":
        return False
    async with engine.connect() as connection:
        result = await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        busy: int = result.one()[0]
    return busy == 0
