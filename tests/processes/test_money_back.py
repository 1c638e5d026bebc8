"""Refunds, disputes, payouts and strays: each goes where it belongs, once."""

from __future__ import annotations

import pytest

from app.payments.port import OutcomeReported
from domain import commands as c
from domain import events as e
from domain.terms import DAY_MS
from tests.payments.asking import collect
from tests.processes.stage import CREATOR, DEADLINE, STAFF, START, TREASURER, Stage, new_id

HOUR_MS = 3_600_000
PAYABLE = DEADLINE + 15 * DAY_MS


def succeeded(stage: Stage, *amounts_minor: int) -> str:
    """A campaign that was charged after success and may be paid out now."""
    campaign = stage.campaign(goal_minor=1_000)
    for amount_minor in amounts_minor:
        stage.pledge(campaign, amount_minor)
    stage.run_until(PAYABLE)
    return campaign


def refund(stage: Stage, campaign: str, no: int, amount_minor: int) -> str:
    """The creator asks to send money back."""
    refund_id = new_id()
    stage.do(
        c.RequestRefund,
        campaign,
        f"creator:{CREATOR}",
        no=no,
        refund_id=refund_id,
        amount_minor=amount_minor,
        cause="goodwill",
    )
    return refund_id


def test_several_partial_refunds(stage: Stage) -> None:
    """Each requested refund is sent once and recorded."""
    campaign = succeeded(stage, 10_000)
    refund(stage, campaign, 1, 3_000)
    refund(stage, campaign, 1, 2_000)

    stage.step()

    assert stage.lines()[1:] == [("refunded", 3_000), ("refunded", 2_000)]
    assert stage.state_of(campaign) == "partly_refunded"
    assert stage.processes.waiting() == {}


def test_a_refund_that_the_provider_refuses(stage: Stage) -> None:
    """The refusal is recorded, and the money is the campaign's again."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="refund_fails")
    stage.run_until(PAYABLE)
    refund(stage, campaign, 1, 3_000)

    stage.step()

    (failed,) = stage.facts(e.RefundFailed)
    assert failed.code == "refund_refused"
    assert stage.state_of(campaign) == "collected"
    assert stage.processes.waiting() == {}


@pytest.mark.parametrize("news", [True, False])
def test_a_slow_refund(stage: Stage, news: bool) -> None:
    """A pending refund is settled by the news, or by asking."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="slow")
    stage.run_until(PAYABLE)
    refund(stage, campaign, 1, 10_000)

    stage.run_until(PAYABLE + HOUR_MS, news=news)

    assert stage.lines() == [("collected", 10_000), ("refunded", 10_000)]
    assert stage.state_of(campaign) == "refunded"
    assert stage.processes.waiting() == {}


def test_a_refund_whose_answer_is_lost(stage: Stage) -> None:
    """The provider sent it and died: it is asked, and nothing is sent twice."""
    campaign = succeeded(stage, 10_000)

    def lost(_keys: object) -> None:
        raise TimeoutError

    stage.bank.faults.after_money = lost
    refund(stage, campaign, 1, 4_000)
    stage.step()
    assert stage.state_of(campaign) == "refund_requested"
    stage.bank.faults.after_money = lambda _keys: None
    sent: list[str] = []
    stage.bank.faults.before_money = sent.extend
    stage.run_until(PAYABLE + HOUR_MS)

    assert sent == []
    assert stage.lines()[1:] == [("refunded", 4_000)]
    assert stage.state_of(campaign) == "partly_refunded"


