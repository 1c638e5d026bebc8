"""What is kept for nobody but whom it concerns: sealed, bound to its place, gone with the key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.stores.addresses import Address, Addresses
from app.stores.database import migrate_stores, open_people
from app.stores.people import PARTIES, People, UnknownPartyError
from app.stores.sealed import SEALED, BrokenSealError, Entry, Sealed, seal, unseal
from tests.stores.conftest import settings_in

KEY = bytes(range(32))

OLD = """CREATE TABLE {schema}addresses (campaign TEXT NOT NULL, no {number} NOT NULL,
  party TEXT NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL, country TEXT NOT NULL,
  province TEXT NOT NULL, city TEXT NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,
  postal_code TEXT NOT NULL, given_at {number} NOT NULL, PRIMARY KEY (campaign, no))"""
ROWS = (
    *("'c', 1, 'with', 'Zqname', '155', 'BR', 'SP', 'Campinas', '', 'Zqstreet 1', '13000', 7",),
    *("'c', 2, 'gone', 'Zqgone', '155', 'BR', 'SP', 'Campinas', '', 'Zqstreet 2', '13000', 7",),
)
KEPT = Address(
    campaign="c",
    no=1,
    party="with",
    name="Zqname",
    phone="155",
    country="BR",
    province="SP",
    city="Campinas",
    district="",
    street="Zqstreet 1",
    postal_code="13000",
    given_at=7,
)


def test_a_seal_holds_for_one_place() -> None:
    """Neither another's key, person, kind, place nor a changed bit opens it; nor twice the same."""
    sealed = seal(KEY, "p", "address", "c/1", b"Zqstreet")
    assert unseal(KEY, "p", "address", "c/1", sealed) == b"Zqstreet"
    assert b"Zqstreet" not in sealed
    assert seal(KEY, "p", "address", "c/1", b"Zqstreet") != sealed
    bent = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in (
        (KEY[::-1], "p", "address", "c/1", sealed),
        (KEY, "q", "address", "c/1", sealed),
        (KEY, "p", "receipt", "c/1", sealed),
        (KEY, "p", "address", "c/2", sealed),
        (KEY, "p\0address", "c", "1", sealed),
        (KEY, "p", "address", "c/1", bent),
    ):
        with pytest.raises(BrokenSealError):
            unseal(*wrong)


async def test_what_is_sealed_is_nowhere_to_read(
    engine: AsyncEngine, on_disk: Callable[[], bytes]
) -> None:
    """The file or database holds it sealed alone; with the key it is read, in batches."""
    people, sealed = People(engine), Sealed(engine)
    parties = await people.mint_backers(700, at=1)
    for party in parties[:3]:
        await sealed.put(Entry(party, "note", f"of/{party}", b"Zqbody of " + party.encode(), 5))
    found = await sealed.get_many("note", [f"of/{party}" for party in parties])
    assert {entry.party: entry.body for entry in found} == {
        party: b"Zqbody of " + party.encode() for party in parties[:3]
    }
    assert {entry.at for entry in found} == {5}
    assert b"Zqbody" not in on_disk()
    assert await sealed.get_many("other", [f"of/{party}" for party in parties]) == []


async def test_without_a_key_nothing_is_sealed_or_read(engine: AsyncEngine) -> None:
    """Who was erased or is unknown has no entries, whatever rows a copy still holds."""
    people, sealed = People(engine), Sealed(engine)
    party = await people.mint_backer(at=1)
    await sealed.put(Entry(party, "note", "1", b"x", 5))
    async with engine.begin() as connection:
        await connection.execute(update(PARTIES).where(PARTIES.c.id == party).values(key=None))
    assert await sealed.get_many("note", ["1"]) == await sealed.of_parties([party]) == []
    async with engine.connect() as connection:
        assert len((await connection.execute(select(SEALED))).all()) == 1
    for nobody in (party, "unknown"):
        with pytest.raises(UnknownPartyError):
            await sealed.put(Entry(nobody, "note", "2", b"x", 5))


async def test_a_row_in_anothers_place_is_told(engine: AsyncEngine) -> None:
    """A row whose place was changed in the database is not shown as another pledge's."""
    sealed = Sealed(engine)
    party = await People(engine).mint_backer(at=1)
    await sealed.put(Entry(party, "note", "1", b"x", 5))
    async with engine.begin() as connection:
        await connection.execute(update(SEALED).values(ref="2"))
    with pytest.raises(BrokenSealError):
        await sealed.get_many("note", ["2"])


# --- Addresses of an older version ---------------------------------------------------------------


async def test_an_older_files_addresses_are_sealed(tmp_path: Path) -> None:
    """They are read as before; nothing of them is left on disk as it was, nor of the erased."""
    settings = settings_in(tmp_path)
    migrate_stores(settings)
    with closing(sqlite3.connect(settings.people_path)) as connection:
        connection.execute(OLD.format(schema="", number="INTEGER"))
        for party, key in (("with", KEY), ("gone", None)):
            connection.execute(
                "INSERT INTO parties (id, role, key, created_at) VALUES (?, 'backer', ?, 1)",
                (party, key),
            )
        for row in ROWS:
            connection.execute(f"INSERT INTO addresses VALUES ({row})")  # noqa: S608 - ours
        connection.execute("DROP TABLE sealed")
        connection.execute("DROP TABLE master")
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    await _are_sealed(settings)
    data = bytes_of(tmp_path)
    assert [said for said in (b"Zqname", b"Zqstreet", b"Zqgone", KEY) if said in data] == []


def bytes_of(folder: Path) -> bytes:
    """The people store as it is on disk."""
    return b"".join(path.read_bytes() for path in folder.glob("people.db*"))


@pytest.mark.postgres
async def test_an_older_databases_addresses_are_sealed(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    """The same by `tributary migrate`."""
    settings = settings_in(tmp_path, empty_postgres_url)
    migrate_stores(settings)
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(OLD.format(schema="people.", number="BIGINT").encode())
        for party, key in (("with", KEY), ("gone", None)):
            connection.execute(
                "INSERT INTO people.parties (id, role, key, created_at)"
                " VALUES (%s, 'backer', %s, 1)",
                (party, key),
            )
        for row in ROWS:
            connection.execute(f"INSERT INTO people.addresses VALUES ({row})".encode())  # noqa: S608 - ours
        connection.execute("DROP TABLE people.sealed, people.master")
        connection.execute("UPDATE people.shape SET shape = 4")
    migrate_stores(settings)
    await _are_sealed(settings)
    with psycopg.connect(empty_postgres_url) as connection:
        found = connection.execute("SELECT to_regclass('people.addresses')").fetchone()
    assert found == (None,)


async def _are_sealed(settings: Settings) -> None:
    engine = await open_people(settings)
    try:
        assert await Addresses(engine).get_many("c", [1, 2]) == {1: KEPT}
    finally:
        await engine.dispose()
