"""Times as people read them, in the page's language. Pages name the zone, so that nobody has to
guess: it is UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from babel.dates import format_date, format_datetime
from msgspec import Struct

from app.web.language import current, locale, ngettext, pgettext

_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999: later times are shown as this one."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_SHOW_DAYS_FROM_MS: Final = 2 * DAY_MS
_SHOW_HOURS_FROM_MS: Final = 2 * HOUR_MS

_DAY: Final = {"en": "d MMMM y", "zh-Hans": "y年M月d日"}
_SHORT_DAY: Final = {"en": "d MMM", "zh-Hans": "M月d日"}
_MINUTE: Final = {"en": "d MMMM y, HH:mm", "zh-Hans": "y年M月d日 HH:mm"}
_MONTH: Final = {"en": "MMMM y", "zh-Hans": "y年M月"}


def moment(at: int) -> datetime:
    """The time of so many milliseconds since 1970, UTC, within the years 1970 to 9999."""
    return datetime.fromtimestamp(min(max(at, 0), _LAST_MS) / 1000, tz=UTC)


def day(at: int) -> str:
    """Write the day: `12 March 2026`, `2026年3月12日`."""
    return format_date(moment(at).date(), _DAY[current()], locale=locale())


def short_day(iso_day: str) -> str:
    """Write a day given as `2026-03-12` briefly: `12 Mar`, `3月12日`."""
    return format_date(
        datetime.fromisoformat(iso_day).date(), _SHORT_DAY[current()], locale=locale()
    )


def minute(at: int) -> str:
    """Write the day and the minute: `12 March 2026, 23:59 UTC`, `2026年3月12日 23:59 UTC`."""
    written = format_datetime(moment(at), _MINUTE[current()], tzinfo=UTC, locale=locale())
    return f"{written} UTC"


def month(at: int) -> str:
    """Write the month: `March 2026`, `2026年3月`."""
    return format_date(moment(at).date(), _MONTH[current()], locale=locale())


def machine(at: int) -> str:
    """Write the time for programs, as the `datetime` of HTML: `2026-03-12T23:59:00Z`."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}"


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


def lasting(left: Left) -> str:
    """Write a length of time: `3 days`, `3天`."""
    match left.unit:
        case "day":
            said = ngettext("%(n)s day", "%(n)s days", left.number)
        case "hour":
            said = ngettext("%(n)s hour", "%(n)s hours", left.number)
        case "minute":
            said = ngettext("%(n)s minute", "%(n)s minutes", left.number)
    return said % {"n": left.number}


def still(left: Left) -> str:
    """Write how long something lasts still: `3 days left`, `还剩3天`."""
    return pgettext("time", "%(time)s left") % {"time": lasting(left)}


def in_days(days: int) -> str:
    """Write a number of days: `14 days`, `14天`."""
    return lasting(Left(days, "day"))
