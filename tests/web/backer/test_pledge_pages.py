"""A checkout under way and a pledge that stands: what can be done with them, and what is told."""

from __future__ import annotations

import re

import httpx
import pytest

from app.log import decode_row
from app.mail.links import Links
from app.web.backer.destinations import countries
from app.web.language import speaking
from domain.events import HoldLapsed, HoldPlaced, PaymentMethodReplaced, PledgeMade, PledgeRevised
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running
from tests.web.browsing import Browser, fields, words

MINUTE = 60_000
GOOD = "0000000000000001"


async def give_card(browser: Browser, url: str, card: str = GOOD) -> httpx.Response:
    """Give a card on the payment page and come back."""
    bank = await browser.get(url)
    token = re.search(r'name="token" value="([^"]+)"', bank.text)
    assert token is not None, words(bank)
    given = await browser.post(str(bank.url.path), {"token": token[1], "card": card})
    return await browser.get(given.headers["location"])


def events(running: Running, kind: type) -> list[object]:
    """Every fact of a kind."""
    rows = [decode_row(row) for row in running.platform.log.read(0, 1_000)]
    return [event for event in rows if isinstance(event, kind)]


async def test_the_form_in_chinese_with_countries_by_name(running: Running, staff: Caller) -> None:
    """Countries are chosen by name in the reader's language; nobody types codes."""
    rewards = [{"title": "书", "price_minor": 100, "shipping": [{"region": "*", "fee_minor": 5}]}]
    cid = (await running.launched(staff, rewards=rewards))["campaign_id"]
    page = await Browser(running).get(f"/campaigns/{cid}/pledge?lang=zh")
    assert '<option value="BR">巴西</option>' in page.text
    assert "国家或地区" in words(page)
    with speaking("en"):
        assert {"BR": "Brazil"}.items() <= {p.code: p.name for p in countries()}.items()


async def test_what_is_kept_is_told_and_can_be_given_up(running: Running, staff: Caller) -> None:
    """Back without a card: how long it is kept still, and one button that frees it for others."""
    submitted = await running.launched(staff)
    cid, blanket = submitted["campaign_id"], submitted["reward_ids"][1]
    at = f"/campaigns/{cid}/pledge"
    browser = Browser(running)
    form = await browser.get(at)
    await browser.submit(form, at, reward=blanket)
    running.clock.now += 5 * MINUTE
    checkout = f"/checkout/{fields(form, at)['pledge_id']}"
    page = await browser.get(checkout)
    assert "What you chose is kept for you for 10 minutes more." in words(page)
    assert f'data-countdown="{NOW + 15 * MINUTE}"' in page.text
    again = await browser.get(at)
    assert "What you chose is kept for you for 10 minutes more." in words(again)
    stranger = Browser(running)
    await stranger.get(at)
    token = fields(await stranger.get(at), at)["form_token"]
    refused = await stranger.post(f"{checkout}/give-up", {"form_token": token})
    assert refused.status_code == 404
    gone = await browser.submit(page, f"{checkout}/give-up")
    assert "is free for others again" in words(gone)
    assert len(events(running, HoldLapsed)) == 1
    running.platform.follower.catch_up()
    assert (await stranger.submit(await stranger.get(at), at, reward=blanket)).status_code == 303


async def test_what_ran_out_is_offered_again(running: Running, staff: Caller) -> None:
    """After a quarter of an hour a kind page; one click keeps it anew and goes on to the bank."""
    submitted = await running.launched(staff)
    cid, blanket = submitted["campaign_id"], submitted["reward_ids"][1]
    running.platform.follower.catch_up()
    at = f"/campaigns/{cid}/pledge"
    browser = Browser(running)
    form = await browser.get(at)
    await browser.submit(form, at, reward=blanket)
    running.clock.now += 16 * MINUTE
    running.work()
    checkout = f"/checkout/{fields(form, at)['pledge_id']}"
    page = await browser.get(f"{checkout}/return")
    assert "The time is over" in words(page)
    assert f'href="{at}?again={checkout.rpartition("/")[2]}"' in page.text
    chosen = await browser.get(f"{at}?again={checkout.rpartition('/')[2]}")
    assert fields(chosen, at)["reward"] == blanket
    on = await browser.submit(page, f"{checkout}/pay")
    assert on.headers["location"].startswith("/test-bank/pay/")
    assert len(events(running, HoldPlaced)) == 2
    await give_card(browser, on.headers["location"])
    (made,) = events(running, PledgeMade)
    assert isinstance(made, PledgeMade)
    assert made.lines[0].reward_id == blanket


async def test_a_pledge_is_changed(running: Running, staff: Caller) -> None:
    """Reward, amount and how one is shown; the form begins with what stands."""
    submitted = await running.launched(staff)
    cid, poster = submitted["campaign_id"], submitted["reward_ids"][0]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, reward=poster, destination="CN")
    at = f"/campaigns/{cid}/pledges/1/edit"
    form = await browser.get(at)
    assert fields(form, at)["reward"] == poster
    assert fields(form, at)["amount"] == "132"
    few = await browser.submit(form, at, destination="CN", amount="100")
    assert "comes to ¥132 with shipping" in words(few)
    sent = await browser.submit(
        form, at, destination="CN", amount="150", visibility="pen_name", pen_name="Night heron"
    )
    page = await browser.get(sent.headers["location"])
    assert "¥0 today. ¥150 on 11 April 2026, only if the goal is met." in words(page)
    assert "You changed your pledge to ¥150." in words(page)
    assert "Night heron" in words(page)
    (revised,) = events(running, PledgeRevised)
    assert isinstance(revised, PledgeRevised)
    assert (revised.amount_minor, revised.visibility) == (15_000, "pen_name")
    stranger = Browser(running)
    assert (await stranger.get(at)).status_code == 404


