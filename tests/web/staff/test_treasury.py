"""The treasurer's desk: what a payout would move, who approves it, debts, what went wrong."""

from __future__ import annotations

from app.log import decode_row
from domain.commands import RecordPayoutReturned
from domain.events import DiscrepancyResolved, PayoutApproved, PayoutRefused, RefundRequested
from tests.api.running import Caller, Running, new_id
from tests.web.browsing import words
from tests.web.staff.money import asked_for, charged
from tests.web.staff.working import account_of, worker

WHY_NOT = "Nobody approves a payout that they or their own team asked for."


def newest(running: Running, kind: type) -> object:
    """The newest fact of a kind."""
    rows = running.platform.log.read(0, 10_000)
    return next(e for e in (decode_row(row) for row in reversed(rows)) if isinstance(e, kind))


async def test_what_would_be_paid_stands_before_the_click(running: Running, staff: Caller) -> None:
    """Amount, pledges, and the books before and after, counted by the rules themselves."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, 20_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    treasurer = await worker(running, "treasurer")
    page = await treasurer.get(f"/staff/payouts/{cid}/{payout}")
    said = words(page)
    assert "no. 1 to 2 · 2 of 2 have money to give" in said
    assert "Held for this campaign ¥279 ¥0" in said
    assert "Paid to creator ¥0 ¥279" in said
    assert "¥279 CNY" in await treasurer.read("/staff/payouts")
    sent = await treasurer.browser.submit(page, f"/staff/payouts/{cid}/{payout}/approve")
    assert sent.status_code == 303
    event = newest(running, PayoutApproved)
    assert isinstance(event, PayoutApproved)
    assert (event.amount_minor, event.by) == (27_900, f"treasurer:{treasurer.party}")
    running.work()
    assert "Sent" in await treasurer.read(f"/staff/payouts/{cid}/{payout}")


async def test_never_by_who_asked_for_it(running: Running, staff: Caller) -> None:
    """A treasurer who asked reads why not, and is refused if they send it all the same."""
    party = await account_of(running)
    cid = await charged(running, staff, 10_000, creator_id=party)
    token, _ = await running.platform.stores.keys.create(
        role="creator", owner=party, at=running.clock.now
    )
    own = Caller(party, {"authorization": f"Bearer {token}"})
    payout = await asked_for(running, staff, cid, own)
    treasurer = await worker(running, "treasurer", party=party)
    page = await treasurer.get(f"/staff/payouts/{cid}/{payout}")
    assert WHY_NOT in words(page)
    assert f'action="/staff/payouts/{cid}/{payout}/approve"' not in page.text
    refused = await treasurer.post(f"/staff/payouts/{cid}/{payout}/approve")
    assert refused.status_code == 403
    assert WHY_NOT in words(refused)


async def test_never_by_a_joined_id_of_the_team(running: Running, staff: Caller) -> None:
    """Who asked under an id that joined the treasurer's account is the same person."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    treasurer = await worker(running, "treasurer")
    await running.platform.stores.accounts.join(creator.party, treasurer.party, at=1)
    refused = await treasurer.post(f"/staff/payouts/{cid}/{payout}/approve")
    assert refused.status_code == 403
    state = running.platform.engine.inspect(cid, lambda s: s.payouts[payout].state)
    assert state == "requested"


async def test_approving_needs_a_fresh_proof(running: Running, staff: Caller) -> None:
    """Who proved who they are eleven minutes ago is asked again, and nothing moves."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    stale = await worker(running, "treasurer", stepped_up=False)
    answer = await stale.post(f"/staff/payouts/{cid}/{payout}/approve")
    assert answer.headers["location"].startswith("/step-up?next=")
    state = running.platform.engine.inspect(cid, lambda s: s.payouts[payout].state)
    assert state == "requested"


async def test_refusing_with_a_cause(running: Running, staff: Caller) -> None:
    """Only a cause from the list; then the creator may ask again."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    treasurer = await worker(running, "treasurer")
    path = f"/staff/payouts/{cid}/{payout}/refuse"
    assert (await treasurer.post(path, cause="")).status_code == 422
    assert (await treasurer.post(path, cause="plan_unclear")).status_code == 303
    event = newest(running, PayoutRefused)
    assert isinstance(event, PayoutRefused)
    assert event.cause == "plan_unclear"
    running.platform.follower.catch_up()
    said = await treasurer.read(f"/staff/payouts/{cid}/{payout}?done=refused")
    assert "What happens with the money is not clear" in said


