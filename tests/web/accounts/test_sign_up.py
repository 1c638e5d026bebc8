"""Signing up: an address is proved before it has an account."""

from __future__ import annotations

import httpx
import pytest

from tests.api.running import NOW, Running
from tests.web.accounts.visiting import (
    MAIL,
    PASSWORD,
    account,
    follow,
    letters,
    link_in,
    sign_in,
    token_of,
    who_is,
)
from tests.web.browsing import Browser, words


async def sign_up(browser: Browser, **typed: str) -> httpx.Response:
    """Fill the form in and send it."""
    given = {"mail": MAIL, "password": PASSWORD, "name": "Ann Example"} | typed
    return await browser.submit(await browser.get("/sign-up"), "/sign-up", **given)


async def test_the_link_opens_the_account(running: Running) -> None:
    """Nothing is opened before; after it the person is signed in, under another cookie."""
    browser, accounts = Browser(running), running.platform.stores.accounts
    await sign_up(browser)
    before = token_of(browser)
    assert await accounts.by_mail(MAIL) is None
    answer = await follow(browser, await link_in(running, name="accounts_confirm"))
    assert answer.status_code == 303
    opened = await accounts.by_mail(MAIL)
    assert opened is not None
    assert opened.confirmed_at == NOW
    assert token_of(browser) != before
    assert await who_is(running, browser) == (opened.party, True)
    assert (await running.platform.stores.people.get(opened.party)).display_name == "Ann Example"
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 303


async def test_a_link_works_once_and_for_a_week(running: Running) -> None:
    """Looking at its page uses it not up, pressing the button does, and so does time."""
    browser = Browser(running)
    await sign_up(browser)
    link = await link_in(running)
    for _ in range(2):
        assert (await browser.get(link)).status_code == 200
    assert (await follow(browser, link)).status_code == 303
    assert (await browser.get(link)).status_code == 410
    await sign_up(Browser(running), mail="other@example.org")
    late = await link_in(running, "other@example.org")
    running.clock.now += 7 * 86_400_000
    assert (await browser.get(late)).status_code == 410


async def test_another_browser_needs_the_password(running: Running) -> None:
    """A password counts only for who chose it: else somebody could wait in another's account."""
    await sign_up(Browser(running))
    owner, accounts = Browser(running), running.platform.stores.accounts
    link = await link_in(running)
    wrong = await follow(owner, link, password="not what was chosen")
    assert wrong.status_code == 422
    assert "not the password that was chosen" in words(wrong)
    assert await accounts.by_mail(MAIL) is None
    assert (await follow(owner, link, password=PASSWORD)).status_code == 303
    opened = await accounts.by_mail(MAIL)
    assert opened is not None
    assert opened.password_hash


async def test_the_password_of_somebody_else_can_be_forgone(running: Running) -> None:
    """Who reads the mail but chose no password opens the account without it."""
    await sign_up(Browser(running))
    owner = Browser(running)
    await follow(owner, await link_in(running), forgo="yes")
    opened = await running.platform.stores.accounts.by_mail(MAIL)
    assert opened is not None
    assert not opened.password_hash
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 422


async def test_the_answer_tells_nothing(running: Running) -> None:
    """It is the same for an address with and without an account; only the mails differ."""
    await account(running, "known@example.org", password="another long one")
    pages = []
    for mail in ("known@example.org", "newer@example.org"):
        answer = await sign_up(Browser(running), mail=mail)
        pages.append((answer.status_code, words(answer).replace(mail, "")))
    assert pages[0] == pages[1]
    assert [mail.name for mail in await letters(running, "known@example.org")] == [
        "accounts_have_account"
    ]
    assert [mail.name for mail in await letters(running, "newer@example.org")] == [
        "accounts_confirm"
    ]
    assert (await sign_in(Browser(running), "known@example.org", PASSWORD)).status_code == 422


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"mail": "no address"}, "Write a whole mail address"),
        ({"mail": "a@b@c.example"}, "Write a whole mail address"),
        ({"password": "short"}, "Write at least 10 characters."),
        ({"password": "x" * 201}, "Write at most 200 characters."),
        ({"password": MAIL.upper()}, "Your own mail address"),
        ({"password": "aaaaaaaaaaaa"}, "among the first"),
        ({"password": "Password123"}, "among the first"),
        ({"name": "x" * 81}, "Write at most 80 characters."),
    ],
)
async def test_faults_stand_beside_the_field(
    running: Running, typed: dict[str, str], said: str
) -> None:
    """What is wrong is said, what was typed is kept (but the password), and no mail is sent."""
    answer = await sign_up(Browser(running), **typed)
    assert answer.status_code == 422
    assert said in words(answer)
    assert "Ann Example" in answer.text or "name" in typed
    assert PASSWORD not in answer.text
    assert await letters(running) == []


async def test_too_many_sign_ups_close_the_form(running: Running) -> None:
    """The sixth for an address within an hour sends nothing and says so."""
    for _ in range(5):
        assert (await sign_up(Browser(running))).status_code == 200
    closed = await sign_up(Browser(running))
    assert closed.status_code == 429
    assert "Too many attempts" in words(closed)
    assert len(await letters(running)) == 5
    running.clock.now += 3_600_000
    assert (await sign_up(Browser(running))).status_code == 200
