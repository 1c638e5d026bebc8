"""Charging pledges: after success, at the pledge, again after a failure, never twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.engine import Outcome as Recorded
from app.payments.port import CollectRequest, Outcome, PortError
from app.payments.test_bank.cards import Behaviour
from app.processes.grace import DropRunner
from domain import commands as c
from domain import events as e
from domain.terms import DAY_MS
from tests.processes.stage import CREATOR, DEADLINE, STAFF, START, Stage

HOUR_MS = 3_600_000


def test_all_are_charged_after_success(stage: Stage) -> None:
    """Nothing is charged before the deadline; then everything is, and the campaign settles."""
    campaign = stage.campaign()
    for amount_minor in (4_000, 5_000, 6_000):
        stage.pledge(campaign, amount_minor)
    stage.run_until(DEADLINE - 1)
    assert stage.lines() == []

    stage.run_until(DEADLINE)

    assert stage.lines() == [("collected", 4_000), ("collected", 5_000), ("collected", 6_000)]
    assert stage.phase(campaign) == "settled"
    assert stage.processes.waiting() == {}


def test_more_than_a_page_of_pledges(stage: Stage) -> None:
    """Two and a half thousand pledges are charged page by page, each once."""
    campaign = stage.campaign()
    method = stage.method()
    makes = [
        c.MakePledge(
            campaign_id=campaign,
            by="system:import",
            command_id=f"00000000-0000-4000-8000-{number:012}",
            pledge_id=f"00000000-0000-4000-8000-{number:012}",
            backer=f"00000000-0000-4000-9000-{number:012}",
            amount_minor=100 + number,
            payment_method=method,
        )
        for number in range(2_500)
    ]
    stage.engine.submit_many(makes)

    stage.run_until(DEADLINE)

    assert stage.phase(campaign) == "settled"
    assert len(stage.lines()) == 2_500
    assert stage.processes.waiting() == {}


def test_a_failed_campaign_charges_nobody(stage: Stage) -> None:
    """Below the goal nothing is charged, and no work is left."""
    campaign = stage.campaign(goal_minor=10_001)
    stage.pledge(campaign, 10_000)

    stage.run_until(DEADLINE + DAY_MS)

    assert stage.phase(campaign) == "failed"
    assert stage.lines() == []
    assert stage.processes.waiting() == {}


def test_at_the_pledge_where_the_terms_say_so(stage: Stage) -> None:
    """A flexible campaign charges each pledge as it is made."""
    campaign = stage.campaign(model="flexible", collect_at="pledge")
    stage.pledge(campaign)

    stage.step()

    assert stage.state_of(campaign) == "collected"
    assert stage.phase(campaign) == "live"


def test_late_pledges_are_charged_at_once(stage: Stage) -> None:
    """A pledge made after success is charged as it is made."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.pledge(campaign, behaviour="declines_later")
    stage.run_until(DEADLINE)
    stage.do(c.OpenLatePledges, campaign, f"creator:{CREATOR}")
    stage.pledge(campaign)

    stage.step()

    assert stage.state_of(campaign, 3) == "collected"


def test_retries_follow_the_schedule_until_the_grace_is_over(stage: Stage) -> None:
    """A card that declines is tried after 1, 3 and 5 days, then the pledge is dropped on day 7."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.pledge(campaign, behaviour="declines_later")

    stage.run_until(DEADLINE + 6 * DAY_MS)

    tried = [event.at - DEADLINE for event in stage.facts(e.CollectionRequested) if event.no == 2]
    assert tried == [0, DAY_MS, 3 * DAY_MS, 5 * DAY_MS]
    assert stage.phase(campaign) == "succeeded"
    stage.run_until(DEADLINE + 8 * DAY_MS)
    (dropped,) = stage.facts(e.PledgeDropped)
    assert (dropped.no, dropped.at) == (2, DEADLINE + 7 * DAY_MS)
    assert stage.phase(campaign) == "settled"
    assert stage.processes.waiting() == {}


def test_a_retry_lies_inside_the_grace(stage: Stage) -> None:
    """A retry that the schedule sets for the end of the grace is not made any more."""
    campaign = stage.campaign(retry_after_days=(7,), grace_days=7)
    stage.pledge(campaign, behaviour="insufficient_funds")

    stage.run_until(DEADLINE + 8 * DAY_MS)

    assert len(stage.facts(e.CollectionRequested)) == 1
    assert stage.state_of(campaign) == "dropped"


def test_the_second_attempt_succeeds(stage: Stage) -> None:
    """A card without enough money at first is charged by the first retry."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="insufficient_funds")

    stage.run_until(DEADLINE + 2 * DAY_MS)

    assert stage.state_of(campaign) == "collected"
    assert stage.lines() == [("collected", 10_000)]
    assert stage.processes.waiting() == {}


