"""Money going back: who bears it, out of what, and what happens when things cross."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from domain.returning import RefundQuote, display_state, quote
from tests.domain.scenario import (
    ANNA,
    BANK,
    BEN,
    CLOSE,
    CREATOR,
    MUG,
    STAFF,
    VERIFY,
    Given,
    Step,
    an_id,
    ask,
    charge,
    charged_early,
    days,
    disputed,
    do,
    fact,
    given,
    let_out,
    live,
    paid_by,
    pledge,
    refunded,
    sent_out,
    some,
    want_back,
    want_out,
)

CHARGED = paid_by(1_000, 700)
PAID_OUT: list[Given] = [
    *(*CHARGED, days(14), VERIFY),
    *(want_out(numerator=1, denominator=2), let_out(), sent_out(465 + 325)),
]


def lost(amount_minor: int = 1_000) -> Step:
    """The bank keeps it for its customer."""
    return disputed(c.RecordDisputeLost, amount_minor=amount_minor, fee_minor=15)


def failed(no: int = 1) -> Step:
    """The refund did not go through."""
    return do(c.RecordRefundFailed, BANK, no=no, refund_id=an_id(800 + no), code="account_closed")


def test_a_quote_says_who_pays_before_anything_moves() -> None:
    """The platform's fee falls with what stays; the creator's processing fee is kept."""
    state = given(*CHARGED).state
    assert quote(state, state.pledges[0], 400) == RefundQuote(400, 400, 20, 0, 0)
    assert quote(state, state.pledges[0], 0) == RefundQuote(1_000, 980, 50, 0, 20)
    assert quote(state, state.pledges[1], 700) == RefundQuote(700, 686, 35, 0, 14)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, RefundQuote(1_000, 980, 50, 0, 20)),
        ({"processing_fee_on_refund": "platform"}, RefundQuote(1_000, 1_000, 50, 20, 0)),
        ({"platform_fee_on_refund": "creator"}, RefundQuote(1_000, 930, 0, 0, 70)),
    ],
)
def test_the_terms_say_who_bears_which_fee(terms: dict[str, str], expected: RefundQuote) -> None:
    """A fee that the creator bears becomes the creator's debt; one of the platform goes back."""
    state = given(*paid_by(1_000, terms=terms)).state
    assert quote(state, state.pledges[0], 1_000) == expected


def test_several_refunds_reverse_what_one_would() -> None:
    """In parts or at once, the platform's fee on what stays is the same."""
    story = given(*CHARGED)
    for number, part in enumerate((333, 333, 334)):
        refund_id = an_id(810 + number)
        story.when(want_back(1, part, refund_id), refunded(1, part, refund_id, reference=refund_id))
    funds = story.state.pledges[0].funds
    assert funds is not None
    assert (funds.refunded_minor, funds.platform_reversed_minor, funds.remainder_minor) == (
        *(1_000, 50, 0),
    )
    assert story.state.figures.owed_minor == 20


def test_a_refund_is_set_aside_until_its_outcome() -> None:
    """What is asked for cannot be paid out (rule 7); what failed is free again."""
    story = given(*CHARGED, days(14), VERIFY, want_back(amount_minor=400), want_out(to_no=1))
    funds = story.state.pledges[0].funds
    assert funds is not None
    assert (funds.remainder_minor, funds.available_minor) == (930, 930 - 380)
    story.when(let_out()).then(fact(e.PayoutApproved, amount_minor=550))
    story.when(failed()).then(fact(e.RefundFailed, no=1))
    assert funds.available_minor == 380


def test_a_refund_after_a_payout_makes_a_debt() -> None:
    """The pledge's own remainder first, then its reversed fee, then the creator owes (rule 6)."""
    story = given(*PAID_OUT)
    story.when(want_back(), refunded()).then(
        fact(
            e.PledgeRefunded,
            from_held_minor=465 + 50,
            platform_fee_reversed_minor=50,
            receivable_minor=485,
        )
    )
    ben = story.state.pledges[1].funds
    assert ben is not None
    assert ben.remainder_minor == 326
    assert story.state.figures.owed_minor == 485


def test_a_refund_is_asked_for_once() -> None:
    """The same id is told where the first one stands, whether it names its sum or asks for all."""
    story = given(*CHARGED, want_back(amount_minor=400))
    story.when(want_back(amount_minor=400)).repeated(version=12, no=1)
    story.when(want_back()).repeated(version=12, no=1)
    story.when(want_back(cause="not_delivered")).rejected("refund_id_reused")


