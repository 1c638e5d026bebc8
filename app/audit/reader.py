"""The log as an auditor reads it: for reading only, page by page, and never trusting a column."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from app.log import LogRow, decode_row
from domain.events import AnyEvent

PAGE_ROWS: Final = 10_000
"""Rows of one read. Each read is a transaction of its own, so that a server's log can move on."""

CAMPAIGN: Final = "campaign:"
"""What the stream of a campaign begins with."""

UNNAMED: Final = "?"
"""The stream of a row whose stream has no name."""

_LOG_ID: Final = "SELECT value FROM meta WHERE name = 'log_id'"
_LAST: Final = "SELECT position, at FROM events ORDER BY position DESC LIMIT 1"
_ROWS: Final = """
    SELECT position, stream, version, at, tag, body FROM events
    WHERE position > ? ORDER BY position LIMIT ?"""
_SHARE_ROWS: Final = """
    SELECT position, stream, version, at, tag, body FROM events
    WHERE position > ? AND position <= ? AND stream % ? = ? ORDER BY position LIMIT ?"""
_STREAM_ROWS: Final = """
    SELECT position, ?, version, at, tag, body FROM events
    WHERE stream = ? AND version > ? AND position <= ? ORDER BY version LIMIT ?"""
_FIRST_FROM: Final = "SELECT at FROM events WHERE position >= ? ORDER BY position LIMIT 1"


_Stored = tuple[int, int, int, int, str, bytes]


class CannotAudit(Exception):  # noqa: N818 - a statement for a person
    """What was asked cannot be answered; the message is for the person who asked."""


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a SQLite file so that nothing can be written; raises CannotAudit where there is none.

    On a medium that cannot be written, a file that nobody has open is read as unchangeable:
    SQLite could not make the files beside it that readers share.
    """
    if not path.is_file():
        raise CannotAudit(f"There is no {path}.")
    path = path.resolve()  # beside what a link names, not beside the link, SQLite keeps its files
    location = f"{path.as_uri()}?mode=ro"
    shared = path.with_name(f"{path.name}-shm")
    if not os.access(path.parent, os.W_OK) and not shared.exists():
        location += "&immutable=1"
    connection = sqlite3.connect(location, uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _named(rows: list[_Stored], names: Mapping[int, str]) -> list[LogRow]:
    return [
        LogRow(position, names[stream], version, at, tag, body)
        for position, stream, version, at, tag, body in rows
    ]


class AuditLog:
    """The log's file, open for reading only. Used by one thread; close it after use.

    Raises CannotAudit where there is no log.
    """

    log_id: str

    def __init__(self, path: Path) -> None:
        self._connection = open_for_reading(path)
        self._names: dict[int, str] = {}
        try:
            (self.log_id,) = self._connection.execute(_LOG_ID).fetchone() or ("",)
        except sqlite3.DatabaseError as fault:
            self.close()
            raise CannotAudit(f"{path} is not an event log: {fault}.") from fault

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for questions that only the audit asks."""
        return self._connection

    def last(self) -> tuple[int, int]:
        """Return the last event's (position, at); (0, 0) for an empty log."""
        last: tuple[int, int] = self._connection.execute(_LAST).fetchone() or (0, 0)
        return last

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Return up to `limit` rows after a position, in order.

        A row whose stream has no name is among them, as of the stream `?`.
        """
        return self._rows(_ROWS, (after, limit))

    def _rows(self, statement: str, values: tuple[int, ...]) -> list[LogRow]:
        rows = self._connection.execute(statement, values).fetchall()
        try:
            return _named(rows, self._names)
        except KeyError:
            self._names = dict(self._connection.execute("SELECT id, name FROM streams"))
        return _named(rows, defaultdict(lambda: UNNAMED, self._names))

    def pages(self, up_to: int, share: int = 0, shares: int = 1) -> Iterator[list[LogRow]]:
        """Every row up to a position, page by page; of the `share`-th of so many shares of the
        streams.
        """
        after = 0
        while rows := self._rows(_SHARE_ROWS, (after, up_to, shares, share, PAGE_ROWS)):
            yield rows
            after = rows[-1].position

    def stream_rows(self, stream: str, up_to: int) -> Iterator[LogRow]:
        """The rows of one stream up to a position, in the order of their versions."""
        found = self._connection.execute("SELECT id FROM streams WHERE name = ?", (stream,))
        number = found.fetchone()
        after = 0
        while number is not None:
            values = (stream, number[0], after, up_to, PAGE_ROWS)
            rows = self._connection.execute(_STREAM_ROWS, values).fetchall()
            if not rows:
                return
            yield from map(LogRow._make, rows)
            after = rows[-1][2]

    def events_of(self, campaign_id: str, up_to: int) -> Iterator[tuple[int, AnyEvent]]:
        """One campaign's events with their positions, up to a position.

        Raises UnreadableEvent, and CannotAudit where a version is missing.
        """
        rows = self.stream_rows(CAMPAIGN + campaign_id, up_to)
        for version, row in enumerate(rows, 1):
            if row.version != version:
                raise CannotAudit(
                    f"Campaign {campaign_id} has no version {version:,}: `audit verify` tells more."
                )
            yield row.position, decode_row(row)

    def campaign_named(self, text: str) -> str:
        """Return the id of the one campaign that begins with `text`; raises CannotAudit."""
        start = CAMPAIGN + text.lower().removeprefix(CAMPAIGN)
        found = self._connection.execute(
            "SELECT name FROM streams WHERE name >= ? AND name < ? ORDER BY name LIMIT 2",
            (start, start + chr(0x10FFFF)),
        ).fetchall()
        if not found:
            raise CannotAudit(f"There is no campaign {text!r} in the log.")
        if len(found) > 1 and found[0][0] != start:
            raise CannotAudit(f"More than one campaign begins with {text!r}: give more of its id.")
        return str(found[0][0]).removeprefix(CAMPAIGN)

    def position_at(self, at: int) -> int:
        """Return the last position recorded at or before a time, ms UTC; 0 where there is none."""
        low, high = 0, self.last()[0]
        while low < high:
            middle = (low + high + 1) // 2
            (found,) = self._connection.execute(_FIRST_FROM, (middle,)).fetchone()
            if found <= at:
                low = middle
            else:
                high = middle - 1
        return low

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
