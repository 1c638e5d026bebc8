"""What every address does alike: rates, marks of content, HEAD, media types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.api.manners import Bucket
from app.settings import load_settings
from app.wiring import open_platform
from tests.api.running import ORIGIN, Caller, Clock, Running, transport_to


def test_a_bucket_fills_up_again() -> None:
    """Ten seconds' worth may be asked at once; then so much a second, and no more than that."""
    bucket = Bucket(2, at_s=100)
    assert all(bucket.take(1, 100) for _ in range(20))
    assert not bucket.take(1, 100)
    assert bucket.wait_s() == 1
    assert bucket.headers == {"ratelimit-policy": '"key";q=20;w=10', "ratelimit": '"key";r=0;t=10'}
    assert bucket.take(1, 100.5)
    assert not bucket.take(1, 100.5)
    assert bucket.take(20, 200)
    assert not bucket.take(1, 200)


def test_more_than_a_bucket_holds_is_paid_for_later() -> None:
    """A batch larger than the whole bucket passes once it is full, and is paid off afterwards."""
    bucket = Bucket(1, at_s=0)
    assert bucket.take(30, 0)
    assert not bucket.take(1, 20)
    assert bucket.take(1, 22)


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Running]:
    """A platform whose keys may ask once a second."""
    environment = {"TRIBUTARY_PUBLIC_URL": ORIGIN, "TRIBUTARY_API_RATE": "1"}
    settings = load_settings(environment, data_dir=tmp_path / "var")
    clock = Clock()
    async with open_platform(settings, clock=clock) as platform:
        transport = transport_to(platform)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            yield Running(platform, client, clock)


async def test_who_asks_too_much_is_told_to_wait(slow: Running) -> None:
    """After ten requests it is 429, with the headers of the draft; another key is not held up."""
    auditor, other = await slow.caller("auditor"), await slow.caller("auditor")
    answers = [await slow.get("/me", auditor) for _ in range(12)]
    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    refused = answers[-1]
    assert (refused.status_code, refused.json()["reason"]) == (429, "rate_limited")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit-policy"] == '"key";q=10;w=10'
    assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
    assert (await slow.get("/me", other)).status_code == 200


async def test_the_lines_of_a_batch_count(slow: Running) -> None:
    """A hundred lines are one request: what is over the bucket is refused before it is read."""
    staff = await slow.caller("staff")
    small = await slow.client.post(
        "/api/v1/pledges/batch", content=b"{}\n" * 700, headers=staff.headers
    )
    assert small.status_code == 200
    assert small.headers["ratelimit"].startswith('"key";r=2;')
    large = await slow.client.post(
        "/api/v1/pledges/batch", content=b"{}\n" * 700, headers=staff.headers
    )
    assert (large.status_code, large.json()["reason"]) == (429, "rate_limited")


async def test_a_read_that_is_known_is_not_sent_again(running: Running, staff: Caller) -> None:
    """The ETag of an answer makes the next one 304 and empty, until something changes."""
    campaign_id = (await running.launched(staff))["campaign_id"]
    first = await running.get(f"/campaigns/{campaign_id}", staff)
    mark = first.headers["etag"]
    for known in (mark, f'"other", {mark}', "*"):
        headers = staff.headers | {"if-none-match": known}
        again = await running.client.get(f"/api/v1/campaigns/{campaign_id}", headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == mark
    await running.do(staff, campaign_id, "suspend", {"cause": "report"})
    running.platform.follower.catch_up()
    headers = staff.headers | {"if-none-match": mark}
    changed = await running.client.get(f"/api/v1/campaigns/{campaign_id}", headers=headers)
    assert (changed.status_code, changed.json()["suspended"]) == (200, True)
    assert changed.headers["cache-control"] == "private, no-cache"


async def test_head_is_get_without_a_body(running: Running, staff: Caller) -> None:
    """The same status and headers, nothing behind them."""
    for path, status in (("/campaigns", 200), ("/me", 200), (f"/campaigns/{staff.party}", 404)):
        whole = await running.get(path, staff)
        head = await running.client.head(f"/api/v1{path}", headers=staff.headers)
        assert (head.status_code, head.content) == (status, b"")
        assert whole.status_code == status
        assert head.headers["content-length"] == whole.headers["content-length"]


async def test_a_method_that_is_not_allowed_comes_with_those_that_are(
    running: Running, staff: Caller
) -> None:
    """405 names the methods of the address; OPTIONS tells them, and gives no other site leave."""
    refused = await running.client.delete("/api/v1/campaigns", headers=staff.headers)
    assert (refused.status_code, refused.json()["reason"]) == (405, "method_not_allowed")
    allowed = {method.strip() for method in refused.headers["allow"].split(",")}
    assert allowed == {"GET", "HEAD", "OPTIONS", "POST"}
    asked = await running.client.options(
        "/api/v1/campaigns",
        headers={"origin": "https://elsewhere.example", "access-control-request-method": "GET"},
    )
    assert asked.status_code == 204
    assert not any(name.startswith("access-control-") for name in asked.headers)


async def test_a_body_of_another_type_is_refused(running: Running, staff: Caller) -> None:
    """A form is no JSON, JSON is no batch; a body that does not say what it is is read."""
    for path, kind, status in (
        ("/backers", "application/x-www-form-urlencoded", 415),
        ("/backers", "text/plain", 415),
        ("/backers", "application/json; charset=utf-8", 201),
        ("/pledges/batch", "application/json", 415),
        ("/pledges/batch", "application/x-ndjson", 200),
    ):
        headers = staff.headers | {"content-type": kind}
        answer = await running.client.post(f"/api/v1{path}", content=b"{}", headers=headers)
        assert answer.status_code == status, (path, kind)
    plain = await running.client.post("/api/v1/backers", content=b"{}", headers=staff.headers)
    assert plain.status_code == 201


async def test_a_cursor_is_of_its_own_list(running: Running, staff: Caller) -> None:
    """Nonsense, another list's cursor and a number where a word stood are refused by name."""
    for _ in range(2):
        await running.launched(staff)
    page = (await running.get("/campaigns?limit=1", staff)).json()
    cursor = page["next"].partition("cursor=")[2]
    for wrong in ("x", "AAAA", "W10", "%F0%9F", f"{cursor}x"):
        refused = await running.get(f"/campaigns?cursor={wrong}", staff)
        assert (refused.status_code, refused.json()["reason"]) == (422, "request_invalid"), wrong
        assert "cursor" in refused.json()["detail"]
    assert (await running.get(f"/keys?cursor={cursor}", staff)).status_code == 422
