"""The shape of a database: made by a command, checked by who opens it, changed step by step."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, MetaData, Table

from app.processes.work import open_work
from app.settings import Settings
from app.stores.connecting import postgres_engine
from app.stores.database import SCHEMA_VERSION, migrate_stores, open_people, open_people_sync
from app.stores.mails import Mails
from app.stores.rows import Number
from app.stores.shapes import NotMigratedError, Schema, SchemaTooNewError, check, migrate
from tests.stores.conftest import settings_in


@pytest.fixture
def bare(tmp_path: Path, empty_postgres_url: str) -> Settings:
    """A database that holds nothing yet."""
    return settings_in(tmp_path, empty_postgres_url)


@pytest.mark.postgres
async def test_a_bare_database_is_refused(bare: Settings) -> None:
    """Who opens it is told which command makes it; nothing is made by the way."""
    with pytest.raises(NotMigratedError, match="people is not there yet: run `tributary migrate`"):
        await open_people(bare)
    with pytest.raises(NotMigratedError, match="people is not there yet: run `tributary migrate`"):
        open_people_sync(bare)
    with pytest.raises(NotMigratedError, match="work is not there yet: run `tributary migrate`"):
        open_work(bare)


@pytest.mark.postgres
async def test_migrating_makes_it_once(bare: Settings) -> None:
    """The first time everything is made, the second time nothing; then it opens."""
    assert migrate_stores(bare) == [
        "schema people: made, shape 6",
        "schema work: made, shape 1",
        "schema transparency: made, shape 1",
    ]
    assert migrate_stores(bare) == [
        "schema people: has shape 6, nothing to do",
        "schema work: has shape 1, nothing to do",
        "schema transparency: has shape 1, nothing to do",
    ]
    await (await open_people(bare)).dispose()
    open_people_sync(bare).dispose()
    open_work(bare).dispose()


@pytest.mark.postgres
def test_several_may_migrate_at_once(bare: Settings) -> None:
    """One of them makes it, the others find it made."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.map(migrate_stores, [bare] * 8, chunksize=1)
    said = [sentence for part in done for sentence in part]
    assert sorted(sentence for sentence in said if "made" in sentence) == [
        "schema people: made, shape 6",
        "schema transparency: made, shape 1",
        "schema work: made, shape 1",
    ]
    assert sum("nothing to do" in sentence for sentence in said) == 21


@pytest.mark.postgres
def test_a_newer_shape_is_neither_opened_nor_changed(bare: Settings) -> None:
    """An older program stays away from it."""
    migrate_stores(bare)
    with psycopg.connect(bare.database_url) as connection:
        connection.execute("UPDATE people.shape SET shape = shape + 1")
    said = f"has shape {SCHEMA_VERSION + 1}, this version knows {SCHEMA_VERSION}"
    with pytest.raises(SchemaTooNewError, match=said):
        open_people_sync(bare)
    with pytest.raises(SchemaTooNewError, match=said):
        migrate_stores(bare)


@pytest.mark.postgres
def test_a_shape_is_reached_step_by_step(bare: Settings) -> None:
    """Each shape changes the one before, in one transaction; what holds nothing is made anew."""

    def shaped(shape: int, *columns: str, is_derived: bool = False) -> Schema:
        tables = MetaData()
        Table("one", tables, *(Column(name, Number) for name in columns))
        upgrades = {2: ("ALTER TABLE one ADD COLUMN b {number}",), 3: ("UPDATE one SET b = 7",)}
        return Schema("people", shape, tables, upgrades, is_derived)

    engine = postgres_engine(bare.database_url, "people", lock_timeout_s=5)
    first, third = shaped(1, "a"), shaped(3, "a", "b")
    assert migrate(engine, first) == "schema people: made, shape 1"
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO one VALUES (1)")
        with pytest.raises(NotMigratedError, match="has shape 1 of 3: run `tributary migrate`"):
            check(connection, third)
    assert migrate(engine, third) == "schema people: from shape 1 to 3"
    with engine.connect() as connection:
        check(connection, third)
        assert connection.exec_driver_sql("SELECT a, b FROM one").all() == [(1, 7)]
    with pytest.raises(SchemaTooNewError):
        migrate(engine, first)
    assert migrate(engine, shaped(4, "c", is_derived=True)) == "schema people: from shape 3 to 4"
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT c FROM one").all() == []
    engine.dispose()


async def test_an_older_file_keeps_the_order_of_its_mails(tmp_path: Path) -> None:
    """A file of shape 3, which knew that order by its rows alone, is upgraded by who opens it."""
    settings = settings_in(tmp_path)
    migrate_stores(settings)
    with closing(sqlite3.connect(settings.people_path)) as connection:
        connection.execute("ALTER TABLE mails DROP COLUMN written")
        for key in ("z", "a", "m"):
            connection.execute(
                "INSERT INTO mails (id, dedupe_key, party, language, name, text, off_path,"
                " created_at, due_at, attempts, leased_by, lease_until, last_error)"
                " VALUES (?, ?, '', 'en', 'n', 't', '', 1, 1, 0, '', 0, '')",
                (key, key),
            )
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    engine = await open_people(settings)
    assert [mail.id for mail in await Mails(engine).newest()] == ["m", "a", "z"]
    await engine.dispose()


def test_files_say_what_was_done(tmp_path: Path) -> None:
    """The same words for files, which would have upgraded themselves."""
    settings = settings_in(tmp_path)
    assert migrate_stores(settings) == [
        "people.db: made, shape 6",
        "work.db: made, shape 1",
        "transparency.db: made, shape 1",
    ]
    for path, shape in ((settings.people_path, 3), (settings.work_path, 99)):
        with closing(sqlite3.connect(path)) as connection:
            if shape == 3:
                connection.execute("ALTER TABLE mails DROP COLUMN written")
            connection.execute(f"PRAGMA user_version = {shape}")
    assert migrate_stores(settings) == [
        "people.db: from shape 3 to 6",
        "work.db: made anew, from shape 99 to 1",
        "transparency.db: has shape 1, nothing to do",
    ]
    assert migrate_stores(settings) == [
        "people.db: has shape 6, nothing to do",
        "work.db: has shape 1, nothing to do",
        "transparency.db: has shape 1, nothing to do",
    ]
