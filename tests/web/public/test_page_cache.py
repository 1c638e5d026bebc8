"""Kept pages: how old they may be, who makes them anew, and who gets which."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from app.web.public import page_cache
from app.web.public.page_cache import FRESH_S, PageCache, cache_of
from tests.api.running import Caller, Running, pledge
from tests.web.browsing import Browser


class Rendering:
    """Makes pages when it is told to, and counts them."""

    def __init__(self, position: int = 1) -> None:
        self.made = 0
        self.position = position
        self.go_on = asyncio.Event()

    async def __call__(self) -> tuple[str, int]:
        """Make one."""
        self.made += 1
        made = self.made
        await self.go_on.wait()
        return f"page {made}", self.position


async def backs(running: Running, staff: Caller, cid: str) -> int:
    """Let somebody pledge, and the views follow; returns where the log then is."""
    (backer,) = await running.backers(1)
    answer = await running.post(f"/campaigns/{cid}/pledges", staff, pledge(backer_id=backer))
    running.platform.follower.catch_up()
    position: int = answer.json()["position"]
    return position


async def test_of_many_who_come_at_once_one_makes_the_page(running: Running) -> None:
    """The others wait for it, where there is none before."""
    cache, rendering = PageCache(running.platform), Rendering(0)
    key = ("a", "", "en")
    asked = [asyncio.create_task(cache.find(key, rendering)) for _ in range(20)]
    await asyncio.sleep(0)  # all have come
    rendering.go_on.set()
    found = await asyncio.gather(*asked)
    assert rendering.made == 1
    assert {kept.body for kept in found} == {b"page 1"}


async def test_a_page_that_cannot_be_made_is_tried_by_the_next(running: Running) -> None:
    """What one reader ran into is not told to the others."""
    cache = PageCache(running.platform)
    rendering = Rendering(0)
    rendering.go_on.set()

    async def fail() -> tuple[str, int]:
        await asyncio.sleep(0)
        raise OSError("gone")

    key = ("a", "", "en")
    first = asyncio.create_task(cache.find(key, fail))
    await asyncio.sleep(0)
    second = asyncio.create_task(cache.find(key, rendering))
    with pytest.raises(OSError, match="gone"):
        await first
    assert (await second).body == b"page 1"


async def test_while_one_makes_it_anew_the_others_read_the_one_before(
    running: Running, staff: Caller
) -> None:
    """A page that was good a moment ago holds nobody up; one that is asked for a position does."""
    cid = (await running.launched(staff))["campaign_id"]
    cache, rendering = PageCache(running.platform, fresh_s=0), Rendering()
    rendering.go_on.set()
    key = (cid, "", "en")
    before = await cache.find(key, rendering)
    position = await backs(running, staff, cid)
    rendering.go_on.clear()
    renewing = asyncio.create_task(cache.find(key, rendering))
    while rendering.made < 2:  # noqa: ASYNC110 - it is about to begin
        await asyncio.sleep(0)
    assert await cache.find(key, rendering) is before
    patient = asyncio.create_task(cache.find(key, rendering, position))
    await asyncio.sleep(0)
    assert not patient.done()
    rendering.go_on.set()
    assert (await renewing).body == b"page 2"
    assert (await patient).body == b"page 2"
    assert rendering.made == 2


async def test_a_page_may_be_a_moment_old(running: Running, staff: Caller) -> None:
    """After a pledge it is given for a quarter of a second as it was, but never to who asks for
    that pledge, nor to its backer.
    """
    cid = (await running.launched(staff))["campaign_id"]
    cache_of(running.platform).fresh_s = 3_600
    path = f"/campaigns/{cid}"
    old = await running.client.get(path)
    position = await backs(running, staff, cid)
    assert (await running.client.get(path)).content == old.content
    asked = await running.client.get(f"{path}?at_least={position}")
    assert asked.content != old.content
    assert "1 backer" in asked.text
    assert FRESH_S <= 0.25


async def test_a_backer_sees_their_own_pledge_at_once(running: Running, staff: Caller) -> None:
    """The page after a pledge is the backer's, however fresh others take theirs to be."""
    cid = (await running.launched(staff))["campaign_id"]
    cache_of(running.platform).fresh_s = 3_600
    assert "0 backers" in (await running.client.get(f"/campaigns/{cid}")).text
    browser = Browser(running)
    await browser.pledge(cid, amount="50")
    running.work()
    assert "1 backer" in (await browser.get(f"/campaigns/{cid}")).text


