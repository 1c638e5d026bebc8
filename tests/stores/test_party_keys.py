"""The persons' keys: wrapped by the master key, read in batches, destroyed."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.keys import MissingKeyError, load_master
from app.settings import Settings
from app.stores.database import migrate_stores, open_people, open_people_sync
from app.stores.party_keys import (
    KEY_BYTES,
    WRAPPED_BYTES,
    Master,
    PartyKeys,
    WrongMasterError,
    master_of,
)
from app.stores.people import PARTIES, People
from tests.stores.conftest import settings_in


@pytest.fixture
def sync_engine(engine: AsyncEngine, settings: Settings) -> Iterator[Engine]:
    """The same store, for code in threads."""
    sync = open_people_sync(settings)
    yield sync
    sync.dispose()


async def test_a_batch_of_keys_is_unwrapped(
    engine: AsyncEngine, sync_engine: Engine, settings: Settings
) -> None:
    """Each party has its own key; nobody's is left out, and a destroyed one is said to be."""
    people = People(engine)
    backers = await people.mint_backers(1_200, at=1)
    await people.forget(backers[3], at=2)
    keys = PartyKeys(sync_engine, load_master(settings))
    found = keys.of([*backers, "nobody"])
    assert set(found) == set(backers)
    assert [party for party, key in found.items() if key is None] == [backers[3]]
    assert len(set(found.values())) == 1_200
    assert found[backers[0]] == await people.key_of(backers[0])
    assert {len(key) for key in found.values() if key} == {KEY_BYTES}
    assert keys.of([]) == {}


async def test_the_store_holds_no_key_as_it_is(
    engine: AsyncEngine, on_disk: Callable[[], bytes], settings: Settings
) -> None:
    """On disk stands the wrapped key alone, and the master key nowhere in the store."""
    people = People(engine)
    party = await people.mint_backer(at=1)
    key = await people.key_of(party)
    async with engine.connect() as connection:
        wrapped = (await connection.execute(select(PARTIES.c.key))).scalar_one()
    assert key is not None
    assert len(wrapped) == WRAPPED_BYTES
    stored = on_disk()
    assert wrapped in stored
    assert [what for what in (key, load_master(settings)) if what in stored] == []


async def test_no_key_can_stand_in_anothers_place(
    engine: AsyncEngine, sync_engine: Engine, settings: Settings
) -> None:
    """A wrapped key that is copied to another party, or changed by a bit, is not taken for one."""
    people = People(engine)
    one, two = await people.mint_backers(2, at=1)
    keys = PartyKeys(sync_engine, load_master(settings))
    async with engine.begin() as connection:
        mine = (
            await connection.execute(select(PARTIES.c.key).where(PARTIES.c.id == one))
        ).scalar_one()
        await connection.execute(update(PARTIES).where(PARTIES.c.id == two).values(key=mine))
    assert keys.of([one])[one] is not None
    with pytest.raises(WrongMasterError, match=two):
        keys.of([two])
    async with engine.begin() as connection:
        bent = mine[:-1] + bytes([mine[-1] ^ 1])
        await connection.execute(update(PARTIES).where(PARTIES.c.id == one).values(key=bent))
    with pytest.raises(WrongMasterError, match=one):
        keys.of([one])


async def test_another_master_key_is_refused(engine: AsyncEngine, settings: Settings) -> None:
    """Whoever opens the store with another master key, or without one, is told so at once."""
    other = msgspec.structs.replace(settings, master_key=secrets.token_bytes(KEY_BYTES))
    with pytest.raises(WrongMasterError, match="set TRIBUTARY_MASTER_KEY"):
        await open_people(other)
    with pytest.raises(WrongMasterError, match="set TRIBUTARY_MASTER_KEY"):
        open_people_sync(other)
    none = msgspec.structs.replace(settings, keys_dir=settings.data_dir / "elsewhere")
    with pytest.raises(MissingKeyError):
        open_people_sync(none)
    assert not none.keys_dir.joinpath("master").exists(), "no second one is made"


def test_a_master_key_is_never_shown(settings: Settings) -> None:
    """Neither its own repr nor that of an engine that carries it holds any of it."""
    key = secrets.token_bytes(KEY_BYTES)
    engine = open_people_sync(msgspec.structs.replace(settings, master_key=key))
    carried = dict(engine.get_execution_options())
    shown = "".join(map(repr, (Master(key), master_of(engine), engine, carried)))
    assert key.hex() not in shown
    assert repr(key) not in shown
    engine.dispose()


# --- Keys of an older version --------------------------------------------------------------------


def test_an_older_files_keys_are_wrapped(tmp_path: Path) -> None:
    """Each keeps its value, and the plain bytes are gone from the disk; those destroyed stay so."""
    settings = settings_in(tmp_path)
    plain = {f"party-{n:05}": secrets.token_bytes(KEY_BYTES) for n in range(300)}
    migrate_stores(settings)
    with closing(sqlite3.connect(settings.people_path)) as connection:
        connection.executemany(
            "INSERT INTO parties (id, role, key, created_at) VALUES (?, 'backer', ?, 1)",
            [*plain.items(), ("gone", None)],
        )
        connection.execute("DROP TABLE master")
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    assert plain["party-00007"] in _bytes_of(settings)

    engine = open_people_sync(settings)
    found = PartyKeys(engine, load_master(settings)).of([*plain, "gone"])
    engine.dispose()

    assert found == {**plain, "gone": None}
    left = _bytes_of(settings)
    assert [party for party, key in plain.items() if key in left] == []


@pytest.mark.postgres
def test_an_older_databases_keys_are_wrapped(tmp_path: Path, empty_postgres_url: str) -> None:
    """The same by `tributary migrate` in PostgreSQL."""
    settings = settings_in(tmp_path, empty_postgres_url)
    migrate_stores(settings)
    key = secrets.token_bytes(KEY_BYTES)
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(
            "INSERT INTO people.parties (id, role, key, created_at)"
            " VALUES ('one', 'backer', %s, 1), ('gone', 'backer', NULL, 1)",
            (key,),
        )
        connection.execute("DROP TABLE people.master")
        connection.execute("UPDATE people.shape SET shape = 4")
    assert "schema people: from shape 4 to" in migrate_stores(settings)[0]
    engine = open_people_sync(settings)
    assert PartyKeys(engine, load_master(settings)).of(["one", "gone"]) == {
        "one": key,
        "gone": None,
    }
    engine.dispose()


def _bytes_of(settings: Settings) -> bytes:
    folder = settings.people_path.parent
    return b"".join(path.read_bytes() for path in folder.glob("people.db*"))
