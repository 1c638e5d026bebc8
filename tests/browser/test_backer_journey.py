"""What a backer does, in a real browser: from discovery to the proof, changed, and cancelled."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.walk import Scheme, Walk, digits

pytestmark = pytest.mark.browser

FILM = "Film nights under the viaduct"


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")], ids=str
)
def test_from_discovery_to_the_proof_then_changed_and_cancelled(
    browser: Browser, demo_url: str, width: int, scheme: Scheme
) -> None:
    """A visitor finds a campaign, chooses a reward, pays at the bank's page with no more than a
    mail address, gets the proof, changes the pledge, finds it in the ledger, and cancels it.
    """
    with Walk(browser, demo_url, width=width, scheme=scheme) as walk:
        page = walk.go("/discover?q=viaduct")
        walk.click(re.compile(FILM), "link")
        expect(page.get_by_role("heading", level=1)).to_contain_text(FILM)
        expect(page.locator("#rewards")).to_contain_text("7 of 50 left")
        walk.click("Pledge to this campaign", "link")

        page.get_by_role("radio", name=re.compile("Poster")).check()
        page.get_by_label("Country or region").select_option("CN")
        page.get_by_label("Mail address").fill(f"sample-{width}-{scheme}@example.net")
        expect(page.locator("[data-sum]")).to_contain_text("132")
        walk.click("Go to payment")
        expect(page.get_by_role("heading", name="Choose a test card")).to_be_visible()
        walk.click("Use this card")

        expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
        expect(page.locator(".receipt-sum")).to_contain_text("132")
        number = digits(page.locator(".proof-head .lead").inner_text())
        own_page = page.url.split("?")[0]

        walk.click("Change this pledge", "link")
        page.get_by_label("Amount in CNY").fill("150")
        walk.click("Save the change")
        expect(page.locator(".receipt-sum")).to_contain_text("150")

        walk.go("/me")
        expect(page.locator("main")).to_contain_text(FILM)
        expect(page.locator("main")).to_contain_text(str(number))

        page.goto(own_page)
        walk.click("Cancel this pledge", "link")
        expect(page.get_by_text("You are not charged.")).to_be_visible()
        walk.click("Yes, cancel it")
        expect(page.locator(".proof-head")).not_to_contain_text("Cancel this pledge")
        expect(page.get_by_role("status").first).to_contain_text(
            re.compile("cancel|left", re.IGNORECASE)
        )


def test_the_same_in_chinese(browser: Browser, demo_url: str) -> None:
    """The whole way speaks Chinese, from the home page to the proof."""
    with Walk(browser, demo_url, chinese=True) as walk:
        page = walk.go("/")
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        walk.go("/discover?q=电影")
        walk.click(re.compile("高架桥下电影夜"), "link")
        page.locator("a.button", has_text="支持").first.click()
        walk.look()
        page.get_by_role("radio", name=re.compile("海报")).check()
        page.locator("#destination").select_option("CN")
        page.locator("input[name=mail]").fill("sample-chinese@example.net")
        page.locator("form#pledge button.button[type=submit]").click()
        walk.look()
        page.locator("form button[type=submit]").first.click()
        walk.look()
        expect(page.locator(".receipt")).to_contain_text("支持凭证")
        expect(page.locator(".receipt-sum")).to_contain_text("132")
        english = re.findall(
            r"(?<![/\w])(?:pledge|campaign|charged|backer)s?\b", page.inner_text("main")
        )
        assert english == []


def test_the_keyboard_alone_is_enough(browser: Browser, demo_url: str) -> None:
    """Nobody needs a mouse to pledge; the focus is always to be seen."""
    with Walk(browser, demo_url) as walk:
        page = walk.go("/discover?q=lanterns")

        def tab_to(selector: str, most: int = 80) -> None:
            for _ in range(most):
                page.keyboard.press("Tab")
                if page.evaluate("s => document.activeElement.matches(s)", selector):
                    seen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    inner = page.evaluate(
                        "getComputedStyle(document.activeElement, '::after').outlineStyle"
                    )
                    assert "none" not in (seen, inner) or {seen, inner} != {"none"}
                    return
            pytest.fail(f"{selector} is not reached by the keyboard at {page.url}")

        tab_to("a[href^='/campaigns/']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/campaigns/**")
        tab_to("a.button[href$='/pledge']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/pledge")
        tab_to("#amount")
        page.keyboard.type("25")
        tab_to("input[name=mail]")
        page.keyboard.type("sample-keyboard@example.net")
        page.keyboard.press("Enter")
        page.wait_for_url("**/test-bank/**")
        tab_to("button[type=submit]")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()


def test_it_works_without_scripts(browser: Browser, demo_url: str) -> None:
    """With scripts off everything that matters is there: find, pledge, pay, the proof."""
    with Walk(browser, demo_url, scripts=False) as walk:
        page = walk.go("/")
        page.get_by_role("searchbox").first.fill("lanterns")
        walk.click("Search")
        walk.click(re.compile("paper lanterns"), "link")
        walk.click("Pledge to this campaign", "link")
        page.locator("#amount").fill("30")
        page.locator("input[name=mail]").fill("sample-scripts@example.net")
        walk.click("Go to payment")
        walk.click("Use this card")
        expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
