"""People with browsers and mail boxes, for the tests of accounts."""

from __future__ import annotations

import re

import httpx

from app.stores.accounts import Account
from app.stores.mails import KeptMail
from app.web.accounts.passwords import hashed
from tests.api.running import NOW, ORIGIN, Running
from tests.web.browsing import Browser

PASSWORD = "three quiet rivers"
MAIL = "someone@example.org"


async def letters(running: Running, to: str = MAIL, name: str = "") -> list[KeptMail]:
    """The mails to an address, the newest first; with `name` only those from that template."""
    kept = await running.platform.mail.mails.newest()
    return [mail for mail in kept if mail.address == to and name in {"", mail.name}]


async def link_in(running: Running, to: str = MAIL, name: str = "") -> str:
    """The path of the link in the newest mail to an address; there must be one."""
    (newest, *_) = await letters(running, to, name)
    found = re.search(re.escape(ORIGIN) + r"(/\S+)", newest.text)
    assert found is not None, newest.text
    return found[1]


async def account(
    running: Running, mail: str = MAIL, *, password: str = PASSWORD, confirmed: bool = True
) -> Account:
    """An account that is there already."""
    accounts = running.platform.stores.accounts
    opened = await accounts.open(
        mail, at=NOW, password_hash=await hashed(password) if password else ""
    )
    if confirmed:
        await accounts.change(opened.party, confirmed_at=NOW)
    return opened


async def signed_in(running: Running, mail: str = MAIL, password: str = PASSWORD) -> Browser:
    """A browser in which somebody has just signed in by their password."""
    browser = Browser(running)
    answer = await sign_in(browser, mail, password)
    assert answer.status_code == 303, answer.text
    return browser


async def sign_in(browser: Browser, mail: str, password: str, path: str = "") -> httpx.Response:
    """Fill the form in and send it; with `path` from the page it leads to sign in from."""
    page = await browser.get(path or "/sign-in")
    return await browser.submit(page, "/sign-in", mail=mail, password=password)


async def follow(browser: Browser, path: str, **typed: str) -> httpx.Response:
    """Open a link of a mail and press the button there."""
    return await browser.submit(await browser.get(path), path, **typed)


def token_of(browser: Browser) -> str:
    """The token in the browser's cookie."""
    return browser.client.cookies["tributary"].partition(".")[0]


async def who_is(running: Running, browser: Browser) -> tuple[str, bool]:
    """The party of a browser's session, empty for none, and whether it is signed in."""
    session = await running.platform.stores.sessions.find(token_of(browser), at=running.clock.now)
    return (session.party, session.signed_in_at is not None) if session else ("", False)
