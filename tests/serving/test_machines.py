"""Several machines on one PostgreSQL database."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import psycopg
import pytest

from app.following.turn import ASK_S, FollowTurn
from bench.crash_stage import Stage
from bench.crash_stage import _free_port as free_port
from tests.serving.conftest import stage_in
from tests.serving.server import Served, eventually, is_there

LOG = "9d7c6e9e-1111-4222-8333-444455556666"


@pytest.mark.postgres
def test_one_at_a_time_has_the_turn(empty_postgres_url: str) -> None:
    """The second gets it when the first lets go, or when its session is ended."""
    first, second = FollowTurn(empty_postgres_url, LOG), FollowTurn(empty_postgres_url, LOG)
    other_log = FollowTurn(empty_postgres_url, LOG[::-1])
    assert first.is_ours()
    assert not second.is_ours()
    assert other_log.is_ours()
    eventually(lambda: first.is_ours() and not second.is_ours())
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tributary-follow-turn' AND datname = current_database()"
        )
    eventually(lambda: first.is_ours() or second.is_ours())
    holder, waiter = (first, second) if first.is_ours() else (second, first)
    holder.close()
    eventually(waiter.is_ours)
    assert not holder.is_ours()
    for turn in (first, second, other_log):
        turn.close()


def test_without_a_database_it_is_always_ours() -> None:
    """One directory has one follower, which its lock sees to."""
    assert ASK_S > 0
    turns = [FollowTurn("", LOG) for _ in range(2)]
    assert all(turn.is_ours() for turn in turns)


def machine(stage: Stage, folder: Path) -> Stage:
    """Another machine on the same database, with views of its own."""
    folder.mkdir()
    for own in ("secret", "test_bank.db"):
        shutil.copy(stage.settings.data_dir / own, folder / own)
    # Persons' keys are wrapped by one master key, wherever they are read.
    shutil.copytree(stage.settings.keys_dir, folder / "keys")
    settings = msgspec.structs.replace(stage.settings, data_dir=folder, port=free_port())
    return msgspec.structs.replace(stage, settings=settings)


def followed(stage: Stage) -> int:
    """Up to where work was made of the log, by whichever machine."""
    with psycopg.connect(stage.settings.database_url) as connection:
        row = connection.execute("SELECT max(position) FROM work.checkpoints").fetchone()
    return int(row[0] or 0) if row else 0


@pytest.mark.slow
@pytest.mark.postgres
def test_machines_share_a_log(postgres_url: str, tmp_path: Path) -> None:
    """Each shows what the other took; one makes work of it, and the other when that is gone."""
    here = stage_in(tmp_path / "here", postgres_url)
    there = machine(here, tmp_path / "there")
    with (
        Served(here, "serve", "--port", str(here.settings.port)) as one,
        Served(there, "serve", "--port", str(there.settings.port)) as two,
    ):
        eventually(one.ready)
        eventually(two.ready)
        for taking, showing in ((one, two), (two, one)):
            position = taking.pledge()["position"]
            shown = showing.client.get(
                f"/api/v1/campaigns/{here.campaigns[0].campaign_id}",
                params={"at_least": position},
                headers=here.headers,
            )
            assert shown.status_code == 200, shown.text
            assert shown.json()["position"] >= position
        eventually(lambda: followed(here) >= position)
        told = [served.said.read_text().count("work and mails are made") for served in (one, two)]
        assert sorted(told) == [0, 1]
        first, second = (one, two) if told[0] else (two, one)
        gone = [first.process.pid, *first.children()]
        first.process.kill()
        first.process.wait()
        eventually(lambda: not any(map(is_there, gone)))
        position = second.pledge()["position"]
        eventually(lambda: followed(here) >= position)
        assert "work and mails are made" in second.said.read_text()
        assert second.stop() == 0
