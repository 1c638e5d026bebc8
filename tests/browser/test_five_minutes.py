"""Five minutes that convince, as the demo's own page names them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from bench.browsing import running_demo
from tests.browser.test_channel_journeys import open_mail
from tests.browser.walk import Walk

pytestmark = pytest.mark.browser

MAIL = "sample-five@example.net"


@pytest.fixture(scope="module")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo that was begun just now: its first campaign closes within five minutes."""
    with running_demo(tmp_path_factory.mktemp("fresh-demo")) as url:
        yield url


def test_five_minutes(browser: Browser, demo_url: str) -> None:
    """A pledge brings the first campaign over its goal; it closes, the card declines, and the mail
    in the outbox leads to the fix; the cancelled campaign is explained pledge by pledge.
    """
    with Walk(browser, demo_url) as walk:
        page = walk.go("/")
        walk.click(re.compile("harbour library"), "link")
        expect(page.locator("main")).to_contain_text("7 of 8 left")
        campaign = page.url.split("?")[0]
        walk.click("Pledge to this campaign", "link")
        page.get_by_role("radio", name=re.compile("A roof evening for eight")).check()
        page.get_by_label("Mail address").fill(MAIL)
        expect(page.locator("[data-charge]")).to_contain_text("¥0 today")
        walk.click("Go to payment")
        page.get_by_role("radio", name=re.compile("declined at every charge")).check()
        walk.click("Use this card")
        expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
        expect(page.locator(".proof-river .own").first).to_be_visible()
        own_page = page.url.split("?")[0]
        page.goto(campaign)
        expect(page.locator(".river .own").first).to_be_visible()

        walk.go("/demo")
        walk.click("Close it now")
        for _ in range(40):
            if "Succeeded" in page.locator("main").inner_text():
                break
            page.wait_for_timeout(500)
            page.goto(campaign)
        expect(page.locator("main")).to_contain_text("Succeeded")

        open_mail(walk, MAIL, "did not go through")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Mend your payment")
        walk.click("Use another card")
        walk.click("Use this card")
        page.goto(own_page)
        for _ in range(40):
            if "Where your money is" in page.locator("main").inner_text():
                break
            page.wait_for_timeout(500)
            page.reload()
        walk.look()
        expect(page.locator("main")).to_contain_text("Where your money is")

        walk.act_as("backer")
        walk.go("/me")
        walk.click(re.compile("Bags from old sails"), "link")
        walk.look()
        expect(page.locator("main")).to_contain_text(
            re.compile("paid to the creator", re.IGNORECASE)
        )
        expect(page.locator("main")).to_contain_text(
            re.compile("returned|went back", re.IGNORECASE)
        )
