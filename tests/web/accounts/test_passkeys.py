"""Passkeys: registered, shown to sign in and to prove it anew, removed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.running import ORIGIN, Running
from tests.web.accounts.authenticator import PRESENT, Authenticator
from tests.web.accounts.visiting import account, letters, signed_in, token_of, who_is
from tests.web.browsing import Browser, fields, words

SITE = "tributary.test"
REGISTER = "/account/security/passkeys"


async def send(browser: Browser, page: str, form: str, path: str, **given: str) -> httpx.Response:
    """Post as the script does: with the token of a form on the page."""
    token = fields(await browser.get(page), form)["form_token"]
    return await browser.post(path, {"form_token": token, **given})


async def options(browser: Browser, page: str, form: str, path: str) -> dict[str, Any]:
    """What the device has to sign."""
    answer = await send(browser, page, form, f"{path}/options")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def registered(running: Running, browser: Browser) -> Authenticator:
    """A passkey of whoever is signed in."""
    device = Authenticator(SITE, ORIGIN)
    asked = await options(browser, "/account/security", "/sign-out", REGISTER)
    answer = await send(
        browser,
        "/account/security",
        "/sign-out",
        REGISTER,
        credential=device.register(asked),
        name="The blue key",
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"next": "/account/security?done=passkey"}
    return device


async def show(browser: Browser, credential: str, **given: str) -> httpx.Response:
    """Sign in with what a device signed."""
    return await send(
        browser, "/sign-in", "/sign-in", "/sign-in/passkey", credential=credential, **given
    )


async def test_a_passkey_signs_in(running: Running) -> None:
    """It needs no address; the cookie changes; and its person is told when it was added."""
    mine = await account(running)
    device = await registered(running, await signed_in(running))
    assert "The blue key" in (await letters(running, name="accounts_passkey_added"))[0].text
    browser = Browser(running)
    asked = await options(browser, "/sign-in", "/sign-in", "/sign-in/passkey")
    assert asked["rpId"] == SITE
    assert asked["userVerification"] == "required"
    assert asked["allowCredentials"] == []
    before = token_of(browser)
    answer = await show(browser, device.show(asked), next="/me")
    assert answer.json() == {"next": "/me"}
    assert token_of(browser) != before
    assert await who_is(running, browser) == (mine.party, True)
    (kept,) = await running.platform.stores.passkeys.of_party(mine.party)
    assert (kept.name, kept.sign_count, kept.used_at) == ("The blue key", 1, running.clock.now)
    away = Browser(running)
    asked = await options(away, "/sign-in", "/sign-in", "/sign-in/passkey")
    answer = await show(away, device.show(asked), next="//evil.example")
    assert answer.json() == {"next": "/account"}


async def test_an_answer_counts_once_in_its_browser_and_its_time(running: Running) -> None:
    """What was signed is worth nothing a second time, in another browser, or too late."""
    await account(running)
    device = await registered(running, await signed_in(running))
    browser, other = Browser(running), Browser(running)
    asked = await options(browser, "/sign-in", "/sign-in", "/sign-in/passkey")
    credential = device.show(asked)
    assert (await show(other, credential)).status_code == 422
    assert (await show(browser, credential)).status_code == 200
    assert (await show(Browser(running), credential)).status_code == 422
    late = Browser(running)
    asked = await options(late, "/sign-in", "/sign-in", "/sign-in/passkey")
    running.clock.now += 5 * 60_000
    assert (await show(late, device.show(asked))).status_code == 422


@pytest.mark.parametrize("fault", ["site", "origin", "flags", "id", "key", "count", "junk"])
async def test_what_was_signed_elsewhere_counts_nothing(running: Running, fault: str) -> None:
    """Another site's name or origin, nobody at the device, another key, an old count: refused."""
    await account(running)
    device = await registered(running, await signed_in(running))
    stranger = Authenticator(SITE, ORIGIN)
    browser = Browser(running)
    asked = await options(browser, "/sign-in", "/sign-in", "/sign-in/passkey")
    if fault == "count":
        device.count = 5
        assert (await show(browser, device.show(asked))).status_code == 200
        browser = Browser(running)
        asked = await options(browser, "/sign-in", "/sign-in", "/sign-in/passkey")
        device.count = 3
    changes: dict[str, Any] = {
        "site": "evil.example",
        "origin": "https://evil.example",
        "flags": PRESENT,
        "id": stranger.id,
        "key": stranger.key,
    }
    if fault in changes:
        setattr(device, fault, changes[fault])
    credential = device.show(asked) if fault != "junk" else '["no", "object"]'
    answer = await show(browser, credential)
    assert answer.status_code == 422
    assert "could not be checked" in answer.json()["said"]
    assert await who_is(running, browser) == ("", False)


