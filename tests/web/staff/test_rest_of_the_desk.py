"""The desk itself, reports, help offered, health, people, and the auditor's log."""

from __future__ import annotations

import re

from app.stores.people import Role
from app.web.staff.health import HOUR_MS, recent_payments
from app.web.staff.record import facts_before
from domain.commands import OfferNeed
from domain.terms import DAY_MS
from tests.api.running import Caller, Running, new_id
from tests.web.browsing import words
from tests.web.staff.money import charged, paid_pledge
from tests.web.staff.working import account_of, another_channel, submitted, worker

# --- The desk ------------------------------------------------------------------------------------


async def test_the_desk_counts_what_waits(running: Running, staff: Caller) -> None:
    """Reviews, reports and the channel's money, each with the way there."""
    cid = await submitted(running, staff)
    await report(running, cid)
    await charged(running, staff, 10_000)
    desk = await worker(running, "staff")
    said = await desk.read("/staff")
    assert "1 campaign to review" in said
    assert "1 open report" in said
    assert "0 payouts to approve" in said
    assert "CNY 2 ¥100 ¥100 ¥93" in said
    assert "Everything follows the log." in said


async def test_nothing_of_another_channel_shows(running: Running, staff: Caller) -> None:
    """Who works for two channels sees each by itself; a stranger's campaigns are not counted."""
    cid = await submitted(running, staff)
    await report(running, cid)
    elsewhere = await another_channel(running)
    roles: tuple[Role, ...] = ("staff", "treasurer", "auditor")
    both = await worker(running, *roles)
    await worker(running, *roles, channel=elsewhere, party=both.party)
    for page in (
        "", "/reviews", "/campaigns", "/payouts", "/reports", "/disputes", "/needs", "/log"
    ):  # fmt: skip
        here = await both.read(f"/staff{page}?channel={running.channel}")
        there = await both.read(f"/staff{page}?channel={elsewhere}")
        assert "To Another channel" in here
        assert "To Test channel" in there
        assert "Film nights" not in there, page
    assert "1 campaign to review" in await both.read(f"/staff?channel={running.channel}")
    assert "0 campaigns to review" in await both.read(f"/staff?channel={elsewhere}")
    # Who names no channel begins where something waits, though "Another" comes before "Test".
    assert "1 campaign to review" in await both.read("/staff")


async def test_the_desk_speaks_chinese(running: Running, staff: Caller) -> None:
    """Every page of the desk in Chinese holds no English sentence of ours."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    desk.browser.client.cookies.set("tributary_language", "zh-Hans", domain="tributary.test")
    assert "待办" in await desk.read("/staff")
    said = await desk.read(f"/staff/reviews/{cid}")
    assert "批准" in said
    assert "Approve" not in said


# --- Reports -------------------------------------------------------------------------------------


async def report(running: Running, campaign_id: str) -> str:
    """Somebody reports a campaign."""
    return await running.platform.stores.reports.send(
        campaign_id=campaign_id,
        channel=running.channel,
        reason="not_theirs",
        body="I have seen this drawing in a book.",
        source=new_id(),
        at=running.clock.now,
        mail="reader@example.org",
    )


async def test_a_report_is_settled_by_a_person_once(running: Running, staff: Caller) -> None:
    """Nothing happens by itself; the outcome and who found it are kept."""
    cid = await submitted(running, staff)
    found = await report(running, cid)
    before = running.platform.log.last()
    desk = await worker(running, "staff")
    page = await desk.get(f"/staff/reports/{found}")
    assert "I have seen this drawing in a book." in words(page)
    path = f"/staff/reports/{found}/settle"
    assert (await desk.post(path, outcome="", note="typed before")).status_code == 422
    sent = await desk.post(path, outcome="nothing_wrong", note="The book is by the same hand.")
    assert sent.status_code == 303
    assert running.platform.log.last() == before
    (kept,) = await running.platform.stores.reports.resolved(running.channel)
    assert kept.resolved_by == f"staff:{desk.party}"
    said = await desk.read(f"/staff/reports/{found}")
    assert "Nothing was found wrong" in said
    assert "The book is by the same hand." in said
    late = await desk.post(path, outcome="taken_down")
    assert late.status_code == 409
    assert "Nothing was found wrong" in await desk.read("/staff/reports")


# --- Help offered --------------------------------------------------------------------------------


async def test_offers_of_help_wait_in_one_place(running: Running, staff: Caller) -> None:
    """Which help, for which campaign, how much of it was asked for."""
    cid = (await running.launched(staff))["campaign_id"]
    (need,) = running.platform.engine.inspect(cid, lambda s: [n.need_id for n in s.bound.needs])
    (helper,) = await running.backers(1)
    running.platform.engine.submit(
        OfferNeed(
            campaign_id=cid,
            by=f"backer:{helper}",
            command_id=new_id(),
            offer_id=new_id(),
            need_id=need,
            quantity=3,
        )
    )
    running.platform.follower.catch_up()
    desk = await worker(running, "staff")
    said = await desk.read("/staff/needs")
    assert "Translation, hours Film nights under the viaduct" in said
    assert " 3 40" in said


# --- Health --------------------------------------------------------------------------------------


async def test_health_counts_charges_and_declines(running: Running, staff: Caller) -> None:
    """Of this channel, within the hour; and whether the provider answers."""
    cid = (await running.launched(staff, goal_minor=1_000))["campaign_id"]
    for behaviour in ("success", "success", "lost_later"):
        await paid_pledge(running, cid, 5_000, behaviour)
    running.clock.now += 31 * DAY_MS
    running.work()
    now = running.clock.now
    counted = recent_payments(running.platform, running.channel, now)
    assert (counted.charged, counted.declined, counted.whole) == (2, 1, True)
    assert counted.declined_percent == 33
    assert recent_payments(running.platform, new_id(), now).charged == 0
    assert recent_payments(running.platform, running.channel, now + 2 * HOUR_MS).charged == 0
    desk = await worker(running, "treasurer")
    said = await desk.read("/staff/health")
    assert "Payment provider answers" in said
    assert "Everything follows the log." in said


# --- People --------------------------------------------------------------------------------------


async def mail_of(running: Running, party: str) -> str:
    """An account's address."""
    account = await running.platform.stores.accounts.get(party)
    assert account is not None
    return account.mail


