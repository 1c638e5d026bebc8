"""Times as people read them."""

from __future__ import annotations

import pytest

from app.web import dates
from app.web.dates import Left, time_left
from app.web.language import speaking

NOON = 1_773_316_800_000  # 2026-03-12 12:00 UTC


def test_written() -> None:
    """A day, a minute with its zone, a month."""
    assert dates.day(NOON) == "12 March 2026"
    assert dates.minute(NOON) == "12 March 2026, 12:00 UTC"
    assert dates.month(NOON) == "March 2026"
    assert dates.short_day("2026-03-02") == "2 Mar"


def test_written_in_chinese() -> None:
    """Year, month and day in their Chinese order."""
    with speaking("zh-Hans"):
        assert dates.day(NOON) == "2026年3月12日"
        assert dates.minute(NOON) == "2026年3月12日 12:00 UTC"
        assert dates.month(NOON) == "2026年3月"
        assert dates.short_day("2026-03-02") == "3月2日"


def test_lengths_of_time() -> None:
    """One is one, several are several; Chinese has one form."""
    assert dates.lasting(Left(1, "minute")) == "1 minute"
    assert dates.still(Left(3, "day")) == "3 days left"
    assert dates.in_days(14) == "14 days"
    with speaking("zh-Hans"):
        assert dates.lasting(Left(3, "day")) == "3天"
        assert dates.still(Left(47, "hour")) == "还剩47小时"


@pytest.mark.parametrize("at", [-1, 10**18, 2**80])
def test_no_time_is_too_far(at: int) -> None:
    """A time that no calendar has is shown as the nearest one that it has."""
    assert dates.day(at) in ("1 January 1970", "31 December 9999")


@pytest.mark.parametrize(
    ("rest_ms", "left"),
    [
        (72 * 3_600_000, Left(3, "day")),
        (47 * 3_600_000, Left(47, "hour")),
        (119 * 60_000, Left(119, "minute")),
        (1, Left(1, "minute")),
    ],
)
def test_time_left(rest_ms: int, left: Left) -> None:
    """The unit that matters, rounded down, and never nothing."""
    assert time_left(NOON + rest_ms, NOON) == left
