"""Against card testing, kept rewards and creators who back themselves."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from sqlalchemy import func, select

from app.log import decode_row
from app.stores.card_tries import ALARM_PERCENT, CARD_TRIES, SAMPLE, CardTry
from app.web.accounts.limits import Gate
from domain.events import PledgeMade
from domain.terms import DAY_MS
from tests.api.running import Caller, Running
from tests.web.browsing import Browser, fields, words

GOOD, DECLINED, SLOW, LATER = ("0000000000000001", "0000000000000002", "0000000000000010", "05")
HOUR = 3_600_000


async def to_the_bank(browser: Browser, cid: str, **typed: str) -> httpx.Response:
    """Fill the form in and go to the payment page."""
    at = f"/campaigns/{cid}/pledge"
    sent = await browser.submit(await browser.get(at), at, **({"amount": "20"} | typed))
    assert sent.status_code == 303, words(sent)
    return await browser.get(sent.headers["location"])


async def try_card(browser: Browser, bank: httpx.Response, card: str) -> httpx.Response:
    """Try a card on the payment page."""
    token = re.search(r'name="token" value="([^"]+)"', bank.text)
    assert token is not None, words(bank)
    return await browser.post(str(bank.url.path), {"token": token[1], "card": card})


def made(running: Running) -> int:
    """How many pledges the log has."""
    rows = running.platform.log.read(0, 1_000)
    return sum(isinstance(decode_row(row), PledgeMade) for row in rows)


async def test_three_declines_close_the_payment_page(running: Running, staff: Caller) -> None:
    """For an hour, for this mail and from this address, with one neutral sentence; then not."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    bank = await to_the_bank(browser, cid)
    for status in (422, 422, 429):
        answer = await try_card(browser, bank, DECLINED)
        assert answer.status_code == status
    assert "Payment is not possible now" in words(answer)
    assert (await try_card(browser, bank, GOOD)).status_code == 429
    assert (await browser.get(str(bank.url.path))).status_code == 429
    other = Browser(running)  # the same client address
    at = f"/campaigns/{cid}/pledge"
    closed = await other.submit(await other.get(at), at, amount="20")
    assert closed.status_code == 429
    assert "declined" not in words(closed)
    assert made(running) == 0
    running.clock.now += HOUR + 1
    assert (await try_card(browser, bank, GOOD)).status_code == 303


