"""Reading and writing many rows of the log in one step of SQLite each.

Python's `sqlite3` gives up the interpreter's lock at every step of a statement, once per row. In
a process whose other threads compute, each of those steps waits to get the lock back: 4,096 rows
by `fetchall` or `executemany` then take about two seconds. So rows are written by statements of
many rows, and read packed into a single one: one step each, during which the other threads run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec

from app.log.ports import KeyEntry, LogRow

MAX_ROWS_PER_INSERT: Final = 1024
MAX_ROWS_PER_READ: Final = 10_000
"""Bounds the memory of one packed row."""

Value = int | str | bytes

_PACK: Final = """
    SELECT
        json_group_array(json_array(position, name, version, at, tag, length(body))),
        group_concat(CAST(body AS TEXT), '')
    FROM (
        SELECT e.position, s.name, e.version, e.at, e.tag, e.body
        FROM events e CROSS JOIN streams s ON s.id = e.stream
        WHERE {where} ORDER BY {order} LIMIT ?
    )"""

_columns = msgspec.json.Decoder(list[tuple[int, str, int, int, str, int]])
_keys = msgspec.json.Decoder(list[tuple[str, str, str, int, int, int]])


@cache
def packed(where: str, order: str) -> str:
    """Return the statement that reads rows `WHERE … ORDER BY … LIMIT ?` as a single one."""
    return _PACK.format(where=where, order=order)


def fetch(connection: sqlite3.Connection, statement: str, *values: Value) -> list[LogRow]:
    """Run a packed statement and return its rows."""
    columns, bodies = connection.execute(statement, values).fetchone()
    rows = []
    start = 0
    for position, stream, version, at, tag, size in _columns.decode(columns):
        end = start + size
        rows.append(LogRow(position, stream, version, at, tag, bodies[start:end]))
        start = end
    return rows


def fetch_after(
    connection: sqlite3.Connection, statement: str, *values: Value, limit: int | None
) -> list[LogRow]:
    """Run a packed statement page by page; the last of its values is what to read on from.

    Rows come in the order of their position, or of their version within one stream: whichever
    the statement compares with that value.
    """
    *fixed, last = values
    column = 2 if fixed else 0
    rows: list[LogRow] = []
    while limit is None or len(rows) < limit:
        step = MAX_ROWS_PER_READ if limit is None else min(MAX_ROWS_PER_READ, limit - len(rows))
        page = fetch(connection, statement, *fixed, last, step)
        rows += page
        if len(page) < step:
            break
        last = page[-1][column]
    return rows


def fetch_keys(connection: sqlite3.Connection, hashes: Sequence[bytes]) -> dict[bytes, KeyEntry]:
    """Return what the idempotency keys with these hashes led to."""
    found: dict[bytes, KeyEntry] = {}
    for start in range(0, len(hashes), MAX_ROWS_PER_INSERT):
        some = list(hashes[start : start + MAX_ROWS_PER_INSERT])
        (packed_keys,) = connection.execute(_select_keys(len(some)), some).fetchone()
        for key, digest, stream, version, position, count in _keys.decode(packed_keys):
            entry = KeyEntry(bytes.fromhex(digest), stream, version, position, count)
            found[bytes.fromhex(key)] = entry
    return found


@cache
def _select_keys(count: int) -> str:
    places = ",".join("?" * count)
    return f"""
        SELECT json_group_array(
            json_array(hex(k.key), hex(k.digest), s.name, k.version, k.position, k.count)
        )
        FROM keys k CROSS JOIN streams s ON s.id = k.stream WHERE k.key IN ({places})"""  # noqa: S608


@cache
def _insert(table: str, columns: int, rows: int) -> str:
    # OR FAIL keeps no undo journal for the statement: on an error the whole turn is rolled back.
    row = "(" + ",".join("?" * columns) + ")"
    return f"INSERT OR FAIL INTO {table} VALUES " + ",".join([row] * rows)  # noqa: S608


def insert_many(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert whole rows. After an error some of them stand: the caller must roll back."""
    start, step, total = 0, MAX_ROWS_PER_INSERT, len(rows)
    while start < total:
        while step > total - start:
            step //= 2  # powers of two: a few statements serve every number of rows
        values = list(chain.from_iterable(rows[start : start + step]))
        connection.execute(_insert(table, len(rows[0]), step), values)
        start += step
