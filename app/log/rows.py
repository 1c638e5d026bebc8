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
from itertools import accumulate, chain
from typing import Any, Final

import msgspec

from app.log.ports import KeyEntry, LogRow

MAX_ROWS_PER_INSERT: Final = 1024
MAX_ROWS_PER_READ: Final = 10_000
"""Bounds the memory of one packed row."""

Value = int | str | bytes

KNOWN_STREAMS: Final = 200_000
"""How many streams' names or numbers are kept in memory."""

# Columns side by side take half the time of an array per row.
_PACK: Final = """
    SELECT
        json_group_array(position), json_group_array(stream), json_group_array(version),
        json_group_array(at), json_group_array(tag), json_group_array(length(body)),
        group_concat(CAST(body AS TEXT), '')
    FROM (
        SELECT e.position, e.stream, e.version, e.at, e.tag, e.body
        FROM events e WHERE {where} ORDER BY {order} LIMIT ?
    )"""
_BODIES: Final = """
    SELECT min(position), max(position), json_group_array(tag),
        group_concat(CAST(body AS TEXT), ',')
    FROM (SELECT position, tag, body FROM events WHERE position > ? ORDER BY position LIMIT ?)"""
_NAMES: Final = """
    SELECT json_group_array(json_array(id, name)) FROM streams
    WHERE id IN (SELECT value FROM json_each(?))"""

_numbers = msgspec.json.Decoder(list[int])
_texts = msgspec.json.Decoder(list[str])
_names = msgspec.json.Decoder(list[tuple[int, str]])
_keys = msgspec.json.Decoder(list[tuple[str, str, str, int, int, int]])


class StreamNames:
    """The names of the streams by their numbers, which never change, as they were met."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, connection: sqlite3.Connection, numbers: set[int]) -> dict[int, str]:
        """Return a mapping that has the names of these numbers."""
        known = self._known
        missing = numbers - known.keys()
        if missing:
            if len(known) + len(missing) > KNOWN_STREAMS:
                known = self._known = {}
                missing = numbers
            wanted = msgspec.json.encode(list(missing)).decode()
            (found,) = connection.execute(_NAMES, (wanted,)).fetchone()
            known.update(_names.decode(found))
        return known


@cache
def packed(where: str, order: str) -> str:
    """Return the statement that reads rows `WHERE … ORDER BY … LIMIT ?` as a single one."""
    return _PACK.format(where=where, order=order)


def fetch(
    connection: sqlite3.Connection, names: StreamNames, statement: str, *values: Value
) -> list[LogRow]:
    """Run a packed statement and return its rows."""
    packed_columns = connection.execute(statement, values).fetchone()
    positions, streams, versions, times = map(_numbers.decode, packed_columns[:4])
    known = names.of(connection, set(streams))
    bodies = packed_columns[6]
    ends = list(accumulate(_numbers.decode(packed_columns[5])))
    return list(
        map(
            LogRow,
            positions,
            map(known.__getitem__, streams),
            versions,
            times,
            _texts.decode(packed_columns[4]),
            [bodies[start:end] for start, end in zip([0, *ends], ends, strict=False)],
        )
    )


def fetch_after(
    connection: sqlite3.Connection,
    names: StreamNames,
    statement: str,
    *values: Value,
    limit: int | None,
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
        page = fetch(connection, names, statement, *fixed, last, step)
        rows += page
        if len(page) < step:
            break
        last = page[-1][column]
    return rows


def fetch_bodies(
    connection: sqlite3.Connection, after: int, limit: int
) -> tuple[int, int, list[str], bytes] | None:
    """Return the rows after a position in one piece: where they begin and end, their tags, and a
    JSON list of their bodies; None where there is none.
    """
    first, last, tags, bodies = connection.execute(_BODIES, (after, limit)).fetchone()
    return None if first is None else (first, last, _texts.decode(tags), b"[%b]" % bodies)


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
