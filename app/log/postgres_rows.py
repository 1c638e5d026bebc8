"""Reading and writing many rows of the log in few round trips to PostgreSQL."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg.types.numeric import Int4, Int8

from app.log.ports import KeyEntry, LogRow, NewKey, NewRow
from app.log.postgres_connection import Connection

LEAST_COPY: Final = 10
"""From so many rows on they are copied: less work for both sides, but one round trip more."""
MAX_ROWS_PER_READ: Final = 10_000
"""Bounds the memory of one answer of the server."""
KNOWN_STREAMS: Final = 200_000
"""How many streams' names or numbers are kept in memory."""

_COPY: Final = "COPY log.events FROM STDIN (FORMAT BINARY)"
_INSERT: Final = """
    INSERT INTO log.events (position, stream, version, at, tag, body)
    SELECT * FROM unnest(
        %b::bigint[], %b::integer[], %b::integer[], %b::bigint[], %b::text[], %b::bytea[]
    )"""
_INSERT_KEYS: Final = """
    INSERT INTO log.keys (key, digest, stream, version, position, count)
    SELECT * FROM unnest(
        %b::bytea[], %b::bytea[], %b::integer[], %b::integer[], %b::bigint[], %b::integer[]
    )"""
_INSERT_STREAMS: Final = """
    INSERT INTO log.streams (id, name) SELECT * FROM unnest(%b::integer[], %b::text[])"""
_SELECT_KEYS: Final = """
    SELECT key, digest, stream, version, position, count FROM log.keys
    WHERE key = ANY(%b::bytea[])"""
_SELECT_NAMES: Final = "SELECT id, name FROM log.streams WHERE id = ANY(%b::integer[])"

_BODIES: Final = """
    SELECT min(position), max(position), array_agg(tag), string_agg(body, ',')
    FROM (
        SELECT position, tag, body FROM log.events WHERE position > %b ORDER BY position LIMIT %b
    ) e"""

# PostgreSQL's binary COPY: a signature, each row as its number of fields and each field with its
# length before it, and an end mark.
_COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END: Final = b"\xff\xff"
_columns = struct.Struct("!hiqiiiiiqi").pack
_length = struct.Struct("!i").pack

_new_row = tuple.__new__


def selecting(where: str, order: str) -> str:
    """Return the statement that reads events `WHERE … ORDER BY … LIMIT %s`."""
    return (
        "SELECT position, stream, version, at, tag, body FROM log.events"  # noqa: S608 - our own
        f" WHERE {where} ORDER BY {order} LIMIT %s"
    )


class StreamNames:
    """The names of the streams by their numbers, which never change, as they were met."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, connection: Connection, numbers: set[int]) -> dict[int, str]:
        """Return a mapping that has the names of these numbers."""
        known = self._known
        missing = numbers - known.keys()
        if missing:
            if len(known) + len(missing) > KNOWN_STREAMS:
                known = self._known = {}
                missing = numbers
            wanted = [Int4(number) for number in missing]
            found = connection.execute(_SELECT_NAMES, (wanted,), prepare=True, binary=True)
            known.update((number, name) for number, name in found)
        return known


def fetch(
    connection: Connection, names: StreamNames, statement: str, *values: object
) -> list[LogRow]:
    """Run a statement of `selecting` and return its rows."""
    found = connection.execute(statement, values, prepare=True, binary=True).fetchall()
    known = names.of(connection, {row[1] for row in found})
    return [
        _new_row(LogRow, (position, known[stream], version, at, tag, body))
        for position, stream, version, at, tag, body in found
    ]


def fetch_after(
    connection: Connection,
    names: StreamNames,
    statement: str,
    *values: Any,  # noqa: ANN401 - what SQL takes
    limit: int | None,
) -> list[LogRow]:
    """Run a statement page by page; the last of its values is what to read on from.

    Rows come in the order of their position, or of their version within one stream: whichever
    the statement compares with that value.
    """
    *fixed, last = values
    column = 2 if fixed else 0
    rows: list[LogRow] = []
    while limit is None or len(rows) < limit:
        step = MAX_ROWS_PER_READ if limit is None else min(MAX_ROWS_PER_READ, limit - len(rows))
        page = fetch(connection, names, statement, *fixed, Int8(last), Int8(step))
        rows += page
        if len(page) < step:
            break
        last = page[-1][column]
    return rows


def fetch_bodies(
    connection: Connection, after: int, limit: int
) -> tuple[int, int, list[str], bytes] | None:
    """Return the rows after a position in one piece: where they begin and end, their tags, and a
    JSON list of their bodies; None where there is none.
    """
    values = (Int8(after), Int8(limit))
    found = connection.execute(_BODIES, values, prepare=True, binary=True).fetchone()
    assert found is not None, "an aggregate returns a row"
    first, last, tags, bodies = found
    return None if first is None else (first, last, tags, b"[%b]" % bodies)


def fetch_keys(
    connection: Connection, names: StreamNames, hashes: Sequence[bytes]
) -> dict[bytes, KeyEntry]:
    """Return what the idempotency keys with these hashes led to."""
    if not hashes:
        return {}
    cursor = connection.execute(_SELECT_KEYS, (list(hashes),), prepare=True, binary=True)
    found = cursor.fetchall()
    known = names.of(connection, {row[2] for row in found})
    return {
        key: KeyEntry(digest, known[stream], version, position, count)
        for key, digest, stream, version, position, count in found
    }


def copy_events(connection: Connection, rows: Sequence[NewRow]) -> None:
    """Insert many events in one statement."""
    with connection.cursor().copy(_COPY) as copy:
        copy.write(encode_copy(rows))


def encode_copy(rows: Iterable[NewRow]) -> bytes:
    """Return events as PostgreSQL's binary COPY takes them.

    psycopg's own `write_row` costs as much, but stops for the network sixty times in a turn of
    4,096, and each time waits for the interpreter's lock where other threads compute.
    """
    parts = [_COPY_BEGIN]
    add = parts.extend
    tags: dict[str, bytes] = {}
    for position, stream, version, at, tag, body in rows:
        known = tags.get(tag)
        if known is None:
            known = tags[tag] = tag.encode()
        head = _columns(6, 8, position, 4, stream, 4, version, 8, at, len(known))
        add((head, known, _length(len(body)), body))
    parts.append(_COPY_END)
    return b"".join(parts)


def insert_events(connection: Connection, rows: Sequence[NewRow]) -> None:
    """Insert few events in one statement."""
    positions, streams, versions, times, tags, bodies = zip(*rows, strict=True)
    values = (_int8s(positions), _int4s(streams), _int4s(versions), _int8s(times))
    connection.execute(_INSERT, (*values, list(tags), list(bodies)), prepare=True)


def insert_keys(connection: Connection, keys: Sequence[NewKey]) -> None:
    """Insert idempotency keys in one statement."""
    hashes, digests, streams, versions, positions, counts = zip(*keys, strict=True)
    numbers = (_int4s(streams), _int4s(versions), _int8s(positions), _int4s(counts))
    connection.execute(_INSERT_KEYS, (list(hashes), list(digests), *numbers), prepare=True)


def insert_streams(connection: Connection, numbers: dict[str, int]) -> None:
    """Insert streams in one statement."""
    values = (_int4s(numbers.values()), list(numbers))
    connection.execute(_INSERT_STREAMS, values, prepare=True)


# The kind of number is said, or each size of numbers would be a statement of its own.
def _int4s(numbers: Iterable[int]) -> list[Int4]:
    return [Int4(number) for number in numbers]


def _int8s(numbers: Iterable[int]) -> list[Int8]:
    return [Int8(number) for number in numbers]