async def test_roles_are_given_and_taken(running: Running) -> None:
    """By the mail address of an account, with a fresh proof; who gave it and when is kept."""
    desk = await worker(running, "staff", name="First of staff")
    party = await account_of(running, "Second person")
    mail = await mail_of(running, party)
    typed = {"channel": running.channel, "mail": mail.upper(), "role": "treasurer"}
    stale = await worker(running, "staff", party=desk.party, stepped_up=False)
    assert "/step-up" in (await stale.post("/staff/people/give", **typed)).headers["location"]
    assert (await desk.post("/staff/people/give", **typed)).status_code == 303
    accounts = running.platform.stores.accounts
    ((_, _, at, by),) = [h for h in await accounts.holders(running.channel) if h[0] == party]
    assert (at, by) == (running.clock.now, f"staff:{desk.party}")
    said = await desk.read("/staff/people")
    assert f"Second person {mail} Treasurer First of staff (Staff)" in said
    auditor = await worker(running, "auditor")
    assert f"gave a role {party} treasurer" in await auditor.read("/staff/log")
    taken = {"channel": running.channel, "party": party, "role": "treasurer"}
    assert (await desk.post("/staff/people/take", **taken)).status_code == 303
    assert not await accounts.grants_of(party)
    again = await desk.post("/staff/people/take", **taken)
    assert again.status_code == 409
    assert "took a role away" in await desk.read("/staff/people")


async def test_only_confirmed_accounts_and_known_roles(running: Running) -> None:
    """An unknown or unconfirmed address gets nothing, nor does a role that channels do not give."""
    desk = await worker(running, "staff")
    at = running.clock.now
    fresh = await running.platform.stores.accounts.open("new@example.org", at=at)
    for mail, role, said in (
        ("nobody@example.org", "staff", "There is no account with this address."),
        ("new@example.org", "staff", "This address is not confirmed yet"),
        (await mail_of(running, desk.party), "creator", "Choose a role."),
    ):
        typed = {"channel": running.channel, "mail": mail, "role": role}
        answer = await desk.post("/staff/people/give", **typed)
        assert answer.status_code == 422
        assert said in words(answer)
    assert not await running.platform.stores.accounts.grants_of(fresh.party)


async def test_the_last_of_the_staff_stays(running: Running) -> None:
    """Nobody removes the last staff member, not even themselves; of two, one may go."""
    first = await worker(running, "staff", "treasurer")
    own = {"channel": running.channel, "party": first.party, "role": "staff"}
    assert "The last of the staff stays." in await first.read("/staff/people")
    kept = await first.post("/staff/people/take", **own)
    assert kept.status_code == 409
    assert "This is the last of the channel's staff." in words(kept)
    await worker(running, "staff")
    assert (await first.post("/staff/people/take", **own)).status_code == 303
    assert (await first.post("/staff/people/take", **own)).status_code == 403


# --- The log -------------------------------------------------------------------------------------


async def test_the_log_is_paged_and_filtered(running: Running, staff: Caller) -> None:
    """Every fact of the channel once over the pages, newest first; by campaign and kind."""
    first = await submitted(running, staff)
    second = (await running.launched(staff))["campaign_id"]
    await charged(running, staff, *[1_000] * 20)
    platform = running.platform
    seen: list[int] = []
    before = 0
    while True:
        page = facts_before(platform, running.channel, before=before)
        seen += [line.position for line in page.lines]
        before = page.next
        if not before:
            break
    last, _ = platform.log.last()
    assert seen == list(range(last, 0, -1))
    only = facts_before(platform, running.channel, before=0, campaign_id=second)
    assert [line.tag for line in only.lines][:-4:-1] == [
        "campaign.submitted.v1",
        "campaign.approved.v1",
        "campaign.launched.v1",
    ]
    assert not facts_before(platform, new_id(), before=0).lines
    auditor = await worker(running, "auditor")
    said = await auditor.read(f"/staff/log?campaign={first}")
    assert "Handed in for review" in said
    assert "Charged" not in re.sub(r".*Before position", "", said)
    charges = await auditor.read("/staff/log?tag=pledge.collected.v1")
    assert "Charged · pledge no. 20 · ¥10 CNY" in charges
    assert (await auditor.get("/staff/log?before=-1")).status_code == 422
