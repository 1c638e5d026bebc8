"""Times as people read them. Pages name the zone, so that nobody has to guess: it is UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct

_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999: later times are shown as this one."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_SHOW_DAYS_FROM_MS: Final = 2 * DAY_MS
_SHOW_HOURS_FROM_MS: Final = 2 * HOUR_MS


def moment(at: int) -> datetime:
    """The time of so many milliseconds since 1970, UTC, within the years 1970 to 9999."""
    return datetime.fromtimestamp(min(max(at, 0), _LAST_MS) / 1000, tz=UTC)


def day(at: int) -> str:
    """Write the day: `12 March 2026`."""
    found = moment(at)
    return f"{found.day} {found:%B %Y}"


def short_day(iso_day: str) -> str:
    """Write a day given as `2026-03-12` briefly: `12 Mar`."""
    found = datetime.fromisoformat(iso_day)
    return f"{found.day} {found:%b}"


def minute(at: int) -> str:
    """Write the day and the minute: `12 March 2026, 23:59 UTC`."""
    return f"{day(at)}, {moment(at):%H:%M} UTC"


def month(at: int) -> str:
    """Write the month: `March 2026`."""
    return f"{moment(at):%B %Y}"


class Left(Struct, frozen=True):
    """How long something lasts still, in the one unit that matters."""

    number: int
    unit: Literal["day", "hour", "minute"]


def time_left(until: int, now: int) -> Left:
    """How long it is until then, at least a minute; rounded down, as nobody should come late."""
    rest = until - now
    if rest >= _SHOW_DAYS_FROM_MS:
        return Left(rest // DAY_MS, "day")
    if rest >= _SHOW_HOURS_FROM_MS:
        return Left(rest // HOUR_MS, "hour")
    return Left(max(1, rest // MINUTE_MS), "minute")
