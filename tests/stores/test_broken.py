"""A database that is locked, full or gone: a clear word, nothing lost, well again afterwards."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.stores import database
from app.stores.connecting import StoreUnavailableError
from app.stores.database import open_people, open_people_sync
from app.stores.party_keys import Master
from app.stores.people import PARTIES, People, new_party
from tests.stores.conftest import settings_in


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for but for a moment."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)


# --- SQLite --------------------------------------------------------------------------------------


def _hold(path: Path, told: Connection) -> None:
    """Lock the file in a process of its own, until told to let go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        told.send("locked")
        told.recv()
        connection.execute("ROLLBACK")
    told.send("free")


async def test_a_file_that_another_process_locks(impatient: None, tmp_path: Path) -> None:
    """Who writes is told; who reads is not held up; afterwards all is well."""
    settings = settings_in(tmp_path)
    engine = await open_people(settings)
    people = People(engine)
    party = await people.add_person("backer", display_name="Ada", at=1)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    holder = context.Process(target=_hold, args=(settings.people_path, theirs))
    holder.start()
    try:
        assert await asyncio.to_thread(ours.recv) == "locked"
        with pytest.raises(StoreUnavailableError, match="SQLITE_BUSY"):
            await people.add_person("backer", display_name="Bo", at=2)
        assert (await people.get(party)).display_name == "Ada"
        ours.send("enough")
        assert await asyncio.to_thread(ours.recv) == "free"
    finally:
        holder.join()
    assert await people.names([await people.add_person("backer", display_name="Bo", at=2)])
    async with engine.connect() as connection:
        assert len((await connection.execute(select(PARTIES.c.id))).all()) == 2
    await engine.dispose()


async def test_a_full_disk(sqlite_engine: AsyncEngine) -> None:
    """What does not fit is refused as a whole, and fits when there is room again."""
    row = new_party("backer", 1, Master(bytes(32))) | {"display_name": "x" * 100_000}
    async with sqlite_engine.connect() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailableError, match="SQLITE_FULL"):
            await connection.execute(insert(PARTIES), row)
        await connection.rollback()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 100}")
        await connection.execute(insert(PARTIES), row)
        await connection.commit()
    assert await People(sqlite_engine).names([str(row["id"])])


# --- PostgreSQL ----------------------------------------------------------------------------------


@pytest.fixture
def postgres(postgres_settings: Settings) -> Settings:
    """A store in PostgreSQL."""
    return postgres_settings


def end_connections(settings: Settings) -> int:
    """End every connection of the store, as a failing server does; how many there were."""
    with psycopg.connect(settings.database_url) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return len(ended)


@pytest.mark.postgres
async def test_connections_that_break(postgres: Settings) -> None:
    """Who was unlucky is told; all connections are then made anew, and nothing was lost."""
    engine = await open_people(postgres)
    people = People(engine)
    party = await people.add_person("backer", display_name="Ada", at=1)
    await asyncio.gather(*(people.get(party) for _ in range(8)))
    assert end_connections(postgres) > 1
    with pytest.raises(StoreUnavailableError):
        await people.get(party)
    found = await asyncio.gather(*(people.get(party) for _ in range(8)))
    assert {one.display_name for one in found} == {"Ada"}
    await engine.dispose()


@pytest.mark.postgres
def test_connections_of_a_thread_that_break(postgres: Settings) -> None:
    """The same for code that runs in a thread."""
    engine = open_people_sync(postgres)
    assert end_connections(postgres) >= 1
    with pytest.raises(StoreUnavailableError), engine.connect() as connection:
        connection.execute(select(PARTIES.c.id))
    with engine.connect() as connection:
        assert connection.execute(select(PARTIES.c.id)).all() == []
    engine.dispose()


@pytest.mark.postgres
async def test_a_table_that_another_locks(impatient: None, postgres: Settings) -> None:
    """It is waited for a while; then who asked is told, and may ask again."""
    engine = await open_people(postgres)
    people = People(engine)
    with psycopg.connect(postgres.database_url) as holder:
        holder.execute("LOCK TABLE people.parties IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailableError, match="LockNotAvailable"):
            await people.add_person("backer", at=1)
    assert await people.add_person("backer", at=1)
    await engine.dispose()


@pytest.mark.postgres
async def test_a_leader_that_leads_no_more(postgres: Settings) -> None:
    """A server that has become read-only is left: the next connection is to who leads."""
    engine = await open_people(postgres)
    asked = text("SELECT pg_backend_pid()")
    async with engine.connect() as connection:
        before = (await connection.execute(asked)).scalar_one()

    async def write() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SET TRANSACTION READ ONLY"))
            await connection.execute(insert(PARTIES), new_party("backer", 1, Master(bytes(32))))

    with pytest.raises(StoreUnavailableError, match="ReadOnly"):
        await write()
    async with engine.connect() as connection:
        assert (await connection.execute(asked)).scalar_one() != before
    await engine.dispose()


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """The word for it names the place, and never the password."""
    settings = settings_in(tmp_path, "postgresql://u:geheim@127.0.0.1:1/x")
    with pytest.raises(StoreUnavailableError, match="port 1 failed") as told:
        await open_people(settings)
    assert "geheim" not in str(told.value)
    with pytest.raises(StoreUnavailableError):
        open_people_sync(settings)


async def test_text_that_postgresql_cannot_hold(engine: AsyncEngine) -> None:
    """A NUL that somebody typed is no error on either database."""
    people = People(engine)
    party = await people.add_person("backer", display_name="A\0da", at=1)
    shown = {"sqlite": "A\0da", "postgresql": "A\ufffdda"}[engine.dialect.name]
    assert await people.names([party, "no\0body"]) == {party: shown}
