"""The names list: who wants to be seen, and nothing that could be read from it besides."""

from __future__ import annotations

import re

import httpx

from app.web.backer.destinations import alphabetical
from app.web.backer.names import Shown, names_list, names_of
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running
from tests.web.browsing import Browser, words

NAMES = ("Zoë", "émile", "Åse", "张三", "Bob")


async def shown(running: Running, cid: str, name: str, kind: str = "pen_name") -> Browser:
    """Somebody pledges under a name."""
    browser = Browser(running)
    field = {"pen_name": "pen_name", "name": "own_name"}[kind]
    await browser.pledge(cid, amount="20", visibility=kind, **{field: name})
    running.platform.follower.catch_up()
    return browser


def listed(page: httpx.Response) -> list[str]:
    """The names on the page, in their order."""
    found = re.search(r'<ul class="name-list">(.*?)</ul>', page.text, re.DOTALL)
    return re.findall(r"<li>(.*?)</li>", found[1]) if found else []


async def test_names_come_with_the_next_day_and_in_order(running: Running, staff: Caller) -> None:
    """Nobody can tell from the list when somebody pledged: it is made at midnight, from five on."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/backers"
    for number, name in enumerate(NAMES):
        await shown(running, cid, name, "name" if number % 2 else "pen_name")
    await Browser(running).pledge(cid, amount="20")
    running.platform.follower.catch_up()
    page = await Browser(running).get(at)
    assert listed(page) == []
    assert "from 5 names on" in words(page)
    running.clock.now = NOW + DAY_MS
    page = await Browser(running).get(at)
    assert listed(page) == ["Åse", "Bob", "émile", "Zoë", "张三"]
    assert "¥" not in words(page)
    await shown(running, cid, "Late comer")
    assert "Late comer" not in (await Browser(running).get(at)).text
    running.clock.now += DAY_MS
    assert "Late comer" in (await Browser(running).get(at)).text


async def test_what_is_hidden_goes_at_once(running: Running, staff: Caller) -> None:
    """A pledge changed to no name leaves today's list, and four names are no list."""
    cid = (await running.launched(staff))["campaign_id"]
    browsers = [await shown(running, cid, name) for name in NAMES]
    running.clock.now = NOW + DAY_MS
    assert len((await names_list(running.platform, cid)).names) == len(NAMES)
    at = f"/campaigns/{cid}/pledges/1/edit"
    form = await browsers[0].get(at)
    assert 'value="Zoë"' in form.text
    changed = await browsers[0].submit(form, at, visibility="hidden")
    assert changed.status_code == 303
    running.platform.follower.catch_up()
    assert (await names_list(running.platform, cid)).names == ()


async def test_who_leaves_stays_until_the_next_day(running: Running, staff: Caller) -> None:
    """Else whoever watches the list would learn who left and when."""
    cid = (await running.launched(staff))["campaign_id"]
    browsers = [await shown(running, cid, name) for name in (*NAMES, "Yan")]
    running.clock.now = NOW + DAY_MS
    at = f"/campaigns/{cid}/pledges/6/withdraw"
    await browsers[5].submit(await browsers[5].get(at), at)
    running.platform.follower.catch_up()
    assert "Yan" in (await names_list(running.platform, cid)).names
    running.clock.now += DAY_MS
    assert "Yan" not in (await names_list(running.platform, cid)).names


async def test_a_forgotten_person_is_not_shown(running: Running, staff: Caller) -> None:
    """Who had their data deleted is gone from today's list."""
    cid = (await running.launched(staff))["campaign_id"]
    for name in (*NAMES, "Yan"):
        await shown(running, cid, name)
    running.clock.now = NOW + DAY_MS
    rows = await names_list(running.platform, cid)
    assert "Yan" in rows.names
    state = running.platform.engine.inspect(cid, lambda state: state.pledges[5].backer)
    await running.platform.stores.erasure.erase({state}, "", at=running.clock.now)
    assert "Yan" not in (await names_list(running.platform, cid)).names


async def test_one_person_is_listed_once(running: Running, staff: Caller) -> None:
    """Two pledges under one name are one name; two people of one name are two."""
    cid = (await running.launched(staff))["campaign_id"]
    for name in (*NAMES, "Bob"):
        browser = await shown(running, cid, name)
    await browser.pledge(cid, amount="30", visibility="pen_name", pen_name="Bob")
    running.platform.follower.catch_up()
    running.clock.now = NOW + DAY_MS
    assert (await names_list(running.platform, cid)).names.count("Bob") == 2


async def test_a_pen_name_never_gives_the_name_away(running: Running, staff: Caller) -> None:
    """Who signs one pledge with their name and another with a pen name is shown as each says."""
    stores = running.platform.stores
    account = await stores.accounts.open("two@example.net", at=NOW, display_name="Sample Name")
    await stores.accounts.change(account.party, pen_name="Sample Pen")
    pledges = [
        Shown("one", account.party, "name"),
        Shown("two", account.party, "pen_name"),
        Shown("three", account.party, "hidden"),
    ]
    named = await names_of(running.platform, pledges)
    assert named == {"one": "Sample Name", "two": "Sample Pen"}


async def test_a_name_is_asked_for_and_escaped(running: Running, staff: Caller) -> None:
    """Who wants to be shown writes how; what they write is text."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/pledge"
    browser = Browser(running)
    for kind, said in (("name", "Write the name that"), ("pen_name", "Write the pen name that")):
        refused = await browser.submit(await browser.get(at), at, amount="20", visibility=kind)
        assert refused.status_code == 422
        assert said in words(refused)
    for name in (*NAMES, "<b>Bold</b>"):
        await shown(running, cid, name)
    running.clock.now = NOW + DAY_MS
    page = await browser.get(f"/campaigns/{cid}/backers")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page.text


def test_the_order_is_that_of_readers() -> None:
    """Accents and case do not matter, Chinese names come by their sound."""
    names = ["王五", "zoe", "李四", "Émile", "anna", "赵六", "Bob"]
    assert sorted(names, key=alphabetical) == [
        "anna",
        "Bob",
        "Émile",
        "zoe",
        "李四",
        "王五",
        "赵六",
    ]