def test_a_final_decline_waits_for_another_method(stage: Stage) -> None:
    """A lost card is not tried again; another method is charged at once, within the grace."""
    campaign = stage.campaign()
    pledge_id = stage.pledge(campaign, behaviour="lost_later")
    stage.run_until(DEADLINE + 4 * DAY_MS)
    assert len(stage.facts(e.CollectionRequested)) == 1

    stage.do(
        c.ReplacePaymentMethod,
        campaign,
        STAFF,
        pledge_id=pledge_id,
        payment_method=stage.method(),
    )
    stage.step()

    assert stage.state_of(campaign) == "collected"
    stage.run_until(DEADLINE + 9 * DAY_MS)
    assert stage.facts(e.PledgeDropped) == []


def test_another_method_takes_the_place_of_a_confirmation(stage: Stage) -> None:
    """The attempt that waited is cancelled first: confirming it later moves no money."""
    campaign = stage.campaign()
    pledge_id = stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE)
    (waiting,) = stage.bank.operations()

    stage.do(
        c.ReplacePaymentMethod,
        campaign,
        STAFF,
        pledge_id=pledge_id,
        payment_method=stage.method(),
    )
    stage.step()
    confirmed = stage.bank.confirm(waiting, stage.now, approved=True)

    assert confirmed.state == "declined"
    assert stage.state_of(campaign) == "collected"
    assert stage.lines() == [("collected", 10_000)]


def test_confirmed_just_before_the_other_method(stage: Stage) -> None:
    """Where the backer confirmed first, that charge counts and no second one is made."""
    campaign = stage.campaign()
    pledge_id = stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE)
    (waiting,) = stage.bank.operations()
    stage.bank.confirm(waiting, stage.now, approved=True)

    stage.do(
        c.ReplacePaymentMethod,
        campaign,
        STAFF,
        pledge_id=pledge_id,
        payment_method=stage.method(),
    )
    stage.step()

    assert stage.state_of(campaign) == "collected"
    assert len(stage.facts(e.CollectionRequested)) == 1


@pytest.mark.parametrize("news", [True, False])
def test_a_confirmation_arrives_with_or_without_news(stage: Stage, news: bool) -> None:
    """A confirmed charge is recorded when the news comes, or when the provider is next asked."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE)
    assert stage.state_of(campaign) == "action_required"
    (waiting,) = stage.bank.operations()
    stage.bank.confirm(waiting, stage.now, approved=True)

    stage.run_until(DEADLINE + HOUR_MS, news=news)

    assert stage.state_of(campaign) == "collected"
    assert stage.processes.waiting() == {}


def test_unconfirmed_is_dropped_and_can_no_longer_be_confirmed(stage: Stage) -> None:
    """At the end of grace what waits for the backer is taken back from the provider, then dropped.

    The terms end the grace before the bank's own time for confirming is over.
    """
    campaign = stage.campaign(grace_days=0, retry_after_days=())
    stage.pledge(campaign, behaviour="needs_confirmation")
    stage.pledge(campaign)

    stage.run_until(DEADLINE)

    waiting = stage.bank.operations()[0]
    stage.bank.confirm(waiting, stage.now, approved=True)
    assert [event.no for event in stage.facts(e.PledgeDropped)] == [1]
    assert stage.lines() == [("collected", 10_000)]


def test_confirmed_just_before_the_grace_ended(stage: Stage) -> None:
    """A confirmation that we have not heard of yet counts: the pledge is charged, not dropped."""
    campaign = stage.campaign(grace_days=1, retry_after_days=())
    stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE)
    stage.now = DEADLINE + DAY_MS
    (waiting,) = stage.bank.operations()
    stage.bank.confirm(waiting, stage.now - 1, approved=True)

    assert DropRunner(stage.processes._world).step(stage.now) == 1

    assert stage.state_of(campaign) == "collected"
    assert stage.facts(e.PledgeDropped) == []


def test_leaving_while_a_confirmation_waits(stage: Stage) -> None:
    """A backer who leaves cannot confirm by mistake afterwards."""
    campaign = stage.campaign()
    pledge_id = stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE)
    (waiting,) = stage.bank.operations()

    stage.do(c.WithdrawPledge, campaign, STAFF, pledge_id=pledge_id)
    stage.step()

    assert stage.bank.confirm(waiting, stage.now, approved=True).state == "declined"
    assert stage.lines() == []
    assert stage.processes.waiting() == {}


def test_the_campaign_ends_while_a_confirmation_waits(stage: Stage) -> None:
    """What a cancelled campaign released cannot be confirmed any more."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign, behaviour="needs_confirmation")
    stage.step()
    (waiting,) = stage.bank.operations()

    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")
    stage.step()

    assert stage.bank.confirm(waiting, stage.now, approved=True).state == "declined"
    assert stage.lines() == []


