"""A picture for a campaign that has none: ridges one behind the other, always the same for it."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Final

from msgspec import Struct

WIDTH: Final = 960
HEIGHT: Final = 640
RIDGES: Final = 5
_POINTS: Final = 6
_HORIZON: Final = 250
_STEP: Final = 78
_SWAY: Final = 120


class Cover(Struct, frozen=True):
    """The outlines of the ridges, the farthest first, and where the sun stands."""

    ridges: tuple[str, ...]
    sun: tuple[int, int, int]


def cover(campaign_id: str) -> Cover:
    """Draw the cover that belongs to this id. `sun` is (x, y, radius)."""
    seed = hashlib.sha512(campaign_id.encode()).digest()
    ridges = []
    for ridge in range(RIDGES):
        base = _HORIZON + ridge * _STEP
        heights = [base - seed[ridge * _POINTS + point] * _SWAY // 255 for point in range(_POINTS)]
        ridges.append(_outline(heights))
    x, y, radius = seed[-1], seed[-2], seed[-3]
    sun = (160 + x * 640 // 255, 90 + y * 90 // 255, 44 + radius * 34 // 255)
    return Cover(tuple(ridges), sun)


def _outline(heights: list[int]) -> str:
    """A smooth line through the heights, closed along the foot of the picture."""
    step = WIDTH // (len(heights) - 1)
    path = f"M0,{HEIGHT} V{heights[0]}"
    for index, (height, following) in enumerate(pairwise(heights)):
        x = index * step
        bend = x + step // 2
        path += f" C{bend},{height} {bend},{following} {x + step},{following}"
    return f"{path} V{HEIGHT} Z"
