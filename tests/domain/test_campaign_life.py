"""A campaign from its submission over the deadline to its end."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from domain.state import Phase
from tests.domain.scenario import (
    ANNA,
    APPROVE,
    BEN,
    CLEO,
    CLOSE,
    CREATOR,
    DEADLINE,
    HASH,
    LAUNCH,
    MUG,
    STAFF,
    SYSTEM,
    TEAM,
    THE_MUG,
    VERIFY,
    a_submission,
    an_id,
    ask,
    charge,
    charged_early,
    days,
    decline,
    do,
    fact,
    given,
    let_out,
    live,
    paid_by,
    pledge,
    pledge_of,
    refunded,
    sent_out,
    some,
    submit,
    want_back,
    want_out,
)

CANCEL = do(c.CancelCampaign, STAFF, cause="creator_unreachable")
SUSPEND = do(c.SuspendCampaign, STAFF, cause="under_review")


def test_the_launch_binds_what_was_submitted() -> None:
    """Goal, currency, model, deadline and terms of the launch are those that staff approved."""
    bound = a_submission()
    given(submit(), APPROVE).when(LAUNCH).then(
        fact(
            e.CampaignLaunched,
            model=bound.model,
            currency=bound.currency,
            goal_minor=bound.goal_minor,
            deadline_at=bound.deadline_at,
            terms=bound.terms,
        )
    )


def test_a_returned_campaign_is_submitted_in_full_again() -> None:
    """Rewards of the first submission are gone, those of the second are there."""
    story = given(submit(), do(c.ReturnCampaign, STAFF, text=HASH))
    again = do(c.ResubmitCampaign, TEAM, submission=a_submission(rewards=()))
    story.when(again).then(fact(e.CampaignResubmitted))
    assert story.state.stocks == {}
    story.when(do(c.ReturnCampaign, STAFF, text=HASH)).then(fact(e.CampaignReturned))


def test_an_approved_campaign_can_still_be_returned() -> None:
    """Until it is launched staff may think again."""
    given(submit(), APPROVE).when(do(c.ReturnCampaign, STAFF, text=HASH)).then(
        fact(e.CampaignReturned)
    )


def test_a_campaign_keeps_its_creator() -> None:
    """A second submission cannot hand the campaign to somebody else."""
    other = a_submission(creator=ANNA)
    given(submit(), do(c.ReturnCampaign, STAFF, text=HASH)).when(
        do(c.ResubmitCampaign, CREATOR, submission=other)
    ).rejected("content_invalid")


@pytest.mark.parametrize(("minor", "kind"), [(999, e.CampaignFailed), (1_000, e.CampaignSucceeded)])
def test_all_or_nothing_succeeds_with_its_goal(minor: int, kind: type[e.Event]) -> None:
    """To the cent: what is pledged at the deadline against the goal."""
    story = given(*live(), pledge(ANNA, minor), days(30))
    story.when(CLOSE).then(fact(kind, pledged_minor=minor, pledges=1))


def test_a_flexible_campaign_succeeds_with_anything() -> None:
    """One cent is enough; it is charged at the pledge and owes its fee from the close."""
    given(*charged_early(10), days(30)).when(CLOSE).then(
        fact(e.CampaignSucceeded, pledged_minor=10, pledges=1),
        fact(e.FeesCharged, from_no=1, to_no=1, platform_fee_minor=0, processing_fee_minor=0),
        fact(e.CampaignSettled),
    )


def test_a_flexible_campaign_without_a_pledge_fails() -> None:
    """Nothing is no success."""
    given(*charged_early(), days(30)).when(CLOSE).then(fact(e.CampaignFailed, pledges=0))


def test_failure_releases_every_pledge_that_was_not_charged() -> None:
    """One fact releases all of them, with their sum and their pieces."""
    story = given(*live(), pledge(ANNA, 500, choices=some(MUG)), pledge(BEN, 499), days(30))
    story.when(CLOSE).then(fact(e.CampaignFailed, released_minor=999, released=2))
    assert story.state.figures.pledged_minor == 0
    assert story.state.stocks[MUG].claimed == 0


def test_a_charge_under_way_at_the_end_is_released_when_it_is_declined() -> None:
    """What is in flight when the campaign is called off waits for its outcome."""
    story = given(*live(), pledge(ANNA, 1_000), pledge(BEN, 500), days(30), CLOSE, ask(1))
    story.when(CANCEL).then(fact(e.CampaignCancelled, released_minor=500, released=1))
    story.when(decline()).then(fact(e.CollectionFailed), fact(e.PledgeReleased, amount_minor=1_000))
    assert story.state.figures.pledged_minor == 0


def test_a_charge_that_comes_through_after_the_end_bears_no_fee() -> None:
    """It is held without fees until it goes back in full."""
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, ask(), CANCEL)
    story.when(charge()).then(fact(e.PledgeCollected, platform_fee_minor=0, processing_fee_minor=0))
    story.when(want_back(cause="cancelled"), refunded()).then(fact(e.PledgeRefunded))
    assert story.state.figures.held_minor == 0


def test_pledges_count_until_the_turn_of_the_close() -> None:
    """The last millisecond before the deadline still counts, the deadline itself does not."""
    story = given(*live(), days(30) - 1, pledge(ANNA, 1_000), 1)
    story.when(pledge(BEN, 1_000)).rejected("campaign_closed")
    story.when(CLOSE).then(fact(e.CampaignSucceeded, pledged_minor=1_000))


def test_the_deadline_moves_once() -> None:
    """The new deadline is the one that closes."""
    later = do(c.ExtendDeadline, TEAM, deadline_at=DEADLINE + days(5))
    story = given(*live(), later, pledge(ANNA, 1_000), days(30))
    story.when(CLOSE).rejected("deadline_not_reached")
    story.when(pledge(BEN, 5), days(5), CLOSE).then(fact(e.CampaignSucceeded, pledged_minor=1_005))


def test_a_suspension_does_not_hold_up_the_deadline() -> None:
    """The money waits; the outcome stands."""
    story = given(*live(), pledge(ANNA, 1_000), SUSPEND, days(30))
    story.when(CLOSE).then(fact(e.CampaignSucceeded))
    story.when(ask()).rejected("campaign_suspended")
    story.when(do(c.ResumeCampaign, STAFF), ask()).then(fact(e.CollectionRequested))


def test_leaving_is_allowed_while_suspended() -> None:
    """A backer is never locked in."""
    leave = do(c.WithdrawPledge, f"backer:{ANNA}", pledge_id=pledge_of(ANNA))
    given(*live(), pledge(ANNA, 1_000), SUSPEND).when(leave).then(fact(e.PledgeWithdrawn, no=1))


def test_the_creator_calls_off_before_the_deadline() -> None:
    """Before the launch, after it, but no more once the deadline has passed."""
    mine = do(c.CancelCampaign, CREATOR, cause="changed_plans")
    given(submit(), days(31)).when(mine).then(fact(e.CampaignCancelled))
    given(*live()).when(mine).then(fact(e.CampaignCancelled))
    given(*live(), days(30)).when(mine).rejected("not_allowed")


def test_a_settled_campaign_can_still_be_called_off() -> None:
    """Staff cancel after success: each pledge's remainder goes back with its fees."""
    story = given(*paid_by(1_000), CANCEL)
    story.when(want_back(cause="cancelled")).then(
        fact(
            e.RefundRequested,
            amount_minor=1_000,
            from_held_minor=1_000,
            platform_fee_reversed_minor=50,
            processing_fee_reversed_minor=20,
            receivable_minor=0,
        )
    )


