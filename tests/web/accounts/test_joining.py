"""A pledge makes an account on the way, and earlier pledges join one through a mail."""

from __future__ import annotations

from app.web.accounts.joining import person_for
from app.web.site import Site
from app.web.templating import environment
from app.web.visitors import Visitor, Visitors
from tests.api.running import Running
from tests.web.accounts.visiting import MAIL, account, follow, letters, link_in, signed_in, who_is
from tests.web.browsing import Browser, words


def site_of(running: Running) -> Site:
    """The pages' side of the platform, as the application builds it."""
    platform = running.platform
    visitors = Visitors(
        platform.stores.sessions,
        platform.stores.accounts,
        secret=platform.settings.secret,
        secure=False,
        clock=running.clock,
    )
    return Site(platform, visitors, environment(demo=False, clock=running.clock))


NOBODY = Visitor("t" * 43, "f" * 32, is_new=True)


async def test_a_first_pledge_opens_an_account(running: Running) -> None:
    """It has no password; the browser's session is no sign-in; the mail's link is one."""
    visitor = await person_for(site_of(running), NOBODY, f" {MAIL.upper()}", language="zh-Hans")
    opened = await running.platform.stores.accounts.by_mail(MAIL)
    assert opened is not None
    assert (opened.party, opened.password_hash, opened.confirmed_at) == (visitor.party, "", None)
    assert not visitor.signed_in
    assert visitor.is_new
    assert visitor.token != NOBODY.token
    (letter,) = await letters(running)
    assert (letter.name, letter.language) == ("accounts_pledge_account", "zh-Hans")
    browser = Browser(running)
    assert (await follow(browser, await link_in(running))).headers["location"] == "/me"
    assert await who_is(running, browser) == (visitor.party, True)


async def test_a_proved_address_ends_what_was_open_before(running: Running) -> None:
    """Whoever typed another's address to pledge sees nothing of what its owner does later."""
    typed = await person_for(site_of(running), NOBODY, MAIL, language="en")
    sessions, at = running.platform.stores.sessions, running.clock.now
    assert await sessions.find(typed.token, at=at) is not None
    browser = Browser(running)
    await follow(browser, await link_in(running))
    assert await who_is(running, browser) == (typed.party, True)
    assert await sessions.find(typed.token, at=at) is None


async def test_a_known_address_joins_only_through_the_mail(running: Running) -> None:
    """The pledge gets a party of its own; whoever follows the link has both."""
    mine = await account(running)
    visitor = await person_for(site_of(running), NOBODY, MAIL, language="en")
    stores = running.platform.stores
    assert visitor.party != mine.party
    assert not visitor.signed_in
    assert visitor.parties == {visitor.party}
    assert (await stores.people.get(visitor.party)).mail == MAIL
    assert await stores.accounts.parties_of(mine.party) == {mine.party}
    browser = Browser(running)
    link = await link_in(running, name="accounts_join")
    await browser.get(link)
    assert await stores.accounts.parties_of(mine.party) == {mine.party}
    assert (await follow(browser, link)).status_code == 303
    assert await stores.accounts.parties_of(mine.party) == {mine.party, visitor.party}
    assert await who_is(running, browser) == (mine.party, True)
    assert await stores.sessions.find(visitor.token, at=running.clock.now) is None


async def test_both_cases_look_alike(running: Running) -> None:
    """What the browser gets differs in nothing that it could see; one mail goes out in each."""
    await account(running)
    site = site_of(running)
    one = await person_for(site, NOBODY, MAIL, language="en")
    two = await person_for(site, NOBODY, "new@example.org", language="en")
    for visitor, mail in ((one, MAIL), (two, "new@example.org")):
        assert (visitor.signed_in, visitor.stepped_up, visitor.is_new) == (False, False, True)
        assert visitor.parties == {visitor.party}
        assert visitor.roles == frozenset()
        assert len(await letters(running, mail)) == 1


async def test_the_same_browser_goes_on_as_the_same_person(running: Running) -> None:
    """A second pledge with the same address makes nobody new and sends no second mail."""
    await account(running)
    site = site_of(running)
    for mail in (MAIL, "new@example.org"):
        first = await person_for(site, NOBODY, mail, language="en")
        second = await person_for(site, first, mail, language="en")
        assert second == first
        assert len(await letters(running, mail)) == 1


async def test_another_address_is_another_person(running: Running) -> None:
    """In a browser that several share nobody gets into the pledges of the one before."""
    site = site_of(running)
    first = await person_for(site, NOBODY, "one@example.org", language="en")
    second = await person_for(site, first, "two@example.org", language="en")
    assert second.party != first.party
    assert second.token != first.token
    at = running.clock.now
    assert await running.platform.stores.sessions.find(first.token, at=at) is None


async def test_who_is_signed_in_pledges_as_themselves(running: Running) -> None:
    """Whatever address is typed: no account is opened, and no mail goes out."""
    mine = await account(running)
    site = site_of(running)
    visitor = await site.visitors.begin(mine.party, signed_in=True)
    assert await person_for(site, visitor, "other@example.org", language="en") is visitor
    assert await running.platform.stores.accounts.by_mail("other@example.org") is None
    assert await letters(running, "other@example.org") == []


async def test_the_link_can_be_had_again(running: Running) -> None:
    """Who is signed in sees that something waits; still only the mail's link joins it."""
    mine = await account(running)
    visitor = await person_for(site_of(running), NOBODY, MAIL, language="en")
    running.clock.now += 31 * 86_400_000
    browser = await signed_in(running)
    page = await browser.get("/account")
    assert "With your address a pledge was made" in words(page)
    await browser.submit(page, "/account/join")
    parties_of = running.platform.stores.accounts.parties_of
    assert await parties_of(mine.party) == {mine.party}
    await follow(browser, await link_in(running))
    assert await parties_of(mine.party) == {mine.party, visitor.party}
    assert "With your address" not in words(await browser.get("/account"))


async def test_an_address_is_not_flooded(running: Running) -> None:
    """However often somebody types an address, it gets six mails in an hour."""
    await account(running)
    for _ in range(10):
        await person_for(site_of(running), NOBODY, MAIL, language="en")
    assert len(await letters(running)) == 6


async def test_a_join_link_dies_with_the_address(running: Running) -> None:
    """Once the account has another address, links that went to the old one open nothing."""
    mine = await account(running)
    await person_for(site_of(running), NOBODY, MAIL, language="en")
    link = await link_in(running)
    await running.platform.stores.accounts.change(mine.party, mail="moved@example.org")
    browser = Browser(running)
    assert (await follow(browser, link)).status_code == 410
    assert await running.platform.stores.accounts.parties_of(mine.party) == {mine.party}
