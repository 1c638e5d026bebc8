"""Which stretches of two texts are the same: with a bound on the work, whatever is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, Literal

MOST_PAIRS: Final = 200_000
"""Pairs of equal tokens that are looked at: the time grows with them, and a text that says one word
over and over has millions.
"""

Step = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]
"""What becomes of `before[a:b]`, which is `after[c:d]`: as `SequenceMatcher.get_opcodes` has it."""


def steps(before: Sequence[str], after: Sequence[str]) -> list[Step] | None:
    """The steps that lead from some tokens to others; None where finding them takes too long.

    White space starts no match: there is so much of it that it would take nearly all the time.
    """
    there = Counter(after)
    here = Counter(before)
    pairs = sum(n * there[token] for token, n in here.items() if not token.isspace())
    if pairs > MOST_PAIRS:
        return None
    return SequenceMatcher(str.isspace, before, after, autojunk=False).get_opcodes()