def test_a_campaign_called_off_after_a_payout_gives_back_what_is_left() -> None:
    """No debt arises from it: what was paid out stays named, the rest goes back."""
    story = given(*paid_by(1_000), days(14), VERIFY)
    story.when(want_out(numerator=1, denominator=2), let_out(), sent_out(465), CANCEL)
    story.when(want_back(cause="cancelled")).then(
        fact(e.RefundRequested, amount_minor=535, from_held_minor=535, receivable_minor=0)
    )
    story.when(refunded(amount_minor=535))
    assert story.state.figures.held_minor == 0
    assert story.state.figures.owed_minor == 0


def test_settled_is_when_every_pledge_is_charged_or_gone() -> None:
    """The last outcome settles the campaign, whatever it is."""
    story = given(*live(), pledge(ANNA, 900), pledge(BEN, 100), days(30), CLOSE)
    story.when(ask(1), charge(1, amount_minor=900)).then(fact(e.PledgeCollected))
    story.when(ask(2), decline(2)).then(fact(e.CollectionFailed))
    story.when(days(7), do(c.DropPledge, SYSTEM, no=2)).then(
        fact(e.PledgeDropped, amount_minor=100), fact(e.CampaignSettled)
    )


def test_a_success_that_nobody_pays_for_is_complete_at_once() -> None:
    """Nothing held, nothing owed."""
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, ask(), decline(), days(7))
    story.when(do(c.DropPledge, SYSTEM, no=1)).then(
        fact(e.PledgeDropped), fact(e.CampaignSettled), fact(e.CampaignCompleted)
    )


