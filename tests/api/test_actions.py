"""A campaign's life by API: every command of the route table, by those who may."""

from __future__ import annotations

from msgspec.structs import fields

from app.api.actions import ACTIONS, body_type
from domain import commands as c
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, new_id, pledge

INTERNAL = {
    # What the provider says, what the processes do, and what has an address of its own.
    *(kind for kind in c.COMMANDS if kind.__name__.startswith("Record")),
    *(c.RequestCollection, c.DropPledge, c.CloseCampaign, c.PlaceHold, c.LapseHold),
    *(c.SubmitCampaign, c.ResubmitCampaign, c.MakePledge),
} - {c.RecordRepayment}


def test_every_command_is_reachable_or_internal() -> None:
    """No command of the domain is forgotten: it has an address, or a reason to have none."""
    assert {action.command for action in ACTIONS} == set(c.COMMANDS) - INTERNAL
    assert len({action.path for action in ACTIONS}) == len(ACTIONS)


def test_a_body_has_the_commands_own_fields() -> None:
    """A body asks for what the command says beyond who and where, under the same names."""
    common = {field.name for field in fields(c.Command)}
    for action in ACTIONS:
        own = {field.name for field in fields(action.command)} - common
        assert {field.name for field in fields(body_type(action.command))} == own


async def paid_pledge(
    running: Running, staff: Caller, campaign_id: str, **changes: object
) -> Caller:
    """A backer with a key of their own, who pledged with a card that works."""
    backer = await running.caller("backer")
    reference = running.platform.bank.prepare_method_direct(at=NOW)
    kept = await running.post(
        "/payment-methods", staff, {"backer_id": backer.party, "reference": reference}
    )
    body = pledge(payment_method=kept.json()["payment_method"], **changes)
    answer = await running.post(f"/campaigns/{campaign_id}/pledges", backer, body)
    assert answer.status_code == 201, answer.text
    return backer


async def test_from_review_to_the_last_payout(running: Running, staff: Caller) -> None:
    """Submitted, launched, extended, pledged, charged, refunded in part, paid out, delivered."""
    treasurer, creator = await running.caller("treasurer"), await running.caller("creator")
    submitted = await running.launched(staff, creator_id=creator.party, goal_minor=10_000)
    cid = submitted["campaign_id"]
    await running.do(
        creator, cid, "updates", {"update_id": new_id(), "text": {"title": "Hello", "body": "We"}}
    )
    await running.do(creator, cid, "extend-deadline", {"deadline_at": NOW + 40 * DAY_MS})
    blanket = {"reward_id": submitted["reward_ids"][1], "amount": 36_000}
    backer = await paid_pledge(running, staff, cid, **blanket)
    running.clock.now = NOW + 41 * DAY_MS
    running.work()
    refund = {"no": 1, "refund_id": new_id(), "amount_minor": 6_000, "cause": "goodwill"}
    quoted = await running.get(f"/campaigns/{cid}/refund-quote?no=1&amount_minor=6000", creator)
    assert quoted.json()["amount_minor"] == 6_000
    assert quoted.json()["platform_fee_reversed_minor"] == 300
    assert (await running.do(creator, cid, "refunds", refund))["events"] == ["refund.requested.v1"]
    assert (await running.do(creator, cid, "refunds", refund))["repeated"] is True
    running.work()
    await running.do(staff, cid, "payout-account", {"account_id": new_id()})
    running.clock.now = NOW + 60 * DAY_MS
    payout = {"payout_id": new_id()}
    await running.do(creator, cid, "payouts/request", payout)
    refused = await running.post(f"/campaigns/{cid}/payouts/approve", staff, payout)
    assert refused.status_code == 403
    await running.do(treasurer, cid, "payouts/approve", payout)
    running.work()
    await running.do(creator, cid, "deliveries/mark", {"nos": [1]})
    read = await running.get(f"/campaigns/{cid}/refund-quote?no=9", creator)
    assert (read.status_code, read.json()["reason"]) == (404, "pledge_unknown")
    pledges = running.platform.engine.inspect(cid, lambda s: [p.pledge_id for p in s.pledges])
    await running.do(backer, cid, "deliveries/confirm", {"pledge_id": pledges[0]})
    running.platform.follower.catch_up()
    page = (await running.get(f"/campaigns/{cid}", staff)).json()
    assert (page["phase"], page["sent"], page["received"]) == ("completed", 1, 1)
    assert page["figures"]["returned_minor"] == 6_000
    assert page["figures"]["held_minor"] == 0
    assert [update["title"] for update in page["updates"]] == ["Hello"]


