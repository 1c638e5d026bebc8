"""What happens because its time has come."""

from __future__ import annotations

from domain import commands as c
from domain import events as e
from domain.terms import DAY_MS, HOLD_MS, Choice, Reward
from tests.processes.stage import CREATOR, CURRENCY, DEADLINE, STAFF, START, Stage, new_id


def test_closed_at_the_deadline_not_before(stage: Stage) -> None:
    """A live campaign closes at its deadline to the millisecond."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.run_until(DEADLINE - 1)
    assert stage.phase(campaign) == "live"

    stage.run_until(DEADLINE)

    (succeeded,) = stage.facts(e.CampaignSucceeded)
    assert succeeded.at == DEADLINE
    assert succeeded.by == "system:deadlines"


def test_an_extended_deadline_closes_at_the_new_time(stage: Stage) -> None:
    """The old deadline passes without a sound; the new one closes."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.step()
    stage.do(c.ExtendDeadline, campaign, f"creator:{CREATOR}", deadline_at=DEADLINE + 5 * DAY_MS)
    stage.run_until(DEADLINE + DAY_MS)
    assert stage.phase(campaign) == "live"
    assert stage.processes.next_due() == DEADLINE + 5 * DAY_MS

    stage.run_until(DEADLINE + 5 * DAY_MS)

    assert stage.phase(campaign) == "settled"
    assert [event.at for event in stage.facts(e.CampaignSucceeded)] == [DEADLINE + 5 * DAY_MS]


def test_extended_while_the_old_deadline_is_being_closed(stage: Stage) -> None:
    """The row of the old deadline runs before the log says that it was moved: nothing is lost."""
    campaign = stage.campaign()
    stage.pledge(campaign)
    stage.step()
    stage.do(c.ExtendDeadline, campaign, f"creator:{CREATOR}", deadline_at=DEADLINE + 5 * DAY_MS)
    stage.now = DEADLINE

    assert stage.processes.run_due(stage.now) == 1
    assert stage.phase(campaign) == "live"
    stage.run_until(DEADLINE + 5 * DAY_MS)

    assert stage.phase(campaign) == "settled"
    assert stage.processes.waiting() == {}


def test_a_suspended_campaign_closes_as_usual(stage: Stage) -> None:
    """A suspension does not hold up the deadline."""
    campaign = stage.campaign()
    stage.pledge(campaign, 9_999)
    stage.do(c.SuspendCampaign, campaign, STAFF, cause="report")

    stage.run_until(DEADLINE)

    assert stage.phase(campaign) == "failed"


def test_a_campaign_that_was_cancelled_is_not_closed(stage: Stage) -> None:
    """Nothing waits for the deadline any more."""
    campaign = stage.campaign()
    stage.step()
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")

    stage.step()

    assert stage.processes.waiting() == {}
    assert stage.processes.next_due() is None


def test_holds_lapse(stage: Stage) -> None:
    """A checkout hold ends after its time; one that became a pledge, or was given up, does not."""
    reward = Reward(reward_id=new_id(), price_minor=1_000, limit=10)
    campaign = stage.campaign(rewards=(reward,))
    holds = {}
    for _ in range(3):
        backer, hold_id = new_id(), new_id()
        holds[backer] = hold_id
        stage.do(
            c.PlaceHold,
            campaign,
            f"backer:{backer}",
            hold_id=hold_id,
            backer=backer,
            choices=(Choice(reward.reward_id),),
        )
    stage.step()
    assert stage.processes.waiting() == {"close": 1, "lapse": 3}
    pledging, leaving, idle = holds
    stage.do(
        c.MakePledge,
        campaign,
        f"backer:{pledging}",
        pledge_id=new_id(),
        backer=pledging,
        amount_minor=1_000,
        currency=CURRENCY,
        choices=(Choice(reward.reward_id),),
        payment_method=stage.method(),
    )
    stage.do(c.LapseHold, campaign, f"backer:{leaving}", hold_id=holds[leaving])
    stage.step()
    assert stage.processes.waiting() == {"close": 1, "lapse": 1}

    stage.run_until(START + HOLD_MS - 1)
    assert len(stage.look(campaign, lambda state: list(state.holds))) == 1
    stage.run_until(START + HOLD_MS)

    lapsed = [(event.hold_id, event.by.partition(":")[0]) for event in stage.facts(e.HoldLapsed)]
    assert lapsed == [(holds[leaving], "backer"), (holds[idle], "system")]
    assert stage.processes.waiting() == {"close": 1}
