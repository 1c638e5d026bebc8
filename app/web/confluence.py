"""The Confluence: a campaign's money as streams that join a river. Pure geometry.

Computed on a field of 960 by 220. A trunk runs along the middle; each stretch of time that brought
money is a tributary that joins it; the trunk's width is what has come so far. Templates draw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

WIDTH: Final = 960
HEIGHT: Final = 220
MIDDLE: Final = 110
FIRST_X: Final = 120
LAST_X: Final = 800
SPRING: Final = 4
"""The width of the trunk before anything has joined it."""
FULL: Final = 84
"""What the goal, or more where more came, adds to the width."""
MOST_STREAMS: Final = 24
_LEAST_STROKE: Final = 1.5
_LEAST_BRANCH: Final = 3.0
_BRANCH_GAP: Final = 18.0
_INNER: Final = 24.0
_SPREAD: Final = 78.0

BranchName = Literal["held", "paid", "fees", "returned"]


class Bucket(Struct, frozen=True):
    """A stretch of days (ISO, both included), what it changed, and the total after it."""

    first_day: str
    last_day: str
    change_minor: int
    total_minor: int


class Stream(Struct, frozen=True):
    """A tributary: the line along its middle and its width. One that `leaves` flows out."""

    path: str
    width: float
    leaves: bool


class Branch(Struct, frozen=True):
    """One of the four ways the money took after the campaign closed, as a filled outline."""

    name: BranchName
    path: str


class Confluence(Struct, frozen=True):
    """Everything a template needs to draw it, and the numbers for the table beneath it."""

    buckets: tuple[Bucket, ...]
    streams: tuple[Stream, ...]
    trunk: str
    goal: str
    branches: tuple[Branch, ...] = ()
    own: str = ""


def confluence(
    days: Sequence[tuple[str, int]],
    goal_minor: int,
    *,
    until: str = "",
    split: dict[BranchName, int] | None = None,
    own_day: str = "",
    most: int = MOST_STREAMS,
    least_stroke: float = _LEAST_STROKE,
) -> Confluence:
    """Lay out the river of a campaign.

    `days` are (ISO day, change of the pledged total), in order; `until` is the last day of the
    picture where that is later. `split` says where the charged money is, once the campaign has
    closed. `own_day` is when the reader pledged: their strand is drawn for them alone.
    """
    buckets = _buckets(days, until, most)
    peak_minor = max([goal_minor, *(bucket.total_minor for bucket in buckets)])
    xs = _places(len(buckets))
    widths = [SPRING + FULL * max(0, bucket.total_minor) / peak_minor for bucket in buckets]
    streams = []
    own = ""
    for rank, (bucket, x, width) in enumerate(zip(buckets, xs, widths, strict=True)):
        stroke = max(least_stroke, min(FULL, FULL * abs(bucket.change_minor) / peak_minor))
        line = _line(rank, x, width, min(stroke, width), leaves=bucket.change_minor < 0)
        if bucket.change_minor:
            streams.append(Stream(line, round(stroke, 2), bucket.change_minor < 0))
        if own_day and bucket.first_day <= own_day <= bucket.last_day:
            own = f"{_line(rank, x, width, min(stroke, width), leaves=False)} H{LAST_X}"
    end = widths[-1] if widths else float(SPRING)
    return Confluence(
        buckets=buckets,
        streams=tuple(streams),
        trunk=_trunk(xs, widths, LAST_X if split else WIDTH),
        goal=_goal(SPRING + FULL * goal_minor / peak_minor),
        branches=_branches(split, end, peak_minor) if split else (),
        own=own,
    )


def _buckets(days: Sequence[tuple[str, int]], until: str, most: int) -> tuple[Bucket, ...]:
    """Cut the time from the first day to the last into up to `most` stretches of equal length."""
    if not days:
        return ()
    first = date.fromisoformat(days[0][0])
    last = date.fromisoformat(max(days[-1][0], until))
    length = -(-((last - first).days + 1) // most)
    count = -(-((last - first).days + 1) // length)
    changes = [0] * count
    for iso_day, change_minor in days:
        changes[(date.fromisoformat(iso_day) - first).days // length] += change_minor
    total_minor = 0
    found = []
    for index, change_minor in enumerate(changes):
        total_minor += change_minor
        begins = first + timedelta(days=index * length)
        ends = min(last, begins + timedelta(days=length - 1))
        found.append(Bucket(begins.isoformat(), ends.isoformat(), change_minor, total_minor))
    return tuple(found)


def _places(count: int) -> list[float]:
    if count == 1:
        return [(FIRST_X + LAST_X) / 2]
    return [FIRST_X + (LAST_X - FIRST_X) * index / (count - 1) for index in range(count)]


def _line(rank: int, x: float, width: float, stroke: float, *, leaves: bool) -> str:
    """The middle of a stream: alternately above and below, the later the farther out.

    What leaves runs the other way, from the trunk to the outside.
    """
    side = -1 if rank % 2 == 0 else 1
    y = _n(MIDDLE + side * (_INNER + _SPREAD * min(rank // 2, 11) / 11))
    edge = _n(MIDDLE + side * max(0.0, width - stroke) / 2)
    if leaves:
        return f"M{_n(x)},{edge} C{_n(x + 70)},{edge} {_n(x + 70)},{y} {_n(x + 140)},{y} H{WIDTH}"
    return f"M0,{y} H{_n(x - 150)} C{_n(x - 70)},{y} {_n(x - 70)},{edge} {_n(x)},{edge}"


def _trunk(xs: Sequence[float], widths: Sequence[float], end: int) -> str:
    """The outline of the trunk, from its spring to where it leaves the picture or divides."""
    points = [(0.0, float(SPRING)), *zip(xs, widths, strict=True)]
    points.append((float(end), points[-1][1]))
    upper = [(x, MIDDLE - width / 2) for x, width in points]
    lower = [(x, MIDDLE + width / 2) for x, width in reversed(points)]
    (x, y), (back_x, back_y) = upper[0], lower[0]
    return f"M{_n(x)},{_n(y)}{_along(upper)} L{_n(back_x)},{_n(back_y)}{_along(lower)} Z"


def _along(points: Sequence[tuple[float, float]]) -> str:
    """A curve through the points that is level at each of them."""
    parts = []
    for (x, y), (next_x, next_y) in pairwise(points):
        bend = max(-70.0, min(70.0, next_x - x)) / 2
        start = _n(next_x - 2 * bend)
        parts.append(
            f" H{start} C{_n(next_x - bend)},{_n(y)} {_n(next_x - bend)},{_n(next_y)}"
            f" {_n(next_x)},{_n(next_y)}"
        )
    return "".join(parts)


def _goal(width: float) -> str:
    upper, lower = _n(MIDDLE - width / 2), _n(MIDDLE + width / 2)
    return f"M700,{upper} H{LAST_X} M700,{lower} H{LAST_X}"


def _branches(
    split: dict[BranchName, int], trunk_width: float, peak_minor: int
) -> tuple[Branch, ...]:
    """Divide the trunk into ways whose widths are true to one another and to the trunk."""
    ways = [(name, amount) for name, amount in split.items() if amount > 0]
    if not ways:
        return ()
    widths = [max(_LEAST_BRANCH, FULL * amount / peak_minor) for _, amount in ways]
    # Where least widths add up to more than the trunk, all are narrowed alike at their source.
    narrow = min(1.0, trunk_width / sum(widths))
    source = MIDDLE - sum(widths) * narrow / 2
    mouth = MIDDLE - (sum(widths) + _BRANCH_GAP * (len(widths) - 1)) / 2
    found = []
    for (name, _), width in zip(ways, widths, strict=True):
        a, b = _n(source), _n(source + width * narrow)
        c, d = _n(mouth), _n(mouth + width)
        path = f"M{LAST_X},{a} C880,{a} 880,{c} {WIDTH},{c} V{d} C880,{d} 880,{b} {LAST_X},{b} Z"
        found.append(Branch(name, path))
        source += width * narrow
        mouth += width + _BRANCH_GAP
    return tuple(found)


def _n(value: float) -> str:
    """A coordinate with at most two decimals, so that pages stay small."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