async def test_a_reached_goal_is_protected(running: Running, staff: Caller) -> None:
    """On the last day cancelling is refused with the reason and two ways on."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, amount="50")
    at = f"/campaigns/{cid}/pledges/1/withdraw"
    running.clock.now = NOW + 30 * DAY_MS - 60 * MINUTE
    refused = await browser.submit(await browser.get(at), at)
    assert refused.status_code == 409
    assert "On the last day nobody can take back so much" in words(refused)
    assert f'href="/campaigns/{cid}/pledges/1/edit"' in refused.text
    edit = f"/campaigns/{cid}/pledges/1/edit"
    less = await browser.submit(await browser.get(edit), edit, amount="10")
    assert less.status_code == 409


async def test_the_proof_names_the_fact(running: Running, staff: Caller) -> None:
    """Number, id and entry; of the receipt, what there is of it before it is signed."""
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, amount="50")
    await running.platform.follower.wait_for_async(running.platform.log.last()[0], 30)
    page = await browser.get(f"/campaigns/{cid}/pledges/1")
    rows = running.platform.log.read(0, 1_000)
    made = next(row for row in rows if row.tag == "pledge.made.v1")
    event = decode_row(made)
    assert isinstance(event, PledgeMade)
    assert event.pledge_id in page.text
    assert "Not an invoice." in words(page)
    assert f"Entry in the log {made.position}" in words(page)
    assert "style=" not in page.text


async def test_where_the_money_is_payout_by_payout(running: Running, staff: Caller) -> None:
    """The dated way of a pledge that was charged, with its parts."""
    cid = (await running.launched(staff, goal_minor=10_000))["campaign_id"]
    browser = Browser(running)
    await browser.pledge(cid, amount="200")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    text = words(await browser.get(f"/campaigns/{cid}/pledges/1"))
    assert "Of your ¥200: ¥14 fees ¥186 still held" in text
    assert "¥200 was charged to you." in text
    assert "25 April 2026 From then on the creator can be paid." in text


async def test_a_failed_payment_is_mended_from_the_mail(running: Running, staff: Caller) -> None:
    """The link works in a browser that never signed in, for this pledge and nothing else."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    await Browser(running).pledge(cid, amount="50", card="0000000000000006")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    backer = running.platform.engine.inspect(cid, lambda state: state.pledges[0].backer)
    path = Links(running.platform.settings.secret, running.clock).fix_link(cid, 1, backer)
    other = Browser(running)
    page = await other.get(path)
    assert "Your bank declined. Your pledge is kept until 19 April 2026" in words(page)
    assert "reported lost" in words(page)
    assert (await other.get(f"/campaigns/{cid}/pledges/1")).status_code == 404
    sent = await other.submit(page, f"{path}/card")
    back = await give_card(other, sent.headers["location"])
    assert back.status_code == 200
    assert len(events(running, PaymentMethodReplaced)) == 1
    running.work()
    assert "You were charged ¥50." in words(await other.get(path))
    assert (await other.get(f"/campaigns/{cid}/pledges/1")).status_code == 404
    assert (await other.get("/me")).text.count("Film nights") == 0


async def test_a_failed_payment_is_cancelled_from_the_mail(running: Running, staff: Caller) -> None:
    """Free of charge, and only once."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    await Browser(running).pledge(cid, amount="50", card="0000000000000006")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    backer = running.platform.engine.inspect(cid, lambda state: state.pledges[0].backer)
    path = Links(running.platform.settings.secret, running.clock).fix_link(cid, 1, backer)
    other = Browser(running)
    left = await other.submit(await other.get(path), f"{path}/cancel")
    running.platform.follower.catch_up()
    assert "You left this campaign. You were not charged." in words(
        await other.get(left.headers["location"])
    )
    running.clock.now += 15 * DAY_MS
    assert (await other.get(path)).status_code == 410


@pytest.mark.parametrize("token", ["x", "é", "A" * 700, "AAAA"])
async def test_a_made_up_link_mends_nothing(running: Running, token: str) -> None:
    """It says that the link is over, whatever was in it."""
    assert (await Browser(running).get(f"/fix/{token}")).status_code == 410


async def test_the_page_asks_again_until_the_news_is_there(running: Running, staff: Caller) -> None:
    """After confirming at the bank it refreshes by itself; when all is said it stands still."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    browser = Browser(running)
    await browser.pledge(cid, amount="50", card="0000000000000004")
    running.clock.now = NOW + 30 * DAY_MS + 1
    running.work()
    page = await browser.get(f"/campaigns/{cid}/pledges/1")
    assert "refresh" not in page.headers
    link = re.search(r'href="(/test-bank/confirm/[^"]+)"', page.text)
    assert link is not None
    asked = await browser.get(link[1])
    token = re.search(r'name="token" value="([^"]+)"', asked.text)
    assert token is not None
    # Nobody hears the bank's news for now.
    await browser.post(link[1], {"token": token[1], "decision": "approve"})
    waiting = await browser.get(f"/campaigns/{cid}/pledges/1")
    assert waiting.headers["refresh"] == "2"
    assert "This page shows what came of it." in words(waiting)
    running.work()
    told = await browser.get(f"/campaigns/{cid}/pledges/1")
    assert "You were charged ¥50." in words(told)
    assert "refresh" not in told.headers
