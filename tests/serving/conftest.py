"""A live campaign in a data directory, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.crash_stage import Offer, Stage, prepare
from tests.api.running import clock, running, staff
from tests.serving.server import Served, eventually

__all__ = ["clock", "running", "staff"]


def stage_in(data_dir: Path, database_url: str = "") -> Stage:
    """Fill a data directory, and a database where one is named."""
    environ = {"TRIBUTARY_DATABASE_URL": database_url} if database_url else {}
    return asyncio.run(prepare(data_dir, (Offer(),), 2, environ))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage in files."""
    return stage_in(tmp_path / "var")


@pytest.fixture
def either_stage(tmp_path: Path, database_url: str) -> Stage:
    """A stage in files, and one in PostgreSQL."""
    return stage_in(tmp_path / "var", database_url)


@contextmanager
def serving(stage: Stage) -> Iterator[Served]:
    """Two web processes and a follower, ready."""
    with Served(stage, "serve", "--port", str(stage.settings.port), "--workers", "2") as served:
        eventually(served.ready)
        yield served


@pytest.fixture
def served(stage: Stage) -> Iterator[Served]:
    """A server on files, which a test may end."""
    with serving(stage) as served:
        yield served


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on files for tests that leave it running."""
    with serving(stage_in(tmp_path_factory.mktemp("shared") / "var")) as shared:
        yield shared
        assert shared.stop() == 0
