"""How far a long run has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how many events are done, of how many."""


def unseen(done: int, total: int) -> None:
    """Nobody watches."""
