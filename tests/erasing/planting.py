"""Markers planted wherever something about a person is kept, and looked for byte by byte."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import psycopg
from msgspec import Struct
from sqlalchemy import Table, insert, select, update

from app.stores.addresses import Address
from app.stores.database import TABLES
from app.stores.erasure import HOLDINGS, Holding
from app.stores.party_keys import master_of
from app.stores.people import PARTIES
from app.wiring import Platform
from tests.api.running import NOW, Running, new_id

MAIL: Final = "zq-marker-mail@example.org"
NAME: Final = "Zqmarkername Quillfeather"
STREET: Final = "Zqmarkerstreet 17"
STORY: Final = "Zqmarkerstory of a plan that nobody ever saw. "
QUESTION: Final = "Zqmarkerquestion about the ramp"
OVER_A_PAGE: Final = 300
"""So often a story is repeated that it fills more than a page of the file."""

_SAID: Final = (MAIL, NAME, "Zqmarkername", STREET, "Zqmarkerstory", "Zqmarkerquestion")


class Planted(Struct, frozen=True):
    """Somebody with an account: all ids, and every text and key that must be nowhere later."""

    party: str
    parties: frozenset[str]
    markers: tuple[bytes, ...]


async def plant(running: Running) -> Planted:
    """Let somebody leave traces everywhere: by the stores' own ways, and a row in every table."""
    stores = running.platform.stores
    account = await stores.accounts.open(MAIL, at=NOW, display_name=NAME)
    joined = await stores.people.add_person("backer", display_name=NAME, mail=MAIL, at=NOW)
    await stores.accounts.join(joined, account.party, at=NOW)
    await stores.accounts.change(account.party, pen_name="Zqmarkerpen")
    for number in range(40):  # rows that grow split pages, and leave copies in them
        other = await stores.people.mint_backer(at=NOW)
        await stores.people.change(other, display_name=f"Somebody {number}" * 9)
    await stores.people.change(joined, mail=f"zq-marker-old-{'x' * 60}@example.org")
    await stores.people.change(joined, mail=MAIL)
    draft = await stores.drafts.create(
        channel=running.channel,
        creator=account.party,
        body={"title": "Zqmarkertitle", "story": STORY * OVER_A_PAGE},
        at=NOW,
    )
    await stores.drafts.edit(draft.id, revision=draft.revision, body={"story": STORY}, at=NOW)
    await stores.addresses.save(address(account.party))
    await stores.addresses.save(address(joined))
    rows = await _rows_everywhere(running.platform, account.party)
    keys = await _keys(running.platform, (account.party, joined))
    said = [text.encode() for text in (*_SAID, "Zqmarkertitle", "Zqmarkerpen", "zq-marker-old")]
    return Planted(
        account.party,
        frozenset((account.party, joined)),
        (*said, *(text.encode() for text in rows), *keys),
    )


def address(party: str) -> Address:
    """Where somebody lives."""
    return Address(
        campaign=new_id(),
        no=1,
        party=party,
        name=NAME,
        phone="zqmarker0155501",
        country="BR",
        province="SP",
        city="Campinas",
        district="",
        street=STREET,
        postal_code="13000",
        given_at=NOW,
    )


async def _rows_everywhere(platform: Platform, party: str) -> list[str]:
    """A row about them in every table, with a text of its own in each field that goes."""
    planted: list[str] = []
    async with platform.people.begin() as connection:
        for table in TABLES:
            holding = HOLDINGS.get(table.name)
            if holding is not None and table.name not in {"parties", "accounts", "sealed"}:
                await connection.execute(insert(table), _row(table, holding, party, planted))
    return planted


def _row(table: Table, holding: Holding, party: str, planted: list[str]) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in table.columns:
        kind = column.type.python_type
        if column.name in holding.actors:
            row[column.name] = f"staff:{party}"
        elif column.name in holding.parties:
            row[column.name] = party
        elif column.name in holding.mails:
            row[column.name] = MAIL
        elif column.name == holding.unless:
            continue
        elif kind is int:
            row[column.name] = NOW
        else:
            text = f"zqmarker-{table.name}-{column.name}"
            goes = holding.fate == "deleted" or column.name in holding.blank
            if goes:
                planted.append(text)
            else:
                text = text.replace("zqmarker", "stays")
            row[column.name] = text.encode() if kind is bytes else text
    return row


async def _keys(platform: Platform, parties: Iterable[str]) -> list[bytes]:
    """The keys of these parties, wrapped and as they are."""
    async with platform.people.connect() as connection:
        query = select(PARTIES.c.id, PARTIES.c.key).where(PARTIES.c.id.in_(list(parties)))
        found = (await connection.execute(query)).all()
    master = master_of(platform.people)
    return [key for row in found for key in (row.key, master.unwrap(row.id, row.key))]


# --- Looking -------------------------------------------------------------------------------------


def forms_of(marker: bytes) -> Iterator[bytes]:
    """A marker as it is, in hex, in base64 at each of its three beginnings, and in UTF-16."""
    yield marker
    yield marker.hex().encode()
    yield marker.hex().upper().encode()
    for skipped in range(3):
        whole = (len(marker) - skipped) // 3 * 3
        encoded = base64.b64encode(marker[skipped : skipped + whole])
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")
    try:
        text = marker.decode()
    except UnicodeDecodeError:
        return
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")


def found_in(folder: Path, markers: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Which files of a folder hold which markers, in whatever form."""
    looked_for = [(form, marker) for marker in markers for form in forms_of(marker)]
    return [
        (str(path.relative_to(folder)), marker)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for data in [path.read_bytes()]
        for form, marker in looked_for
        if form in data
    ]


def found_in_tables(database_url: str, markers: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """The same for every row of every table of a database, as it tells them."""
    found = []
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - quoted
            data = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in rows
                for value in row
            )
            found += [
                (table, marker) for marker in markers for form in forms_of(marker) if form in data
            ]
    return found


async def show_creator(running: Running, party: str) -> None:
    """Let somebody's name be among the words that are searched."""
    async with running.platform.people.begin() as connection:
        await connection.execute(
            update(PARTIES).where(PARTIES.c.id == party).values(display_name=NAME)
        )
    running.platform.follower.catch_up()
    running.platform.search.catch_up()
    running.platform.search.look_over()