def test_the_creator_may_be_generous() -> None:
    """A refund of goodwill is the creator's or the staff's to decide, never a stranger's."""
    given(*CHARGED).when(want_back(by=CREATOR)).then(fact(e.RefundRequested))
    given(*CHARGED).when(want_back(by=f"backer:{BEN}")).rejected("not_allowed")
    given(*CHARGED).when(want_back(cause="cancelled", by=CREATOR)).rejected("not_allowed")


def test_a_full_refund_before_the_delivery_frees_the_pieces() -> None:
    """What was sent is gone; what was not sent can be sold again."""
    steps: list[Given] = [*live(), pledge(ANNA, 1_500, choices=some(MUG, 3)), days(30), CLOSE]
    steps += [ask(), charge(amount_minor=1_500)]
    story = given(*steps, want_back(), refunded(amount_minor=1_500))
    assert story.state.stocks[MUG].claimed == 0
    sent = do(c.MarkDelivered, CREATOR, nos=(1,))
    story = given(*steps, sent, want_back(), refunded(amount_minor=1_500))
    assert story.state.stocks[MUG].claimed == 3


def test_a_refund_and_a_dispute_that_cross_free_the_pieces_too() -> None:
    """Together they return more than was charged: the pieces are free all the same."""
    steps: list[Given] = [*live(), pledge(ANNA, 1_500, choices=some(MUG, 3)), days(30), CLOSE]
    steps += [ask(), charge(amount_minor=1_500), want_back(amount_minor=900)]
    story = given(*steps, disputed(amount_minor=1_000), refunded(amount_minor=900), lost())
    assert story.state.stocks[MUG].claimed == 0


def test_a_dispute_sets_aside_what_is_left_and_pauses_refunds() -> None:
    """The bank has the money for now; no refund of the same pledge may start."""
    story = given(*PAID_OUT)
    story.when(disputed()).then(fact(e.DisputeOpened, amount_minor=1_000))
    funds = story.state.pledges[0].funds
    assert funds is not None
    assert (funds.set_aside_minor, funds.available_minor) == (465, 0)
    story.when(want_back(amount_minor=1)).rejected("dispute_open")
    story.when(disputed(c.RecordDisputeWon)).then(fact(e.DisputeWon))
    assert funds.available_minor == 465


def test_a_lost_dispute_is_borne_as_a_refund_is() -> None:
    """Own remainder, reversed fee, debt; the bank's own fee is the platform's expense."""
    given(*PAID_OUT, disputed()).when(lost()).then(
        fact(
            e.DisputeLost,
            fee_minor=15,
            from_held_minor=465 + 50,
            platform_fee_reversed_minor=50,
            receivable_minor=485,
        )
    )


def test_the_loss_uses_what_came_back_meanwhile() -> None:
    """A payout that failed after the dispute was opened is the pledge's own money again."""
    story = given(*CHARGED, days(14), VERIFY, want_out(), let_out(), disputed())
    story.when(do(c.RecordPayoutFailed, BANK, payout_id=an_id(901), code="account_closed"))
    story.when(lost()).then(fact(e.DisputeLost, from_held_minor=980, receivable_minor=20))


@pytest.mark.parametrize(
    "step", [disputed(), disputed(c.RecordDisputeWon), lost()], ids=["opened", "won", "lost"]
)
def test_news_of_a_dispute_may_come_twice(step: Step) -> None:
    """The second time it changes nothing."""
    before: list[Given] = [] if step.command is c.RecordDisputeOpened else [disputed()]
    given(*CHARGED, *before, step).when(step).then()


@pytest.mark.parametrize(
    ("step", "minor", "fee_minor"),
    [
        (disputed(amount_minor=1_001), -1_001, 0),
        (disputed(no=9), -1_000, 0),
        (disputed(c.RecordDisputeWon), 1_000, 0),
        (lost(), 0, 15),
    ],
    ids=["too much", "no such pledge", "won, never opened", "lost, never opened"],
)
def test_a_dispute_that_fits_nothing_goes_to_suspense(
    step: Step, minor: int, fee_minor: int
) -> None:
    """Rule 13: it is recorded with what moved, and recorded once."""
    story = given(*CHARGED)
    moved = {"amount_minor": minor, "fee_minor": fee_minor}
    story.when(step).then(fact(e.DiscrepancyRecorded, kind="disputed_unexpectedly", **moved))
    story.when(step).then()
    assert story.state.frozen


