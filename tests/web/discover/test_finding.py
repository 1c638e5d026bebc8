"""Home and search, as a visitor sees them."""

from __future__ import annotations

import re

import pytest

from tests.api.running import Caller, Running
from tests.web.browsing import Browser, words
from tests.web.conftest import clock, running, staff

__all__ = ["clock", "running", "staff"]


async def test_home_says_why_it_is_different(running: Running, staff: Caller) -> None:
    """The five numbers stand on it, and where to check them."""
    page = await Browser(running).get("/")
    text = words(page)
    for number in ("Pledged", "Charged", "Held for this campaign", "Paid to creator", "Returned"):
        assert number in text
    assert 'href="/help/checking"' in page.text


async def test_no_campaign_stands_on_two_shelves(running: Running, staff: Caller) -> None:
    """Featured, ending soon, nearly funded, newly launched: each campaign is shown once."""
    ids = [(await running.launched(staff, title=f"Number {n}"))["campaign_id"] for n in range(6)]
    page = await Browser(running).get("/")
    for cid in ids:
        assert len(re.findall(rf'<h3[^>]*><a href="/campaigns/{cid}"', page.text)) == 1


async def test_search_finds_and_keeps_what_was_asked(running: Running, staff: Caller) -> None:
    """Words and filters stay in the form; the count is said."""
    await running.launched(staff)
    await running.launched(staff, title="A bench for every ferry stop", blurb="", story="x")
    page = await Browser(running).get("/discover?q=ferry&state=live&sort=newest")
    text = words(page)
    assert "1 campaign " in text
    assert "A bench for every ferry stop" in text
    assert "viaduct" not in text
    assert 'value="ferry"' in page.text
    assert re.search(r'<option value="live" selected>', page.text)
    assert re.search(r'<option value="newest" selected>', page.text)


async def test_nothing_found_says_what_to_try(running: Running, staff: Caller) -> None:
    """The words that were not found are repeated, escaped."""
    await running.launched(staff)
    page = await Browser(running).get("/discover?q=<b>zebra</b>")
    assert "Nothing was found for “<b>zebra</b>”" in words(page).replace("&lt;", "<")
    assert "<b>zebra" not in page.text
    assert "No campaign fits all of these." in words(
        await Browser(running).get("/discover?category=sport")
    )


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=" + "x" * 3_000,
        "q=%22%20OR%20*",
        "state=nowhere&category=..&channel=1&language=xx&sort=worst",
        "page=0",
        "page=-3",
        "page=99999999999999999999",
        "page=%D9%A3",
        "q=a&q=b",
    ],
)
async def test_odd_addresses_still_answer(running: Running, staff: Caller, query: str) -> None:
    """Whatever an address holds, the page says something useful."""
    await running.launched(staff)
    assert (await Browser(running).get(f"/discover?{query}")).status_code == 200


async def test_pages_lead_on_and_back(running: Running, staff: Caller) -> None:
    """Beyond 24 campaigns there is a next page, which keeps the order."""
    for number in range(26):
        await running.launched(staff, title=f"Number {number}")
    browser = Browser(running)
    first = await browser.get("/discover?sort=newest")
    assert first.text.count('class="card"') == 24
    assert 'href="/discover?sort=newest&amp;page=2" rel="next"' in first.text
    second = await browser.get("/discover?sort=newest&page=2")
    assert second.text.count('class="card"') == 2
    assert 'href="/discover?sort=newest" rel="prev"' in second.text
    assert "There are not that many pages." in words(await browser.get("/discover?page=9"))


async def test_htmx_gets_only_the_results(running: Running, staff: Caller) -> None:
    """The form replaces the list and nothing else."""
    await running.launched(staff)
    page = await running.client.get("/discover", headers={"hx-target": "results"})
    assert page.text.lstrip().startswith('<section id="results"')
    assert "<html" not in page.text
    assert "hx-target" in page.headers["vary"]


@pytest.mark.parametrize("path", ["/", "/discover", "/help", "/robots.txt", "/problems/sold-out"])
async def test_head_is_answered_as_get(running: Running, path: str) -> None:
    """Link checkers ask for the head of a page."""
    found = await running.client.head(path)
    assert (found.status_code, found.content) == (200, b"")


async def test_head_of_other_pages(running: Running, staff: Caller) -> None:
    """Every page answers it, files and missing pages too."""
    cid = (await running.launched(staff))["campaign_id"]
    for path, status in (
        (f"/campaigns/{cid}", 200),
        ("/static/tributary.css", 200),
        ("/nowhere", 404),
    ):
        found = await running.client.head(path)
        assert (found.status_code, found.content) == (status, b"")


async def test_the_language_switch_keeps_the_address(running: Running, staff: Caller) -> None:
    """Path and query stay; only the language changes."""
    page = await Browser(running).get("/discover?q=film&state=live")
    assert 'href="/discover?q=film&amp;state=live&amp;lang=zh-Hans"' in page.text
    chinese = await Browser(running).get("/discover?q=film&lang=zh-Hans")
    assert 'href="/discover?q=film&amp;lang=en"' in chinese.text
    assert "搜索" in words(chinese)


async def test_cards_speak_chinese(running: Running, staff: Caller) -> None:
    """The line beneath a card, with its amount and time."""
    await running.launched(staff)
    text = words(await Browser(running).get("/discover?lang=zh-Hans"))
    assert "0 % · ¥0 CNY · 还剩30天".replace("\xa0", " ") in text.replace("\xa0", " ")
