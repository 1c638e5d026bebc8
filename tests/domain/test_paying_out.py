"""Money out: one fraction of each pledge, two pairs of eyes, milestones, debts, returns."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from domain.paying_out import reserve_minor
from domain.terms import DAY_MS
from tests.domain.scenario import (
    ACCOUNT,
    ANNA,
    BANK,
    BEN,
    CLOSE,
    CREATOR,
    FIRST_HALF,
    HASH,
    MILESTONES,
    OTHER_ACCOUNT,
    PAYOUT,
    SECOND_HALF,
    STAFF,
    TEAM,
    TREASURER,
    VERIFY,
    Given,
    Step,
    an_id,
    ask,
    charge,
    charged_early,
    days,
    decline,
    disputed,
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
    want_back,
    want_out,
)

DUE: list[Given] = [*paid_by(1_000, 700, 333), days(14), VERIFY]
NET = (930, 651, 309)
"""What the three pledges of DUE have left after fees of 70, 49 and 24."""


def returned(amount_minor: int, payout_id: str = PAYOUT, reference: str = "return/1") -> Step:
    """The creator's bank sent it back."""
    report = {"provider": "test_bank", "reference": reference, "amount_minor": amount_minor}
    return do(c.RecordPayoutReturned, BANK, payout_id=payout_id, **report)


def failed(payout_id: str = PAYOUT) -> Step:
    """It could not be sent."""
    return do(c.RecordPayoutFailed, BANK, payout_id=payout_id, code="account_closed")


def repaid(amount_minor: int, reference: str = "transfer/1") -> Step:
    """The creator paid back."""
    report = {"provider": "test_bank", "reference": reference}
    return do(c.RecordRepayment, TREASURER, amount_minor=amount_minor, **report)


