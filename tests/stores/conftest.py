"""An empty people store for each test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings, load_settings
from app.stores.database import TABLES, open_people
from tests.postgresql import PostgresServer

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


def settings_in(folder: Path, database_url: str = "") -> Settings:
    """Settings with nothing in them but where the data lie."""
    environ = {"TRIBUTARY_DATABASE_URL": database_url, "TRIBUTARY_SECRET": "s" * 32}
    return load_settings(environ, data_dir=folder)


@pytest.fixture(scope="session")
def migrated_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A database with our tables, which tests have in turn."""
    url = postgres_server.create(migrated_template)
    yield url
    postgres_server.drop(url)


@pytest.fixture
def postgres_settings(tmp_path: Path, migrated_url: str) -> Iterator[Settings]:
    """Settings that lead to an empty store in PostgreSQL."""
    yield settings_in(tmp_path, migrated_url)
    # The tables are small: deleting from each is quicker than truncating all.
    engine: Engine = create_engine(
        migrated_url.replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"options": "-c search_path=people"},
    )
    with engine.begin() as connection:
        for table in TABLES:
            connection.execute(table.delete())
    engine.dispose()


@pytest.fixture(params=["sqlite", POSTGRES])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Both databases in turn."""
    if request.param == "sqlite":
        return settings_in(tmp_path)
    found: Settings = request.getfixturevalue("postgres_settings")
    return found


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An open, empty store."""
    engine = await open_people(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def people_path(tmp_path: Path) -> Path:
    """Where SQLite's file stands."""
    return tmp_path / "people.db"


@pytest.fixture
async def sqlite_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An open, empty store in SQLite."""
    engine = await open_people(settings_in(tmp_path))
    yield engine
    await engine.dispose()


@pytest.fixture
def on_disk(settings: Settings) -> Callable[[], bytes]:
    """Read every byte of the store: SQLite's as it is on disk, its write-ahead log included;
    PostgreSQL's as its rows hold it.
    """

    def read() -> bytes:
        if not settings.database_url:
            path = settings.people_path
            return b"".join(part.read_bytes() for part in path.parent.glob("people.db*"))
        with psycopg.connect(settings.database_url) as connection:
            found = [
                value
                for table in TABLES
                for row in connection.execute(f"SELECT * FROM people.{table.name}")  # noqa: S608
                for value in row
            ]
        return b"".join(part if isinstance(part, bytes) else str(part).encode() for part in found)

    return read
