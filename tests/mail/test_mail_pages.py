"""The pages about mails: the outbox, the ways to have no more of them, and following."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.settings import load_settings
from app.web.visitors import Visitors
from app.wiring import open_platform
from tests.api.running import NOW, ORIGIN, Clock, Running, transport_to
from tests.mail.world import World
from tests.web.browsing import Browser, words


class SignedIn(Browser):
    """A browser of somebody who signed in."""

    async def sign_in(self, running: Running, party: str) -> SignedIn:
        """Begin a session as the sign-in page does."""
        platform = running.platform
        visitors = Visitors(
            platform.stores.sessions,
            platform.stores.accounts,
            secret=platform.settings.secret,
            secure=False,
            clock=running.clock,
        )
        visitor = await visitors.begin(party, signed_in=True)
        cookie = visitors.cookie(visitor)
        self.client.cookies.set(cookie.key, str(cookie.value))
        return self


@pytest.fixture
async def demo(tmp_path: Path, clock: Clock) -> AsyncIterator[Running]:
    """A platform in which visitors may look into everything."""
    settings = load_settings(
        {"TRIBUTARY_PUBLIC_URL": ORIGIN}, data_dir=tmp_path / "demo", demo=True
    )
    async with open_platform(settings, clock=clock) as platform:
        transport = transport_to(platform)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            yield Running(platform, client, clock)


async def off_path(world: World, name: str) -> str:
    """The link in the newest mail of a name that turns its kind off."""
    mails = [mail for mail in await world.mails() if mail.name == name]
    return mails[-1].off_path


async def test_one_click_without_a_session_turns_a_kind_off(world: World) -> None:
    """A mail program posts to the link by itself (RFC 8058); from then on that kind is silent."""
    campaign = await world.live()
    await world.pledge(campaign, await world.person("ada@example.org"), 500)
    path = await off_path(world, "pledge_made")
    client = world.running.client
    for _ in range(2):
        answer = await client.post(path, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    await world.told()
    account = await world.platform.stores.accounts.by_mail("ada@example.org")
    assert account is not None
    await world.pledge(campaign, account.party, 600)
    assert await world.told() == []
    assert (await client.post(path, data={"on": "yes"})).status_code == 200
    await world.pledge(campaign, account.party, 700)
    assert await world.told() == [("ada", "pledge_made")]


async def test_looking_at_the_link_changes_nothing(world: World) -> None:
    """Mail scanners open every link: GET only asks."""
    campaign = await world.live()
    await world.pledge(campaign, await world.person("ada@example.org"), 500)
    path = await off_path(world, "pledge_made")
    page = await world.running.client.get(path)
    assert page.status_code == 200
    assert "Pledges and charges" in words(page)
    account = await world.platform.stores.accounts.by_mail("ada@example.org")
    assert account is not None
    assert await world.platform.mail.choices.off(account.party) == frozenset()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_is_not_ours_ends_nothing(world: World, method: str) -> None:
    """A token that was changed by one character is nobody's."""
    links = world.platform.mail.links
    good = links.off_link("someone", "updates")
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    others = links.fix_link("campaign", 1, "someone").replace("/fix/", "/mail/off/")
    for path in (changed, others, "/mail/off/x", "/mail/off/" + "é" * 9, "/mail/off/" + "A" * 5000):
        answer = await world.running.client.request(method, path)
        assert answer.status_code == 404, path
    assert await world.platform.mail.choices.off("someone") == frozenset()


async def test_a_person_chooses_on_their_own_page(world: World) -> None:
    """Every kind has a switch; what must stay on says why; a form of others is refused."""
    ada = await world.person("ada@example.org")
    assert (await world.running.client.get("/account/mail")).status_code == 303
    browser = await SignedIn(world.running).sign_in(world.running, ada)
    page = await browser.get("/account/mail")
    assert "Payment problems" in words(page)
    assert "without them you could lose a reward" in words(page)
    assert "Work at a channel" not in words(page)
    saved = await browser.submit(page, "/account/mail", wanted="updates")
    assert saved.headers["location"] == "/account/mail?saved=yes"
    assert "Saved." in words(await browser.get("/account/mail?saved=yes"))
    off = await world.platform.mail.choices.off(ada)
    assert off == {"outcome", "receipts", "deliveries", "refunds", "followed", "creator"}
    assert (await browser.post("/account/mail", {"wanted": "updates"})).status_code == 403
    assert (await browser.submit(page, "/account/mail", wanted="nonsense")).status_code == 404


