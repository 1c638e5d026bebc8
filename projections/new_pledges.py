"""The pledges that a batch makes: by far the most of all facts, so they have a way of their own.

A new pledge is never an object. The columns of all of them are put side by side, sorted by key, and
written; numbers are summed by campaign, day and rewards. Only a pledge that another fact of the
same batch touches is taken out and becomes a row like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sqlalchemy import Connection

from domain import events as e
from domain.terms import DAY_MS, Line
from projections.facts import MAX_NO, NO_BITS
from projections.pledges import (
    BY_BACKER,
    BY_ID,
    NO_LINES,
    PLEDGES,
    SEGMENT_BITS,
    PledgeRow,
    lines_of,
)
from projections.rows import Writer, append_to
from projections.seen import bits_of_all

Integers = NDArray[np.int64]


class Together(Struct, gc=False):
    """Pledges of one campaign that were made on one day with the same rewards (JSON).

    `beyond` of them give more than the rewards cost. `position` is where the last was made.
    """

    campaign: int
    day: int
    lines: str
    pledges: int
    amount_minor: int
    beyond: int
    position: int


MadeTogether = Callable[[Together], None]
"""Told of pledges that were made, and stand as they were made when the batch ends."""

_json: Final = msgspec.json.Encoder()


class NewPledges:
    """The pledges that a batch makes, in the order of their keys.

    Each event is of the campaign and at the position that stand in the same place.
    """

    def __init__(
        self, events: Sequence[e.PledgeMade], campaigns: Sequence[int], positions: Sequence[int]
    ) -> None:
        nos = _integers([event.no for event in events])
        assert not len(nos) or nos.max() <= MAX_NO, "more pledges than a key can tell apart"
        keys = _integers(campaigns) << NO_BITS | nos
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.campaigns = self.keys >> NO_BITS
        self._positions = _integers(positions)[order]
        self._amounts = _integers([event.amount_minor for event in events])[order]
        self._made_at = _integers([event.at for event in events])[order]
        ordered = [events[place] for place in order.tolist()]
        self._lines = [_packed(event.lines) for event in ordered]
        self._ids = [event.pledge_id for event in ordered]
        self._backers = [event.backer for event in ordered]
        self._destinations = [event.destination for event in ordered]
        self._visibilities = [event.visibility for event in ordered]
        self.bits = bits_of_all(self._backers)
        self._kept = np.ones(len(keys), np.bool_)
        self._places: dict[int, int] = {}
        self._together: list[Together] | None = None
        self.written = False

    def take(self, key: int, before: int) -> PledgeRow | None:
        """Take out a pledge that was made before a position, for another fact concerns it."""
        if self.written or not len(self.keys):
            return None
        if not self._places:
            self._places = {each: place for place, each in enumerate(self.keys.tolist())}
        place = self._places.get(key)
        if place is None or not self._kept[place] or self._positions[place] > before:
            return None
        self._kept[place] = False
        self._together = None
        position, amount_minor = int(self._positions[place]), int(self._amounts[place])
        return PledgeRow(
            key,
            key >> NO_BITS,
            key & MAX_NO,
            position,
            self._ids[place],
            self._backers[place],
            "made",
            amount_minor,
            amount_minor,
            self._lines[place],
            self._destinations[place],
            self._visibilities[place],
            int(self._made_at[place]),
            position,
        )

    def take_all(self, after: int, last: int, before: int) -> list[PledgeRow]:
        """The same for all that have a key above `after` and up to `last`."""
        start, end = np.searchsorted(self.keys, (after, last), "right").tolist()
        taken = (self.take(key, before) for key in self.keys[start:end].tolist())
        return [row for row in taken if row is not None]

    def together(self) -> list[Together]:
        """All that were not taken out, summed up."""
        if self._together is None:
            self._together = self._sums()
        return self._together

    def _sums(self) -> list[Together]:
        kept = self._kept.nonzero()[0]
        if not len(kept):
            return []
        names: dict[str, int] = {}
        kinds = np.array(
            [names.setdefault(self._lines[place], len(names)) for place in kept.tolist()], np.int64
        )
        costs = np.array([cost_of(lines) for lines in names], np.int64)
        campaigns, days = self.campaigns[kept], self._made_at[kept] // DAY_MS
        order = np.lexsort((kinds, days, campaigns))
        kept, kinds, campaigns, days = (part[order] for part in (kept, kinds, campaigns, days))
        amounts = self._amounts[kept]
        first = np.ones(len(kept), np.bool_)
        first[1:] = (np.diff(campaigns) | np.diff(days) | np.diff(kinds)) != 0
        starts = first.nonzero()[0]
        columns: list[Integers] = [
            campaigns[starts],
            days[starts],
            kinds[starts],
            np.diff(starts, append=len(kept)),
            np.add.reduceat(amounts, starts),
            np.add.reduceat((amounts != costs[kinds]).astype(np.int64), starts),
            np.maximum.reduceat(self._positions[kept], starts),
        ]
        lines = list(names)
        return [
            Together(campaign, day, lines[kind], *sums)
            for campaign, day, kind, *sums in zip(*(each.tolist() for each in columns), strict=True)
        ]

    @property
    def last(self) -> int:
        """The position of the last of them; 0 where there is none."""
        return int(self._positions.max(initial=0))

    def backers(self) -> tuple[list[str], NDArray[np.bool_]]:
        """The backer of each pledge, and whether it was not taken out."""
        return self._backers, self._kept

    def write(self, conn: Connection) -> None:
        """Write the rows of all that were not taken out, and where to find any of them by id."""
        positions = self._positions.tolist()
        amounts = self._amounts.tolist()
        rows: Any = zip(
            self.keys.tolist(),
            self.campaigns.tolist(),
            (self.keys & MAX_NO).tolist(),
            positions,
            self._ids,
            self._backers,
            amounts,
            amounts,
            self._lines,
            self._destinations,
            self._visibilities,
            self._made_at.tolist(),
            positions,
            strict=True,
        )
        if not self._kept.all():
            rows = (row for row, kept in zip(rows, self._kept.tolist(), strict=True) if kept)
        _new_rows.write_flat(conn, list(chain.from_iterable(rows)))
        segments = self._positions >> SEGMENT_BITS
        for append, bits in (
            (_append_backers, self.bits),
            (_append_ids, bits_of_all(self._ids)),
        ):
            small = bits.astype(np.int64)
            order = np.argsort(segments << 32 | small)
            found = np.stack((segments[order], small[order], self.keys[order]), 1)
            append.write_flat(conn, found.ravel().tolist())
        self.written = True


def _integers(values: Sequence[int]) -> Integers:
    return np.array(values, np.int64)


def _packed(lines: tuple[Line, ...]) -> str:
    return _json.encode(lines).decode() if lines else NO_LINES


@lru_cache(maxsize=4096)
def cost_of(lines: str) -> int:
    """What these rewards cost with their shipping, in minor units."""
    return sum(map(cost_minor, lines_of(lines)))


def cost_minor(line: Line) -> int:
    """What a line of rewards costs with its shipping, in minor units."""
    return line.quantity * (line.price_minor + line.shipping_minor)


_EACH: Final = (
    *("key", "campaign", "no", "position", "pledge_id", "backer", "amount_minor", "made_minor"),
    *("lines", "destination", "visibility", "made_at", "changed_position"),
)
"""Columns in which new pledges differ."""


def _insert() -> Writer:
    """A new pledge's row, with the values that all of them share."""
    values = {
        field.name: f"'{field.default}'" if field.type is str else str(field.default)
        for field in msgspec.structs.fields(PledgeRow)
    }
    values |= {"status": "'made'"} | dict.fromkeys(_EACH, "?")
    into = f"{PLEDGES.table.name} ({', '.join(values)})"
    return Writer(f"INSERT INTO {into} VALUES ", f"({', '.join(values.values())})")  # noqa: S608 - our own names


_new_rows: Final = _insert()
_append_backers: Final = append_to(BY_BACKER)
_append_ids: Final = append_to(BY_ID)
