"""PostgreSQL for tests: a server, and databases that belong to one test each.

The server is TRIBUTARY_TEST_POSTGRES_URL, else 127.0.0.1:5432 with the user postgres, else one
that is started where its programs are installed. Without one the tests that ask for it are skipped;
in CI they fail.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from app.log import migrate_log
from app.settings import load_settings
from app.stores.database import migrate_stores
from tests.own_postgres import own_server

SERVER_URL: Final = "TRIBUTARY_TEST_POSTGRES_URL"
HERE: Final = "postgresql://postgres@127.0.0.1:5432/postgres"


class PostgresServer:
    """Makes and drops databases. `url` leads to one that is there already."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._maker = psycopg.connect(url, autocommit=True, connect_timeout=3)

    def create(self, template: str = "template0") -> str:
        """Make a database, a copy of `template`; return its URL."""
        name = f"t_{os.getpid()}_{uuid.uuid4().hex[:12]}"
        self._maker.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = name_of(url)
        self._maker.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url_of(self, name: str) -> str:
        """The URL of a database of this server."""
        begin, _, query = self.url.partition("?")
        return begin.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")

    def close(self) -> None:
        """Disconnect."""
        self._maker.close()


def name_of(url: str) -> str:
    """The database that a URL names."""
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server to make databases on."""
    with ExitStack() as stack:
        try:
            server = _server(stack, tmp_path_factory)
        except LookupError as missing:
            reason = f"no PostgreSQL: {missing}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield server
        server.close()


def _server(stack: ExitStack, directories: pytest.TempPathFactory) -> PostgresServer:
    """The server that is named, that runs here, or that is started now. Raises LookupError."""
    try:
        return PostgresServer(os.environ.get(SERVER_URL, HERE))
    except psycopg.Error as fault:
        if SERVER_URL in os.environ:
            raise LookupError(f"{SERVER_URL}: {str(fault).strip()}") from fault
    return PostgresServer(stack.enter_context(own_server(directories.mktemp("postgres"))))


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database, to make others of; nobody is connected."""
    url = postgres_server.create()
    migrate_log(url)
    migrate_stores(load_settings({"TRIBUTARY_DATABASE_URL": url}, make=False))
    yield name_of(url)
    postgres_server.drop(url)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of this test that holds nothing yet."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A database of this test with an empty log and no snapshots."""
    url = postgres_server.create(migrated_template)
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both stores in turn: "" for SQLite, else the URL of a database with an empty log."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def platform_url() -> str:
    """Where a platform under test has its data: SQLite, unless a test says otherwise."""
    return ""