@pytest.mark.parametrize("news", [True, False])
@pytest.mark.parametrize("behaviour", ["timeout", "slow", "duplicate_notifications"])
def test_an_answer_that_is_late_or_lost(stage: Stage, behaviour: Behaviour, news: bool) -> None:
    """The charge is settled by the news, or by asking; the money moves once either way."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour=behaviour)

    stage.run_until(DEADLINE + HOUR_MS, news=news)

    assert stage.state_of(campaign) == "collected"
    assert stage.lines() == [("collected", 10_000)]
    assert len(stage.facts(e.CollectionRequested)) == 1
    assert len(stage.facts(e.CollectionUnknown)) == (behaviour == "timeout")
    assert stage.processes.waiting() == {}


def test_an_unknown_charge_is_asked_about_before_anything_else(stage: Stage) -> None:
    """A lost answer is a state of its own, and the next thing is a question, not a charge."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="timeout")
    stage.run_until(DEADLINE, news=False)
    assert stage.state_of(campaign) == "unknown"
    charges: list[str] = []
    stage.bank.faults.before_money = charges.extend

    stage.run_until(DEADLINE + HOUR_MS, news=False)

    assert charges == []
    assert stage.state_of(campaign) == "collected"


def test_a_charge_that_never_arrived_is_sent_again_under_its_key(stage: Stage) -> None:
    """Where the provider never saw the key, the same attempt is made again."""
    campaign = stage.campaign()
    stage.pledge(campaign)

    def lost(_keys: object) -> None:
        raise ConnectionError("no route")

    stage.bank.faults.before_money = lost
    stage.run_until(DEADLINE)
    assert stage.state_of(campaign) == "unknown"
    keys: list[str] = []
    stage.bank.faults.before_money = keys.extend
    stage.run_until(DEADLINE + HOUR_MS)

    assert keys == [f"{stage.log.log_id}/{campaign}/1/1"]
    assert stage.state_of(campaign) == "collected"
    assert len(stage.facts(e.CollectionRequested)) == 1


def test_never_sent_and_the_campaign_ended(stage: Stage) -> None:
    """A charge that the provider never saw is not sent any more once the campaign is cancelled."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign)

    def lost(_keys: object) -> None:
        raise ConnectionError("no route")

    stage.bank.faults.before_money = lost
    stage.step()
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")
    stage.bank.faults.before_money = lambda _keys: None
    stage.run_until(START + HOUR_MS)

    assert stage.state_of(campaign) == "released"
    assert stage.lines() == []
    assert stage.processes.waiting() == {}


def test_charged_although_the_campaign_ended_meanwhile(stage: Stage) -> None:
    """Money that was on its way when the campaign was cancelled goes straight back."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign, behaviour="slow")
    stage.step()
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")

    stage.run_until(START + HOUR_MS)

    assert stage.lines() == [("collected", 10_000), ("refunded", 10_000)]
    assert stage.state_of(campaign) == "refunded"


