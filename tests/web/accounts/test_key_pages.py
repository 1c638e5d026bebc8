"""A person's API keys: for the roles they have, and no more than those may."""

from __future__ import annotations

import re
from typing import get_args

import httpx

from app.stores.api_keys import ROLE_SCOPES, Scope
from app.stores.people import Role
from app.web.accounts.key_pages import ROLE_NAMES, SCOPE_WORDS
from tests.api.running import NOW, Running
from tests.web.accounts.visiting import account, signed_in
from tests.web.browsing import Browser, fields, words


def test_every_role_and_scope_has_words() -> None:
    """Nobody has to choose between things that have only a program's name."""
    assert set(ROLE_NAMES) == set(get_args(Role))
    assert set(SCOPE_WORDS) == set(get_args(Scope))


async def make(browser: Browser, **given: str) -> httpx.Response:
    """Send the form with just these fields, as a browser or somebody else might."""
    token = fields(await browser.get("/account"), "/account")
    return await browser.post("/account/keys", {"form_token": token["form_token"], **given})


async def test_a_key_is_shown_once_and_works(running: Running) -> None:
    """It acts for its owner until it is revoked; the list shows its id, never its secret."""
    mine = await account(running)
    browser = await signed_in(running)
    made = await make(browser, hat="backer@", days="90", **{"scopes backer@": "pledges:write"})
    assert made.status_code == 200
    found = re.search(r"trb_[0-9a-f]{16}_[0-9a-f]{64}", made.text)
    assert found is not None
    keys = running.platform.stores.keys
    key = await keys.authenticate(found[0], at=NOW)
    assert key is not None
    assert (key.role, key.owner) == ("backer", mine.party)
    assert sorted(key.scopes) == ["pledges:write"]
    assert key.expires_at == NOW + 90 * 86_400_000
    page = await browser.get("/account/keys")
    assert found[0] not in page.text
    assert f"trb_{key.id}_" in page.text
    await browser.submit(page, f"/account/keys/{key.id}/revoke")
    assert await keys.authenticate(found[0], at=NOW) is None
    assert "No key works" in words(await browser.get("/account/keys"))


async def test_no_key_has_more_than_its_role(running: Running) -> None:
    """A role, a channel or a scope that the person does not have is refused."""
    mine = await account(running)
    browser = await signed_in(running)
    channel = running.channel
    for hat, scope in (
        ("backer@", "staff"),
        ("creator@", "pledges:import"),
        (f"staff@{channel}", "staff"),
        ("staff@", "staff"),
        ("operator@", "staff"),
        ("backer@", ""),
    ):
        given = {f"scopes {hat}": scope} if scope else {}
        assert (await make(browser, hat=hat, days="90", **given)).status_code == 422
    for days in ("0", "99999", "", "x"):
        given = {"scopes backer@": "pledges:write"}
        assert (await make(browser, hat="backer@", days=days, **given)).status_code == 422
    assert await running.platform.stores.keys.of_owner(mine.party) == []


async def test_a_role_in_a_channel_makes_keys_for_that_channel(running: Running) -> None:
    """The page offers it, with what it allows; the key counts in that channel alone."""
    mine = await account(running)
    accounts = running.platform.stores.accounts
    await accounts.grant(mine.party, running.channel, "treasurer", by="test", at=NOW)
    browser = await signed_in(running)
    hat = f"treasurer@{running.channel}"
    assert "Treasurer · Test channel" in words(await browser.get("/account/keys"))
    made = await make(browser, hat=hat, days="30", **{f"scopes {hat}": "payouts:approve"})
    assert made.status_code == 200
    (key,) = await running.platform.stores.keys.of_owner(mine.party)
    assert (key.role, key.channel) == ("treasurer", running.channel)
    assert key.scopes <= ROLE_SCOPES["treasurer"]
    await running.platform.stores.keys.revoke_role(mine.party, "treasurer", running.channel, at=NOW)
    (key,) = await running.platform.stores.keys.of_owner(mine.party)
    assert not key.valid(NOW)


async def test_making_needs_a_recent_proof(running: Running) -> None:
    """After ten minutes the form is not there, and its address asks for the proof first."""
    mine = await account(running)
    browser = await signed_in(running)
    running.clock.now += 10 * 60_000
    assert "A new key" not in words(await browser.get("/account/keys"))
    token = fields(await browser.get("/account"), "/account")["form_token"]
    given = {"form_token": token, "hat": "backer@", "days": "90", "scopes backer@": "pledges:write"}
    answer = await browser.post("/account/keys", given)
    assert answer.headers["location"].startswith("/step-up")
    assert await running.platform.stores.keys.of_owner(mine.party) == []


async def test_nobody_revokes_the_keys_of_others(running: Running) -> None:
    """Another person's key is not found."""
    mine = await account(running)
    await account(running, "other@example.org")
    _, key = await running.platform.stores.keys.create(role="backer", owner=mine.party, at=NOW)
    other = await signed_in(running, "other@example.org")
    token = fields(await other.get("/account"), "/account")["form_token"]
    answer = await other.post(f"/account/keys/{key.id}/revoke", {"form_token": token})
    assert answer.status_code == 404
    (kept,) = await running.platform.stores.keys.of_owner(mine.party)
    assert kept.valid(NOW)
