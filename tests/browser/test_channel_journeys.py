"""What creators, staff and the treasurer do, in a real browser."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.walk import Walk

pytestmark = pytest.mark.browser

PASSWORD = "a quiet sentence of one's own"


def a_picture() -> bytes:
    """A small picture, as a camera would bring it."""
    kept = io.BytesIO()
    Image.new("RGB", (900, 600), "teal").save(kept, "PNG")
    return kept.getvalue()


def open_mail(walk: Walk, address: str, subject: str) -> Page:
    """Open the newest mail to an address in the demo's outbox, and follow its link."""
    page = walk.page
    for _ in range(20):
        page.goto(f"{walk.origin}/outbox")
        letter = page.locator(".letters a").filter(has_text=address).filter(has_text=subject)
        if letter.count():
            letter.first.click()
            walk.look()
            page.locator(".letter-link a").first.click()
            walk.look()
            return page
        page.wait_for_timeout(500)
    pytest.fail(f"no mail to {address} about {subject}")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_creator_from_sign_up_to_launch(browser: Browser, demo_url: str, width: int) -> None:
    """Sign up, confirm by mail, write a draft that saves itself, hand it in; staff approve; it goes
    live.
    """
    address, title = f"sample-creator-{width}@example.net", f"A sample swing bridge {width}"
    with Walk(browser, demo_url, width=width) as walk:
        page = walk.go("/sign-up?next=/create")
        page.get_by_label("Mail address").fill(address)
        page.locator("input[type=password]").first.fill(PASSWORD)
        walk.click("Sign up")
        open_mail(walk, address, "")
        walk.click(re.compile("Confirm and sign in"))

        page.get_by_label("A title, for now").fill(title)
        walk.click("Begin a draft")
        page.get_by_label("In a sentence or two").first.fill("It swings. Sample campaign.")
        page.get_by_label("Category").select_option("community")
        page.get_by_label("Story", exact=True).first.fill("## Why\n\nBecause it **swings**.")
        page.get_by_label("Risks and challenges").first.fill("It may stop swinging.")
        page.get_by_role("textbox", name="Goal").fill("5000")
        later = datetime.now(UTC) + timedelta(days=30)
        page.get_by_role("textbox", name="Last day").fill(later.date().isoformat())
        page.get_by_label("Picture file").first.set_input_files(
            {"name": "cover.png", "mimeType": "image/png", "buffer": a_picture()}
        )
        page.get_by_label("What does it show?").first.fill("A bridge from above. Sample.")
        walk.click("Upload the cover")
        expect(page.locator("#draft-state")).to_contain_text("Saved", timeout=15_000)
        expect(page.locator("main")).to_contain_text("Because it swings.", timeout=15_000)
        walk.look()
        draft = page.url.split("#")[0]
        walk.click("Check and hand in")
        walk.click("Hand it in")
        expect(page.locator("main")).to_contain_text("Handed in.")

        with Walk(browser, demo_url, width=width) as office:
            office.act_as("staff")
            desk = office.go("/staff/reviews")
            row = desk.get_by_role("link", name=title)
            if not row.count():
                for other in desk.locator("a[href*='channel=']").all():
                    other.click()
                    if row.count():
                        break
            row.first.click()
            office.look()
            office.click("Approve")
            expect(desk).to_have_url(re.compile("done=approved"))

        page.goto(draft)
        page.reload()
        walk.click("Launch now")
        found = page.get_by_role("link", name=title)
        for _ in range(40):  # the search index follows the log
            page.goto(f"{demo_url}/discover?q=swing")
            if found.count():
                break
            page.wait_for_timeout(1_000)
        expect(found.first).to_be_visible()