async def test_revoking_while_it_is_held(running: Running, staff: Caller) -> None:
    """An approved payout can be taken back while the campaign is suspended, not before."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    both = await worker(running, "staff", "treasurer")
    assert (await both.post(f"/staff/payouts/{cid}/{payout}/approve")).status_code == 303
    path = f"/staff/payouts/{cid}/{payout}/revoke"
    early = await both.post(path)
    assert early.status_code == 409
    assert "It is on its way." in words(early)
    await both.post(f"/staff/campaigns/{cid}/suspend", cause="payment_risk")
    running.platform.follower.catch_up()
    page = await both.get(f"/staff/payouts/{cid}/{payout}")
    assert (await both.browser.submit(page, path)).status_code == 303
    found = running.platform.engine.inspect(cid, lambda s: s.payouts[payout].state)
    assert found == "failed"


async def owing(running: Running, staff: Caller) -> str:
    """A campaign whose creator owes: all was paid out, and then a refund was made."""
    creator = await running.caller("creator")
    treasurer = await running.caller("treasurer")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    await running.do(treasurer, cid, "payouts/approve", {"payout_id": payout})
    running.work()
    refund = {"no": 1, "refund_id": new_id(), "amount_minor": 5_000, "cause": "goodwill"}
    await running.do(creator, cid, "refunds", refund)
    running.work()
    return cid


def owed(running: Running, cid: str) -> int:
    """What the creator owes, in minor units."""
    return running.platform.engine.inspect(cid, lambda state: state.figures.owed_minor)


async def test_a_repayment_is_booked_once(running: Running, staff: Caller) -> None:
    """Amount and reference are checked beside their fields; the same reference changes nothing."""
    cid = await owing(running, staff)
    before = owed(running, cid)
    assert before > 0
    desk = await worker(running, "treasurer")
    assert "See the debt" in await desk.read("/staff/payouts")
    path = f"/staff/debts/{cid}/repaid"
    page = await desk.get(f"/staff/debts/{cid}")
    bad = await desk.browser.submit(page, path, amount="ten", reference="a b")
    assert bad.status_code == 422
    assert 'value="ten"' in bad.text
    typed = {"amount": "10", "reference": "tr-1"}
    assert (await desk.browser.submit(page, path, **typed)).status_code == 303
    assert owed(running, cid) == before - 1_000
    await desk.browser.submit(page, path, **typed)
    assert owed(running, cid) == before - 1_000
    running.platform.follower.catch_up()
    assert "Debt repaid by the creator" in await desk.read(f"/staff/debts/{cid}")


async def test_writing_off_is_for_the_treasurer_and_no_more_than_owed(
    running: Running, staff: Caller
) -> None:
    """More than is owed is refused in words; the exact sum is borne by the platform."""
    cid = await owing(running, staff)
    desk = await worker(running, "treasurer")
    path = f"/staff/debts/{cid}/write-off"
    much = await desk.post(path, written_off="99999")
    assert much.status_code == 409
    assert "The creator owes less than this." in words(much)
    exact = f"{owed(running, cid) / 100:.2f}"
    assert (await desk.post(path, written_off=exact)).status_code == 303
    assert owed(running, cid) == 0
    stale = await worker(running, "treasurer", stepped_up=False)
    answer = await stale.post(path, written_off="1")
    assert answer.headers["location"].startswith("/step-up")


async def strange_return(running: Running, cid: str) -> str:
    """Money that came from an account that was never paid; returns the discrepancy's id."""
    command = RecordPayoutReturned(
        campaign_id=cid,
        by="provider:test_bank",
        command_id=new_id(),
        payout_id=new_id(),
        amount_minor=1_234,
        provider="test_bank",
        reference="po-1",
    )
    running.platform.engine.submit(command)
    running.platform.follower.catch_up()
    return command.command_id


