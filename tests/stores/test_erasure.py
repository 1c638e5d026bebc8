"""What goes when a person asks: every table has said what it holds about people."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.accounts import Accounts
from app.stores.database import TABLES
from app.stores.erasure import HOLDINGS, IMPERSONAL, Erasure, Holding
from app.stores.people import People

PERSONAL = re.compile(r"(party|mail|address|owner|account|creator|backer|person|name|phone)$|_by$")
MAIL = "somebody@example.org"
PERSONAL_TABLES = [table for table in TABLES if table.name in HOLDINGS]


def test_every_table_says_what_it_holds_about_people() -> None:
    """A new table stands in one of the two lists; neither names one that is not there."""
    said = [*HOLDINGS, *IMPERSONAL]
    assert sorted(said) == sorted(table.name for table in TABLES)


def test_every_column_about_people_is_looked_at() -> None:
    """A column that sounds like a person's is matched, goes with its row, or is named here."""
    fine = {
        ("channels", "name"),
        ("mail_news", "name"),
        *(("card_tries", column) for column in ("person", "mail", "address")),
        *((table, "granted_by") for table in ("grants",)),
    }
    missed = []
    for table in TABLES:
        columns = {column.name for column in table.columns if PERSONAL.search(column.name)}
        if table.name in IMPERSONAL:
            missed += [(table.name, name) for name in columns if (table.name, name) not in fine]
            continue
        holding = HOLDINGS[table.name]
        known = {*holding.parties, *holding.actors, *holding.mails, *holding.blank}
        if holding.fate != "deleted":
            # An actor's random id may stay in a row that stays: without a name it is nobody.
            columns = {name for name in columns - known if not name.endswith("_by")}
            missed += [(table.name, name) for name in columns if (table.name, name) not in fine]
    assert [pair for pair in missed if pair not in fine] == []


def test_holdings_name_columns_that_exist() -> None:
    """Every column that a holding names is there, and what is blanked fits."""
    tables = {table.name: table for table in TABLES}
    for name, holding in HOLDINGS.items():
        columns = tables[name].columns
        named = {
            *(*holding.parties, *holding.actors, *holding.mails, *holding.secret),
            *holding.blank,
            *filter(None, [holding.unless]),
        }
        assert named <= set(columns.keys()), name
        assert all(
            value is not None or columns[column].nullable for column, value in holding.blank.items()
        ), name


async def test_others_are_left_alone(engine: AsyncEngine) -> None:
    """Nothing of anybody else goes, not even with an empty address in common."""
    accounts, people = Accounts(engine), People(engine)
    one = await accounts.open("one@example.org", at=1, display_name="One")
    two = await accounts.open("two@example.org", at=1, display_name="Two")
    nameless = await people.mint_backer(at=1)
    await Erasure(engine).erase([one.party], "one@example.org", at=2)
    assert await accounts.get(one.party) is None
    assert await accounts.get(two.party) == two
    assert (await people.get(two.party)).display_name == "Two"
    await Erasure(engine).erase([nameless], "", at=3)
    assert (await people.get(two.party)).forgotten_at is None
    assert await people.key_of(two.party) is not None


async def test_what_is_held_is_told_without_proofs(engine: AsyncEngine) -> None:
    """A row shows all but its secret columns."""
    accounts = Accounts(engine)
    one = await accounts.open("one@example.org", at=1, password_hash="secret hash")
    found = await Erasure(engine).held_about([one.party], "one@example.org")
    assert set(found) == {"accounts", "parties"}
    assert found["accounts"][0]["mail"] == "one@example.org"
    assert "password_hash" not in found["accounts"][0]
    assert "key" not in found["parties"][0]


async def test_every_row_meets_its_fate(engine: AsyncEngine, on_disk: Callable[[], bytes]) -> None:
    """With a row about somebody in every table: they are told all of them, and then none leads to
    them any more.
    """
    rows = {table.name: row_about(table, HOLDINGS[table.name]) for table in PERSONAL_TABLES}
    rows["pictures"]["draft"] = "one that was handed in"
    async with engine.begin() as connection:
        for table in PERSONAL_TABLES:
            await connection.execute(insert(table), rows[table.name])
    assert MAIL.encode() in on_disk()
    erasure = Erasure(engine)
    assert set(await erasure.held_about(["p-1"], MAIL)) == set(rows)

    await erasure.erase(["p-1"], MAIL, at=7)

    assert MAIL.encode() not in on_disk()
    async with engine.connect() as connection:
        left = {
            table.name: (await connection.execute(select(table))).mappings().all()
            for table in PERSONAL_TABLES
        }
    for name, holding in HOLDINGS.items():
        assert len(left[name]) == (holding.fate != "deleted"), name
        for column, blank in holding.blank.items():
            assert left[name][0][column] == (7 if column == "hidden_at" else blank), name
    assert left["parties"][0]["forgotten_at"] == 7


def row_about(table: Table, holding: Holding) -> dict[str, object]:
    """A row about party p-1 with every column that such a row can name them in."""
    plain: dict[type[object], object] = {int: 1, str: "w", bytes: b"w"}
    row: dict[str, object] = {}
    for column in table.columns:
        if column.name in holding.actors:
            row[column.name] = "staff:p-1"
        elif column.name in holding.parties:
            row[column.name] = "p-1"
        elif column.name in holding.mails:
            row[column.name] = MAIL
        elif not column.nullable:
            row[column.name] = plain[column.type.python_type]
    return row
