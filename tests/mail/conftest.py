"""Every test here may ask for a running platform."""

from __future__ import annotations

import pytest

from tests.api.running import Running, clock, running, staff
from tests.mail.world import World

__all__ = ["clock", "running", "staff"]


@pytest.fixture
async def world(running: Running) -> World:
    """A platform that began to write mails before anything happened."""
    await running.platform.news.begin()
    return World(running)
