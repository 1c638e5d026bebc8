"""Backpressure: what cannot be answered in time is turned away, and the rest is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.api.problems import DisconnectedError
from app.asgi import create_app
from app.engine import Outcome
from app.web import admission
from app.web.admission import LEAST_REQUESTS, SHRINKAGE, Admission, _Body
from domain.commands import Command
from tests.api.running import ORIGIN, Caller, Running, new_id, pledge


class SlowEngine:
    """Stands before a platform's engine and lets nothing through before it is told to."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.reached = asyncio.Condition()
        self._submit = running.platform.engine.submit_async
        monkeypatch.setattr(running.platform.engine, "submit_async", self.submit)

    async def submit(self, command: Command, key: str | None = None) -> Outcome:
        """Wait, then do it."""
        async with self.reached:
            self.waiting += 1
            self.reached.notify_all()
        await self.go_on.wait()
        return await self._submit(command, key)

    async def until(self, count: int) -> None:
        """Wait until so many commands wait."""
        async with self.reached:
            await asyncio.wait_for(self.reached.wait_for(lambda: self.waiting >= count), 10)


class Bounded:
    """An application that lets few requests in, and a client of its own."""

    def __init__(self, running: Running, client: httpx.AsyncClient, bound: Admission) -> None:
        self.running = running
        self.client = client
        self.bound = bound

    async def pledge(self, campaign_id: str, backer: str, staff: Caller) -> httpx.Response:
        """Pledge, by a backer of an import."""
        return await self.client.post(
            f"/api/v1/campaigns/{campaign_id}/pledges",
            json=pledge(backer_id=backer),
            headers=staff.headers,
        )


@pytest.fixture
async def bounded(running: Running) -> AsyncIterator[Bounded]:
    """At most four requests under way."""
    app = create_app(running.platform)
    bound: Admission = app.state.admission
    bound.most = 4
    bound.bound = 4
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield Bounded(running, client, bound)


