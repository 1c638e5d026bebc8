"""A stage for every test of the processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, database_url: str) -> Iterator[Stage]:
    """Log, engine, bank and processes, on both stores in turn; in the end the books must agree."""
    made = Stage(tmp_path, database_url)
    yield made
    made.check()
    made.close()
