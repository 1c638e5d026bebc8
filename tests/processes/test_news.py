"""The provider's news: again, late, out of order, forged, or about nothing of ours."""

from __future__ import annotations

import itertools
import logging

import pytest

from app.payments.port import InvalidNotification, OutcomeReported, Succeeded
from app.payments.test_bank.notifications import Delivery
from domain import commands as c
from domain import events as e
from domain.terms import DAY_MS
from tests.processes.stage import DEADLINE, STAFF, START, Stage

HOUR_MS = 3_600_000
PAYABLE = DEADLINE + 15 * DAY_MS


def waiting_news(stage: Stage, at: int) -> list[Delivery]:
    """What the bank has to tell by then, without its being heard."""
    stage.now = at
    stage.bank.run_due(at)
    return stage.deliveries()


def test_news_of_a_dispute_in_any_order_and_twice(stage: Stage) -> None:
    """Charged with a lost answer, disputed, lost: however the news is ordered, the same is booked.

    Each order is heard twice over, by a campaign of its own.
    """
    orders = list(itertools.permutations(range(2)))
    campaigns = [stage.campaign(collect_at="pledge") for _ in orders]
    for campaign in campaigns:
        stage.pledge(campaign, 10_000, "dispute")
        stage.bank.faults.after_money = _lost
        stage.step()
    assert {stage.state_of(campaign) for campaign in campaigns} == {"unknown"}
    stage.bank.faults.after_money = lambda _keys: None
    waiting_news(stage, START + 2_000)
    for dispute, _ in stage.bank.disputes():
        stage.bank.decide_dispute(dispute.dispute_id, stage.now, won=False)
    news = waiting_news(stage, START + 3_000)

    for campaign, order in zip(campaigns, orders, strict=True):
        mine = [delivery for delivery in news if campaign.encode() in delivery.body]
        assert len(mine) == 2
        heard = [mine[index] for index in order]
        stage.deliver(heard + heard)

    for campaign in campaigns:
        stream = f"campaign:{campaign}"
        mine_only = [type(event) for event in stage.events() if event.stream == stream][-3:]
        assert mine_only == [e.PledgeCollected, e.DisputeOpened, e.DisputeLost]
        assert stage.look(campaign, lambda state: state.frozen) is False


def _lost(_keys: object) -> None:
    raise TimeoutError


def test_a_payout_returned_before_it_was_known_to_be_sent(stage: Stage) -> None:
    """The news of the return brings the sending with it."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.run_until(PAYABLE)
    stage.bank.faults.after_money = _lost
    payout = stage.approve_payout(campaign, "TEST-RETURNED")
    stage.step()
    assert stage.facts(e.PayoutSent) == []

    stage.deliver(waiting_news(stage, PAYABLE + 2_000) * 2)

    known = [type(event) for event in stage.facts(e.PayoutSent, e.PayoutReturned)]
    assert known == [e.PayoutSent, e.PayoutReturned]
    state = stage.look(campaign, lambda state: state.payouts[payout].state)
    assert state == "returned"
    stage.bank.faults.after_money = lambda _keys: None
    stage.run_until(PAYABLE + HOUR_MS)
    assert [kind for kind, _ in stage.lines()].count("paid_out") == 1
    assert stage.processes.waiting() == {}


def test_news_a_moment_apart_charges_once(stage: Stage) -> None:
    """Twice the same news, an older one between: one fact."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign, behaviour="duplicate_notifications")
    stage.step()

    news = waiting_news(stage, START + 2_000)
    assert len(news) == 3
    stage.deliver([*news, *reversed(news)])

    assert len(stage.facts(e.PledgeCollected)) == 1
    assert stage.facts(e.DiscrepancyRecorded) == []


def test_a_late_decline_wakes_the_retry(stage: Stage) -> None:
    """A confirmation that is refused fails the charge now, not when it would next be asked about;
    then it is tried again by the schedule.
    """
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="needs_confirmation")
    stage.run_until(DEADLINE + 5 * HOUR_MS)
    stage.run_until(DEADLINE + DAY_MS, news=True)

    (failed,) = stage.facts(e.CollectionFailed)
    assert failed.code == "confirmation_expired"
    assert failed.by == "provider:test_bank"
    assert [event.at - DEADLINE for event in stage.facts(e.CollectionRequested)] == [0, DAY_MS]


def test_charged_after_the_backer_left(stage: Stage) -> None:
    """Money for a pledge that is gone is booked to suspense and freezes payouts."""
    campaign = stage.campaign()
    pledge_id = stage.pledge(campaign, behaviour="needs_confirmation")
    stage.pledge(campaign)
    stage.run_until(DEADLINE)
    stage.do(c.WithdrawPledge, campaign, STAFF, pledge_id=pledge_id)
    waiting = stage.bank.operations()[0]

    stage.bank.confirm(waiting, stage.now, approved=True)
    stage.deliver(stage.deliveries() * 2)

    (found,) = stage.facts(e.DiscrepancyRecorded)
    assert (found.kind, found.no) == ("collected_unexpectedly", 1)
    assert stage.look(campaign, lambda state: state.frozen)


def test_forged_news_is_refused(stage: Stage) -> None:
    """What the provider did not sign is not heard."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign, behaviour="slow")
    stage.step()
    (news,) = waiting_news(stage, START + 2_000)
    before = stage.log.last()

    with pytest.raises(InvalidNotification):
        stage.processes.receive(news.headers, news.body.replace(b"10000", b"99999") + b" ")

    assert stage.log.last() == before
    stage.deliver([news])


@pytest.mark.parametrize("key", ["another-log/x/1/1", "{log}/x/1/1", "{log}", "{log}/x/payout"])
def test_news_about_nothing_of_ours(
    stage: Stage, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is acknowledged, written to the program's log, and changes nothing."""
    news = OutcomeReported(
        id="n",
        key=key.replace("{log}", stage.log.log_id),
        kind="collect",
        outcome=Succeeded(
            reference="r", amount_minor=12_000, currency="CNY", fee_minor=0, at=START
        ),
        at=START,
    )

    with caplog.at_level(logging.WARNING):
        assert stage.processes.hear([news]) == 0

    assert caplog.records
    assert stage.log.last() == (0, 0)


def test_news_that_cannot_be_recorded_is_not_acknowledged(stage: Stage) -> None:
    """Where the engine does not record the fact, the delivery fails and so comes again."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign, behaviour="slow")
    stage.step()
    (news,) = waiting_news(stage, START + 2_000)
    submit_many = stage.engine.submit_many
    stage.engine.submit_many = lambda commands: [OSError("disk full") for _ in commands]  # type: ignore[method-assign, assignment, misc]

    with pytest.raises(OSError, match="disk full"):
        stage.processes.receive(news.headers, news.body)

    stage.engine.submit_many = submit_many  # type: ignore[method-assign]
    stage.deliver([news])
    assert stage.state_of(campaign) == "collected"
