"""The demo's clock: it stands while the past is made, then runs, and can be set ahead."""

from __future__ import annotations

from app.engine import clock_ms
from app.simulation.run import SimulatedClock


class DemoClock(SimulatedClock):
    """Stands at `now` while that is not 0; else it is the real time and `ahead_ms` more.

    It is only ever set ahead, so that time never runs backwards in the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Return the demo's time, in ms UTC."""
        return self.now or clock_ms() + self.ahead_ms

    def set_ahead_to(self, at: int) -> None:
        """Let it be this time now, if it is not later already."""
        self.ahead_ms += max(0, at - self())
