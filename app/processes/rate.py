"""How fast a provider may be asked."""

from __future__ import annotations

import math
import threading

_SECOND_MS = 1_000


class RateLimit:
    """At most `per_s` requests a second, and as many at once after a pause; None: no limit.

    Time is what the callers say it is, in ms UTC.
    """

    def __init__(self, per_s: float | None) -> None:
        if per_s is not None and per_s <= 0:
            raise ValueError(f"a rate is positive, not {per_s}")
        self._per_s = per_s
        self._left = max(1.0, per_s or 0.0)
        self._counted_at = 0
        self._lock = threading.Lock()

    def take(self, wanted: int, now: int) -> int:
        """Take up to `wanted` requests; returns how many may be made now."""
        if self._per_s is None:
            return wanted
        with self._lock:
            self._refill(self._per_s, now)
            taken = min(wanted, int(self._left))
            self._left -= taken
            return taken

    def give_back(self, unused: int) -> None:
        """Return what was taken and not used."""
        if self._per_s is not None:
            with self._lock:
                self._left += unused

    def ready_at(self) -> int:
        """From when on one more request may be made; 0: at any time."""
        if self._per_s is None:
            return 0
        with self._lock:
            missing = max(0.0, 1.0 - self._left)
            return self._counted_at + math.ceil(missing * _SECOND_MS / self._per_s)

    def _refill(self, per_s: float, now: int) -> None:
        passed_ms = max(0, now - self._counted_at)
        self._left = min(max(1.0, per_s), self._left + passed_ms * per_s / _SECOND_MS)
        self._counted_at = max(self._counted_at, now)
