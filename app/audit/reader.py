"""The log as an auditor reads it: for reading only, page by page, and never trusting a column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from app.audit.sources import CannotAudit, LogPlace, Row, Source, open_for_reading, open_source
from app.log import LogRow, decode_row
from domain.events import AnyEvent
from domain.subject import SUBJECT

__all__ = ["AuditLog", "CannotAudit", "LogPlace", "StoredRow", "open_for_reading"]

PAGE_ROWS: Final = 10_000
"""Rows of one read. Each read is a transaction of its own, so that a server's log can move on."""

CAMPAIGN: Final = "campaign:"
"""What the stream of a campaign begins with."""

UNNAMED: Final = "?"
"""The stream of a row whose stream has no name."""

StoredRow = tuple[int, int, int, int, str, bytes]
"""A row as it is stored: position, the stream's number, version, at, tag, body."""

_COUNT: Final = "SELECT count(*) FROM events WHERE position <= ?"
_LOG_ID: Final = "SELECT value FROM meta WHERE name = 'log_id'"
_LAST: Final = "SELECT position, at FROM events ORDER BY position DESC LIMIT 1"
_ROWS: Final = """
    SELECT position, stream, version, at, tag, body FROM events
    WHERE position > ? ORDER BY position LIMIT ?"""
_ROWS_UP_TO: Final = """
    SELECT position, stream, version, at, tag, body FROM events
    WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"""
_SHARE_ROWS: Final = """
    SELECT position, stream, version, at, tag, body FROM events
    WHERE position > ? AND position <= ? AND stream % ? = ? ORDER BY position LIMIT ?"""
_SHARE_FACTS: Final = """
    SELECT position, tag, body FROM events
    WHERE position > ? AND position <= ? AND stream % ? = ? ORDER BY position LIMIT ?"""
_STREAM_ROWS: Final = """
    SELECT position, version, at, tag, body FROM events
    WHERE stream = ? AND version > ? AND position <= ? ORDER BY version LIMIT ?"""
_FIRST_OF: Final = """
    SELECT streams.name, min(events.position) FROM streams
    JOIN events ON events.stream = streams.id WHERE streams.name LIKE ? GROUP BY streams.name"""
_FIRST_FROM: Final = "SELECT at FROM events WHERE position >= ? ORDER BY position LIMIT 1"


class FactRow(NamedTuple):
    """What a fold needs of a row."""

    position: int
    tag: str
    body: bytes


class AuditLog:
    """The log, open for reading only. Used by one thread; close it after use.

    Raises CannotAudit where there is no log.
    """

    log_id: str

    def __init__(self, place: LogPlace) -> None:
        self.place = place
        self.source: Source = open_source(place)
        self._names: dict[int, str] = {}
        found = self.source.rows(_LOG_ID)
        self.log_id = found[0][0] if found else ""

    def last(self) -> tuple[int, int]:
        """Return the last event's (position, at); (0, 0) for an empty log."""
        found = self.source.rows(_LAST)
        return (found[0][0], found[0][1]) if found else (0, 0)

    def count(self, up_to: int) -> int:
        """How many events there are up to a position, whatever their positions say."""
        ((found,),) = self.source.rows(_COUNT, up_to)
        return int(found)

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Return up to `limit` rows after a position, in order.

        A row whose stream has no name is among them, as of the stream `?`.
        """
        rows = self.source.rows(_ROWS, after, limit)
        names = self.names_of(rows)
        return [LogRow(row[0], names[row[1]], *row[2:]) for row in rows]

    def names_of(self, rows: Sequence[Row]) -> Mapping[int, str]:
        """The names of the streams of some rows by their numbers; `?` where one has none."""
        if not {row[1] for row in rows} <= self._names.keys():
            found = self.source.rows("SELECT id, name FROM streams")
            self._names = defaultdict(lambda: UNNAMED, dict[int, str](found))
        return self._names

    def erased(self) -> dict[str, int]:
        """The persons of whose erasure the log knows, by the names of streams, and where it is."""
        found = self.source.rows(_FIRST_OF, f"{SUBJECT}%")
        return {name.removeprefix(SUBJECT): position for name, position in found}

    def pages(self, up_to: int, share: int = 0, shares: int = 1) -> Iterator[list[StoredRow]]:
        """Every row up to a position, page by page; of the `share`-th of so many shares of the
        streams.
        """
        after = 0
        while True:
            if shares == 1:
                rows = self.source.rows(_ROWS_UP_TO, after, up_to, PAGE_ROWS)
            else:
                rows = self.source.rows(_SHARE_ROWS, after, up_to, shares, share, PAGE_ROWS)
            if not rows:
                return
            yield rows
            after = rows[-1][0]

    def facts(self, after: int, up_to: int, share: int, shares: int, limit: int) -> list[FactRow]:
        """Some rows of a share of the streams, after a position and up to another."""
        rows = self.source.rows(_SHARE_FACTS, after, up_to, shares, share, limit)
        return list(map(FactRow._make, rows))

    def stream_rows(self, stream: str, up_to: int, at_once: int | None = None) -> Iterator[LogRow]:
        """The rows of one stream up to a position, in the order of their versions; so many are read
        at once.
        """
        found = self.source.rows("SELECT id FROM streams WHERE name = ?", stream)
        after = 0
        while found:
            rows = self.source.rows(_STREAM_ROWS, found[0][0], after, up_to, at_once or PAGE_ROWS)
            if not rows:
                return
            for position, version, at, tag, body in rows:
                yield LogRow(position, stream, version, at, tag, body)
            after = rows[-1][1]

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
        found = self.source.rows(self.source.names_from, start, start + chr(0x10FFFF))
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
            ((found,),) = self.source.rows(_FIRST_FROM, middle)
            if found <= at:
                low = middle
            else:
                high = middle - 1
        return low

    def close(self) -> None:
        """Close it."""
        self.source.close()
