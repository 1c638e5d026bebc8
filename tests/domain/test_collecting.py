"""Taking the money: attempts, outcomes in any order, drops, and fees once success is certain."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from domain.state import Status
from tests.domain.scenario import (
    ANNA,
    BANK,
    BEN,
    CLOSE,
    MUG,
    STAFF,
    SYSTEM,
    Given,
    Step,
    ask,
    charge,
    charged_early,
    days,
    decline,
    disputed,
    do,
    fact,
    given,
    live,
    pledge,
    some,
    want_back,
)

WON: list[Given] = [*live(), pledge(ANNA, 1_000, choices=some(MUG)), days(30), CLOSE]


def unknown(attempt: int = 1) -> Step:
    """No answer came."""
    return do(c.RecordCollectionUnknown, BANK, no=1, attempt=attempt)


def confirm(attempt: int = 1) -> Step:
    """The backer has to confirm."""
    return do(c.RecordActionRequired, BANK, no=1, attempt=attempt)


def test_a_charge_after_success_bears_its_fees() -> None:
    """5 % and 2 % of what was collected; the provider's own fee is the platform's expense."""
    given(*WON, ask()).when(charge(provider_fee_minor=33)).then(
        fact(
            e.PledgeCollected,
            amount_minor=1_000,
            platform_fee_minor=50,
            processing_fee_minor=20,
            provider_fee_minor=33,
        ),
        fact(e.CampaignSettled),
    )


def test_a_charge_at_the_pledge_bears_its_fees_at_the_close() -> None:
    """Before success is certain a full refund must cost nobody anything."""
    story = given(*charged_early(1_000, 310))
    assert story.state.figures.held_minor == 1_310
    story.when(days(30), CLOSE).then(
        fact(e.CampaignSucceeded),
        fact(e.FeesCharged, platform_fee_minor=50 + 16, processing_fee_minor=20 + 6),
        fact(e.CampaignSettled),
    )


def test_fees_wait_for_an_outcome_and_are_taken_on_what_stays() -> None:
    """A pledge whose charge is disputed is excepted; its fee follows the outcome."""
    story = given(*charged_early(1_000, 310), disputed(amount_minor=400), days(30))
    story.when(CLOSE).then(
        fact(e.CampaignSucceeded),
        fact(e.FeesCharged, except_nos=(1,), platform_fee_minor=16, processing_fee_minor=6),
        fact(e.CampaignSettled),
    )
    story.when(disputed(c.RecordDisputeLost, amount_minor=400, fee_minor=15)).then(
        fact(e.DisputeLost),
        fact(e.FeesCharged, from_no=1, to_no=1, platform_fee_minor=30, processing_fee_minor=12),
    )


def test_fees_wait_for_a_dispute() -> None:
    """Won, the fee is on everything."""
    story = given(*charged_early(1_000), disputed(amount_minor=600), days(30), CLOSE)
    story.when(disputed(c.RecordDisputeWon, amount_minor=600)).then(
        fact(e.DisputeWon), fact(e.FeesCharged, platform_fee_minor=50, processing_fee_minor=20)
    )


def test_an_attempt_is_recorded_once() -> None:
    """The same attempt again is told where it stands; the next one has the next number."""
    story = given(*WON, ask())
    story.when(ask()).repeated(version=6, no=1)
    story.when(decline(), ask(attempt=3)).rejected("attempt_over")
    story.when(ask(attempt=2)).then(fact(e.CollectionRequested, attempt=2, amount_minor=1_000))


@pytest.mark.parametrize("step", [charge(), decline(), confirm()], ids=["charge", "decline", "ask"])
def test_a_report_that_comes_twice_changes_nothing(step: Step) -> None:
    """Notifications arrive twice and 0.07 s apart."""
    given(*WON, ask(), step).when(step).then()


def test_reports_may_come_in_any_order() -> None:
    """A confirmation asked for after the charge, or an unknown after a decline, is old news."""
    given(*WON, ask(), charge()).when(confirm()).then()
    given(*WON, ask(), charge()).when(unknown()).then()
    given(*WON, ask(), decline()).when(unknown()).then()
    given(*WON, ask(), unknown()).when(unknown()).then()


def test_an_unknown_fate_is_settled_by_its_outcome() -> None:
    """Neither another attempt nor a withdrawal until the provider has been asked."""
    story = given(*WON, ask(), unknown())
    story.when(ask(attempt=2)).rejected("pledge_not_collectable")
    story.when(charge()).then(fact(e.PledgeCollected), fact(e.CampaignSettled))
    given(*WON, ask(), unknown()).when(decline(code="not_found")).then(fact(e.CollectionFailed))


def test_a_confirmed_payment_is_charged() -> None:
    """The backer confirmed after all, or did not in time."""
    given(*WON, ask(), confirm()).when(charge()).then(
        fact(e.PledgeCollected), fact(e.CampaignSettled)
    )
    given(*WON, ask(), confirm()).when(decline(code="expired")).then(fact(e.CollectionFailed))


def test_an_earlier_attempt_may_come_through_late() -> None:
    """The charge of attempt 1 counts while attempt 2 is under way; the second charge does not."""
    story = given(*WON, ask(), decline(), ask(attempt=2))
    story.when(charge(attempt=1)).then(fact(e.PledgeCollected, attempt=1), fact(e.CampaignSettled))
    story.when(charge(attempt=2)).then(
        fact(
            e.DiscrepancyRecorded,
            kind="collected_unexpectedly",
            no=1,
            amount_minor=1_000,
            fee_minor=30,
        )
    )


def test_a_decline_of_the_attempt_that_did_not_count_says_nothing() -> None:
    """Attempt 1 was charged; that attempt 2 was declined contradicts nobody."""
    story = given(*WON, ask(), decline(), ask(attempt=2), charge(attempt=1))
    story.when(decline(attempt=2)).then()
    story.when(decline(attempt=1)).then(
        fact(e.DiscrepancyRecorded, kind="declined_after_success", amount_minor=0)
    )


def test_grace_runs_from_the_first_failure() -> None:
    """Later attempts do not prolong it; what is dropped leaves the totals and frees its pieces."""
    drop = do(c.DropPledge, SYSTEM, no=1)
    story = given(*WON, ask(), decline(), days(3), ask(attempt=2), decline(attempt=2))
    story.when(days(4) - 1, drop).rejected("grace_not_over")
    story.when(1, drop).then(
        fact(e.PledgeDropped, amount_minor=1_000),
        fact(e.CampaignSettled),
        fact(e.CampaignCompleted),
    )
    assert story.state.stocks[MUG].claimed == 0
    assert story.state.figures.pledged_minor == 0


def test_a_charge_of_what_was_dropped_goes_to_suspense() -> None:
    """It is never the campaign's; staff send it back."""
    story = given(*WON, ask(), decline(), days(7), do(c.DropPledge, STAFF, no=1))
    story.when(charge()).then(
        fact(
            e.DiscrepancyRecorded,
            kind="collected_unexpectedly",
            no=1,
            amount_minor=1_000,
            fee_minor=30,
        )
    )
    assert story.state.figures.charged_minor == 0
    assert story.state.figures.suspense_minor == 1_000