def test_the_refund_goes_to_the_attempt_that_took_the_money(stage: Stage) -> None:
    """After a declined first attempt, the second one's charge is what is refunded."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="insufficient_funds")
    stage.run_until(PAYABLE)
    refund(stage, campaign, 1, 10_000)

    stage.step()

    assert stage.state_of(campaign) == "refunded"


def test_a_failed_campaign_that_charged_at_the_pledge(stage: Stage) -> None:
    """Everything goes back in full, every fee is reversed, nothing is kept."""
    campaign = stage.campaign(collect_at="pledge", goal_minor=100_000)
    for amount_minor in (5_000, 7_000):
        stage.pledge(campaign, amount_minor)
    stage.run_until(DEADLINE)

    assert stage.phase(campaign) == "failed"
    assert [stage.state_of(campaign, no) for no in (1, 2)] == ["refunded", "refunded"]
    figures = stage.look(campaign, lambda state: state.figures)
    assert (figures.held_minor, figures.fees_minor, figures.returned_minor) == (0, 0, 12_000)
    assert {event.cause for event in stage.facts(e.RefundRequested)} == {"failed"}
    assert stage.processes.waiting() == {}


def test_cancelled_after_a_payout(stage: Stage) -> None:
    """Each pledge's own remainder goes back, with its fees; what was paid out is not conjured."""
    campaign = succeeded(stage, 10_000, 20_000)
    stage.approve_payout(campaign, numerator=2, denominator=5)
    stage.step()

    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")
    stage.step()

    # Of 10,000: fees 700, of the other 9,300 two fifths were paid out; the fees come back too.
    back = {event.no: event.amount_minor for event in stage.facts(e.PledgeRefunded)}
    assert back == {1: 10_000 - 3_720, 2: 20_000 - 7_440}
    figures = stage.look(campaign, lambda state: state.figures)
    assert (figures.held_minor, figures.fees_minor, figures.owed_minor) == (0, 0, 0)
    assert stage.processes.waiting() == {}


def test_a_payout_that_comes_back_after_the_end_goes_on_to_the_backers(stage: Stage) -> None:
    """Cancelled after a payout that the creator's bank returns: the rest goes back as well."""
    campaign = succeeded(stage, 10_000)
    stage.approve_payout(campaign, "TEST-RETURNED", numerator=1, denominator=2)
    stage.step()
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")

    stage.run_until(PAYABLE + HOUR_MS)

    assert [amount for kind, amount in stage.lines() if kind == "refunded"] == [5_350, 4_650]
    assert stage.state_of(campaign) == "refunded"


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_in_a_cancelled_campaign(stage: Stage, won: bool) -> None:
    """A disputed pledge is refunded only once the dispute is decided for us."""
    campaign = stage.campaign()
    stage.pledge(campaign, behaviour="dispute")
    stage.run_until(DEADLINE + HOUR_MS)
    assert stage.state_of(campaign) == "disputed"
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")
    stage.step()
    assert stage.processes.waiting() == {}

    ((dispute, _),) = stage.bank.disputes()
    stage.bank.decide_dispute(dispute.dispute_id, stage.now, won=won)
    stage.run_until(DEADLINE + 2 * HOUR_MS)

    kinds = [kind for kind, _ in stage.lines()]
    last = ["dispute_won", "refunded"] if won else ["dispute_lost"]
    assert kinds == ["collected", "dispute_opened", *last]
    assert stage.processes.waiting() == {}


def test_a_dispute_lost_after_the_payout_is_netted_from_the_next(stage: Stage) -> None:
    """What the pledge's own money no longer covers is owed by the creator, and the next payout
    pays it; one that is owed in full moves no money at all.
    """
    campaign = stage.campaign(goal_minor=1_000)
    stage.pledge(campaign, 10_000, "dispute")
    stage.pledge(campaign, 6_000)
    stage.bank.terms = type(stage.bank.terms)(dispute_after_ms=16 * DAY_MS)
    stage.run_until(PAYABLE)
    stage.approve_payout(campaign, from_no=1, to_no=1)
    stage.step()
    assert stage.lines()[-1] == ("paid_out", 9_300)

    stage.run_until(PAYABLE + 2 * DAY_MS)
    ((dispute, _),) = stage.bank.disputes()
    stage.bank.decide_dispute(dispute.dispute_id, stage.now, won=False)
    stage.run_until(PAYABLE + 3 * DAY_MS)
    owed_minor = stage.look(campaign, lambda state: state.figures.owed_minor)
    assert owed_minor > 6_000
    stage.approve_payout(campaign)
    stage.step()

    sent = stage.facts(e.PayoutSent)[-1]
    assert (sent.amount_minor, sent.debt_minor) == (5_580, 5_580)
    assert sent.reference == f"netting-{sent.payout_id}"
    assert [kind for kind, _ in stage.lines()].count("paid_out") == 1
    left_minor = stage.look(campaign, lambda state: state.figures.owed_minor)
    assert left_minor == owed_minor - 5_580
    assert stage.processes.waiting() == {}


