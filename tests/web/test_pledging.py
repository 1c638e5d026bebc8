"""From the pledge button to the statement, and everything that can go wrong on the way."""

from __future__ import annotations

import re

from app.log import decode_row
from domain.events import HoldPlaced, PaymentMethodReplaced, PledgeMade
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, new_id, pledge
from tests.web.browsing import Browser, fields, words

MINUTE = 60_000


def made(running: Running) -> list[PledgeMade]:
    """Every pledge in the log."""
    events = [decode_row(row) for row in running.platform.log.read(0, 1_000)]
    return [event for event in events if isinstance(event, PledgeMade)]


async def test_a_pledge_from_the_form_to_the_statement(running: Running, staff: Caller) -> None:
    """Form, bank, confirmation, statement: and nothing is charged before the deadline."""
    submitted = await running.launched(staff)
    cid = submitted["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    thanks = await browser.pledge(cid, reward=submitted["reward_ids"][0], destination="cn")
    text = words(thanks)
    assert thanks.status_code == 200
    assert "Thank you. Your pledge is no. 1 of this campaign." in text
    assert "¥0 today. ¥132 on 11 April 2026, only if the goal is met." in text
    assert 'class="own"' in thanks.text
    (event,) = made(running)
    assert (event.amount_minor, event.destination, event.visibility) == (13_200, "CN", "hidden")
    assert event.by == f"backer:{event.backer}"
    statement = words(await browser.get("/me"))
    assert "Film nights under the viaduct no. 1 · 12 March 2026 promised ¥132 CNY ¥0" in statement
    assert "Together in CNY ¥132 ¥0" in statement
    assert words(await browser.get("/backers/me")) == statement


async def test_the_bank_is_told_what_will_be_charged_and_when(
    running: Running, staff: Caller
) -> None:
    """The payment page repeats the sentence, so that nobody pays in doubt."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    sent = await browser.submit(await browser.get(at), at, amount="25.50")
    bank = words(await browser.get(sent.headers["location"]))
    assert "¥0 today. ¥25.50 on 11 April 2026, only if the goal is met." in bank


async def test_charged_and_settled_to_the_last_cent(running: Running, staff: Caller) -> None:
    """After the success the backer reads where their own money is."""
    cid = (await running.launched(staff, goal_minor=20_000))["campaign_id"]
    browser = Browser(running)
    running.platform.start()
    await browser.pledge(cid, amount="200")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    page = words(await browser.get("/me"))
    assert "charged ¥200 CNY ¥200 ¥0 ¥14 ¥0 ¥186" in page
    assert "Of your ¥200: ¥14 fees, ¥186 still held." in page
    own = words(await browser.get(f"/campaigns/{cid}/pledges/1"))
    assert "charged to you ¥200" in own


async def test_a_limited_reward_is_kept_at_checkout(running: Running, staff: Caller) -> None:
    """While one is at the bank the last piece is theirs: another is told that it is sold out."""
    submitted = await running.launched(staff)
    cid, blanket = submitted["campaign_id"], submitted["reward_ids"][1]
    at = f"/campaigns/{cid}/pledge"
    first, second = Browser(running), Browser(running)
    late_form = await second.get(at)
    sent = await first.submit(await first.get(at), at, reward=blanket)
    assert sent.status_code == 303
    running.platform.follower.catch_up()
    refused = await second.submit(late_form, at, reward=blanket)
    assert refused.status_code == 422
    assert "sold out" in words(refused)
    held = [decode_row(row) for row in running.platform.log.read(0, 100)]
    assert sum(isinstance(event, HoldPlaced) for event in held) == 1


async def test_two_reach_for_the_last_piece_at_once(running: Running, staff: Caller) -> None:
    """Where the view does not know yet, the rules decide, and the form says so."""
    submitted = await running.launched(staff)
    at = f"/campaigns/{submitted['campaign_id']}/pledge"
    statuses = []
    for browser in (Browser(running), Browser(running)):
        page = await browser.get(at)
        sent = await browser.submit(page, at, reward=submitted["reward_ids"][1])
        statuses.append(sent.status_code)
    assert statuses == [303, 422]


async def test_sold_while_at_the_bank(running: Running, staff: Caller) -> None:
    """Who comes back after the hold ran out, and finds it sold, is told so and pays nothing."""
    submitted = await running.launched(staff)
    cid, blanket = submitted["campaign_id"], submitted["reward_ids"][1]
    at = f"/campaigns/{cid}/pledge"
    slow = Browser(running)
    sent = await slow.submit(await slow.get(at), at, reward=blanket)
    running.clock.now += 16 * MINUTE
    (other,) = await running.backers(1)
    quick = pledge(backer_id=other, reward_id=blanket, amount=36_000)
    assert (await running.post(f"/campaigns/{cid}/pledges", staff, quick)).status_code == 201
    bank = await slow.get(sent.headers["location"])
    token = re.search(r'name="token" value="([^"]+)"', bank.text)
    assert token is not None
    card = {"token": token[1], "card": "0000000000000001"}
    given = await slow.post(str(bank.url.path), card)
    back = await slow.get(given.headers["location"])
    assert back.status_code == 409
    assert "Nothing was pledged" in words(back)
    assert "Nothing was charged" in words(back)
    assert len(made(running)) == 1


async def test_coming_back_twice_makes_one_pledge(running: Running, staff: Caller) -> None:
    """Loading the way back again, or sending the form again, finds the same pledge."""
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    form = await browser.get(at)
    thanks = await browser.pledge(cid, amount="50")
    event = made(running)[0]
    again = await browser.get(f"/checkout/{event.pledge_id}/return?method=anything")
    assert again.url.path == thanks.url.path
    typed = fields(form, at) | {"pledge_id": event.pledge_id, "amount": "50"}
    typed["mail"] = browser.mail
    typed["form_token"] = fields(await browser.get(at), at)["form_token"]
    sent = await browser.post(at, typed)
    assert sent.headers["location"] == f"/checkout/{event.pledge_id}/return"
    assert len(made(running)) == 1


async def test_back_without_a_card(running: Running, staff: Caller) -> None:
    """Nothing is pledged before the bank has a card, whatever the address says."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    at = f"/campaigns/{cid}/pledge"
    form = await browser.get(at)
    sent = await browser.submit(form, at, amount="50")
    checkout = fields(form, at)["pledge_id"]
    back = await browser.get(f"/checkout/{checkout}/return?method=made-up")
    assert "Nothing was pledged and nothing was charged" in words(back)
    assert sent.headers["location"] in back.text
    assert made(running) == []


async def test_a_checkout_is_its_backers_alone(running: Running, staff: Caller) -> None:
    """Neither a stranger nor a browser without a session comes back on another's behalf, nor
    takes a pledge id over.
    """
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    alice, mallory = Browser(running), Browser(running)
    at = f"/campaigns/{cid}/pledge"
    form = await alice.get(at)
    await alice.submit(form, at, amount="50")
    checkout = fields(form, at)["pledge_id"]
    assert (await mallory.get(f"/checkout/{checkout}/return")).status_code == 404
    taken = await mallory.submit(await mallory.get(at), at, amount="60", pledge_id=checkout)
    assert taken.status_code == 422
    assert (await mallory.get(f"/checkout/{checkout}/return")).status_code == 404
    thanks = await alice.pledge(cid, amount="70")
    for path in (str(thanks.url.path), f"{thanks.url.path}/withdraw"):
        assert (await mallory.get(path)).status_code in (404, 405)
    page = await mallory.get("/me")
    token = fields(await mallory.get(at), at)["form_token"]
    assert "No pledges yet." in words(page)
    refused = await mallory.post(f"{thanks.url.path}/withdraw", {"form_token": token})
    assert refused.status_code == 404


async def test_the_form_answers_beside_the_field(running: Running, staff: Caller) -> None:
    """Each mistake has its sentence, and what was typed is still there."""
    submitted = await running.launched(
        staff,
        rewards=[
            {
                "title": "Poster",
                "price_minor": 12_000,
                "shipping": [{"region": "CN", "fee_minor": 1_200}],
            },
            {"title": "Popcorn", "price_minor": 6_000, "add_on": True},
        ],
    )
    at = f"/campaigns/{submitted['campaign_id']}/pledge"
    poster, popcorn = submitted["reward_ids"]
    browser = Browser(running)
    for typed, said in (
        ({}, "Choose a reward or write an amount."),
        ({"amount": "lots"}, "Write the amount in figures"),
        ({"amount": "0"}, "Write the amount in figures"),
        ({"reward": poster}, "Say where it should be sent."),
        ({"reward": poster, "destination": "Chine"}, "Choose a country from the list."),
        ({"reward": poster, "destination": "XX"}, "Choose a country from the list."),
        ({"reward": poster, "destination": "BR"}, "“Poster” is not sent there."),
        ({"reward": poster, "destination": "CN", "amount": "120"}, "comes to ¥132 with shipping"),
        ({"reward": new_id()}, "is not offered any more"),
        ({"reward": popcorn}, "is not offered any more"),
        ({f"add_on_{popcorn}": "1", "amount": "60"}, "needs a reward beside it"),
        ({"reward": poster, "destination": "CN", f"add_on_{popcorn}": "x"}, "how many pieces"),
        ({"reward": poster, "destination": "CN", f"add_on_{popcorn}": "9" * 30}, "how many pieces"),
    ):
        answer = await browser.submit(await browser.get(at), at, **typed)
        assert answer.status_code == 422, typed
        assert said in words(answer), typed
        assert 'role="alert"' in answer.text
        if "amount" in typed:
            assert f'value="{typed["amount"]}"' in answer.text
    fine = await browser.submit(
        await browser.get(at), at, reward=poster, destination="CN", **{f"add_on_{popcorn}": "2"}
    )
    assert fine.status_code == 303
    assert made(running) == []


async def test_a_backer_leaves(running: Running, staff: Caller) -> None:
    """A page says what will happen, one button withdraws; the pledge's page says so, and it cannot
    be done twice.
    """
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    thanks = await browser.pledge(cid, amount="50")
    at = f"/campaigns/{cid}/pledges/1/withdraw"
    asked = await browser.get(at)
    assert "You are not charged." in words(asked)
    left = await browser.submit(asked, at)
    page = await browser.get(left.headers["location"])
    assert "You left this campaign. You were not charged." in words(page)
    assert "Cancel this pledge" in thanks.text
    assert "Cancel this pledge" not in page.text
    again = await browser.submit(asked, at)
    assert again.status_code == 409
    assert "cancelled before" in words(again)


async def test_a_declined_card_is_replaced(running: Running, staff: Caller) -> None:
    """The page says what happened and what is kept; another card is given, and charged."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, amount="50", card="0000000000000006")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    page = await browser.get(f"/campaigns/{cid}/pledges/1")
    assert "Your bank declined. Your pledge is kept until 19 April 2026" in words(page)
    sent = await browser.submit(page, f"/campaigns/{cid}/pledges/1/card")
    bank = await browser.get(sent.headers["location"])
    assert "never twice" in words(bank)
    token = re.search(r'name="token" value="([^"]+)"', bank.text)
    assert token is not None
    card = {"token": token[1], "card": "0000000000000001"}
    given = await browser.post(str(bank.url.path), card)
    await browser.get(given.headers["location"])
    events = [decode_row(row) for row in running.platform.log.read(0, 100)]
    assert sum(isinstance(event, PaymentMethodReplaced) for event in events) == 1
    running.work()
    assert "charged" in words(await browser.get(f"/campaigns/{cid}/pledges/1"))


async def test_a_bank_that_wants_confirmation(running: Running, staff: Caller) -> None:
    """The page leads to where the backer confirms, and the charge goes through."""
    cid = (await running.launched(staff, goal_minor=5_000))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, amount="50", card="0000000000000004")
    running.clock.now = NOW + 30 * DAY_MS + 1
    running.work()
    page = await browser.get(f"/campaigns/{cid}/pledges/1")
    assert "Your bank wants you to confirm this payment of ¥50." in words(page)
    link = re.search(r'href="(/test-bank/confirm/[^"]+)"', page.text)
    assert link is not None
    asked = await browser.get(link[1])
    token = re.search(r'name="token" value="([^"]+)"', asked.text)
    assert token is not None
    answer = await browser.post(link[1], {"token": token[1], "decision": "approve"})
    assert answer.headers["location"] == f"/campaigns/{cid}/pledges/1"


async def test_what_is_charged_at_the_pledge_says_so(running: Running, staff: Caller) -> None:
    """A flexible campaign charges today, and says how long one may change one's mind."""
    cid = (await running.launched(staff, model="flexible"))["campaign_id"]
    page = words(await Browser(running).get(f"/campaigns/{cid}/pledge"))
    assert "Charged today. The campaign keeps what it raises; you can change your mind" in page


async def test_a_campaign_that_closed_takes_no_pledges(running: Running, staff: Caller) -> None:
    """Its form says so instead of failing later."""
    cid = (await running.launched(staff))["campaign_id"]
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    page = await Browser(running).get(f"/campaigns/{cid}/pledge")
    assert page.status_code == 409
    assert "does not take pledges" in words(page)


async def test_the_page_waits_for_the_views(running: Running, staff: Caller) -> None:
    """Where the views are behind the confirmation says one moment and asks again by itself."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    page = await browser.pledge(cid, amount="50")
    assert page.status_code == 503
    assert page.headers["refresh"] == "1"
    assert "Your pledge is recorded." in words(page)
    running.platform.follower.catch_up()
    assert "Thank you." in words(await browser.get(str(page.url)))
