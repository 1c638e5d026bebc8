"""A forger's hand: what somebody who has the log's file can do to it. For tests, benches, the demo.

Nothing here touches a platform's own file: `copy_log` copies it, having opened it for reading only,
and everything else works on the connection that `open_copy` made of a copy. Each change answers
with the first position that is no longer what was recorded.

`careful` is the hand of somebody who knows the log: columns, versions, positions and keys are made
to fit again, and bodies are written by the one encoder. What such a hand changed no column tells.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.codec import decode, encode, tag_of
from domain.events import AnyEvent, PledgeMade

_AT: Final = "SELECT tag, body FROM events WHERE position = ?"
_LATER: Final = """
    SELECT position FROM events WHERE stream = ? AND version > ? ORDER BY version"""


def copy_log(source: Path, target: Path) -> None:
    """Copy a log's file as it is at this moment; it is opened for reading only."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")


def open_copy(path: Path) -> sqlite3.Connection:
    """Open a copy past every guard. Each statement commits, unless a savepoint is open."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    for trigger in ("events_stay", "events_are_final"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    return connection


# --- Looking -------------------------------------------------------------------------------------


def body_at(copy: sqlite3.Connection, position: int) -> bytes:
    """The stored bytes there. Raises LookupError."""
    return _row(copy, position)[1]


def event_at(copy: sqlite3.Connection, position: int) -> AnyEvent:
    """The fact there. Raises LookupError, and what `decode` raises."""
    return decode(*_row(copy, position))


def _row(copy: sqlite3.Connection, position: int) -> tuple[str, bytes]:
    row = copy.execute(_AT, (position,)).fetchone()
    if row is None:
        raise LookupError(f"there is no position {position}")
    return row[0], row[1]


# --- One row -------------------------------------------------------------------------------------


def set_body(copy: sqlite3.Connection, position: int, body: bytes) -> int:
    """Store other bytes there; the columns stay."""
    copy.execute("UPDATE events SET body = ? WHERE position = ?", (body, position))
    return position


def flip_bit(copy: sqlite3.Connection, position: int, bit: int) -> int:
    """Turn one bit of the stored bytes over, counted from the first one's lowest."""
    body = bytearray(body_at(copy, position))
    body[bit // 8 % len(body)] ^= 1 << bit % 8
    return set_body(copy, position, bytes(body))


def rewrite(copy: sqlite3.Connection, position: int, **facts: Any) -> int:  # noqa: ANN401 - any field's
    """Let the event there say something else, in the encoder's own bytes, with true columns."""
    return put(copy, position, msgspec.structs.replace(event_at(copy, position), **facts))


def put(copy: sqlite3.Connection, position: int, event: AnyEvent) -> int:
    """Store an event in the place of another one, with columns that say the same."""
    copy.execute(
        "UPDATE events SET stream = ?, version = ?, at = ?, tag = ?, body = ? WHERE position = ?",
        (*_columns(copy, event), position),
    )
    return position


def _columns(copy: sqlite3.Connection, event: AnyEvent) -> tuple[int, int, int, str, bytes]:
    return _number(copy, event.stream), event.version, event.at, tag_of(event), encode(event)


def _number(copy: sqlite3.Connection, stream: str) -> int:
    row = copy.execute("SELECT id FROM streams WHERE name = ?", (stream,)).fetchone()
    if row is not None:
        return int(row[0])
    made = copy.execute("INSERT INTO streams (name) VALUES (?)", (stream,)).lastrowid
    assert made is not None, "a row was just inserted"
    return made


# --- Rows that come and go -----------------------------------------------------------------------


def remove(copy: sqlite3.Connection, position: int, *, careful: bool = False) -> int:
    """Delete an event; carefully: all behind it moves up, and its stream is numbered anew."""
    stream, version = copy.execute(
        "SELECT stream, version FROM events WHERE position = ?", (position,)
    ).fetchone()
    copy.execute("DELETE FROM events WHERE position = ?", (position,))
    if careful:
        copy.execute(
            "UPDATE keys SET count = count - 1 WHERE position <= ?1 AND ?1 < position + count",
            (position,),
        )
        _move(copy, position, -1)
        _renumber(copy, stream, version, -1)
    return position


def insert(
    copy: sqlite3.Connection, position: int, event: AnyEvent, *, careful: bool = False
) -> int:
    """Put an event there, and all from there on one place further back.

    As it comes, its version may be taken already: sqlite3.IntegrityError. Carefully: it takes its
    place among those of its stream and the time of who stands before it.
    """
    _move(copy, position - 1, 1)
    if careful:
        stream = _number(copy, event.stream)
        (before,) = copy.execute(
            "SELECT coalesce(max(version), 0) FROM events WHERE stream = ? AND position < ?",
            (stream, position),
        ).fetchone()
        _renumber(copy, stream, before, 1)
        earlier = copy.execute(
            "SELECT at FROM events WHERE position < ? ORDER BY position DESC LIMIT 1", (position,)
        ).fetchone()
        event = msgspec.structs.replace(
            event, version=before + 1, at=earlier[0] if earlier else event.at
        )
    copy.execute(
        "INSERT INTO events (stream, version, at, tag, body, position) VALUES (?, ?, ?, ?, ?, ?)",
        (*_columns(copy, event), position),
    )
    return position


def swap(copy: sqlite3.Connection, one: int, other: int, *, careful: bool = False) -> int:
    """Let two events change places; carefully: each takes the other's time, version and number.

    Carefully, both have to be of the same stream.
    """
    first, second = event_at(copy, one), event_at(copy, other)
    if not careful:
        copy.execute("UPDATE events SET position = -1 WHERE position = ?", (one,))
        copy.execute("UPDATE events SET position = ? WHERE position = ?", (one, other))
        copy.execute("UPDATE events SET position = ? WHERE position = -1", (other,))
        return min(one, other)
    copy.execute("UPDATE events SET version = -1 WHERE position = ?", (one,))
    put(copy, other, _in_the_place_of(second, first))
    return min(put(copy, one, _in_the_place_of(first, second)), other)


def _in_the_place_of(place: AnyEvent, event: AnyEvent) -> AnyEvent:
    """An event as it would be, had it come when the other one did."""
    moved = msgspec.structs.replace(event, version=place.version, at=place.at)
    if isinstance(moved, PledgeMade) and isinstance(place, PledgeMade):
        return msgspec.structs.replace(moved, no=place.no)
    return moved


def truncate(copy: sqlite3.Connection, size: int) -> int:
    """Forget all events behind so many, and their keys."""
    copy.execute("DELETE FROM events WHERE position > ?", (size,))
    copy.execute("DELETE FROM keys WHERE position + count - 1 > ?", (size,))
    return size + 1


def _move(copy: sqlite3.Connection, after: int, by: int) -> None:
    """Move all events behind a position; by way of negative ones, as each is there once."""
    copy.execute("UPDATE events SET position = -position WHERE position > ?", (after,))
    copy.execute("UPDATE events SET position = ? - position WHERE position < 0", (by,))
    copy.execute("UPDATE keys SET position = position + ? WHERE position > ?", (by, after))


def _renumber(copy: sqlite3.Connection, stream: int, after: int, by: int) -> None:
    """Count the versions of a stream anew behind one of them, in columns and bodies."""
    later = [position for (position,) in copy.execute(_LATER, (stream, after))]
    for position in later if by < 0 else reversed(later):
        event = event_at(copy, position)
        put(copy, position, msgspec.structs.replace(event, version=event.version + by))
    copy.execute(
        "UPDATE keys SET version = version + ? WHERE stream = ? AND version > ?",
        (by, stream, after),
    )


# --- What changed --------------------------------------------------------------------------------


def differing(before: sqlite3.Connection, after: sqlite3.Connection) -> Iterator[int]:
    """The positions at which two logs do not hold the same bytes, in order."""
    statement = "SELECT position, body FROM events ORDER BY position"
    mine, theirs = before.execute(statement), after.execute(statement)
    left, right = mine.fetchone(), theirs.fetchone()
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            yield left[0]
            left = mine.fetchone()
        elif left is None or right[0] < left[0]:
            yield right[0]
            right = theirs.fetchone()
        else:
            if left[1] != right[1]:
                yield left[0]
            left, right = mine.fetchone(), theirs.fetchone()
