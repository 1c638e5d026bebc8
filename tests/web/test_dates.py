"""Times as people read them."""

from __future__ import annotations

import pytest

from app.web import dates
from app.web.dates import Left, time_left

NOON = 1_773_316_800_000  # 2026-03-12 12:00 UTC


def test_written() -> None:
    """A day, a minute with its zone, a month."""
    assert dates.day(NOON) == "12 March 2026"
    assert dates.minute(NOON) == "12 March 2026, 12:00 UTC"
    assert dates.month(NOON) == "March 2026"
    assert dates.short_day("2026-03-02") == "2 Mar"


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
