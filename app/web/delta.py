"""Where the money is, as a picture: a trunk that divides. Pure geometry on 720 by 260."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

HEIGHT: Final = 260
TRUNK: Final = 160
LABEL_GAP: Final = 42.0
"""Between two labels, each of two lines."""
_TRUNK_END: Final = 150
_MOUTH: Final = 440
_LEAST: Final = 3.0


class Way(Struct, frozen=True):
    """One way the money went: its outline, and how high its label stands."""

    name: str
    amount_minor: int
    path: str
    label_y: float


def delta(amounts: Sequence[tuple[str, int]]) -> tuple[Way, ...]:
    """Divide a trunk among the amounts that are more than nothing, in their order."""
    shown = [(name, amount) for name, amount in amounts if amount > 0]
    total_minor = sum(amount for _, amount in shown)
    widths = [max(_LEAST, TRUNK * amount / total_minor) for _, amount in shown]
    narrow = TRUNK / sum(widths) if widths else 1.0
    room = (HEIGHT - sum(widths)) / (len(widths) + 1) if widths else 0.0
    source, mouth = (HEIGHT - TRUNK) / 2, room
    ways = []
    label_y = -LABEL_GAP
    for (name, amount), width in zip(shown, widths, strict=True):
        a, b = source, source + width * narrow
        c, d = mouth, mouth + width
        path = (
            f"M0,{a:.1f} H{_TRUNK_END} C290,{a:.1f} 300,{c:.1f} {_MOUTH},{c:.1f} V{d:.1f}"
            f" C300,{d:.1f} 290,{b:.1f} {_TRUNK_END},{b:.1f} H0 Z"
        )
        label_y = max(label_y + LABEL_GAP, (c + d) / 2)
        ways.append(Way(name, amount, path, round(label_y, 1)))
        source, mouth = b, d + room
    return _lifted(ways)


def _lifted(ways: list[Way]) -> tuple[Way, ...]:
    """Move the last labels up where they would leave the picture, and those above in turn."""
    lowest = HEIGHT - LABEL_GAP / 2
    found: list[Way] = []
    for way in reversed(ways):
        label_y = min(way.label_y, lowest)
        found.append(Way(way.name, way.amount_minor, way.path, round(label_y, 1)))
        lowest = label_y - LABEL_GAP
    return tuple(reversed(found))
