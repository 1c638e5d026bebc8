"""The books, and trying to cheat, in Chromium: widths, schemes and languages."""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.walk import Scheme, Walk

pytestmark = pytest.mark.browser

AUDITED_MS: Final = 90_000
"""The demo audits itself soon after its start, giving way to all else."""

CHEATED_MS: Final = 90_000

LOOKS: Final = [
    pytest.param(1280, "light", False, id="wide-light-english"),
    pytest.param(1280, "dark", True, id="wide-dark-chinese"),
    pytest.param(390, "dark", False, id="phone-dark-english"),
    pytest.param(390, "light", True, id="phone-light-chinese"),
]


def wait_for_seal(walk: Walk) -> Page:
    """Open the books once the demo has audited itself."""
    page = walk.page
    for _ in range(AUDITED_MS // 1_000):
        page.goto(f"{walk.origin}/audit")
        if page.locator("main .seal").count():
            walk.look()
            return page
        page.wait_for_timeout(1_000)
    pytest.fail("the demo did not audit itself")


@pytest.mark.parametrize(("width", "scheme", "chinese"), LOOKS)
def test_the_books(
    browser: Browser, demo_url: str, width: int, scheme: Scheme, *, chinese: bool
) -> None:
    """The seal, thirteen rules, a witnessed checkpoint; and those of a campaign, from its page."""
    with Walk(browser, demo_url, width=width, scheme=scheme, chinese=chinese) as walk:
        page = wait_for_seal(walk)
        expect(page.locator("#rules ~ .rulings .mark-box.good")).to_have_count(13 + 10)
        expect(page.locator("main")).to_contain_text("demo-witness")
        page.goto(f"{walk.origin}/discover")
        page.locator(".card h3 a").first.click()
        page.wait_for_load_state()
        page.locator("#record a.sealed").click()
        page.wait_for_url(re.compile("/campaigns/.*/audit"))
        walk.look()
        expect(page.locator("main .seal")).to_be_visible()
        expect(page.locator("main .ruling .mark-box.good")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme", "chinese"), LOOKS)
def test_trying_to_cheat(
    browser: Browser, demo_url: str, width: int, scheme: Scheme, *, chinese: bool
) -> None:
    """A covered-up forgery is caught from outside alone; then the seal of the original appears."""
    with Walk(browser, demo_url, width=width, scheme=scheme, chinese=chinese) as walk:
        page = walk.go("/demo/cheat")
        page.locator("input[value=raise]").check()
        page.locator("input[name=signed]").check()
        page.locator("form[action='/demo/cheat'] button").click()
        page.wait_for_url(re.compile("/demo/cheat/.+"), timeout=CHEATED_MS)
        walk.look()
        noticed = page.locator(".watches > li")
        expect(noticed).to_have_count(4)
        expect(page.locator(".watches > li.saw")).to_have_count(1)
        expect(noticed.nth(3)).to_have_class("saw")
        expect(page.locator(".bytes ins")).to_have_count(1)
        expect(page.locator(".stamped .seal")).to_be_visible()


def test_without_scripts(browser: Browser, demo_url: str) -> None:
    """Both work in a browser that runs nothing."""
    with Walk(browser, demo_url, scripts=False) as walk:
        page = walk.go("/demo/cheat")
        page.locator("input[value=divert]").check()
        page.locator("form[action='/demo/cheat'] button").click()
        page.wait_for_url(re.compile("/demo/cheat/.+"), timeout=CHEATED_MS)
        expect(page.locator(".watches > li.saw")).to_have_count(3)
        expect(page.locator("h1")).to_have_text("Caught.")