def test_suspended_campaigns_are_not_charged(stage: Stage) -> None:
    """While suspended nothing is charged; when resumed, everything at once."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.do(c.SuspendCampaign, campaign, STAFF, cause="report")
    stage.run_until(DEADLINE + 2 * DAY_MS)
    assert stage.phase(campaign) == "succeeded"
    assert stage.lines() == []
    assert [trouble.last_error for trouble in stage.processes.troubles()] == ["campaign_suspended"]

    stage.do(c.ResumeCampaign, campaign, STAFF)
    stage.step()

    assert stage.state_of(campaign) == "collected"


def test_a_suspension_holds_up_retries_and_drops(stage: Stage) -> None:
    """A failed payment gets its retry after the suspension, although the grace is over by then."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="insufficient_funds")
    stage.run_until(DEADLINE)
    stage.do(c.SuspendCampaign, campaign, STAFF, cause="report")
    stage.run_until(DEADLINE + 9 * DAY_MS)
    assert stage.facts(e.PledgeDropped) == []

    stage.do(c.ResumeCampaign, campaign, STAFF)
    stage.step()

    assert stage.state_of(campaign) == "collected"


def test_without_a_method_the_backer_is_waited_for(stage: Stage) -> None:
    """A pledge whose method nobody knows fails without asking the provider, then is dropped."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.pledge(campaign)
    stage.known_methods.pop(next(iter(stage.known_methods)))

    stage.run_until(DEADLINE + 8 * DAY_MS)

    (failed,) = stage.facts(e.CollectionFailed)
    assert (failed.no, failed.code, failed.by) == (1, "no_payment_method", "system:collect")
    assert [event.no for event in stage.facts(e.PledgeDropped)] == [1]
    assert len(stage.bank.operations()) == 1


def test_a_poisonous_row_does_not_hold_up_the_others(stage: Stage) -> None:
    """One pledge that nobody can charge backs off with its error; its neighbours are charged."""
    campaign = stage.campaign()
    for _ in range(5):
        stage.pledge(campaign)
    collect_many = stage.bank.collect_many

    def refuse_the_third(requests: list[CollectRequest]) -> list[Outcome]:
        if any(request.key.endswith("/3/1") for request in requests):
            raise PortError("the third is refused")
        return collect_many(requests)

    stage.bank.collect_many = refuse_the_third  # type: ignore[method-assign, assignment]
    stage.run_until(DEADLINE + HOUR_MS)

    states = [stage.state_of(campaign, no) for no in (1, 2, 3, 4, 5)]
    assert states == ["collected", "collected", "collecting", "collected", "collected"]
    (trouble,) = stage.processes.troubles()
    assert trouble.last_error == "PortError: the third is refused"
    assert trouble.attempts == 11, "an hour of waits that double from two seconds on"
    stage.bank.collect_many = collect_many  # type: ignore[method-assign]
    stage.run_until(DEADLINE + 3 * HOUR_MS)
    assert stage.state_of(campaign, 3) == "collected"
    assert stage.processes.waiting() == {}


def test_changed_just_before_the_attempt_was_recorded(stage: Stage) -> None:
    """A backer who revises the pledge and replaces the method at the last moment is charged by
    what is promised then.
    """
    campaign = stage.campaign(collect_at="pledge")
    pledge_id = stage.pledge(campaign, 10_000, behaviour="lost_later")
    submit_many = stage.engine.submit_many

    def change_first(commands: Sequence[c.Command]) -> list[Recorded | Exception]:
        stage.engine.submit_many = submit_many  # type: ignore[method-assign]
        about = {"pledge_id": pledge_id}
        stage.do(c.RevisePledge, campaign, STAFF, **about, amount_minor=12_000)
        stage.do(c.ReplacePaymentMethod, campaign, STAFF, **about, payment_method=stage.method())
        return submit_many(commands)

    stage.engine.submit_many = change_first  # type: ignore[method-assign, assignment]
    stage.step()

    assert stage.lines() == [("collected", 12_000)]
    assert stage.state_of(campaign) == "collected"
    assert stage.facts(e.DiscrepancyRecorded) == []


def test_a_rate_limit_holds(stage: Stage) -> None:
    """With two requests a second, seven charges take three seconds."""
    stage.restart(rate_per_s=2.0)
    campaign = stage.campaign()
    for _ in range(7):
        stage.pledge(campaign)

    stage.run_until(DEADLINE + HOUR_MS)

    times = [event.at - DEADLINE for event in stage.facts(e.PledgeCollected)]
    assert times == [0, 0, 500, 1_000, 1_500, 2_000, 2_500]
