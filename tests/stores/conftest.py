"""An empty `people.db` for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.database import open_people


@pytest.fixture
def people_path(tmp_path: Path) -> Path:
    """Where the file stands."""
    return tmp_path / "people.db"


@pytest.fixture
async def engine(people_path: Path) -> AsyncIterator[AsyncEngine]:
    """An open, empty store."""
    engine = await open_people(people_path)
    yield engine
    await engine.dispose()


@pytest.fixture
def on_disk(people_path: Path) -> Callable[[], bytes]:
    """Read every byte of the store as it is on disk, its write-ahead log included."""

    def read() -> bytes:
        return b"".join(path.read_bytes() for path in people_path.parent.glob("people.db*"))

    return read
