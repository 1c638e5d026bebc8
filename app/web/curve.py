"""The funding curve: what was pledged, day by day. Pure geometry on a field of 720 by 260."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct

LEFT: Final = 56
RIGHT: Final = 704
TOP: Final = 16
BOTTOM: Final = 220
_HEADROOM: Final = 1.08
_ROUND_STEPS: Final = (1, 2, 5)
_MOST_LINES: Final = 4


class Line(Struct, frozen=True):
    """A level line of the grid: its height and the amount it stands for."""

    y: float
    amount_minor: int


class Curve(Struct, frozen=True):
    """A step line, the goal's height, and a grid. `area` is the ground under the line."""

    line: str
    area: str
    goal_y: float
    grid: tuple[Line, ...]
    today_x: float


def curve(
    days: Sequence[tuple[str, int]],
    goal_minor: int,
    *,
    first: str,
    last: str,
    today: str,
    unit_minor: int = 1,
) -> Curve:
    """Lay out the pledged total by day, from the launch (`first`) to the deadline (`last`).

    `days` are (ISO day, change), in order. The line ends `today`, or at its last change where
    that is later. `unit_minor` is one major unit: the grid stands on round amounts of it.
    """
    start = date.fromisoformat(min([first, *(day for day, _ in days)]))
    stop = date.fromisoformat(max([last, today, *(day for day, _ in days)]))
    span = max(1, (stop - start).days)

    def x_of(iso_day: str) -> float:
        return LEFT + (RIGHT - LEFT) * (date.fromisoformat(iso_day) - start).days / span

    total_minor, totals = 0, []
    for iso_day, change_minor in days:
        total_minor += change_minor
        totals.append((x_of(iso_day), total_minor))
    top_minor = max([goal_minor, *(total for _, total in totals)]) * _HEADROOM

    def y_of(amount_minor: int) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * amount_minor / top_minor, 1)

    line = f"M{_n(x_of(start.isoformat()))},{BOTTOM}"
    for x, total in totals:
        line += f" H{_n(x)} V{_n(y_of(total))}"
    end = max([x_of(min(today, stop.isoformat())), *(x for x, _ in totals)])
    line += f" H{_n(end)}"
    return Curve(
        line=line,
        area=f"{line} V{BOTTOM} Z",
        goal_y=y_of(goal_minor),
        grid=tuple(Line(y_of(a), a) for a in _round_amounts(int(top_minor), unit_minor)),
        today_x=round(end, 1),
    )


def _round_amounts(top_minor: int, unit_minor: int) -> list[int]:
    """Nought and up to four round amounts below the top."""
    step = unit_minor
    index = 0
    while top_minor // step > _MOST_LINES:
        index += 1
        step = unit_minor * _ROUND_STEPS[index % 3] * 10 ** (index // 3)
    return list(range(0, top_minor + 1, step))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