def test_a_payout_takes_one_fraction_of_each_pledge() -> None:
    """Rounded down, pledge by pledge; everybody can be told what became of theirs (rule 6)."""
    story = given(*DUE)
    story.when(want_out(numerator=2, denominator=3), let_out()).then(
        fact(e.PayoutApproved, amount_minor=620 + 434 + 206, debt_minor=0)
    )
    shares = [pledge.funds.paid_minor for pledge in story.state.pledges if pledge.funds]
    assert shares == [net * 2 // 3 for net in NET]


def test_a_payout_takes_of_its_range_alone() -> None:
    """Pledges outside the range and the exceptions named give nothing."""
    story = given(*DUE, want_out(from_no=2, to_no=3, except_nos=(3,)))
    story.when(let_out()).then(fact(e.PayoutApproved, from_no=2, to_no=3, amount_minor=651))
    assert [pledge.funds.paid_minor for pledge in story.state.pledges if pledge.funds] == [
        0,
        651,
        0,
    ]


def test_a_payout_without_an_end_reaches_the_last_pledge() -> None:
    """The range is fixed when it is asked for."""
    given(*DUE).when(want_out()).then(fact(e.PayoutRequested, from_no=1, to_no=3))


def test_a_pledge_whose_fee_waits_gives_nothing() -> None:
    """While a dispute is open its fee is not charged yet: paying it out would overdraw it."""
    steps: list[Given] = [*charged_early(1_000, 310), disputed(amount_minor=10), days(30), CLOSE]
    story = given(*steps, days(14), VERIFY, want_out())
    story.when(let_out()).then(fact(e.PayoutApproved, amount_minor=288))
    story.when(disputed(c.RecordDisputeWon, amount_minor=10)).then(
        fact(e.DisputeWon), fact(e.FeesCharged, platform_fee_minor=50, processing_fee_minor=20)
    )


def test_a_disputed_pledge_gives_what_is_free() -> None:
    """What a dispute has a claim on stays."""
    story = given(*DUE, disputed(amount_minor=400), want_out(to_no=1))
    story.when(let_out()).then(fact(e.PayoutApproved, amount_minor=530))


def test_a_payout_is_asked_for_once() -> None:
    """The same payout again is told where it stands, another one under its id is refused."""
    story = given(*DUE, want_out())
    story.when(want_out()).repeated(len(story.events))
    story.when(want_out(to_no=3)).repeated(len(story.events))
    for other in ({"from_no": 2}, {"to_no": 2}, {"except_nos": (1,)}, {"denominator": 2}):
        story.when(want_out(**other)).rejected("payout_id_reused")


def test_the_creators_side_asks_and_a_treasurer_approves() -> None:
    """Creator, team and staff may ask; only a treasurer of neither side approves (rule 8)."""
    for who in (CREATOR, TEAM, STAFF):
        given(*DUE, want_out(by=who)).when(let_out()).then(fact(e.PayoutApproved))
    given(*DUE).when(want_out(by=f"backer:{ANNA}")).rejected("not_allowed")
    given(*DUE, want_out()).when(let_out(by=STAFF)).rejected("not_allowed")


def test_a_changed_account_waits_and_the_old_one_is_out() -> None:
    """Seven days; going back to the old account is a change as well (rule 8)."""
    change = do(c.VerifyPayoutAccount, STAFF, account_id=OTHER_ACCOUNT)
    story = given(*DUE)
    story.when(VERIFY).then()
    story.when(change).then(
        fact(e.PayoutAccountVerified, changed=True, usable_from_at=story.at + 7 * DAY_MS)
    )
    story.when(days(7), want_out()).then(fact(e.PayoutRequested, account_id=OTHER_ACCOUNT))
    story.when(VERIFY).then(fact(e.PayoutAccountVerified, account_id=ACCOUNT, changed=True))
    story.when(let_out()).rejected("account_not_ready")


def test_the_first_account_is_ready_at_once() -> None:
    """It may be verified at any time, also before the launch."""
    story = given(*live()[:2])
    story.when(VERIFY).then(fact(e.PayoutAccountVerified, changed=False, usable_from_at=story.at))


def test_a_refused_payout_can_be_asked_for_again() -> None:
    """Under another id; nothing moved."""
    refuse = do(c.RefusePayout, TREASURER, payout_id=PAYOUT, cause="plan_unclear")
    story = given(*DUE, want_out())
    story.when(refuse).then(fact(e.PayoutRefused, cause="plan_unclear"))
    story.when(let_out()).rejected("payout_not_waiting")
    story.when(want_out(an_id(902)), let_out(an_id(902))).then(
        fact(e.PayoutApproved, amount_minor=sum(NET))
    )


def test_a_failed_payout_gives_each_pledge_its_share_back() -> None:
    """As if it had not been approved."""
    story = given(*DUE, want_out(numerator=1, denominator=3), let_out())
    story.when(failed()).then(fact(e.PayoutFailed, amount_minor=310 + 217 + 103))
    assert [each.funds.remainder_minor for each in story.state.pledges if each.funds] == list(NET)
    story.when(failed()).then()


def test_a_returned_payout_brings_money_and_debt_back() -> None:
    """The debt that was taken from it stands again."""
    story = given(*DUE, want_out(to_no=1), let_out(), sent_out(930))
    story.when(want_back(), refunded())
    assert story.state.figures.owed_minor == 950
    second = an_id(902)
    story.when(want_out(second, from_no=2), let_out(second)).then(
        fact(e.PayoutApproved, amount_minor=960, debt_minor=950)
    )
    story.when(sent_out(10, second)).then(
        fact(e.PayoutSent, amount_minor=960, debt_minor=950), fact(e.CampaignCompleted)
    )
    assert story.state.figures.owed_minor == 0
    story.when(returned(10, second)).then(fact(e.PayoutReturned, amount_minor=960, debt_minor=950))
    assert story.state.figures.owed_minor == 950
    assert story.state.figures.held_minor == 960
    story.when(returned(10, second)).then()


def test_a_debt_is_taken_from_one_payout_alone() -> None:
    """What a payout on its way settles is spoken for: neither repaid nor written off meanwhile."""
    story = given(*DUE, want_out(to_no=1), let_out(), sent_out(930), want_back(), refunded())
    story.when(want_out(an_id(902), from_no=2, to_no=2), let_out(an_id(902))).then(
        fact(e.PayoutApproved, amount_minor=651, debt_minor=651)
    )
    story.when(repaid(300)).rejected("debt_too_small")
    story.when(repaid(299)).then(fact(e.DebtRepaid, amount_minor=299))
    story.when(want_out(an_id(903), from_no=3), let_out(an_id(903))).then(
        fact(e.PayoutApproved, amount_minor=309, debt_minor=0)
    )
    story.when(sent_out(0, an_id(902))).then(fact(e.PayoutSent, debt_minor=651))
    assert story.state.figures.owed_minor == 0


def test_a_debt_can_be_written_off_by_the_treasurer() -> None:
    """The platform bears it, visibly."""
    story = given(*DUE, want_out(), let_out(), sent_out(sum(NET)), want_back(), refunded())
    write_off = do(c.WriteOffDebt, TREASURER, amount_minor=950)
    story.when(write_off).then(fact(e.DebtWrittenOff), fact(e.CampaignCompleted))
    assert story.state.figures.written_off_minor == 950


@pytest.mark.parametrize(
    ("step", "kind", "minor"),
    [
        (sent_out(1_889), "paid_out_unexpectedly", -1_889),
        (sent_out(1_890, an_id(77)), "paid_out_unexpectedly", -1_890),
        (returned(1_890), "payout_returned_unexpectedly", 1_890),
    ],
    ids=["another sum", "another payout", "returned before it was sent"],
)
def test_a_payout_that_fits_nothing_goes_to_suspense(step: Step, kind: str, minor: int) -> None:
    """Rule 13: recorded with what moved, and once."""
    story = given(*DUE, want_out(), let_out())
    story.when(step).then(fact(e.DiscrepancyRecorded, kind=kind, amount_minor=minor))
    story.when(step).then()


def test_a_payout_that_was_sent_twice_goes_to_suspense() -> None:
    """The same news again changes nothing; a second movement of money is a discrepancy."""
    story = given(*DUE, want_out(), let_out(), sent_out(sum(NET)))
    story.when(sent_out(sum(NET))).then()
    story.when(sent_out(sum(NET), reference="payout/again")).then(
        fact(e.DiscrepancyRecorded, kind="paid_out_unexpectedly", amount_minor=-sum(NET))
    )


def test_milestones_are_paid_in_their_order() -> None:
    """30 % of what is left, then all of the rest; after the last one fractions are free."""
    story = given(*paid_by(1_000, milestones=MILESTONES), days(14), VERIFY)
    story.when(want_out(milestone_id=SECOND_HALF)).rejected("milestone_order")
    story.when(want_out(milestone_id=FIRST_HALF)).then(
        fact(e.PayoutRequested, numerator=3_000, denominator=10_000)
    )
    story.when(let_out()).then(fact(e.PayoutApproved, amount_minor=279))
    second = an_id(902)
    story.when(want_out(second, milestone_id=SECOND_HALF)).then(
        fact(e.PayoutRequested, numerator=7_000, denominator=7_000)
    )
    story.when(let_out(second)).then(fact(e.PayoutApproved, amount_minor=651))
    story.when(want_out(an_id(903), denominator=2)).then(fact(e.PayoutRequested))


def test_a_milestone_that_came_back_goes_first_again() -> None:
    """Its payout failed while the next one waited: that one cannot take its money."""
    second, again = an_id(902), an_id(904)
    story = given(*paid_by(1_000, milestones=MILESTONES), days(14), VERIFY)
    story.when(want_out(milestone_id=FIRST_HALF), let_out())
    story.when(want_out(second, milestone_id=SECOND_HALF), failed())
    story.when(let_out(second)).rejected("milestone_order")
    story.when(want_out(again, milestone_id=FIRST_HALF)).rejected("milestone_order")
    refuse = do(c.RefusePayout, TREASURER, payout_id=second, cause="out_of_turn")
    story.when(refuse, want_out(again, milestone_id=FIRST_HALF), let_out(again)).then(
        fact(e.PayoutApproved, numerator=3_000, denominator=10_000, amount_minor=279)
    )


def test_a_payout_moves_at_most_the_largest_amount() -> None:
    """Rule 1 holds for a payout too: more is asked for in parts."""
    story = given(*paid_by(10**12, 10**12), days(14), VERIFY, want_out())
    story.when(let_out()).rejected("amount_invalid")
    story.when(want_out(an_id(902), denominator=2), let_out(an_id(902))).then(
        fact(e.PayoutApproved, amount_minor=930_000_000_000)
    )


def test_a_first_time_creators_reserve() -> None:
    """A tenth of the net stays until a delivery is confirmed or ninety days have passed."""
    steps: list[Given] = [*paid_by(1_000, first_time_creator=True), days(14), VERIFY]
    story = given(*steps)
    assert reserve_minor(story.state, story.at) == 93
    story.when(want_out(numerator=9, denominator=10), let_out()).then(
        fact(e.PayoutApproved, amount_minor=837)
    )
    story.when(want_out(an_id(902)), let_out(an_id(902))).rejected("reserve_held")
    received = do(c.ConfirmReceived, f"backer:{ANNA}", pledge_id=pledge_of(ANNA))
    unsent = given(*steps, received)
    assert reserve_minor(unsent.state, unsent.at) == 93, "what was not sent confirms no delivery"
    sent = do(c.MarkDelivered, CREATOR, nos=(1,))
    story.when(sent, received, let_out(an_id(902))).then(fact(e.PayoutApproved, amount_minor=93))
    given(*steps, days(76), want_out()).when(let_out()).then(fact(e.PayoutApproved))


def test_with_less_than_the_goal_payouts_wait_for_a_plan() -> None:
    """Charged 900 of a goal of 1,000: the creator says first what becomes of it."""
    steps: list[Given] = [*live(), pledge(ANNA, 900), pledge(BEN, 100), days(30), CLOSE]
    steps += [ask(1), charge(1, amount_minor=900), ask(2), decline(2), days(14), VERIFY]
    story = given(*steps)
    story.when(want_out()).rejected("plan_needed")
    story.when(do(c.UpdatePlan, CREATOR, text=HASH), want_out()).then(fact(e.PayoutRequested))


def test_a_flexible_campaign_needs_no_plan() -> None:
    """It never had to reach its goal."""
    story = given(*charged_early(10), days(30), CLOSE, days(14), VERIFY)
    story.when(want_out()).then(fact(e.PayoutRequested))


def test_an_approved_payout_is_revoked_while_suspended() -> None:
    """Staff stop suspect money: each pledge has its share back, the campaign can be cancelled."""
    story = given(*paid_by(1_000), days(14), VERIFY, want_out(), let_out())
    revoke = do(c.RevokePayout, TREASURER, payout_id=PAYOUT)
    story.when(revoke).rejected("payout_in_flight")
    suspend = do(c.SuspendCampaign, STAFF, cause="under_review")
    story.when(suspend, revoke).then(fact(e.PayoutFailed, code="revoked", amount_minor=930))
    assert story.state.figures.on_the_way_minor == 0
    assert story.state.pledges[0].funds is not None
    assert story.state.pledges[0].funds.paid_minor == 0
    story.when(revoke).rejected("payout_not_waiting")
    story.when(sent_out(930)).then(fact(e.DiscrepancyRecorded, kind="paid_out_unexpectedly"))
    story.when(do(c.CancelCampaign, STAFF, cause="fraud")).then(fact(e.CampaignCancelled))


def test_a_repayment_is_booked_once() -> None:
    """The same transfer told twice pays the debt once; another one pays again."""
    refund = [want_back(amount_minor=500), refunded(amount_minor=500)]
    story = given(*paid_by(1_000), days(14), VERIFY, want_out(), let_out(), sent_out(930), *refund)
    owed_minor = story.state.figures.owed_minor
    story.when(repaid(10)).then(fact(e.DebtRepaid, amount_minor=10))
    story.when(repaid(10)).repeated(version=story.state.version)
    story.when(repaid(10, "transfer/2")).then(fact(e.DebtRepaid, amount_minor=10))
    assert story.state.figures.owed_minor == owed_minor - 20
