"""People who work for a channel, each with a browser that is signed in."""

from __future__ import annotations

import httpx
from msgspec import structs

from app.stores.people import Role
from app.web.visitors import STEP_UP_MS, Visitors
from tests.api.running import Caller, Running, campaign, new_id
from tests.web.browsing import Browser
from tests.web.browsing import words as words_of


class Worker:
    """Somebody with roles in a channel, and their browser."""

    def __init__(self, party: str, browser: Browser, token: str) -> None:
        self.party = party
        self.browser = browser
        self.token = token

    async def get(self, path: str) -> httpx.Response:
        """Go there, and on to where that leads."""
        return await self.browser.get(path)

    async def read(self, path: str) -> str:
        """What a page says, which must be there."""
        page = await self.get(path)
        assert page.status_code == 200, words_of(page)
        return words_of(page)

    async def post(self, path: str, **typed: str) -> httpx.Response:
        """Send a form with this browser's token; the answer is not followed."""
        return await self.browser.post(path, {"form_token": self.token, **typed})


def visitors_of(running: Running) -> Visitors:
    """The platform's own way to make sessions."""
    platform = running.platform
    return Visitors(
        platform.stores.sessions,
        platform.stores.accounts,
        secret=platform.settings.secret,
        secure=False,
        clock=platform.clock,
    )


async def account_of(running: Running, name: str = "") -> str:
    """A new account with a confirmed address; returns its party."""
    at = running.clock.now
    mail = f"{new_id()}@example.org"
    account = await running.platform.stores.accounts.open(mail, at=at, display_name=name)
    await running.platform.stores.accounts.change(account.party, confirmed_at=at)
    return account.party


async def worker(
    running: Running,
    *roles: Role,
    channel: str = "",
    party: str = "",
    name: str = "Sample worker",
    stepped_up: bool = True,
) -> Worker:
    """Somebody signed in, with these roles in a channel (the test's own, where none is named)."""
    party = party or await account_of(running, name)
    for role in roles:
        await running.platform.stores.accounts.grant(
            party, channel or running.channel, role, by="operator", at=running.clock.now
        )
    visitors = visitors_of(running)
    if not stepped_up:
        running.clock.now -= STEP_UP_MS + 1
    visitor = await visitors.begin(party, signed_in=True)
    if not stepped_up:
        running.clock.now += STEP_UP_MS + 1
    browser = Browser(running)
    cookie = visitors.cookie(visitor)
    browser.client.cookies.set(cookie.key, cookie.value or "", domain="tributary.test", path="/")
    return Worker(party, browser, visitor.form_token)


async def another_channel(running: Running, name: str = "Another channel") -> str:
    """A second channel of the same log; returns its id."""
    channels = running.platform.stores.channels
    own = await channels.get(running.channel)
    other = structs.replace(own, id=new_id(), name=name)
    await channels.save(other, at=running.clock.now)
    return other.id


async def submitted(running: Running, staff: Caller, **changes: object) -> str:
    """A campaign that waits for review; returns its id."""
    answer = await running.post("/campaigns", staff, campaign(**changes))
    assert answer.status_code == 201, answer.text
    running.platform.follower.catch_up()
    campaign_id: str = answer.json()["campaign_id"]
    return campaign_id
