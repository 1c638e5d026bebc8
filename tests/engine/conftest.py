"""A log to try the engine on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.tally import Bench


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Bench]:
    """An empty log with its snapshots, on both stores in turn."""
    made = Bench(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty log with its snapshots in SQLite."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def postgres_bench(tmp_path: Path, postgres_url: str) -> Iterator[Bench]:
    """An empty log with its snapshots in PostgreSQL."""
    made = Bench(tmp_path, postgres_url)
    yield made
    made.close()