def test_a_complete_campaign_opens_again_for_a_refund() -> None:
    """After the payout a refund makes a debt; repaid, the campaign is complete again."""
    story = given(*paid_by(1_000), days(14), VERIFY, want_out(), let_out(), sent_out(930))
    assert str(story.state.phase) == "completed"
    story.when(want_back(), refunded()).then(fact(e.PledgeRefunded, receivable_minor=950))
    assert str(story.state.phase) == "settled"
    repay = do(
        c.RecordRepayment, STAFF, amount_minor=950, provider="test_bank", reference="transfer/7"
    )
    story.when(repay).then(fact(e.DebtRepaid), fact(e.CampaignCompleted))


def test_late_pledges_are_taken_between_success_and_settlement() -> None:
    """They hold up the settlement until the creator closes them."""
    opened = do(c.OpenLatePledges, CREATOR)
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, opened, ask(), charge())
    story.when(pledge(BEN, 300)).then(fact(e.PledgeMade, no=2, late=True))
    story.when(ask(2), charge(2, amount_minor=300)).then(fact(e.PledgeCollected))
    story.when(do(c.CloseLatePledges, CREATOR)).then(
        fact(e.LatePledgesClosed), fact(e.CampaignSettled)
    )
    story.when(pledge(CLEO, 300)).rejected("campaign_closed")


def test_late_pledges_that_are_closed_early_leave_checkouts_alone() -> None:
    """Before the deadline a backer at the checkout has nothing to do with late pledges."""
    hold = do(c.PlaceHold, f"backer:{BEN}", hold_id=an_id(80), backer=BEN, choices=some(MUG))
    opened, closed = do(c.OpenLatePledges, CREATOR), do(c.CloseLatePledges, CREATOR)
    assert list(given(*live(), opened, hold, closed).state.holds) == [an_id(80)]


def test_an_update_is_posted_once() -> None:
    """Its id is its idempotency key."""
    post = do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH)
    given(*live(), post).when(post).repeated(4)


def test_holds_end_with_the_campaign() -> None:
    """At the close nobody is at the checkout any more."""
    hold = do(c.PlaceHold, f"backer:{BEN}", hold_id=an_id(80), backer=BEN, choices=some(MUG))
    story = given(*live(), pledge(ANNA, 1_000), days(30) - 5, hold, 5, CLOSE)
    assert story.state.holds == {}
    assert story.state.stocks[MUG].held == 0


def test_a_reward_that_is_added_after_the_approval_can_be_chosen() -> None:
    """Rewards may grow while the campaign runs."""
    more = do(c.AddReward, CREATOR, reward=a_submission().rewards[0])
    given(submit(rewards=()), APPROVE, more, LAUNCH).when(
        pledge(ANNA, THE_MUG.price_minor, choices=some(MUG))
    ).then(fact(e.PledgeMade, amount_minor=500))


def test_late_pledges_may_be_opened_before_the_deadline() -> None:
    """A campaign that is charged at the pledge is settled as it closes: later is too late."""
    opened = do(c.OpenLatePledges, CREATOR)
    story = given(*charged_early(1_000), opened, days(30), CLOSE)
    assert story.state.phase is Phase.SUCCEEDED
    story.when(pledge(BEN, 50)).then(fact(e.PledgeMade, late=True))
    given(*charged_early(1_000), days(30), CLOSE).when(opened).rejected("wrong_phase")
