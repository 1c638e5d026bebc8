from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.stores.database import SCHEMA_VERSION, TABLES, create_people, open_people
from app.stores.people import People
from app.stores.rows import METADATA
from app.stores.shapes import SchemaTooNewError
from tests.stores.conftest import settings_in


def test_every_table_is_made(people_path: Path) -> None:
    """Each table that a store declares exists in the file, and is strict."""
    create_people(settings_in(people_path.parent))
    with closing(sqlite3.connect(people_path)) as connection:
        found = {row[1]: row[5] for row in connection.execute("PRAGMA table_list")}
    assert {table.name for table in TABLES} == set(METADATA.tables)
    assert {name: found.get(name) for name in METADATA.tables} == dict.fromkeys(METADATA.tables, 1)


def test_several_processes_may_make_it_at_once(people_path: Path) -> None:
    """Eight processes that start together all find a whole store."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(8) as pool:
        pool.map(create_people, [settings_in(people_path.parent)] * 32, chunksize=1)
    with closing(sqlite3.connect(people_path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def test_what_was_written_is_there_when_opened_again(
    engine: AsyncEngine, settings: Settings
) -> None:
    """A second opening neither makes the tables anew nor loses a row."""
    party = await People(engine).add_person("creator", display_name="Ada", at=1)
    again = await open_people(settings)
    try:
        assert (await People(again).get(party)).display_name == "Ada"
    finally:
        await again.dispose()


def test_a_newer_shape_is_not_written_to(people_path: Path) -> None:
    """A file of a newer version stops an older program instead of being changed by it."""
    create_people(settings_in(people_path.parent))
    with closing(sqlite3.connect(people_path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    said = f"has shape {SCHEMA_VERSION + 1}, this version knows {SCHEMA_VERSION}"
    with pytest.raises(SchemaTooNewError, match=said):
        create_people(settings_in(people_path.parent))


async def test_connections_are_safe(sqlite_engine: AsyncEngine) -> None:
    """Every connection waits for locks, syncs fully and overwrites what is deleted."""
    async with sqlite_engine.connect() as connection:
        for pragma, expected in {
            "journal_mode": "wal",
            "synchronous": 2,
            "secure_delete": 1,
            "busy_timeout": 10_000,
        }.items():
            row = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).one()
            assert (pragma, row[0]) == (pragma, expected)
