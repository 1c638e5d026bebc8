"""What a person calls themselves, and how their account moves to another address."""

from __future__ import annotations

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
    who_is,
)
from tests.web.browsing import Browser, words

NEW = "moved@example.org"


async def test_pages_are_for_who_signed_in(running: Running) -> None:
    """Everybody else is sent to sign in, also a browser that only pledged."""
    for path in ("/account", "/account/security", "/account/keys", "/account/data"):
        answer = await Browser(running).client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=")


async def test_names_and_language(running: Running) -> None:
    """They are kept, and the page goes on in the language that was chosen."""
    mine = await account(running)
    browser = await signed_in(running)
    answer = await browser.submit(
        await browser.get("/account"),
        "/account",
        name="Ann Example",
        pen_name="Heron",
        language="zh-Hans",
    )
    assert answer.headers["location"] == "/account?done=profile&lang=zh-Hans"
    page = await browser.get(answer.headers["location"])
    assert "已保存" in words(page)
    assert "Ann Example" in page.text
    kept = await running.platform.stores.accounts.get(mine.party)
    assert kept is not None
    assert (kept.pen_name, kept.language) == ("Heron", "zh-Hans")
    long = await browser.submit(await browser.get("/account"), "/account", name="x" * 81)
    assert long.status_code == 422
    assert "x" * 81 in long.text


async def move(browser: Browser, mail: str) -> None:
    """Ask for another address."""
    await browser.submit(await browser.get("/account"), "/account/address", mail=mail)


async def test_the_account_moves_when_the_link_is_followed(running: Running) -> None:
    """Not before; the old address is told, and what was sent there opens nothing any more."""
    mine = await account(running)
    browser = await signed_in(running)
    await browser.submit(await browser.get("/sign-in/link"), "/sign-in/link", mail=MAIL)
    old_link = await link_in(running)
    await move(browser, NEW)
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 303
    answer = await follow(browser, await link_in(running, NEW))
    assert answer.headers["location"] == "/account?done=moved"
    assert (await sign_in(Browser(running), NEW, PASSWORD)).status_code == 303
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 422
    assert (await letters(running))[0].name == "accounts_address_changed"
    assert (await browser.get(old_link)).status_code == 410
    assert await who_is(running, browser) == (mine.party, True)


async def test_an_address_of_another_account_is_not_told(running: Running) -> None:
    """The page is the same; the mail goes to the other account's owner, and moves nothing."""
    await account(running)
    await account(running, "other@example.org", password="another long one")
    pages = []
    for mail in (NEW, "other@example.org"):
        browser = await signed_in(running)
        page = await browser.get("/account")
        answer = await browser.submit(page, "/account/address", mail=mail)
        pages.append((answer.status_code, words(answer).replace(mail, "")))
    assert pages[0] == pages[1]
    assert [mail.name for mail in await letters(running, "other@example.org")] == [
        "accounts_have_account"
    ]


async def test_an_address_taken_meanwhile_stays_where_it_is(running: Running) -> None:
    """Of two that want an address the first has it; the second link moves nothing."""
    await account(running)
    await move(await signed_in(running), NEW)
    link = await link_in(running, NEW)
    await account(running, NEW, password="another long one")
    assert (await follow(Browser(running), link)).status_code == 410
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 303


async def test_a_new_password_ends_a_move_under_way(running: Running) -> None:
    """Whoever was in the account and asked for their own address does not get it after all."""
    for path in ("/account/security", "/password-reset"):
        await account(running, f"of{path[1:4]}@example.org")
        mail, new = f"of{path[1:4]}@example.org", f"to{path[1:4]}@example.org"
        thief, owner = await signed_in(running, mail), await signed_in(running, mail)
        await move(thief, new)
        link = await link_in(running, new)
        if path == "/account/security":
            page = await owner.get(path)
            await owner.submit(page, f"{path}/password", password="four loud mountains")
        else:
            await owner.submit(await owner.get(path), path, mail=mail)
            await follow(owner, await link_in(running, mail), password="four loud mountains")
        assert (await Browser(running).get(link)).status_code == 410
        assert (await sign_in(Browser(running), mail, "four loud mountains")).status_code == 303


async def test_moving_needs_a_recent_proof(running: Running) -> None:
    """After ten minutes the form is not there, and its address asks for the proof first."""
    await account(running)
    browser = await signed_in(running)
    page = await browser.get("/account")
    running.clock.now += 10 * 60_000
    answer = await browser.submit(page, "/account/address", mail=NEW)
    assert answer.headers["location"].startswith("/step-up")
    assert await letters(running, NEW) == []
    assert 'action="/account/address"' not in (await browser.get("/account")).text


async def test_a_changed_password_ends_the_other_sessions(running: Running) -> None:
    """This browser stays signed in."""
    mine = await account(running)
    browser, other = await signed_in(running), await signed_in(running)
    page = await browser.get("/account/security")
    weak = await browser.submit(page, "/account/security/password", password="short")
    assert weak.status_code == 422
    assert "at least 10 characters" in words(weak)
    await browser.submit(page, "/account/security/password", password="four loud mountains")
    assert await who_is(running, browser) == (mine.party, True)
    assert await who_is(running, other) == ("", False)
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 422
