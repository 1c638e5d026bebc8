"""What a backer does, in a real browser: from the home page to the own ledger."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

WATCHED = "Film nights under the viaduct"


def digits(text: str) -> str:
    """The digits of an amount as it is shown."""
    return re.sub(r"\D", "", text)


class Watch:
    """Notes what a page should never do: errors on the console, requests to elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((origin, "data:")) else self._elsewhere(request.url)
            ),
        )

    def _console(self, message: object) -> None:
        if getattr(message, "type", "") in {"error", "warning"}:
            self.faults.append(getattr(message, "text", ""))

    def _elsewhere(self, url: str) -> None:
        self.faults.append(f"a request left for {url}")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_pledge_from_the_home_page_to_the_ledger(
    browser: Browser, demo_url: str, width: int, height: int
) -> None:
    """A visitor opens a campaign, chooses a reward, pays at the bank's page, and finds the pledge
    on the confirmation, on the campaign page's count and in the ledger.
    """
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    watch = Watch(page, demo_url)

    page.goto(demo_url)
    page.get_by_role("link", name=WATCHED).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(WATCHED)
    before = int(digits(page.locator(".backers").inner_text().split("·")[1]))
    campaign_url = page.url

    page.get_by_role("link", name="Pledge to this campaign").first.click()
    page.get_by_role("radio", name="Poster").check()
    page.get_by_label("Where should it be sent?").fill("CN")
    page.get_by_role("button", name="Go to payment").click()

    expect(page.get_by_role("heading", name="Choose a test card")).to_be_visible()
    page.get_by_role("button", name="Use this card").click()

    expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
    expect(page.locator("dl.rows")).to_contain_text("132")  # the poster, and its way to CN
    number = int(digits(page.locator(".lead").inner_text()))

    page.goto(f"{demo_url}/me")
    row = page.locator("table.statement tbody tr").filter(has_text=WATCHED)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("132")
    expect(row).to_contain_text(f"no. {number}")

    page.goto(campaign_url)
    after = int(digits(page.locator(".backers").inner_text().split("·")[1]))
    assert after >= before + 1
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the window"
    assert watch.faults == []
    context.close()
