"""Channels, creators, help, and what machines read first."""

from __future__ import annotations

import re

import pytest

from app.web.discover.help import example_of
from app.web.discover.people import record_of
from domain.terms import DAY_MS, Terms
from tests.api.running import NOW, ORIGIN, Caller, Running, new_id
from tests.web.browsing import Browser, words
from tests.web.conftest import clock, running, staff

__all__ = ["clock", "running", "staff"]

PAGES = (
    "/help",
    "/help/charging",
    "/help/fees",
    "/help/checking",
    "/terms",
    "/privacy",
    "/problems",
    "/problems/sold-out",
)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "zh-Hans"])
async def test_every_page_in_both_languages(running: Running, path: str, language: str) -> None:
    """It has one heading, names its language, and in Chinese is not English."""
    page = await Browser(running).get(f"{path}?lang={language}")
    assert page.status_code == 200
    assert f'<html lang="{language}">' in page.text
    assert len(re.findall("<h1", page.text)) == 1
    heading = re.search("<h1[^>]*>(.*?)</h1>", page.text, re.DOTALL)
    assert heading is not None
    assert bool(re.search("[\u4e00-\u9fff]", heading[1])) == (language == "zh-Hans")


async def test_a_channel_with_its_terms_and_totals(running: Running, staff: Caller) -> None:
    """Its fees in words, what it carries, and how much of it ended how."""
    cid = (await running.launched(staff))["campaign_id"]
    text = words(await Browser(running).get(f"/channels/{running.channel}"))
    for said in ("Test channel", "5 % of what is charged.", "2 % of what is charged.", "CNY · EUR"):
        assert said in text
    page = await Browser(running).get(f"/channels/{running.channel}")
    assert f'href="/campaigns/{cid}"' in page.text
    assert (await Browser(running).get(f"/channels/{new_id()}")).status_code == 404


async def test_a_creator_with_their_record(running: Running, staff: Caller) -> None:
    """What became of their campaigns; nobody who never launched one has a page."""
    await running.launched(staff, deadline_at=NOW + DAY_MS)
    search = running.platform.search
    search.ready()
    creator = next(iter(search.index.names().values()))[0]
    running.clock.now = NOW + 2 * DAY_MS
    running.work()
    text = words(await Browser(running).get(f"/creators/{creator}"))
    assert "One campaign so far." in text
    assert "Goal missed 1" in text
    backer = (await running.backers(1))[0]
    assert (await Browser(running).get(f"/creators/{backer}")).status_code == 404


def test_a_record_of_nothing() -> None:
    """Adding nothing up gives nothing, not an error."""
    record = record_of([])
    assert (record.launched, record.backers, record.totals) == (0, 0, {})


@pytest.mark.parametrize(
    ("currency", "parts"),
    [("CNY", (12_000, 600, 240)), ("JPY", (120, 6, 2)), ("KWD", (120_000, 6_000, 2_400))],
)
def test_the_example_adds_up(currency: str, parts: tuple[int, int, int]) -> None:
    """Charged less both fees is the rest, by the rounding of the rules."""
    example = example_of(Terms(), currency)
    assert (example.amount_minor, example.platform_minor, example.processing_minor) == parts
    assert example.rest_minor == parts[0] - parts[1] - parts[2]


async def test_fees_show_the_example(running: Running) -> None:
    """To the cent, in the channel's first currency."""
    text = words(await Browser(running).get("/help/fees"))
    assert "An example: a pledge of ¥120" in text
    assert "Left for the creator ¥111.60" in text


async def test_robots_and_the_map(running: Running, staff: Caller) -> None:
    """Robots learn what is private and where the map is; the map names every campaign."""
    cid = (await running.launched(staff))["campaign_id"]
    robots = await running.client.get("/robots.txt")
    assert f"Sitemap: {ORIGIN}/sitemap.xml" in robots.text
    assert "Disallow: /me" in robots.text
    index = await running.client.get("/sitemap.xml")
    assert index.headers["content-type"].startswith("application/xml")
    maps = re.findall(f"<loc>{ORIGIN}(/sitemaps/[0-9]+)</loc>", index.text)
    assert maps == ["/sitemaps/0", "/sitemaps/1"]
    assert f"{ORIGIN}/help/fees" in (await running.client.get(maps[0])).text
    assert f"{ORIGIN}/campaigns/{cid}</loc>" in (await running.client.get(maps[1])).text
    assert (await running.client.get("/sitemaps/2")).status_code == 404


@pytest.mark.parametrize("language", ["en", "zh-Hans"])
async def test_a_missing_page_helps(running: Running, language: str) -> None:
    """It has a search box and ways on, in the reader's language."""
    page = await running.client.get(f"/nowhere?lang={language}")
    assert page.status_code == 404
    assert 'action="/discover"' in page.text
    assert ("这条支流没有去处" if language == "zh-Hans" else "leads nowhere") in words(page)


async def test_the_style_guide_is_the_demos(running: Running) -> None:
    """Where real money moves there is no such page."""
    assert (await running.client.get("/styleguide")).status_code == 404