async def test_a_passkey_proves_it_anew(running: Running) -> None:
    """Only one's own does: another account's passkey opens nothing here."""
    await account(running)
    await account(running, "other@example.org")
    browser, other = await signed_in(running), await signed_in(running, "other@example.org")
    mine, theirs = await registered(running, browser), await registered(running, other)
    running.clock.now += 10 * 60_000
    for device, status in ((theirs, 422), (mine, 200)):
        asked = await options(browser, "/step-up", "/step-up", "/step-up/passkey")
        assert len(asked["allowCredentials"]) == 1
        answer = await send(
            browser,
            "/step-up",
            "/step-up",
            "/step-up/passkey",
            credential=device.show(asked),
            next="/account/keys",
        )
        assert answer.status_code == status
    assert answer.json() == {"next": "/account/keys"}
    assert "A new key" in words(await browser.get("/account/keys"))


async def test_registering_needs_a_recent_proof(running: Running) -> None:
    """After ten minutes the page offers nothing, and the addresses lead to the proof."""
    mine = await account(running)
    browser = await signed_in(running)
    await registered(running, browser)
    running.clock.now += 10 * 60_000
    page = await browser.get("/account/security")
    assert "data-make" not in page.text
    for path in (f"{REGISTER}/options", REGISTER):
        answer = await send(browser, "/account/security", "/sign-out", path)
        assert answer.headers["location"].startswith("/step-up")
    (kept,) = await running.platform.stores.passkeys.of_party(mine.party)
    path = f"{REGISTER}/{kept.id}/remove"
    await send(browser, "/account/security", "/sign-out", path)
    assert len(await running.platform.stores.passkeys.of_party(mine.party)) == 1


async def test_a_passkey_that_is_removed_opens_nothing(running: Running) -> None:
    """And nobody removes another's."""
    mine = await account(running)
    await account(running, "other@example.org")
    browser, other = await signed_in(running), await signed_in(running, "other@example.org")
    device = await registered(running, browser)
    (kept,) = await running.platform.stores.passkeys.of_party(mine.party)
    path = f"{REGISTER}/{kept.id}/remove"
    await send(other, "/account/security", "/sign-out", path)
    assert len(await running.platform.stores.passkeys.of_party(mine.party)) == 1
    await browser.submit(await browser.get("/account/security"), path)
    late = Browser(running)
    asked = await options(late, "/sign-in", "/sign-in", "/sign-in/passkey")
    assert (await show(late, device.show(asked))).status_code == 422
    assert (
        await send(browser, "/account/security", "/sign-out", f"{REGISTER}/zz/remove")
    ).status_code == 303


async def test_a_passkey_is_registered_once(running: Running) -> None:
    """The same credential cannot come to belong to a second account."""
    await account(running)
    await account(running, "other@example.org")
    device = await registered(running, await signed_in(running))
    other = await signed_in(running, "other@example.org")
    asked = await options(other, "/account/security", "/sign-out", REGISTER)
    answer = await send(
        other, "/account/security", "/sign-out", REGISTER, credential=device.register(asked)
    )
    assert answer.status_code == 422
    assert "registered already" in answer.json()["said"]
