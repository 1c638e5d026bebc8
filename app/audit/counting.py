"""How many of something there are, in words for people."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """The number with its noun: `1 leaf`, `2,000 leaves`. Without `several` an s is added."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
