"""Signing in by password and by mail, choosing a new password, proving it anew, signing out."""

from __future__ import annotations

import hashlib
import hmac
import re

import httpx
import pytest

from app.web.accounts.addresses import is_mail, local_path
from tests.api.running import Running
from tests.web.accounts.visiting import (
    MAIL,
    PASSWORD,
    account,
    follow,
    letters,
    link_in,
    sign_in,
    signed_in,
    token_of,
    who_is,
)
from tests.web.browsing import Browser, fields, words

NEW_PASSWORD = "four loud mountains"


async def test_the_session_changes_at_sign_in(running: Running) -> None:
    """The cookie of before is nobody's afterwards, and the old session of the browser ends."""
    mine = await account(running)
    browser = Browser(running)
    await browser.get("/sign-in")
    before = token_of(browser)
    await sign_in(browser, MAIL.upper(), PASSWORD)
    first = token_of(browser)
    assert first != before
    assert await who_is(running, browser) == (mine.party, True)
    other = Browser(running)
    party = await running.platform.stores.people.mint_backer(at=running.clock.now)
    old = await running.platform.stores.sessions.begin(party, at=running.clock.now)
    mark = running_mark(running, old)
    other.client.cookies.set("tributary", f"{old}.{mark}", domain="tributary.test", path="/")
    await sign_in(other, MAIL, PASSWORD)
    assert await running.platform.stores.sessions.find(old, at=running.clock.now) is None


def running_mark(running: Running, token: str) -> str:
    """The mark that makes a cookie ours."""
    secret = running.platform.settings.secret
    return hmac.new(secret, f"cookie {token}".encode(), hashlib.sha256).hexdigest()[:32]


async def test_wrong_answers_are_alike(running: Running) -> None:
    """An unknown address, one without a password and a wrong password get the same page."""
    await account(running)
    await account(running, "no-password@example.org", password="")
    pages = set()
    for mail in (MAIL, "no-password@example.org", "unknown@example.org"):
        answer = await sign_in(Browser(running), mail, "not the password")
        assert answer.status_code == 422
        pages.add(words(answer).replace(mail, ""))
        assert f'value="{mail}"' in answer.text
    assert len(pages) == 1


async def test_the_way_back_is_local(running: Running) -> None:
    """Who was sent to sign in comes back, and never to another site."""
    await account(running)
    asked = Browser(running)
    answer = await asked.client.get("/account/keys?x=1")
    assert answer.headers["location"] == "/sign-in?next=%2Faccount%2Fkeys%3Fx%3D1"
    done = await sign_in(asked, MAIL, PASSWORD, answer.headers["location"])
    assert done.headers["location"] == "/account/keys?x=1"
    away = await sign_in(Browser(running), MAIL, PASSWORD, "/sign-in?next=//evil.example/x")
    assert away.headers["location"] == "/account"


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a\nb", "x"],
)
def test_other_sites_are_no_way_back(path: str) -> None:
    """Whatever a browser may read as another site's address is replaced."""
    assert local_path(path, "/here") == "/here"
    assert local_path("/me?x=1#y", "/here") == "/me?x=1#y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@example.org", True),
        ("a.b+c@mail.example.org", True),
        ("名字@例子.公司", True),
        ("a@example", False),
        ("a@@example.org", False),
        ("a b@example.org", False),
        ("a@example.org\nbcc: b@example.org", False),
        ("a@example.org,b@example.org", False),
        ("<a@example.org>", False),
        ("a" * 65 + "@example.org", False),
        ("", False),
    ],
)
def test_what_can_be_a_mail_address(text: str, expected: bool) -> None:
    """One address, with a domain that has a dot, and nothing that a mail's head could misread."""
    assert is_mail(text) is expected


async def test_guessing_ends(running: Running) -> None:
    """After ten wrong passwords even the right one is not tried, for a quarter of an hour."""
    await account(running)
    for _ in range(10):
        assert (await sign_in(Browser(running), MAIL, "wrong password")).status_code == 422
    closed = await sign_in(Browser(running), MAIL, PASSWORD)
    assert closed.status_code == 429
    assert "Too many attempts" in words(closed)
    running.clock.now += 15 * 60_000
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 303


async def test_a_place_that_tries_many_addresses_is_stopped(running: Running) -> None:
    """A hundred addresses from one place are enough, for whichever address comes next."""
    await account(running)
    for no in range(100):
        await running.platform.stores.attempts.note(
            "sign-in from 127.0.0.1", running.clock.now - no
        )
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 429