async def test_a_backer_revises_and_leaves(running: Running, staff: Caller) -> None:
    """Other terms before the deadline, then none; nobody else may do it for them."""
    cid = (await running.launched(staff))["campaign_id"]
    backer, stranger = await running.caller("backer"), await running.caller("backer")
    made = (await running.post(f"/campaigns/{cid}/pledges", backer, pledge())).json()
    which = {"pledge_id": made["pledge_id"]}
    refused = await running.post(f"/campaigns/{cid}/pledges/withdraw", stranger, which)
    assert (refused.status_code, refused.json()["reason"]) == (403, "not_your_pledge")
    await running.do(backer, cid, "pledges/revise", which | {"amount_minor": 7_000})
    running.platform.follower.catch_up()
    read = (await running.get(f"/campaigns/{cid}", staff)).json()
    assert read["figures"]["pledged_minor"] == 7_000
    await running.do(backer, cid, "pledges/withdraw", which)
    again = await running.post(f"/campaigns/{cid}/pledges/withdraw", backer, which)
    assert (again.status_code, again.json()["reason"]) == (409, "pledge_not_withdrawable")


async def test_help_is_offered_accepted_and_received(running: Running, staff: Caller) -> None:
    """A need runs its course in kind."""
    submitted = await running.launched(staff)
    cid, offer = submitted["campaign_id"], {"offer_id": new_id()}
    backer = await running.caller("backer")
    wanted = offer | {"need_id": submitted["need_ids"][0], "quantity": 8}
    await running.do(backer, cid, "needs/offer", wanted)
    await running.do(staff, cid, "needs/accept", offer)
    await running.do(staff, cid, "needs/receive", offer)
    running.platform.follower.catch_up()
    assert (await running.get(f"/campaigns/{cid}", staff)).json()["needs"][0]["accepted"] == 8


async def test_staff_stop_and_end_a_campaign(running: Running, staff: Caller) -> None:
    """Suspended, nobody pledges; resumed, somebody may; called off, nobody is charged."""
    cid = (await running.launched(staff))["campaign_id"]
    backer = await running.caller("backer")
    await running.do(staff, cid, "suspend", {"cause": "report"})
    refused = await running.post(f"/campaigns/{cid}/pledges", backer, pledge())
    assert (refused.status_code, refused.json()["reason"]) == (409, "campaign_suspended")
    await running.do(staff, cid, "resume")
    assert (await running.post(f"/campaigns/{cid}/pledges", backer, pledge())).status_code == 201
    await running.do(staff, cid, "cancel", {"cause": "no_permit"})
    refused = await running.post(f"/campaigns/{cid}/launch", staff, {})
    assert (refused.status_code, refused.json()["reason"]) == (409, "wrong_phase")


async def test_rewards_are_added_changed_and_restocked(running: Running, staff: Caller) -> None:
    """A reward that nobody chose may change; its texts come with it."""
    cid = (await running.launched(staff))["campaign_id"]
    reward = {"reward_id": new_id(), "title": "Badge", "price_minor": 500, "limit": 5}
    await running.do(staff, cid, "rewards/add", {"reward": reward})
    await running.do(staff, cid, "rewards/change", {"reward": reward | {"title": "Tin badge"}})
    await running.do(staff, cid, "rewards/stock", {"reward_id": reward["reward_id"], "limit": 9})
    running.platform.follower.catch_up()
    found = (await running.get(f"/campaigns/{cid}", staff)).json()["rewards"][-1]
    assert (found["title"], found["limit"]) == ("Tin badge", 9)


async def test_an_idempotency_key_is_a_word(running: Running, staff: Caller) -> None:
    """An empty, an endless or a strange key is refused rather than passed over."""
    for key in ("", "x" * 256, "tab\there"):
        keyed = Caller(staff.party, staff.headers | {"idempotency-key": key})
        refused = await running.post(f"/campaigns/{new_id()}/approve", keyed, {})
        assert (refused.status_code, refused.json()["reason"]) == (422, "request_invalid"), key


async def test_a_repeated_command_changes_nothing(running: Running, staff: Caller) -> None:
    """Under one key an update with a text is posted once, though its text is salted anew."""
    cid = (await running.launched(staff))["campaign_id"]
    keyed = Caller(staff.party, staff.headers | {"idempotency-key": "one"})
    body = {"text": {"body": "We print fewer copies."}}
    first = await running.post(f"/campaigns/{cid}/suspend", keyed, {"cause": "report"})
    again = await running.post(f"/campaigns/{cid}/suspend", keyed, {"cause": "report"})
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert again.json() | {"repeated": False} == first.json()
    refused = await running.post(f"/campaigns/{cid}/suspend", keyed, {"cause": "fraud"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "idempotency_key_reused")
    other = Caller(staff.party, staff.headers | {"idempotency-key": "two"})
    anew = await running.post(f"/campaigns/{cid}/suspend", other, {"cause": "report"})
    assert (anew.status_code, anew.json()["reason"]) == (409, "campaign_suspended")
    posted = [
        await running.post(f"/campaigns/{cid}/updates", keyed, body | {"update_id": update_id})
        for update_id in [new_id()] * 2
    ]
    assert [answer.json()["events"] for answer in posted] == [["update.posted.v1"]] * 2
    assert posted[1].json()["repeated"]
