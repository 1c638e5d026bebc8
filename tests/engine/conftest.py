"""A log to try the engine on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.tally import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty log with its snapshots."""
    made = Bench(tmp_path)
    yield made
    made.close()
