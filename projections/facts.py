"""A fact with its place in the log, and how views number what they know."""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct

from domain.events import AnyEvent
from domain.terms import DAY_MS

NO_BITS: Final = 28
"""Bits of a pledge's key that hold its number: 268 million pledges a campaign."""

MAX_NO: Final = (1 << NO_BITS) - 1

_EPOCH: Final = date(1970, 1, 1).toordinal()


class Fact(Struct, frozen=True, gc=False):
    """An event at its position. `campaign` is the campaign's key: where it was submitted.

    A key that follows from the log alone is the same in every rebuild.
    """

    position: int
    campaign: int
    event: AnyEvent


def pledge_key(campaign: int, no: int) -> int:
    """The key of a campaign's pledge: pledges of a campaign lie together, in their order."""
    assert 0 <= no <= MAX_NO, "a campaign has more pledges than a key can tell apart"
    return campaign << NO_BITS | no


def day_of(at: int) -> int:
    """The UTC day of a time in ms, counted from 1970-01-01."""
    return at // DAY_MS


def iso_day(day: int) -> str:
    """A day as people write it: `2026-05-03`."""
    return date.fromordinal(_EPOCH + day).isoformat()
