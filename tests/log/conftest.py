"""An empty log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.log import SQLiteLog


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where the log of this test stands."""
    return tmp_path / "log.db"


@pytest.fixture
def log(log_path: Path) -> Iterator[SQLiteLog]:
    """A new log."""
    made = SQLiteLog(log_path)
    yield made
    made.close()
