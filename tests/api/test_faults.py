"""What is answered while a store cannot be used, and that all is well when it can be again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.log import TurnHooks, connection
from app.settings import load_settings
from app.stores.channels import Channel
from app.wiring import open_platform
from domain.events import TAGS, PledgeMade
from domain.terms import Terms
from tests.api.running import NOW, ORIGIN, Caller, Clock, Running, pledge, transport_to
from tests.postgresql import PostgresServer, name_of

HOLDS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process holds a database for itself."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.stdin.close()


@contextmanager
def full_disk(running: Running) -> Iterator[None]:
    """The log's file may not grow by a page."""
    log: Any = running.platform.log

    def limit(pages: int) -> None:
        log._writer.execute(f"PRAGMA max_page_count = {pages}")

    limit(log._writer.execute("PRAGMA page_count").fetchone()[0])
    try:
        yield
    finally:
        limit(2**30)


def require_come_again(answer: httpx.Response, *reasons: str) -> None:
    """503, as problem details, with the time after which to ask again."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["reason"] in reasons


def made(running: Running, campaign_id: str) -> list[str]:
    """The ids of a campaign's pledges in the log, in their order."""
    rows = running.platform.log.read_stream(f"campaign:{campaign_id}")
    return [json.loads(row.body)["pledge_id"] for row in rows if row.tag == TAGS[PledgeMade]]


def batch_of(campaign_id: str, backer: str, count: int) -> tuple[list[str], bytes]:
    """Pledges as lines, and their ids."""
    lines = [pledge(campaign_id=campaign_id, backer_id=backer) for _ in range(count)]
    return [line["pledge_id"] for line in lines], "\n".join(map(json.dumps, lines)).encode()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log waits a moment for a lock, not for ten seconds."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.05)


async def test_a_full_disk(running: Running, staff: Caller) -> None:
    """What does not fit is refused with 503, and nothing of it is there; what was acknowledged
    before stays. When there is room again the same requests are carried out, once.
    """
    cid = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    ids, lines = batch_of(cid, backer, 5_000)
    path = f"/campaigns/{cid}/pledges"
    first = pledge(backer_id=backer)
    assert (await running.post(path, staff, first)).status_code == 201
    with full_disk(running):
        answer = await running.client.post(
            "/api/v1/pledges/batch", content=lines, headers=staff.headers
        )
        said = [json.loads(line) for line in answer.content.splitlines()]
        fell = [outcome for outcome in said if outcome["status"] == 503]
        assert fell
        assert {outcome["reason"] for outcome in fell} == {"not_recorded"}
        kept = [ids[outcome["line"] - 1] for outcome in said if outcome["status"] == 201]
        assert made(running, cid) == [first["pledge_id"], *kept]
        health = await running.client.get("/health/ready")
        assert (health.status_code, health.json()["status"]) == (503, "the log cannot be written")
    again = await running.client.post("/api/v1/pledges/batch", content=lines, headers=staff.headers)
    statuses = [json.loads(line)["status"] for line in again.content.splitlines()]
    assert statuses.count(201) == len(fell)
    assert statuses.count(200) == len(kept)
    assert sorted(made(running, cid)) == sorted([first["pledge_id"], *ids])
    running.platform.follower.catch_up()
    assert (await running.client.get("/health/ready")).status_code == 200


async def test_a_locked_log(impatient: None, running: Running, staff: Caller) -> None:
    """While another process holds the log a pledge is 503, and reading goes on; then it is made."""
    cid = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    path, body = f"/campaigns/{cid}/pledges", pledge(backer_id=backer)
    with held(running.platform.settings.log_path):
        require_come_again(await running.post(path, staff, body), "not_recorded")
        assert (await running.get(f"/campaigns/{cid}", staff)).status_code == 200
        assert (await running.client.get(f"/campaigns/{cid}")).status_code == 200
        assert (await running.client.get("/health/ready")).status_code == 503
    assert made(running, cid) == []
    assert (await running.post(path, staff, body)).status_code == 201
    assert made(running, cid) == [body["pledge_id"]]
    running.platform.follower.catch_up()
    assert (await running.client.get("/health/ready")).status_code == 200


