"""Amounts and times in words, whatever a damaged log says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from domain.money import EXPONENTS, format_minor

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def time_text(at: int) -> str:
    """Write ms UTC as ISO 8601 with milliseconds; as a number where the calendar ends."""
    try:
        moment = EPOCH + at * MILLISECOND
    except OverflowError:
        return f"{at} ms after 1970"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money_text(amount_minor: int, currency: str) -> str:
    """Write an amount with its currency; in minor units where there is no such currency."""
    if currency in EXPONENTS:
        return format_minor(amount_minor, currency)
    return f"{currency} {amount_minor} (minor units)"
