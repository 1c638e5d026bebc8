"""Two SQLite files row by row: what one has and the other has not, or has otherwise."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

_PAGE: Final = 1_000

_TABLES: Final = """
    SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name
    """

Row = tuple[Any, ...]


class Difference(Struct, frozen=True):
    """One place where the live views are not what the log says.

    `key` is the row's, by column. A row that the log gives and the live views lack is `missing`
    there, one that only they have is `extra`; of a `different` one `column` is told, live and as
    replayed. A whole table may be missing or extra.
    """

    kind: Literal["missing", "extra", "different"]
    table: str
    key: dict[str, Any]
    column: str = ""
    live: Any = None
    replayed: Any = None

    def __str__(self) -> str:
        row = " ".join(f"{name}={value!r}" for name, value in self.key.items())
        place = f"{self.table} {row}" if row else f"the table {self.table}"
        match self.kind:
            case "missing":
                return f"{place}: missing in the live views"
            case "extra":
                return f"{place}: only in the live views"
            case "different":
                return f"{place} {self.column}: live {self.live!r}, replayed {self.replayed!r}"


class Table(Struct, frozen=True):
    """A table's columns, and which of them tell its rows apart, in the order of the key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def query(self) -> str:
        """All rows in the order of the key."""
        columns = ", ".join(f'"{name}"' for name in self.columns)
        key = ", ".join(f'"{name}"' for name in self.key)
        return f'SELECT {columns} FROM "{self.name}" ORDER BY {key}'  # noqa: S608 - from the schema


def tables_of(connection: sqlite3.Connection) -> dict[str, Table]:
    """Every table of a file by its name. A table without a key is told apart by all columns."""
    found = {}
    for (name,) in connection.execute(_TABLES).fetchall():
        info = connection.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
        columns = tuple(column for column, _ in info)
        key = tuple(column for column, place in sorted(info, key=lambda c: c[1]) if place)
        found[name] = Table(name, columns, key or columns)
    return found


def count_rows(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many tables a file has, and how many rows they have together."""
    names = tables_of(connection)
    rows = 0
    for name in names:
        (count,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()  # noqa: S608
        rows += count
    return len(names), rows


def digests(connection: sqlite3.Connection, leaving_out: frozenset[str]) -> dict[str, str]:
    """The SHA-256 of each table's rows in hex digits, by its name: of a JSON array of each row on a
    line of its own, in the order of the table's key.
    """
    found = {}
    encoder = msgspec.json.Encoder()
    for name, table in tables_of(connection).items():
        if name in leaving_out:
            continue
        digest = hashlib.sha256()
        rows = connection.execute(table.query)
        while page := rows.fetchmany(_PAGE):
            digest.update(encoder.encode_lines(page))
        found[name] = digest.hexdigest()
    return found


def differences(live: sqlite3.Connection, replayed: sqlite3.Connection) -> Iterator[Difference]:
    """Every difference between two files, table by table, in bounded memory."""
    theirs, ours = tables_of(live), tables_of(replayed)
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in theirs or (name in ours and theirs[name] != ours[name]):
            yield Difference("missing", name, {})
        elif name not in ours:
            yield Difference("extra", name, {})
        else:
            yield from _in_table(ours[name], live, replayed)


def _in_table(
    table: Table, live: sqlite3.Connection, replayed: sqlite3.Connection
) -> Iterator[Difference]:
    """Go through both in the order of the key, as one merges two sorted lists."""
    theirs, ours = live.execute(table.query), replayed.execute(table.query)
    places = [table.columns.index(name) for name in table.key]

    def key_of(row: Row) -> Row:  # as SQLite orders: nothing comes first
        return tuple((row[place] is not None, row[place]) for place in places)

    def named(row: Row) -> dict[str, Any]:
        return {table.columns[place]: row[place] for place in places}

    pages = theirs.fetchmany(_PAGE), ours.fetchmany(_PAGE)
    while pages[0] and pages[0] == pages[1]:  # most are, and whole pages are quickly compared
        pages = theirs.fetchmany(_PAGE), ours.fetchmany(_PAGE)
    lefts: Iterator[Row] = chain(pages[0], theirs)
    rights: Iterator[Row] = chain(pages[1], ours)
    left, right = next(lefts, None), next(rights, None)
    while left is not None or right is not None:
        if left == right:
            left, right = next(lefts, None), next(rights, None)
        elif left is not None and (right is None or key_of(left) < key_of(right)):
            yield Difference("extra", table.name, named(left))
            left = next(lefts, None)
        elif right is not None and (left is None or key_of(right) < key_of(left)):
            yield Difference("missing", table.name, named(right))
            right = next(rights, None)
        else:
            assert left is not None, "two rows with one key"
            assert right is not None, "the same"
            for column, was, now in zip(table.columns, left, right, strict=True):
                if was != now:
                    yield Difference("different", table.name, named(left), column, was, now)
            left, right = next(lefts, None), next(rights, None)
