"""An empty log on each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.log import open_log
from tests.log.appending import Log


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where a log in SQLite stands."""
    return tmp_path / "log.db"


@pytest.fixture
def log(database_url: str, log_path: Path) -> Iterator[Log]:
    """A new log, on both stores in turn."""
    made = open_log(database_url, log_path)
    yield made
    made.close()