async def test_a_link_in_a_mail_signs_in(running: Running) -> None:
    """It does so once; for an address without an account no mail goes out, and nothing tells."""
    mine = await account(running, password="", confirmed=False)
    pages = []
    for mail in (MAIL, "unknown@example.org"):
        browser = Browser(running)
        page = await browser.get("/sign-in/link?next=/me")
        answer = await browser.submit(page, "/sign-in/link", mail=mail)
        pages.append((answer.status_code, words(answer).replace(mail, "")))
    assert pages[0] == pages[1]
    assert await letters(running, "unknown@example.org") == []
    link = await link_in(running)
    done = await follow(browser, link)
    assert done.headers["location"] == "/me"
    assert await who_is(running, browser) == (mine.party, True)
    confirmed = await running.platform.stores.accounts.get(mine.party)
    assert confirmed is not None
    assert confirmed.confirmed_at is not None
    again = await browser.post(link, form_token(await browser.get("/account")))
    assert again.status_code == 410


def form_token(page: httpx.Response) -> dict[str, str]:
    """The token that the forms of an account's page carry."""
    return {"form_token": fields(page, "/sign-out")["form_token"]}


async def test_a_new_password_ends_every_session(running: Running) -> None:
    """The old password is worth nothing, other browsers are out, the mail link works once."""
    mine = await account(running)
    elsewhere = await signed_in(running)
    browser = Browser(running)
    await browser.submit(await browser.get("/password-reset"), "/password-reset", mail=MAIL)
    link = await link_in(running, name="accounts_reset")
    weak = await follow(browser, link, password="short")
    assert weak.status_code == 422
    assert (await follow(browser, link, password=NEW_PASSWORD)).status_code == 303
    assert await who_is(running, browser) == (mine.party, True)
    assert await who_is(running, elsewhere) == ("", False)
    assert (await browser.get(link)).status_code == 410
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 422
    assert (await sign_in(Browser(running), MAIL, NEW_PASSWORD)).status_code == 303
    assert len(await letters(running, name="accounts_password_changed")) == 1


async def test_proving_it_anew(running: Running) -> None:
    """After ten minutes the password is asked for again, and leads back to the page."""
    await account(running)
    browser = await signed_in(running)
    running.clock.now += 10 * 60_000
    page = await browser.get("/account/security")
    assert "confirm first that it is you" in words(page)
    asked = await browser.get("/step-up?next=/account/security")
    assert (await browser.submit(asked, "/step-up", password="wrong password")).status_code == 422
    done = await browser.submit(asked, "/step-up", password=PASSWORD)
    assert done.headers["location"] == "/account/security"
    assert "confirm first that it is you" not in words(await browser.get("/account/security"))


async def test_proving_it_by_mail(running: Running) -> None:
    """Who has neither password nor passkey gets a link; it leads back to the page."""
    await account(running, password="")
    browser = Browser(running)
    await browser.submit(await browser.get("/sign-in/link"), "/sign-in/link", mail=MAIL)
    await follow(browser, await link_in(running))
    running.clock.now += 10 * 60_000
    asked = await browser.get("/step-up?next=/account/keys")
    await browser.submit(asked, "/step-up/link")
    done = await follow(browser, await link_in(running))
    assert done.headers["location"] == "/account/keys"
    assert "A new key" in words(await browser.get("/account/keys"))


async def test_signing_out(running: Running) -> None:
    """Here, or everywhere; a session in another browser can be ended alone."""
    await account(running)
    one, two, three = [await signed_in(running) for _ in range(3)]
    page = await one.get("/account/security")
    ends = [path for path in actions(page.text) if path.endswith("/end")]
    assert len(ends) == 2
    await one.submit(page, ends[0])
    assert [(await who_is(running, b))[1] for b in (one, two, three)].count(True) == 2
    await one.submit(await one.get("/account"), "/sign-out")
    assert await who_is(running, one) == ("", False)
    (last,) = [b for b in (two, three) if (await who_is(running, b))[1]]
    again = await signed_in(running)
    await last.submit(await last.get("/account/security"), "/sign-out", everywhere="yes")
    assert await who_is(running, again) == ("", False)


def actions(text: str) -> list[str]:
    """Where the forms of a page post to."""
    return re.findall(r'action="([^"]+)"', text)


async def test_nobody_ends_the_sessions_of_others(running: Running) -> None:
    """A session's id alone ends nothing: it must be one's own."""
    await account(running)
    await account(running, "other@example.org", password="another long one")
    mine = await signed_in(running)
    other = await signed_in(running, "other@example.org", "another long one")
    (place,) = await running.platform.stores.sessions.places(
        [(await who_is(running, mine))[0]], at=running.clock.now
    )
    token = form_token(await other.get("/account"))
    await other.post(f"/account/security/sessions/{place.id}/end", token)
    assert (await who_is(running, mine))[1]
