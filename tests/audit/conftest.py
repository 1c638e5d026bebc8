"""What the audit's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.world import World


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """An empty data directory with an engine and a bank; the log in both stores in turn."""
    made = World(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def world_in_files(tmp_path: Path) -> Iterator[World]:
    """The same with the log in a file."""
    made = World(tmp_path)
    yield made
    made.close()