async def test_the_excess_is_turned_away_and_the_rest_is_done(
    bounded: Bounded, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten at once four wait for a slow engine; six get 503 at once, and may come again."""
    cid = (await bounded.running.launched(staff))["campaign_id"]
    backers = await bounded.running.backers(11)
    slow = SlowEngine(bounded.running, monkeypatch)
    asked = [asyncio.create_task(bounded.pledge(cid, one, staff)) for one in backers[:4]]
    await slow.until(4)
    for backer in backers[4:10]:
        refused = await bounded.pledge(cid, backer, staff)
        assert (refused.status_code, refused.json()["reason"]) == (503, "engine_busy")
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 3
        assert refused.headers["x-content-type-options"] == "nosniff"
    assert bounded.bound.turned_away == 6
    slow.go_on.set()
    assert {(await answer).status_code for answer in asked} == {201}
    assert (await bounded.pledge(cid, backers[10], staff)).status_code == 201
    assert bounded.running.platform.engine.inspect(cid, lambda state: len(state.pledges)) == 5
    assert (bounded.bound.under_way, bounded.bound.held_bytes) == (0, 0)


async def test_who_looks_after_the_server_is_always_let_in(bounded: Bounded, staff: Caller) -> None:
    """Health, metrics and a kept page are given however much is under way."""
    cid = (await bounded.running.launched(staff))["campaign_id"]
    assert (await bounded.client.get(f"/campaigns/{cid}")).status_code == 200
    bounded.bound.bound = 0
    bounded.bound.enter()
    for path in ("/health/live", f"/campaigns/{cid}"):
        assert (await bounded.client.get(path)).status_code == 200, path
    assert "status" in (await bounded.client.get("/health/ready")).json()
    assert (await bounded.client.get("/metrics")).status_code != 503
    assert bounded.bound.turned_away == 0
    assert (await bounded.client.get("/discover")).status_code == 503
    bounded.bound.leave()


async def test_people_get_a_page_in_their_language(bounded: Bounded) -> None:
    """Not problem details: a page that says to come again."""
    bounded.bound.bound = 0
    bounded.bound.enter()
    english = await bounded.client.get("/discover")
    chinese = await bounded.client.get("/discover", headers={"accept-language": "zh-CN"})
    bounded.bound.leave()
    assert (english.status_code, chinese.status_code) == (503, 503)
    assert "Very many people are here" in english.text
    assert 'lang="zh-Hans"' in chinese.text
    assert "现在来的人非常多" in chinese.text
    assert (english.headers["cache-control"], "retry-after" in english.headers) == (
        "no-store",
        True,
    )


def test_the_bound_follows_the_loop() -> None:
    """Late twice in a row it shrinks by a third; on time it grows back, never beyond the most."""
    bound = Admission(most=512, late_s=0.1)
    bound.judge(0.2)
    assert bound.bound == 512
    bound.judge(0.2)
    assert bound.bound == 512 * SHRINKAGE
    for _ in range(50):
        bound.judge(5)
    assert bound.bound == LEAST_REQUESTS
    bound.judge(0.01)
    assert bound.bound == LEAST_REQUESTS + admission.GROWTH
    bound.judge(0.2)
    assert bound.bound == LEAST_REQUESTS + admission.GROWTH
    for _ in range(50):
        bound.judge(0)
    assert bound.bound == 512


def test_one_request_always_passes() -> None:
    """Whatever the bounds say, an idle server takes a request."""
    bound = Admission(most=0)
    assert bound.takes(10**9)
    bound.under_way = 1
    assert not bound.takes(0)


async def test_a_late_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """While requests are under way the loop is looked at; when all are answered it rests."""
    monkeypatch.setattr(admission, "LOOK_S", 0.001)
    seen: asyncio.Queue[float] = asyncio.Queue()
    bound = Admission()
    monkeypatch.setattr(bound, "judge", seen.put_nowait)
    bound.enter()
    for _ in range(3):
        assert await asyncio.wait_for(seen.get(), 10) >= 0
    bound.leave()
    while bound._looking:
        await asyncio.wait_for(seen.get(), 10)
    bound.enter()
    await asyncio.wait_for(seen.get(), 10)
    bound.leave()


async def test_all_bodies_together_are_bounded(
    bounded: Bounded, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that does not fit beside the others is refused; alone it may come."""
    monkeypatch.setattr(admission, "MOST_BODY_BYTES", 1_000)
    batch = "/api/v1/pledges/batch"
    line = f'{{"pledge_id":"{new_id()}"}}\n'.encode() * 30
    alone = await bounded.client.post(batch, content=line, headers=staff.headers)
    assert alone.status_code == 200
    bounded.bound.enter()
    bounded.bound.held_bytes = 900
    announced = await bounded.client.post(batch, content=line, headers=staff.headers)
    assert (announced.status_code, announced.json()["reason"]) == (503, "engine_busy")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield line

    streamed = await bounded.client.post(batch, content=chunks(), headers=staff.headers)
    assert (streamed.status_code, streamed.json()["reason"]) == (503, "engine_busy")
    assert bounded.bound.held_bytes == 900
    bounded.bound.leave()


async def test_who_hangs_up_in_the_middle_is_no_fault() -> None:
    """A body that ends too early raises; one that is whole may be followed by the end."""
    bound = Admission()
    gone = {"type": "http.disconnect"}
    told: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": False},
        gone,
    ]

    async def receive() -> Any:  # noqa: ANN401 - a message
        return told.pop(0)

    body = _Body(receive, bound)
    assert [(await body.receive())["body"] for _ in range(2)] == [b"ab", b"c"]
    assert await body.receive() is gone
    assert (body.size, bound.held_bytes) == (3, 3)
    told.append(gone)
    with pytest.raises(DisconnectedError):
        await _Body(receive, bound).receive()