async def test_a_dozen_tries_at_the_same_moment_are_three(running: Running, staff: Caller) -> None:
    """Who tries many cards at once gets no further than who tries them one after another."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    bank = await to_the_bank(browser, cid)
    answers = await asyncio.gather(*(try_card(browser, bank, DECLINED) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [422] * 2 + [429] * 10
    async with running.platform.stores.card_tries._engine.connect() as connection:
        noted = await connection.execute(select(func.count()).select_from(CARD_TRIES))
        assert noted.scalar_one() == 3


async def test_three_cards_in_a_day_close_the_payment_page(running: Running, staff: Caller) -> None:
    """The same card again is one card; the third other one is the last of the day."""
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    for card in (GOOD, GOOD, SLOW, GOOD, "0000000000000005"):
        await browser.pledge(cid, amount="20", card=card)
    at = f"/campaigns/{cid}/pledge"
    closed = await browser.submit(await browser.get(at), at, amount="20")
    assert closed.status_code == 429
    running.clock.now += DAY_MS + 1
    assert (await browser.submit(await browser.get(at), at, amount="20")).status_code == 303


async def test_a_campaign_on_which_cards_are_tested_asks_for_a_confirmed_address(
    running: Running, staff: Caller
) -> None:
    """The link in the mail leads to one click, and from there to the payment page."""
    cid = (await running.launched(staff))["campaign_id"]
    declined = SAMPLE * ALARM_PERCENT // 100 + 1
    for number in range(SAMPLE):
        assert not await running.platform.stores.card_tries.is_tested(cid)
        tried = CardTry(
            campaign=cid,
            person=f"p{number}",
            mail=f"m{number}",
            address=f"a{number}",
            declined=number < declined,
            at=running.clock.now,
        )
        await running.platform.stores.card_tries.note(tried)
    assert await running.platform.stores.card_tries.is_tested(cid)
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    form = await browser.get(at)
    sent = await browser.submit(form, at, amount="20")
    checkout = fields(form, at)["pledge_id"]
    assert sent.headers["location"] == f"/checkout/{checkout}"
    waits = await browser.get(sent.headers["location"])
    assert "Please confirm your mail address" in words(waits)
    pay = f"/checkout/{checkout}/pay"
    still = await browser.submit(waits, pay)
    assert still.headers["location"] == f"/checkout/{checkout}"
    link = await confirmation_link(running, browser.mail)
    assert (await browser.get(f"{link}x")).status_code == 404
    asked = await browser.get(link)
    confirmed = await browser.submit(asked, link)
    ready = await browser.get(confirmed.headers["location"])
    gone = await browser.submit(ready, pay)
    assert gone.headers["location"].startswith("/test-bank/pay/")


async def confirmation_link(running: Running, mail: str) -> str:
    """The path of the link that was sent to an address."""
    from sqlalchemy import text  # noqa: PLC0415 - one look into the queue of mails

    engine = running.platform.stores.checkouts._engine
    async with engine.connect() as connection:
        query = text("SELECT text FROM mails WHERE address = :mail AND name = 'backer_confirm'")
        body = (await connection.execute(query, {"mail": mail})).scalar_one()
    found = re.search(r"(/checkout/[^/]+/confirm/[0-9a-f]+)", body)
    assert found is not None, body
    return found[1]


async def test_limited_rewards_are_not_kept_again_and_again(
    running: Running, staff: Caller
) -> None:
    """After eight times in a quarter of an hour a person has to wait."""
    rewards = [{"title": "Blanket", "price_minor": 1_000, "limit": 500}]
    submitted = await running.launched(staff, rewards=rewards)
    at = f"/campaigns/{submitted['campaign_id']}/pledge"
    browser = Browser(running)
    statuses = []
    for _ in range(9):
        page = await browser.get(at)
        sent = await browser.submit(page, at, reward=submitted["reward_ids"][0])
        statuses.append(sent.status_code)
    assert statuses == [303] * 8 + [422]
    assert "kept limited rewards many times" in words(sent)
    running.clock.now += 15 * 60_000 + 1
    sent = await browser.submit(await browser.get(at), at, reward=submitted["reward_ids"][0])
    assert sent.status_code == 303


async def test_the_team_cannot_back_itself_by_mail(running: Running, staff: Caller) -> None:
    """Not with the address of a team member's account, though nobody is signed in."""
    stores = running.platform.stores
    account = await stores.accounts.open("maker@example.org", at=running.clock.now)
    cid = (await running.launched(staff, creator_id=account.party))["campaign_id"]
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    refused = await browser.submit(
        await browser.get(at), at, amount="20", mail=" Maker@Example.org "
    )
    assert refused.status_code == 422
    assert "cannot pledge to their own campaign" in words(refused)


async def test_the_team_cannot_back_itself_by_card(running: Running, staff: Caller) -> None:
    """Not with a card that somebody in the team has given anywhere before; others can."""
    other = (await running.launched(staff))["campaign_id"]
    maker = Browser(running)
    await maker.pledge(other, amount="20")
    rows = [decode_row(row) for row in running.platform.log.read(0, 1_000)]
    party = next(event.backer for event in rows if isinstance(event, PledgeMade))
    own = (await running.launched(staff, creator_id=party))["campaign_id"]
    maker.client.cookies.delete("tributary")  # as somebody else, with the wallet of before
    maker.mail = "another@example.org"
    bank = await to_the_bank(maker, own)
    given = await try_card(maker, bank, GOOD)
    back = await maker.get(given.headers["location"])
    assert back.status_code == 409
    assert "cannot pledge to their own campaign" in words(back)
    thanks = await Browser(running).pledge(own, amount="20")
    assert "Your pledge is recorded." in words(thanks)


async def test_nobody_makes_people_by_the_hundred(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pledge without a sign-in makes an account and writes to it: so many from one place."""
    monkeypatch.setattr("app.web.backer.pledging.PLEDGE", Gate("pledge", HOUR, 2, 3))
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/pledge"
    browsers = [Browser(running) for _ in range(4)]
    codes = [
        (await browser.submit(await browser.get(at), at, amount="20")).status_code
        for browser in browsers
    ]
    assert codes == [303, 303, 303, 422]
    accounts = running.platform.stores.accounts
    assert await accounts.by_mail(browsers[2].mail) is not None
    assert await accounts.by_mail(browsers[3].mail) is None


async def test_confirmations_do_not_flood_an_address(running: Running, staff: Caller) -> None:
    """However many checkouts are begun with it, it gets six mails in an hour."""
    cid = (await running.launched(staff))["campaign_id"]
    for number in range(SAMPLE):
        tried = CardTry(campaign=cid, person=f"p{number}", mail="", address="", declined=True, at=1)
        await running.platform.stores.card_tries.note(tried)
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    for _ in range(8):
        sent = await browser.submit(await browser.get(at), at, amount="20", mail=browser.mail)
        assert sent.status_code == 303
    mails = await running.platform.mail.mails.newest()
    assert sum(mail.address == browser.mail for mail in mails) == 6
