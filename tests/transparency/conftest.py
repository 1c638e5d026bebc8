"""A tree over a history, on both databases in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transparency.tree_stage import TreeStage


@pytest.fixture
def tree_stage(tmp_path: Path, database_url: str) -> Iterator[TreeStage]:
    """Log, views, keys and an empty tree."""
    made = TreeStage(tmp_path, database_url)
    yield made
    made.close()