@pytest.mark.parametrize("charged_minor", [999, 1_001])
def test_a_charge_with_another_sum_goes_to_suspense(charged_minor: int) -> None:
    """Rule 5: what is collected is what was pledged; the pledge waits for its own outcome."""
    story = given(*WON, ask())
    story.when(charge(amount_minor=charged_minor)).then(
        fact(
            e.DiscrepancyRecorded,
            kind="collected_amount_differs",
            amount_minor=charged_minor,
            fee_minor=30,
        )
    )
    assert story.state.pledges[0].status is Status.COLLECTING


def test_early_collection_needs_terms_that_allow_it() -> None:
    """An all-or-nothing campaign may collect at the pledge where its terms say so."""
    story = given(*live(terms={"collect_at": "pledge"}), pledge(ANNA, 900), pledge(BEN, 50))
    story.when(ask(), charge(amount_minor=900)).then(fact(e.PledgeCollected, platform_fee_minor=0))
    story.when(days(30), CLOSE).then(fact(e.CampaignFailed, released_minor=50, released=1))
    story.when(want_back(cause="failed")).then(
        fact(e.RefundRequested, amount_minor=900, from_held_minor=900, receivable_minor=0)
    )


def test_a_suspended_campaign_drops_nobody() -> None:
    """Nobody can pay meanwhile, so nobody loses a place for not paying."""
    suspend = do(c.SuspendCampaign, STAFF, cause="under_review")
    story = given(*WON, ask(), decline(), days(7), suspend)
    story.when(do(c.DropPledge, SYSTEM, no=1)).rejected("campaign_suspended")
