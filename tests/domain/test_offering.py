"""What a campaign gives and asks for besides money, and reports that fit nothing."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from tests.domain.scenario import (
    ANNA,
    BANK,
    BEN,
    CREATOR,
    HOURS,
    STAFF,
    TREASURER,
    VERIFY,
    Given,
    Step,
    an_id,
    charge,
    days,
    decline,
    do,
    fact,
    given,
    live,
    paid_by,
    pledge,
    pledge_of,
    refunded,
    want_out,
)

OFFER = do(c.OfferNeed, f"backer:{ANNA}", offer_id=an_id(70), need_id=HOURS, quantity=8)


def of_offer(command: type[c.Command]) -> Step:
    """The creator decides on Anna's offer."""
    return do(command, CREATOR, offer_id=an_id(70))


def resolve(resolution: str, by: str = STAFF) -> Step:
    """Staff settle the one discrepancy."""
    facts = {"discrepancy_id": an_id(950), "resolution": resolution}
    return do(c.ResolveDiscrepancy, by, **facts)


STRAY_IN = charge(no=9, command_id=an_id(950))
STRAY_OUT = refunded(no=9, command_id=an_id(950))


def test_help_in_kind_is_offered_accepted_and_received() -> None:
    """No money moves."""
    story = given(*live())
    story.when(OFFER).then(fact(e.NeedOffered, party=ANNA, need_id=HOURS, quantity=8))
    story.when(OFFER).repeated(4)
    story.when(of_offer(c.AcceptNeed)).then(fact(e.NeedAccepted, offer_id=an_id(70)))
    story.when(of_offer(c.AcceptNeed)).rejected("offer_decided")
    story.when(of_offer(c.ReceiveNeed)).then(fact(e.NeedReceived))
    assert story.state.offers[an_id(70)].state == "received"


def test_an_offer_can_be_declined() -> None:
    """Declined help is not received."""
    story = given(*live(), OFFER, of_offer(c.DeclineNeed))
    story.when(of_offer(c.ReceiveNeed)).rejected("offer_decided")


def test_an_offer_id_stands_for_one_offer() -> None:
    """Neither another party nor other content may use it."""
    other = do(c.OfferNeed, f"backer:{BEN}", **OFFER.facts)
    more = do(c.OfferNeed, f"backer:{ANNA}", **OFFER.facts | {"quantity": 9})
    story = given(*live(), OFFER)
    story.when(other).rejected("id_reused")
    story.when(more).rejected("id_reused")


def test_the_creators_side_does_not_help_itself() -> None:
    """An offer comes from outside."""
    own = do(c.OfferNeed, f"backer:{CREATOR[8:]}", **OFFER.facts)
    given(*live()).when(own).rejected("own_campaign")


def test_delivery_is_two_counts() -> None:
    """Sent, says the creator; received, says the backer; each said once."""
    mark = do(c.MarkDelivered, CREATOR, nos=(1, 2))
    got = do(c.ConfirmReceived, f"backer:{ANNA}", pledge_id=pledge_of(ANNA))
    story = given(*paid_by(1_000, 700), do(c.MarkDelivered, CREATOR, nos=(2,)))
    story.when(mark).then(fact(e.DeliveryMarked, nos=(1,)))
    story.when(mark).then()
    story.when(got).then(fact(e.DeliveryReceived, no=1))
    story.when(got).then()


def test_only_the_backer_says_that_it_arrived() -> None:
    """Neither the creator nor another backer."""
    story = given(*paid_by(1_000, 700))
    got = {"pledge_id": pledge_of(ANNA)}
    story.when(do(c.ConfirmReceived, f"backer:{BEN}", **got)).rejected("not_your_pledge")
    story.when(do(c.ConfirmReceived, CREATOR, **got)).rejected("not_allowed")


@pytest.mark.parametrize(
    ("stray", "allowed"),
    [
        (STRAY_IN, {"returned"}),
        (STRAY_OUT, {"returned", "written_off"}),
        (decline(1, command_id=an_id(950)), {"noted"}),
    ],
    ids=["came in", "went out", "no money"],
)
def test_a_discrepancy_is_settled_as_it_came(stray: Step, allowed: set[str]) -> None:
    """Money that came in goes back, money that went out comes back or is lost, words are noted."""
    for resolution in ("returned", "written_off", "noted"):
        story = given(*paid_by(1_000), stray)
        outcome = story.when(resolve(resolution))
        if resolution in allowed:
            outcome.then(fact(e.DiscrepancyResolved, resolution=resolution))
            assert story.state.figures.suspense_minor == 0
            story.when(resolve(resolution)).rejected("discrepancy_unknown")
        else:
            outcome.rejected("resolution_invalid")


def test_payouts_are_frozen_until_every_discrepancy_is_settled() -> None:
    """Rule 13; the treasurer may settle it as staff may."""
    story = given(*paid_by(1_000), days(14), VERIFY, STRAY_IN)
    story.when(want_out()).rejected("payouts_frozen")
    story.when(resolve("returned", TREASURER), want_out()).then(fact(e.PayoutRequested))


def test_a_discrepancy_names_the_pledge_where_there_is_one() -> None:
    """A number that no pledge has is left out, not passed on."""
    given(*paid_by(1_000)).when(STRAY_IN).then(fact(e.DiscrepancyRecorded, no=0))
    again = charge(1, reference="charge/again")
    given(*paid_by(1_000)).when(again).then(fact(e.DiscrepancyRecorded, no=1))


REPORTS: list[Step] = [
    charge(no=9),
    decline(no=9),
    do(c.RecordActionRequired, BANK, no=9, attempt=1),
    do(c.RecordCollectionUnknown, BANK, no=9, attempt=1),
    refunded(no=9),
    do(c.RecordRefundFailed, BANK, no=9, refund_id=an_id(8), code="account_closed"),
    do(c.RecordPayoutFailed, BANK, payout_id=an_id(8), code="account_closed"),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda step: step.command.__name__)
@pytest.mark.parametrize(
    "story", [live(), [*live(), pledge(ANNA, 1_000)], paid_by(1_000)], ids=["live", "made", "paid"]
)
def test_no_report_is_refused(story: list[Given], report: Step) -> None:
    """Rule 13: what fits nothing is recorded where money moved, and passed over where none did."""
    outcome = given(*story).when(report)
    assert outcome.refusal is None
    assert {type(each) for each in outcome.facts} <= {e.DiscrepancyRecorded}


def test_only_the_provider_reports() -> None:
    """A backer cannot say that a charge went through."""
    forged = do(c.RecordCollected, f"backer:{ANNA}", **charge().facts)
    given(*live(), pledge(ANNA, 1_000)).when(forged).rejected("not_allowed")