async def test_health_asks_for_another_try(
    impatient: None, running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom nobody sends requests cannot find out that the log can be written again: after a while
    the server asks for some.
    """
    cid = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    with held(running.platform.settings.log_path):
        await running.post(f"/campaigns/{cid}/pledges", staff, pledge(backer_id=backer))
        assert (await running.client.get("/health/ready")).status_code == 503
        monkeypatch.setattr("app.api.health.UNRECORDED_S", 0)
        assert (await running.client.get("/health/ready")).status_code == 200


async def test_people_who_cannot_be_written(running: Running, staff: Caller) -> None:
    """A store beside the log is locked: 503 of its own kind, and a page that says so to people."""
    with held(running.platform.settings.people_path):
        with_key = asyncio.create_task(running.post("/backers", staff, {}))
        require_come_again(await with_key, "unavailable")
    assert (await running.post("/backers", staff, {})).status_code == 201


async def test_a_commit_whose_end_is_not_known(tmp_path: Path) -> None:
    """It has a problem of its own; asked again with the same id the pledge is there once."""
    broken = False

    def fail() -> None:
        if broken:
            raise OSError("the disk went away in the midst of it")

    settings = load_settings({"TRIBUTARY_PUBLIC_URL": ORIGIN}, data_dir=tmp_path / "var")
    hooks = TurnHooks(after_commit=fail)
    async for running in _running(settings, hooks):
        staff = await running.caller("staff")
        cid = (await running.launched(staff))["campaign_id"]
        (backer,) = await running.backers(1)
        path, body = f"/campaigns/{cid}/pledges", pledge(backer_id=backer)
        broken = True
        answer = await running.post(path, staff, body)
        require_come_again(answer, "outcome_unknown")
        assert "same id" in answer.json()["detail"]
        broken = False
        again = await running.post(path, staff, body)
        assert again.status_code == 200
        assert made(running, cid) == [body["pledge_id"]]


async def _running(settings: Any, hooks: TurnHooks | None = None) -> AsyncIterator[Running]:  # noqa: ANN401 - Settings
    clock = Clock()
    async with open_platform(settings, clock=clock, hooks=hooks) as platform:
        transport = transport_to(platform)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            running = Running(platform, client, clock)
            await platform.stores.channels.save(
                Channel(
                    id=running.channel,
                    name="Test channel",
                    languages=("en",),
                    currencies=("CNY",),
                    terms=Terms(),
                ),
                at=NOW,
            )
            yield running


@pytest.mark.postgres
async def test_a_broken_connection(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """The database hangs up on everybody and takes nobody for a while: 503, and nothing is lost or
    done twice; when it is there again, so are we.
    """
    settings = load_settings(
        {"TRIBUTARY_PUBLIC_URL": ORIGIN, "TRIBUTARY_DATABASE_URL": postgres_url},
        data_dir=tmp_path / "var",
    )
    name = name_of(postgres_url)
    async for running in _running(settings):
        staff = await running.caller("staff")
        cid = (await running.launched(staff))["campaign_id"]
        (backer,) = await running.backers(1)
        path = f"/campaigns/{cid}/pledges"
        before, during = pledge(backer_id=backer), pledge(backer_id=backer)
        assert (await running.post(path, staff, before)).status_code == 201
        with psycopg.connect(postgres_server.url, autocommit=True) as operator:
            operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            answer = await running.post(path, staff, during)
            require_come_again(answer, "not_recorded", "unavailable", "outcome_unknown")
            assert (await running.client.get("/health/live")).status_code == 200
            assert (await running.client.get("/health/ready")).status_code == 503
            operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        async with asyncio.timeout(60):
            while (await running.post(path, staff, during)).status_code == 503:
                pass
        assert made(running, cid) == [before["pledge_id"], during["pledge_id"]]
        running.platform.follower.catch_up()
        async with asyncio.timeout(60):
            # Each store finds out by itself that its connection is gone.
            while (await running.client.get("/health/ready")).status_code == 503:
                pass