async def test_a_discrepancy_is_settled(running: Running, staff: Caller) -> None:
    """Only what fits its money is offered; settling needs a fresh proof and is a fact."""
    cid = await charged(running, staff, 10_000)
    found = await strange_return(running, cid)
    desk = await worker(running, "staff")
    page = await desk.get("/staff/disputes")
    assert "¥12.34 CNY came in" in words(page)
    assert 'value="returned"' in page.text
    assert 'value="written_off"' not in page.text
    path = f"/staff/disputes/{cid}/discrepancy"
    stale = await worker(running, "staff", stepped_up=False)
    sent = await stale.post(path, discrepancy=found, resolution="returned")
    assert sent.headers["location"].startswith("/step-up")
    wrong = await desk.post(path, discrepancy=found, resolution="noted")
    assert wrong.status_code == 422
    assert (await desk.post(path, discrepancy=found, resolution="")).status_code == 422
    assert (await desk.post(path, discrepancy=found, resolution="returned")).status_code == 303
    event = newest(running, DiscrepancyResolved)
    assert isinstance(event, DiscrepancyResolved)
    assert event.by == f"staff:{desk.party}"
    running.platform.follower.catch_up()
    assert "Settled discrepancies" in await desk.read("/staff/disputes")


async def test_the_team_does_not_settle_its_own(running: Running, staff: Caller) -> None:
    """Also not under an id that joined the account."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    desk = await worker(running, "staff")
    await running.platform.stores.accounts.join(creator.party, desk.party, at=1)
    found = await strange_return(running, cid)
    path = f"/staff/disputes/{cid}/discrepancy"
    refused = await desk.post(path, discrepancy=found, resolution="returned")
    assert refused.status_code == 403
    assert "You are of this campaign's team." in words(refused)


async def test_a_refused_refund_is_asked_for_again(running: Running, staff: Caller) -> None:
    """What the provider refused waits here, and one click asks anew for the same sum."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party, behaviour="refund_fails")
    refund = {"no": 1, "refund_id": new_id(), "amount_minor": 2_000, "cause": "goodwill"}
    await running.do(creator, cid, "refunds", refund)
    running.work()
    desk = await worker(running, "staff")
    page = await desk.get("/staff/disputes")
    assert "¥20 CNY Goodwill The provider refused the refund" in words(page)
    sent = await desk.browser.submit(page, f"/staff/disputes/{cid}/refund")
    assert sent.status_code == 303
    event = newest(running, RefundRequested)
    assert isinstance(event, RefundRequested)
    assert (event.amount_minor, event.cause, event.by) == (2_000, "goodwill", f"staff:{desk.party}")
    running.platform.follower.catch_up()
    assert "Every refund went through" in await desk.read("/staff/disputes")
    gone = await desk.post(f"/staff/disputes/{cid}/refund", refund=str(refund["refund_id"]))
    assert gone.status_code == 404


async def test_auditors_see_the_desk_without_forms(running: Running, staff: Caller) -> None:
    """The treasurer's pages hold no form for an auditor."""
    creator = await running.caller("creator")
    cid = await charged(running, staff, 10_000, creator_id=creator.party)
    payout = await asked_for(running, staff, cid, creator)
    await strange_return(running, cid)
    auditor = await worker(running, "auditor")
    for path in ("/staff/payouts", f"/staff/payouts/{cid}/{payout}", "/staff/disputes"):
        page = await auditor.get(path)
        assert page.status_code == 200
        assert "<form" not in page.text
