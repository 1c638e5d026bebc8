"""Signing up, then in with a passkey: what the script does with a device, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MAIL = "passkey@example.org"


def with_device(page: Page) -> None:
    """Give the browser a device that holds passkeys and always finds its person there."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def link_for(page: Page, here: str) -> str:
    """The link in the newest mail to our person, from the demo's outbox."""
    letter = page.locator("a", has_text=MAIL)
    for _ in range(40):
        page.goto(f"{here}/outbox")
        if letter.count():
            break
        page.wait_for_timeout(250)
    letter.first.click()
    found = re.search(r"https?://[^/\s\"<]+(/confirm/[\w-]+)", page.content())
    assert found is not None, "the outbox shows the mail with its link"
    return here + found[1]


def test_a_passkey_from_sign_up_to_sign_in(browser: Browser, demo_url: str) -> None:
    """Registered under its name, then it proves its person anew, then it signs them in."""
    here = demo_url.replace("127.0.0.1", "localhost")
    page = browser.new_context().new_page()
    with_device(page)
    page.goto(f"{here}/sign-up")
    page.fill("#mail", MAIL)
    page.fill("#password", "three quiet rivers")
    page.click("form[action='/sign-up'] button")
    page.goto(link_for(page, here))
    page.click("form[action^='/confirm/'] button")
    page.goto(f"{here}/account/security")
    page.fill("#passkey-name", "The blue key")
    page.click("[data-make]")
    page.wait_for_url(f"{here}/account/security?done=passkey")
    assert page.get_by_text("The blue key", exact=True).is_visible()
    page.goto(f"{here}/step-up?next=/account/keys")
    page.click("[data-passkey='/step-up/passkey']")
    page.wait_for_url(f"{here}/account/keys")
    page.goto(f"{here}/account")
    page.click("form.out button")
    page.goto(f"{here}/sign-in?next=/account/data")
    page.click("[data-passkey='/sign-in/passkey']")
    page.wait_for_url(f"{here}/account/data")
    page.context.close()