@pytest.mark.parametrize(
    "step",
    [refunded(), refunded(amount_minor=399), refunded(refund_id=an_id(9))],
    ids=["more", "less", "another"],
)
def test_a_refund_that_was_not_asked_for_goes_to_suspense(step: Step) -> None:
    """Another sum or another refund than asked for."""
    minor = -step.facts["amount_minor"]
    story = given(*CHARGED, want_back(amount_minor=400))
    story.when(step).then(
        fact(e.DiscrepancyRecorded, kind="refunded_unexpectedly", amount_minor=minor)
    )
    assert story.state.pending_refunds == 1


def test_a_refund_that_was_sent_twice_goes_to_suspense() -> None:
    """The same news again changes nothing; a second movement of money is a discrepancy."""
    story = given(*CHARGED, want_back(amount_minor=400), refunded(amount_minor=400))
    story.when(refunded(amount_minor=400)).then()
    story.when(refunded(amount_minor=400, reference="refund/1/again")).then(
        fact(e.DiscrepancyRecorded, kind="refunded_unexpectedly", amount_minor=-400)
    )


def test_a_refund_that_failed_and_then_came_through_goes_to_suspense() -> None:
    """Its money was free again, so it cannot be taken without asking."""
    given(*CHARGED, want_back(), failed()).when(refunded()).then(
        fact(e.DiscrepancyRecorded, kind="refunded_unexpectedly", amount_minor=-1_000)
    )
    given(*CHARGED, want_back(), failed()).when(failed()).then()


def test_a_failed_campaign_gives_everything_back() -> None:
    """Charged at the pledge, failed at the deadline: in full and without fees."""
    steps = [*live(terms={"collect_at": "pledge"}), pledge(ANNA, 900), ask(), charge(1, 1, 900)]
    story = given(*steps, days(30), CLOSE)
    story.when(want_back(cause="failed", by="system:refunds")).then(
        fact(e.RefundRequested, amount_minor=900, from_held_minor=900)
    )
    story.when(want_back(cause="failed", refund_id=an_id(809))).rejected("refund_too_large")


def test_what_a_backer_reads() -> None:
    """The pledge's state in the words of the rule book."""
    story = given(*CHARGED)
    pledge_one = story.state.pledges[0]
    assert display_state(pledge_one) == "collected"
    story.go(want_back(amount_minor=400))
    assert display_state(pledge_one) == "refund_requested"
    story.go(refunded(amount_minor=400))
    assert display_state(pledge_one) == "partly_refunded"
    story.go(disputed(amount_minor=600))
    assert display_state(pledge_one) == "disputed"
    story.go(lost(600))
    assert display_state(pledge_one) == "refunded"
    assert display_state(given(*live(), pledge(ANNA, 1)).state.pledges[0]) == "made"


def test_a_withdrawn_pledge_keeps_its_refund() -> None:
    """Its refund may fail and be asked for again by staff."""
    leave = do(c.WithdrawPledge, f"backer:{ANNA}", pledge_id="9" + ANNA[1:], command_id=an_id(5))
    story = given(*charged_early(1_000), leave)
    story.when(do(c.RecordRefundFailed, BANK, no=1, refund_id=an_id(5), code="account_closed"))
    story.when(want_back(by=STAFF)).then(fact(e.RefundRequested, amount_minor=1_000))


def test_a_live_campaign_gives_nothing_back_by_itself() -> None:
    """Else a goal could be reached with money that was given back; the backer may withdraw."""
    story = given(*charged_early(1_000))
    story.when(want_back(amount_minor=10)).rejected("wrong_phase")


def test_a_withdrawal_whose_refund_failed_is_asked_for_again() -> None:
    """The money is still the backer's: withdrawing once more sends it again."""
    leave = {"pledge_id": "9" + ANNA[1:]}
    first = do(c.WithdrawPledge, f"backer:{ANNA}", command_id=an_id(5), **leave)
    again = do(c.WithdrawPledge, f"backer:{ANNA}", command_id=an_id(6), **leave)
    story = given(*charged_early(1_000), first)
    story.when(again).rejected("pledge_not_withdrawable")
    story.when(do(c.RecordRefundFailed, BANK, no=1, refund_id=an_id(5), code="account_closed"))
    story.when(again).then(fact(e.RefundRequested, amount_minor=1_000, cause="withdrawn"))


def test_a_cancelled_campaign_returns_in_full_whatever_the_cause() -> None:
    """Every fee is reversed and nothing is lent to the creator, also where goodwill is named."""
    cancel = do(c.CancelCampaign, STAFF, cause="cannot_deliver")
    story = given(*CHARGED, cancel)
    story.when(want_back()).then(
        fact(e.RefundRequested, amount_minor=1_000, from_held_minor=1_000, receivable_minor=0)
    )
