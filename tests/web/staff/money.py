"""Campaigns whose money has moved: charged, asked for, owed, refused."""

from __future__ import annotations

from app.payments.test_bank.cards import Behaviour
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, new_id, pledge


async def charged(
    running: Running,
    staff: Caller,
    *amounts: int,
    creator_id: str = "",
    behaviour: Behaviour = "success",
    **changes: object,
) -> str:
    """A campaign that succeeded, with these pledges charged, past the wait for payouts."""
    whose = {"creator_id": creator_id} if creator_id else {}
    changes = {"goal_minor": 1_000, **whose, **changes}
    cid: str = (await running.launched(staff, **changes))["campaign_id"]
    for amount in amounts:
        await paid_pledge(running, cid, amount, behaviour)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    running.clock.now = NOW + 60 * DAY_MS
    running.work()
    return cid


async def paid_pledge(running: Running, cid: str, amount: int, behaviour: Behaviour) -> str:
    """A pledge by a new backer with a card that behaves so; returns the backer."""
    backer = await running.caller("backer")
    (reference,) = running.platform.bank.prepare_methods_direct([behaviour], at=running.clock.now)
    method = await running.platform.stores.methods.add(
        party=backer.party,
        provider="test_bank",
        reference=reference,
        at=running.clock.now,
    )
    body = pledge(amount=amount, payment_method=method)
    answer = await running.post(f"/campaigns/{cid}/pledges", backer, body)
    assert answer.status_code in (200, 201), answer.text
    return backer.party


async def asked_for(running: Running, staff: Caller, cid: str, creator: Caller) -> str:
    """A payout that the creator asked for, of all that is free; returns its id."""
    account = running.platform.engine.inspect(cid, lambda state: state.account_id)
    if not account:
        await running.do(staff, cid, "payout-account", {"account_id": new_id()})
    payout = new_id()
    await running.do(creator, cid, "payouts/request", {"payout_id": payout})
    running.platform.follower.catch_up()
    return payout
