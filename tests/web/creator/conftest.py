"""Every test here may ask for a running platform."""

from __future__ import annotations

from tests.api.running import clock, running, staff

__all__ = ["clock", "running", "staff"]
