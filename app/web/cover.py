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


MOTIFS: Final = {
    "art": "M10,70 C30,20 90,20 110,70 C100,100 70,90 62,74 C52,92 18,96 10,70 M38,58 h1 M60,44 h1"
    " M84,56 h1",
    "music": "M40,92 a14,10 0 1 1 0,-1 V22 L96,10 V78 a14,10 0 1 1 0,-1 M40,38 L96,26",
    "film": "M12,30 H84 V92 H12 Z M84,50 L112,34 V88 L84,72 M30,30 a12,12 0 1 1 1,0 M62,30 a12,12 0"
    " 1 1 1,0",
    "games": "M20,20 H100 V100 H20 Z M20,60 H100 M60,20 V100 M40,40 h1 M80,80 h1 M80,40 h1",
    "design": "M20,100 L52,20 L84,100 M34,66 H70 M60,100 A44,44 0 0 0 104,60",
    "technology": "M60,104 V44 M60,44 L36,100 M60,44 L84,100 M44,32 A22,22 0 0 1 76,32 M32,22"
    " A38,38 0 0 1 88,22",
    "food": "M16,58 H104 C104,88 84,100 60,100 C36,100 16,88 16,58 Z M44,44 C36,34 52,28 44,16"
    " M72,44 C64,34 80,28 72,16",
    "community": "M14,100 V58 L60,22 L106,58 V100 Z M46,100 V70 H74 V100",
    "education": "M60,34 C44,22 24,22 12,30 V94 C24,86 44,86 60,98 C76,86 96,86 108,94 V30 C96,22"
    " 76,22 60,34 Z M60,34 V98",
    "environment": "M60,104 V56 M60,72 C30,72 22,46 24,26 C50,28 60,44 60,72 M60,60 C84,60 96,40"
    " 94,18 C70,20 60,36 60,60",
    "publishing": "M24,16 H80 L98,34 V104 H24 Z M40,50 H82 M40,66 H82 M40,82 H68",
    "sport": "M60,60 m-44,0 a44,44 0 1 0 88,0 a44,44 0 1 0 -88,0 M26,34 C52,48 52,72 26,88 M94,34"
    " C68,48 68,72 94,88",
}
"""A pale line drawing for each category, on a field of 120 by 120."""


class Cover(Struct, frozen=True):
    """The outlines of the ridges, the farthest first, where the sun stands, and the drawing of the
    category with the place of its left upper corner.
    """

    ridges: tuple[str, ...]
    sun: tuple[int, int, int]
    motif: str = ""
    motif_at: tuple[int, int] = (0, 0)


def cover(campaign_id: str, category: str = "") -> Cover:
    """Draw the cover that belongs to this id. `sun` is (x, y, radius)."""
    seed = hashlib.sha512(campaign_id.encode()).digest()
    ridges = []
    for ridge in range(RIDGES):
        base = _HORIZON + ridge * _STEP
        heights = [base - seed[ridge * _POINTS + point] * _SWAY // 255 for point in range(_POINTS)]
        ridges.append(_outline(heights))
    x, y, radius = seed[-1], seed[-2], seed[-3]
    sun = (160 + x * 640 // 255, 90 + y * 90 // 255, 44 + radius * 34 // 255)
    # On the other side of the sky than the sun, so that neither hides the other.
    left = 610 + seed[-4] * 150 // 255 if sun[0] < WIDTH // 2 else 90 + seed[-4] * 150 // 255
    top = 30 + seed[-5] * 40 // 255
    return Cover(tuple(ridges), sun, MOTIFS.get(category, ""), (left, top))


def _outline(heights: list[int]) -> str:
    """A smooth line through the heights, closed along the foot of the picture."""
    step = WIDTH // (len(heights) - 1)
    path = f"M0,{HEIGHT} V{heights[0]}"
    for index, (height, following) in enumerate(pairwise(heights)):
        x = index * step
        bend = x + step // 2
        path += f" C{bend},{height} {bend},{following} {x + step},{following}"
    return f"{path} V{HEIGHT} Z"