async def test_what_is_taken_away_is_not_kept_by_who_was_about_to_keep_it(
    running: Running,
) -> None:
    """A page that was under way while something was removed may show it; it is not given again."""
    cache, rendering = PageCache(running.platform, fresh_s=3_600), Rendering()
    key = ("a", "", "en")
    under_way = asyncio.create_task(cache.find(key, rendering))
    while not rendering.made:  # noqa: ASYNC110 - it is about to begin
        await asyncio.sleep(0)
    cache.forget("a")
    rendering.go_on.set()
    assert (await under_way).body == b"page 1"
    assert (await cache.find(key, rendering)).body == b"page 2"


async def test_it_is_sent_compressed(running: Running, staff: Caller) -> None:
    """The first time by the framework, then from what was compressed once; never twice over."""
    cid = (await running.launched(staff))["campaign_id"]
    cache_of(running.platform).fresh_s = 3_600
    path, takes = f"/campaigns/{cid}", {"accept-encoding": "gzip"}
    plain = (await running.client.get(path, headers={"accept-encoding": "identity"})).content
    cache_of(running.platform).forget(cid)
    for _ in range(3):
        answer = await running.client.get(path, headers=takes)
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == plain
        assert "accept-encoding" in answer.headers["vary"].lower()
    kept = next(iter(cache_of(running.platform)._pages.values()))
    assert gzip.decompress(kept.packed) == plain


async def test_both_ways_answer_alike(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets a kept page before the framework gets the headers that it would give."""
    cid = (await running.launched(staff))["campaign_id"]
    path, plain = f"/campaigns/{cid}", {"accept-encoding": "identity"}
    await running.client.get(path, headers=plain)
    cache_of(running.platform).fresh_s = 3_600
    short = await running.client.get(path, headers=plain)
    monkeypatch.setattr(page_cache, "PREFIX", "/elsewhere/")
    long = await running.client.get(path, headers=plain)
    assert short.content == long.content
    assert sorted(short.headers.multi_items()) == sorted(long.headers.multi_items())
    for headers in (plain, {"cookie": "tributary_language=zh-Hans"}):
        assert (await running.client.get(path, headers=headers)).status_code == 200
    chosen = await running.client.get(path, headers={"cookie": "tributary_language=zh-Hans"})
    assert chosen.headers["content-language"] == "zh-Hans"


async def test_what_stands_around_is_read_once_a_minute(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pledge makes a page anew without reading its texts again; another text is read."""
    cid = (await running.launched(staff))["campaign_id"]
    content = running.platform.stores.content
    reads = []
    get_many = content.get_many

    async def counted(hashes: set[str]) -> dict[str, dict[str, object]]:
        reads.append(hashes)
        return await get_many(hashes)

    monkeypatch.setattr(content, "get_many", counted)
    await running.client.get(f"/campaigns/{cid}")
    first = len(reads)
    await backs(running, staff, cid)
    assert "1 backer" in (await running.client.get(f"/campaigns/{cid}")).text
    assert len(reads) == first
    story = {"title": "Another title", "story": "Told otherwise."}
    await running.do(staff, cid, "story", {"text": story})
    running.platform.follower.catch_up()
    assert "Told otherwise." in (await running.client.get(f"/campaigns/{cid}")).text
    running.clock.now += 60_000
    before = len(reads)
    await running.client.get(f"/campaigns/{cid}")
    assert len(reads) > before
