"""The log by API, health, and the provider's news."""

from __future__ import annotations

import json

import pytest

from app.log import EventLog
from app.payments.test_bank.notifications import sign
from tests.api.running import Caller, Running, pledge


async def test_events_are_the_stored_bytes(running: Running, staff: Caller) -> None:
    """An auditor gets every body byte for byte, with its place, from anywhere on."""
    await running.launched(staff)
    auditor = await running.caller("auditor")
    answer = await running.get("/events?after=1&limit=1", auditor)
    (row,) = running.platform.log.read(1, 1)
    assert answer.content == b'[{"position":2,"event":' + row.body + b"}]"
    assert answer.headers["tributary-position"] == "2"
    end = await running.get("/events?after=3", auditor)
    assert (end.json(), end.headers["tributary-position"]) == ([], "3")


async def test_events_come_as_lines_where_wanted(running: Running, staff: Caller) -> None:
    """Who accepts NDJSON gets one object a line."""
    await running.launched(staff)
    auditor = await running.caller("auditor")
    answer = await running.client.get(
        "/api/v1/events", headers=auditor.headers | {"accept": "application/x-ndjson"}
    )
    positions = [json.loads(line)["position"] for line in answer.content.splitlines()]
    assert positions == [1, 2, 3]


async def test_a_query_is_read_strictly(running: Running) -> None:
    """A parameter outside its bounds is named in the answer."""
    auditor = await running.caller("auditor")
    for query in ("limit=0", "limit=10001", "after=-1", "after=x", f"after={10**30}", "limit=1.5"):
        refused = await running.get(f"/events?{query}", auditor)
        assert (refused.status_code, refused.json()["reason"]) == (422, "request_invalid"), query
        assert query.partition("=")[0] in refused.json()["detail"]


async def test_alive_and_ready(running: Running, staff: Caller) -> None:
    """Alive needs nothing; ready tells how far the views are behind."""
    assert (await running.client.get("/health/live")).json()["status"] == "live"
    await running.launched(staff)
    ready = await running.client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "position": 3, "lag": 0},
    )


async def test_not_ready_where_the_views_are_far_behind(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound it is 503, so that no requests are sent here."""
    monkeypatch.setattr("app.api.health.MOST_LAG", 1)
    await running.post("/campaigns", staff, {"title": "x"})
    cid = (await running.launched(staff))["campaign_id"]
    backers = await running.backers(2)
    for backer in backers:
        await running.post(f"/campaigns/{cid}/pledges", staff, pledge(backer_id=backer))
    assert (await running.client.get("/health/ready")).status_code == 503


async def test_not_ready_where_the_log_cannot_be_read(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails is not ready, and the failure does not reach the caller."""

    def fails(_: EventLog) -> tuple[int, int]:
        raise OSError("the disk is gone")

    monkeypatch.setattr(type(running.platform.log), "last", fails)
    answer = await running.client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "the log cannot be read")
    assert "disk" not in answer.text


async def test_only_the_banks_own_news_is_heard(running: Running) -> None:
    """News without the bank's signature is refused; signed nonsense is, too."""
    for headers, body in (
        ({}, b"{}"),
        ({"test-bank-signature": "v1=00"}, b"{}"),
        (sign(running.platform.settings.test_bank_secret, b"{}"), b"{}"),
    ):
        refused = await running.client.post("/webhooks/test-bank", content=body, headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (403, "signature_invalid")
    long = await running.client.post("/webhooks/test-bank", content=b"x" * 70_000)
    assert long.status_code == 413