@pytest.mark.parametrize(
    ("account", "kinds", "states"),
    [
        ("TEST-CLOSED", [], ["failed"]),
        ("TEST-SLOW", ["paid_out"], ["sent"]),
        ("TEST-TIMEOUT", ["paid_out"], ["sent"]),
        ("TEST-RETURNED", ["paid_out", "pay_out_returned"], ["returned"]),
    ],
)
@pytest.mark.parametrize("news", [True, False])
def test_payouts_that_go_wrong(
    stage: Stage, account: str, kinds: list[str], states: list[str], news: bool
) -> None:
    """Each ends in the books as at the bank; without news, asking settles all but a return."""
    campaign = succeeded(stage, 10_000)
    stage.approve_payout(campaign, account)

    stage.run_until(PAYABLE + HOUR_MS, news=news)

    assert [kind for kind, _ in stage.lines()[1:]] == kinds
    if account == "TEST-RETURNED" and not news:
        stage.deliver(stage.deliveries())
    found = stage.look(campaign, lambda state: [p.state for p in state.payouts.values()])
    assert found == states
    assert stage.processes.waiting() == {}


def test_a_payout_whose_answer_is_lost(stage: Stage) -> None:
    """The provider is asked, not told again."""
    campaign = succeeded(stage, 10_000)
    stage.approve_payout(campaign, "TEST-TIMEOUT")
    stage.step()
    sent: list[str] = []
    stage.bank.faults.before_money = sent.extend

    stage.run_until(PAYABLE + HOUR_MS, news=False)

    assert sent == []
    assert len(stage.facts(e.PayoutSent)) == 1


def test_no_payout_while_suspended(stage: Stage) -> None:
    """An approved payout waits for the end of a suspension."""
    campaign = succeeded(stage, 10_000)
    stage.approve_payout(campaign)
    stage.do(c.SuspendCampaign, campaign, STAFF, cause="report")
    stage.run_until(PAYABLE + DAY_MS)
    assert len(stage.lines()) == 1

    stage.do(c.ResumeCampaign, campaign, STAFF)
    stage.step()

    assert stage.lines()[-1] == ("paid_out", 9_300)


def stray_charge(stage: Stage, campaign: str) -> str:
    """The bank reports a second charge of the first pledge, which we never asked for."""
    method = next(iter(stage.known_methods.values()))
    key = f"{stage.log.log_id}/{campaign}/1/2"
    stage.strays.add(key)
    outcome = collect(stage.bank, key, method, 4_000, at=stage.now)
    stage.processes.hear(
        [OutcomeReported(id="n", key=key, kind="collect", outcome=outcome, at=stage.now)]
    )
    (found,) = stage.facts(e.DiscrepancyRecorded)
    assert isinstance(found.discrepancy_id, str)
    return found.discrepancy_id


def test_money_that_fits_nothing_goes_back(stage: Stage) -> None:
    """It waits for what staff decide; then it goes back to where it came from, once."""
    campaign = succeeded(stage, 10_000)
    discrepancy = stray_charge(stage, campaign)
    stage.run_until(PAYABLE + HOUR_MS)
    assert stage.processes.waiting() == {"return": 1}

    stage.do(
        c.ResolveDiscrepancy,
        campaign,
        TREASURER,
        discrepancy_id=discrepancy,
        resolution="returned",
    )
    stage.step()

    assert stage.processes.waiting() == {}
    assert stage.lines()[1:] == [("collected", 4_000), ("refunded", 4_000)]


def test_a_payout_waits_while_a_discrepancy_is_open(stage: Stage) -> None:
    """Approved before the discrepancy, sent after it is resolved."""
    campaign = succeeded(stage, 10_000)
    payout = stage.approve_payout(campaign)
    discrepancy = stray_charge(stage, campaign)
    stage.run_until(PAYABLE + DAY_MS)
    assert {trouble.last_error for trouble in stage.processes.troubles()} == {"payouts_frozen"}

    stage.do(
        c.ResolveDiscrepancy,
        campaign,
        TREASURER,
        discrepancy_id=discrepancy,
        resolution="returned",
    )
    stage.step()

    (sent,) = stage.facts(e.PayoutSent)
    assert sent.payout_id == payout


def test_withdrawn_within_the_period(stage: Stage) -> None:
    """A pledge charged at once goes back in full when its backer leaves in time."""
    campaign = stage.campaign(collect_at="pledge")
    pledge_id = stage.pledge(campaign)
    stage.run_until(START + DAY_MS)

    stage.do(c.WithdrawPledge, campaign, STAFF, pledge_id=pledge_id)
    stage.step()

    assert stage.lines() == [("collected", 10_000), ("refunded", 10_000)]
    assert stage.processes.waiting() == {"close": 1}
