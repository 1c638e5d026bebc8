"""The command that makes and upgrades tables, on both stores."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.cli import main


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def bare_url(request: pytest.FixtureRequest) -> str:
    """Nothing yet, on both stores in turn; "" is SQLite."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


def run(tmp_path: Path, url: str, *words: str) -> Result:
    """Run a command as it is typed."""
    environ = {"TRIBUTARY_DATABASE_URL": url, "TRIBUTARY_DATA_DIR": str(tmp_path / "var")}
    return CliRunner().invoke(main, words, env=environ)


def test_migrating_says_what_it_did(tmp_path: Path, bare_url: str) -> None:
    """First it makes everything, then it finds nothing to do; machines read the same."""
    first = run(tmp_path, bare_url, "migrate")
    assert first.exit_code == 0, first.output
    assert first.output.count("made") >= 2
    again = run(tmp_path, bare_url, "--json", "migrate")
    done = msgspec.json.decode(again.stdout.splitlines()[-1], type=dict[str, list[str]])["done"]
    assert len(done) == 4
    assert all("nothing to do" in sentence for sentence in done)
    assert run(tmp_path, bare_url, "keys", "list").exit_code == 0


@pytest.mark.postgres
def test_a_database_that_is_not_migrated_is_refused(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    """By every command, in a sentence that names the one which helps."""
    for words in (("keys", "list"), ("people", "list"), ("rebuild",)):
        refused = run(tmp_path, empty_postgres_url, *words)
        assert refused.exit_code == 1
        assert "run `tributary migrate`" in refused.output
        assert "Traceback" not in refused.output
        assert isinstance(refused.exception, SystemExit)


@pytest.mark.postgres
def test_a_newer_database_is_refused(tmp_path: Path, empty_postgres_url: str) -> None:
    """Neither used nor changed by an older program."""
    assert run(tmp_path, empty_postgres_url, "migrate").exit_code == 0
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute("UPDATE people.shape SET shape = 99")
    for words in (("keys", "list"), ("migrate",)):
        refused = run(tmp_path, empty_postgres_url, *words)
        assert refused.exit_code == 1
        assert "a newer version of Tributary made it" in refused.output


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """The sentence says where, and holds no password."""
    refused = run(tmp_path, "postgresql://u:geheim@127.0.0.1:1/x", "keys", "list")
    assert refused.exit_code == 1
    assert "port 1" in refused.output
    assert "geheim" not in refused.output
