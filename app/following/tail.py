"""What the followers of a process share: one reading of the log."""

from __future__ import annotations

from typing import Protocol

from app.log import LogRow, SQLiteLog, decode_row
from app.log.postgres import PostgresLog
from projections.reading import Reading, Tail


class Rows(Protocol):
    """A log whose rows can be read."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows after a position, in order."""


def tail_of(log: SQLiteLog | PostgresLog, *, with_bodies: bool = False) -> Tail:
    """The tail of a log, read in the cheapest way it has; perhaps with the facts as stored."""
    return Tail(log.read, log.read_bodies, with_bodies=with_bodies)


def require_readable(log: Rows, reading: Reading) -> None:
    """Raise UnreadableEvent where a reading ends before a fact that this code does not know."""
    if reading.fault is not None:
        for row in log.read(reading.last, 1):
            decode_row(row)
        raise reading.fault
