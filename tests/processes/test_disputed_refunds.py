"""A chargeback pauses a refund of the same pledge: the money never goes back twice."""

from __future__ import annotations

import pytest

from app.payments.test_bank.rules import BankTerms
from domain import commands as c
from domain import events as e
from domain.errors import DisputeOpen
from domain.terms import DAY_MS
from tests.processes.stage import CREATOR, DEADLINE, Stage, new_id

HOUR_MS = 3_600_000
DISPUTED = DEADLINE + 16 * DAY_MS


def ask_back(stage: Stage, campaign: str) -> None:
    """The creator asks to send a part back."""
    stage.do(
        c.RequestRefund,
        campaign,
        f"creator:{CREATOR}",
        no=1,
        refund_id=new_id(),
        amount_minor=3_000,
        cause="goodwill",
    )


def disputed_after_the_request(stage: Stage) -> str:
    """A refund is requested, and before it is sent the backer's bank takes the money back."""
    campaign = stage.campaign(goal_minor=1_000)
    stage.bank.terms = BankTerms(dispute_after_ms=16 * DAY_MS)
    stage.pledge(campaign, 10_000, "dispute")
    stage.run_until(DEADLINE + DAY_MS)
    ask_back(stage, campaign)
    stage.now = DISPUTED + HOUR_MS
    stage.bank.run_due(stage.now)
    stage.deliver(stage.deliveries())
    stage.step()
    return campaign


def test_a_requested_refund_waits_for_the_dispute(stage: Stage) -> None:
    """Nothing is sent while the bank decides, however long that takes, and nothing new is asked."""
    campaign = disputed_after_the_request(stage)
    stage.run_until(stage.now + 10 * DAY_MS)
    assert [kind for kind, _ in stage.lines()] == ["collected", "dispute_opened"]
    assert stage.facts(e.RefundFailed, e.PledgeRefunded) == []
    assert stage.processes.waiting() == {"refund": 1}
    with pytest.raises(DisputeOpen):
        ask_back(stage, campaign)


@pytest.mark.parametrize("won", [True, False])
def test_it_goes_on_when_the_dispute_is_decided(stage: Stage, won: bool) -> None:
    """Won, it is sent at once; lost, the bank has given it back and the refund has failed."""
    campaign = disputed_after_the_request(stage)
    ((dispute, _),) = stage.bank.disputes()
    stage.bank.decide_dispute(dispute.dispute_id, stage.now, won=won)
    stage.deliver(stage.deliveries())
    stage.step()
    kinds = [kind for kind, _ in stage.lines()]
    assert kinds[2:] == (["dispute_won", "refunded"] if won else ["dispute_lost"])
    assert len(stage.facts(e.PledgeRefunded)) == (1 if won else 0)
    assert len(stage.facts(e.RefundFailed)) == (0 if won else 1)
    assert stage.state_of(campaign) == ("partly_refunded" if won else "refunded")
    assert stage.processes.waiting() == {}