async def test_following_signed_in_is_one_click(world: World) -> None:
    """Follow, follow again, and no more; both answer with the way back."""
    campaign = await world.live()
    ada = await world.person("ada@example.org")
    browser = await SignedIn(world.running).sign_in(world.running, ada)
    follows = world.platform.mail.follows
    page = await browser.get(f"/campaigns/{campaign}/follow")
    for _ in range(2):
        answer = await browser.submit(page, f"/campaigns/{campaign}/follow")
        assert answer.headers["location"] == f"/campaigns/{campaign}"
    assert await follows.follows(campaign, ada)
    assert "Film nights" in words(await browser.get("/account/mail"))
    page = await browser.get(f"/campaigns/{campaign}/follow")
    await browser.submit(page, f"/campaigns/{campaign}/unfollow")
    assert not await follows.follows(campaign, ada)


async def test_following_by_address_waits_for_its_link(world: World) -> None:
    """An address follows once its link was used, and stops by the link in each mail."""
    campaign = await world.live()
    browser = Browser(world.running)
    at = f"/campaigns/{campaign}/follow"
    page = await browser.get(at)
    wrong = await browser.submit(page, at, mail="no address")
    assert wrong.status_code == 422
    assert 'value="no address"' in wrong.text
    sent = await browser.submit(page, at, mail="Fay@Example.org")
    assert "fay@example.org" in words(sent)
    await browser.submit(page, at, mail="fay@example.org")
    (mail,) = [m for m in await world.mails() if m.name == "follow_confirm"]
    link = re.search(r"http://tributary.test(/follow/\S+)", mail.text)
    assert link is not None
    follows = world.platform.mail.follows
    assert await follows.page(campaign, after=0, limit=9) == []
    assert (await world.running.client.get(link[1])).status_code == 200
    assert await follows.page(campaign, after=0, limit=9) == []
    assert (await world.running.client.post(link[1])).status_code == 200
    (follow,) = await follows.page(campaign, after=0, limit=9)
    assert follow.address == "fay@example.org"
    await world.running.client.post(world.platform.mail.links.end_follow_link(follow.id))
    assert await follows.page(campaign, after=0, limit=9) == []
    assert (await world.running.client.post(link[1])).status_code == 404
    world.running.clock.now += 8 * 86_400_000
    assert (await world.running.client.get(link[1])).status_code == 404


async def test_what_is_not_public_cannot_be_followed(world: World) -> None:
    """A campaign in review is nobody's to follow yet, nor is one that does not exist."""
    for campaign in (await world.submitted(), "nothing"):
        assert (await world.running.client.get(f"/campaigns/{campaign}/follow")).status_code == 404


async def test_the_outbox_is_the_demos_alone(running: Running, demo: Running) -> None:
    """Mails are read in a demo, with links that lead on; elsewhere there is no such page."""
    for platform in (running.platform, demo.platform):
        await platform.mail.post(
            name="follow_confirm",
            to="ada@example.org",
            language="zh-Hans",
            dedupe_key="1",
            title="<b>Films",
            confirm_path="/follow/abc",
        )
    (hidden,) = await running.platform.mail.mails.newest()
    for path in ("/outbox", f"/outbox/{hidden.id}"):
        assert (await running.client.get(path)).status_code == 404
    page = await demo.client.get("/outbox")
    assert "ada@example.org" in words(page)
    (mail,) = await demo.platform.mail.mails.newest()
    shown = await demo.client.get(f"/outbox/{mail.id}")
    assert 'href="/follow/abc"' in shown.text
    assert "<b>" not in shown.text
    assert 'lang="zh-Hans"' in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert (await demo.client.get("/outbox/nothing")).status_code == 404
    assert (await demo.client.get("/outbox?page=0")).status_code == 422
    assert (await demo.platform.mail.health()).sends is False


async def test_an_empty_outbox_says_what_to_do(demo: Running) -> None:
    """Nothing there yet: one sentence, one action."""
    page = await demo.client.get("/outbox")
    assert "No mails yet." in words(page)
    assert 'href="/discover"' in page.text


async def test_mails_with_a_kind_can_be_turned_off(running: Running) -> None:
    """Mails that other parts of the site post carry the link, and respect the choice."""
    world = World(running)
    ada = await world.person("ada@example.org")
    mail = running.platform.mail

    async def post(key: str) -> None:
        await mail.post(
            name="follow_confirm",
            to="ada@example.org",
            language="en",
            dedupe_key=key,
            party=ada,
            kind="creator",
            title="Films",
            confirm_path="/follow/abc",
        )

    await post("1")
    (first,) = await mail.mails.newest()
    assert first.off_path.startswith("/mail/off/")
    await mail.choices.turn_off(ada, "creator", at=NOW)
    await post("2")
    assert len(await mail.mails.newest()) == 1