def test_a_refund_is_quoted_before_it_moves(browser: Browser, demo_url: str) -> None:
    """The creator sees who bears what before the click, and the refund in the list after it."""
    with Walk(browser, demo_url) as walk:
        walk.act_as("creator")
        page = walk.go("/desk")
        walk.click(re.compile("Cargo bicycles"), "link")
        at = page.url.split("?")[0]
        page.goto(f"{at}/refunds")
        walk.look()
        page.get_by_label("Pledge no.").fill("7")
        walk.click("Quote a refund")
        expect(page.get_by_role("heading", name="Who bears it")).to_be_visible()
        page.get_by_label("Amount in CNY").fill("40")
        walk.click("Quote this amount")
        walk.click(re.compile("^Refund ¥40"))
        page.goto(f"{at}/refunds")
        expect(page.locator("main")).to_contain_text("¥40")


def test_a_payout_takes_a_second_person(browser: Browser, demo_url: str) -> None:
    """The creator asks for the rest and cannot approve it; the treasurer does, and the campaign's
    page shows that more was paid.
    """
    with Walk(browser, demo_url) as walk:
        page = walk.go("/discover?q=cargo&state=all")
        walk.click(re.compile("Cargo bicycles"), "link")
        campaign = page.url.split("?")[0]
        before = page.locator("#money").inner_text()

        walk.act_as("creator")
        walk.go("/desk")
        walk.click(re.compile("Cargo bicycles"), "link")
        page.goto(f"{page.url.split('?')[0]}/payouts")
        walk.look()
        walk.click(re.compile("^Request ¥"))
        page.goto(f"{demo_url}/staff/payouts")
        walk.look()
        expect(page.locator("main")).to_contain_text("role")

        walk.act_as("treasurer")
        page.goto(f"{demo_url}/staff/payouts")
        row = page.get_by_role("link", name=re.compile("Cargo bicycles"))
        if not row.count():
            page.locator("a[href*='channel=']").first.click()
        row.first.click()
        walk.look()
        walk.click(re.compile("^Approve ¥"))
        page.goto(campaign)
        for _ in range(40):
            if page.locator("#money").inner_text() != before:
                break
            page.wait_for_timeout(500)
            page.reload()
        assert page.locator("#money").inner_text() != before
        walk.look()


def test_the_past_is_marked_as_the_past(browser: Browser, demo_url: str) -> None:
    """The page as it was: less money, the state of then, and a clear sign that this is not now."""
    with Walk(browser, demo_url) as walk:
        page = walk.go("/discover?q=sails&state=all")
        walk.click(re.compile("Bags from old sails"), "link")
        address = page.url.split("?")[0]
        expect(page.locator("main")).to_contain_text(
            re.compile("called off|cancelled", re.IGNORECASE)
        )
        then = (datetime.now(UTC) - timedelta(days=60)).date().isoformat()
        page.goto(f"{address}?at={then}")
        walk.look()
        expect(page.locator(".past, .then").first).to_be_visible()
        expect(page.locator("main")).to_contain_text("Live")
        expect(page.get_by_role("link", name=re.compile("Pledge to this campaign"))).to_have_count(
            0
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("role", "paths"),
    [
        ("visitor", "/ /discover /help /help/charging /help/fees /help/checking /terms /privacy"),
        ("visitor", "/sign-in /sign-up /problems /api /outbox /demo /styleguide /nowhere"),
        ("backer", "/me /account /account/security /account/keys /account/data /account/mail"),
        ("creator", "/create /desk"),
        ("staff", "/staff /staff/reviews /staff/campaigns /staff/reports /staff/disputes"),
        ("staff", "/staff/needs /staff/health /staff/people"),
        ("treasurer", "/staff/payouts"),
        ("auditor", "/staff /staff/log"),
    ],
)
def test_every_page_keeps_to_the_house_rules(
    browser: Browser, demo_url: str, role: str, paths: str, scheme: str
) -> None:
    """No rule of accessibility is broken, nothing is too heavy or too wide, nothing fails."""
    with Walk(browser, demo_url, scheme="dark" if scheme == "dark" else "light") as walk:
        walk.act_as(role)
        for path in paths.split():
            walk.go(path)
