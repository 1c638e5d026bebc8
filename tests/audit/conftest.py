"""What the audit's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty data directory with an engine and a bank."""
    made = World(tmp_path)
    yield made
    made.close()
