from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.party_keys import KEY_BYTES
from app.stores.people import Party, People, UnknownPartyError


async def test_a_person_is_found_by_id(engine: AsyncEngine) -> None:
    """What was told of a person is what is known of them."""
    people = People(engine)
    party = await people.add_person("creator", display_name="Ada", mail="ada@example.org", at=7)
    assert uuid.UUID(party).version == 4
    assert await people.get(party) == Party(
        id=party,
        role="creator",
        display_name="Ada",
        mail="ada@example.org",
        created_at=7,
        forgotten_at=None,
    )


async def test_minted_backers_have_ids_and_keys_of_their_own(engine: AsyncEngine) -> None:
    """A thousand backers minted at once have a thousand ids and a thousand keys."""
    people = People(engine)
    backers = await people.mint_backers(1000, at=7)
    keys = {await people.key_of(backer) for backer in backers[:20]}
    assert len(set(backers)) == 1000
    assert len(keys) == 20
    assert {len(key or b"") for key in keys} == {KEY_BYTES}
    assert (await people.get(await people.mint_backer(at=8))).role == "backer"
    assert await people.mint_backers(0, at=9) == []


async def test_names_are_joined_by_id(engine: AsyncEngine) -> None:
    """Names come for who has one; ids without a name or unknown are left out, however many."""
    people = People(engine)
    ada = await people.add_person("creator", display_name="Ada", at=1)
    bo = await people.add_person("backer", display_name="Bo", at=1)
    nameless = await people.mint_backers(1200, at=1)
    assert await people.names([ada, "nobody", *nameless, bo, ada]) == {ada: "Ada", bo: "Bo"}
    assert await people.names([]) == {}


async def test_forgetting_erases_and_keeps_the_id(
    engine: AsyncEngine, on_disk: Callable[[], bytes]
) -> None:
    """Name, mail and key are gone, from the disk too; the id stays, others are untouched."""
    people = People(engine)
    party = await people.add_person(
        "backer", display_name="Zebedee Quill", mail="zq@example.org", at=1
    )
    other = await people.add_person("backer", display_name="Bo", at=1)
    key = await people.key_of(party)
    assert key is not None
    assert b"Zebedee" in on_disk()

    gone = await people.forget(party, at=5)

    assert gone is (engine.dialect.name == "sqlite"), "PostgreSQL overwrites when it vacuums"
    assert await people.get(party) == Party(
        id=party, role="backer", display_name="", mail="", created_at=1, forgotten_at=5
    )
    assert await people.key_of(party) is None
    assert await people.names([party, other]) == {other: "Bo"}
    left = on_disk()
    assert [what for what in (b"Zebedee", b"zq@example", key) if what in left] == []


async def test_forgetting_twice_keeps_the_first_time(engine: AsyncEngine) -> None:
    """A second forgetting changes nothing."""
    people = People(engine)
    party = await people.add_person("backer", display_name="Bo", at=1)
    await people.forget(party, at=5)
    await people.forget(party, at=9)
    assert (await people.get(party)).forgotten_at == 5


async def test_forgetting_tells_when_a_reader_keeps_the_bytes(
    sqlite_engine: AsyncEngine, people_path: Path
) -> None:
    """While another reader holds the old pages, the answer says that they are still on disk."""
    people = People(sqlite_engine)
    party = await people.add_person("backer", display_name="Zebedee", at=1)
    with closing(sqlite3.connect(people_path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM parties").fetchone()
        async with sqlite_engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        assert await people.forget(party, at=5) is False
    assert (await people.get(party)).display_name == ""


async def test_who_is_unknown_is_said_to_be(engine: AsyncEngine) -> None:
    """No answer is made up for an id that was never minted."""
    people = People(engine)
    for asked in (people.get("x"), people.key_of("x"), people.forget("x", at=1)):
        with pytest.raises(UnknownPartyError):
            await asked
