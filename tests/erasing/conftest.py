"""A platform with somebody in every place where we keep something."""

from __future__ import annotations

from tests.api.running import clock, running, staff

__all__ = ["clock", "running", "staff"]
