"""A server of several processes: it serves, survives its children, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.log.opening import open_log
from bench.crash_stage import CURRENCY, Stage, new_id
from tests.serving.server import Served, eventually, is_there, run


def seen_by_follower(served: Served, position: int) -> bool:
    """Whether a page that has to show this position comes."""
    campaign = served.stage.campaigns[0].campaign_id
    answer = served.client.get(
        f"/api/v1/campaigns/{campaign}",
        params={"at_least": position},
        headers=served.stage.headers,
    )
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200 and answer.json()["position"] >= position


@pytest.mark.slow
def test_several_processes_serve_one_platform(either_stage: Stage) -> None:
    """Each of two web processes takes pledges, and shows at once what the other one took."""
    port = str(either_stage.settings.port)
    with Served(either_stage, "serve", "--port", port, "--workers", "2") as served:
        eventually(served.ready)

        def one(_: int) -> int:
            with httpx.Client(base_url=either_stage.url, timeout=60) as client:
                made = served.pledge(client)
                answer = client.get(
                    f"/api/v1/campaigns/{either_stage.campaigns[0].campaign_id}",
                    params={"at_least": made["position"]},
                    headers=either_stage.headers,
                )
                assert answer.status_code == 200, answer.text
                assert answer.json()["position"] >= made["position"]
                return int(made["no"])

        with ThreadPoolExecutor(16) as callers:
            nos = list(callers.map(one, range(64)))
        assert sorted(nos) == list(range(1, 65))

        def counted() -> list[int]:
            webs = [one for one in served.reports() if one.process.startswith("web-")]
            found = [one.commands.get("accepted", 0) for one in webs]
            return found if sum(found) == 64 else []

        both = eventually(counted)
        assert len(both) == 2
        assert min(both) > 0, "one process took every request"
        assert served.stop() == 0


@pytest.mark.slow
def test_nothing_outlives_the_parent(served: Served) -> None:
    """When the parent is killed, its children end, and the port is free for the next one."""
    children = served.children()
    assert len(children) == 3
    served.process.kill()
    served.process.wait()
    eventually(lambda: not any(map(is_there, children)))
    with Served(served.stage, "serve", "--port", str(served.stage.settings.port)) as next_one:
        eventually(next_one.ready)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["web", "follow"])
def test_a_child_that_dies_is_replaced(shared: Served, which: str) -> None:
    """Another process does the work of one that was killed, whichever it is."""
    name = f"web-{shared.stage.settings.port}-1" if which == "web" else "follow"
    before = eventually(lambda: shared.report(name))
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: (now := shared.report(name)) is not None and now.pid != before.pid)
    with httpx.Client(base_url=shared.stage.url, timeout=60) as client:
        made = shared.pledge(client)
    eventually(lambda: seen_by_follower(shared, made["position"]))
    assert f"{name} ended (signal 9)" in shared.said.read_text()


@pytest.mark.slow
def test_answers_under_way_finish(served: Served) -> None:
    """Whoever was being answered when the server was told to stop gets the whole answer."""
    stage = served.stage
    lines = [
        {
            "campaign_id": stage.campaigns[0].campaign_id,
            "pledge_id": new_id(),
            "backer_id": stage.backers[0].id,
            "amount": 10_00,
            "currency": CURRENCY,
        }
        for _ in range(8_000)
    ]
    body = b"\n".join(httpx.Request("POST", "http://a", json=line).content for line in lines)

    def send(client: httpx.Client) -> httpx.Response:
        headers = stage.headers | {"content-type": "application/x-ndjson"}
        return client.post("/api/v1/pledges/batch", content=body, headers=headers)

    children = served.children()
    with httpx.Client(base_url=stage.url, timeout=60) as client, ThreadPoolExecutor(1) as caller:
        answer = caller.submit(send, client)
        eventually(lambda: log_position(served) > 100 or answer.done())
        assert served.stop() == 0
        text = answer.result().text
    assert text.count('"status":201') == len(lines)
    assert not any(map(is_there, children))
    assert served.reports() == []


def log_position(served: Served) -> int:
    """The last position of the log."""
    settings = served.stage.settings
    log = open_log(settings.database_url, settings.log_path)
    try:
        return log.last()[0]
    finally:
        log.close()


@pytest.mark.slow
def test_a_second_follower_stands_by(stage: Stage) -> None:
    """Of two that follow into one directory one waits, and goes on when the first is killed."""
    port = str(stage.settings.port)
    with (
        Served(stage, "serve", "--port", port, "--no-follow") as served,
        Served(stage, "follow") as first,
    ):
        eventually(served.ready)
        assert [one.process for one in served.reports()] == ["follow", f"web-{port}-1"]
        with Served(stage, "follow") as second:
            eventually(lambda: "standing by" in second.said.read_text())
            made: dict[str, Any] = served.pledge()
            eventually(lambda: seen_by_follower(served, made["position"]))
            first.process.kill()
            first.process.wait()
            made = served.pledge()
            eventually(lambda: seen_by_follower(served, made["position"]))
            report = eventually(lambda: served.report("follow"))
            assert report.pid == second.process.pid
            assert second.stop() == 0
        assert served.stop() == 0


@pytest.mark.slow
def test_a_taken_port_is_told(shared: Served) -> None:
    """A server that cannot listen says so and ends, and harms nobody."""
    said = run(shared.stage, "serve", "--port", str(shared.stage.settings.port))
    assert "Cannot listen" in said
    assert said.endswith("exit 1")
    assert shared.ready()


@pytest.mark.slow
def test_pages_and_streams_move_with_the_other_process(shared: Served) -> None:
    """A page that was kept, and numbers that somebody looks at, show what was pledged since."""
    page = f"/campaigns/{shared.stage.campaigns[0].campaign_id}"
    shared.pledge()
    kept = httpx.get(f"{shared.stage.url}{page}").headers["etag"]
    with httpx.stream("GET", f"{shared.stage.url}{page}/live", timeout=60) as stream:
        told = (line for line in stream.iter_lines() if line.startswith("id: "))
        seen = int(next(told).removeprefix("id: "))
        position = shared.pledge()["position"]
        while seen < position:
            seen = int(next(told).removeprefix("id: "))
    eventually(lambda: httpx.get(f"{shared.stage.url}{page}").headers["etag"] != kept)
