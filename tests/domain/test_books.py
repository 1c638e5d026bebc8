"""The journal entry of every fact that moves money, line by line as the rule book has them."""

from __future__ import annotations

import pytest

from domain import commands as c
from domain import events as e
from domain.codec import decode
from domain.figures import Figures, apply
from domain.ledger import postings
from tests.domain.scenario import (
    BANK,
    CAMPAIGN,
    CLOSE,
    STAFF,
    TREASURER,
    VERIFY,
    Given,
    an_id,
    charge,
    charged_early,
    days,
    disputed,
    do,
    given,
    let_out,
    paid_by,
    refunded,
    sent_out,
    want_back,
    want_out,
)
from tests.domain.test_stored_bytes import FILES

CLEARING = "Assets:Provider:test_bank:Clearing"
DISPUTED = "Assets:Provider:test_bank:Disputed"
HELD = f"Liabilities:Campaign:{CAMPAIGN}:Held"
PAYOUT = f"Liabilities:Campaign:{CAMPAIGN}:Payout"
OWED = f"Assets:Receivable:Campaign:{CAMPAIGN}"
SUSPENSE = "Liabilities:Suspense"
PLATFORM, PROCESSING = "Income:PlatformFee", "Income:ProcessingFee"
PROVIDER_FEE, DISPUTE_FEE = "Expenses:ProviderFee", "Expenses:DisputeFee"
WRITTEN_OFF = "Expenses:WrittenOff"

PAID = paid_by(1_000)
OUT: list[Given] = [*PAID, days(14), VERIFY, want_out(), let_out()]
SENT: list[Given] = [*OUT, sent_out(930)]
INDEBTED: list[Given] = [*SENT, want_back(), refunded()]
STRAY = charge(no=9, command_id=an_id(950))
GONE = refunded(no=9, command_id=an_id(950))
RETURN = {"provider": "test_bank", "reference": "return/1", "amount_minor": 930}


def settle(resolution: str) -> Given:
    """Staff settle the one discrepancy."""
    return do(c.ResolveDiscrepancy, STAFF, discrepancy_id=an_id(950), resolution=resolution)


ENTRIES: list[tuple[type[e.Event], list[Given], dict[str, int]]] = [
    (
        e.PledgeCollected,
        PAID,
        {CLEARING: 970, PROVIDER_FEE: 30, HELD: -930, PLATFORM: -50, PROCESSING: -20},
    ),
    (e.PledgeCollected, charged_early(1_000), {CLEARING: 970, PROVIDER_FEE: 30, HELD: -1_000}),
    (
        e.FeesCharged,
        [*charged_early(1_000), days(30), CLOSE],
        {HELD: 70, PLATFORM: -50, PROCESSING: -20},
    ),
    (
        e.PledgeRefunded,
        [*PAID, want_back(amount_minor=400), refunded(amount_minor=400)],
        {HELD: 380, PLATFORM: 20, CLEARING: -400},
    ),
    (e.PledgeRefunded, INDEBTED, {PLATFORM: 50, OWED: 950, CLEARING: -1_000}),
    (e.DisputeOpened, [*PAID, disputed()], {DISPUTED: 1_000, CLEARING: -1_000}),
    (
        e.DisputeWon,
        [*PAID, disputed(), disputed(c.RecordDisputeWon)],
        {CLEARING: 1_000, DISPUTED: -1_000},
    ),
    (
        e.DisputeLost,
        [*PAID, disputed(), disputed(c.RecordDisputeLost, fee_minor=15)],
        {
            HELD: 930,
            PLATFORM: 50,
            OWED: 20,
            DISPUTE_FEE: 15,
            DISPUTED: -1_000,
            CLEARING: -15,
        },
    ),
    (e.PayoutApproved, OUT, {HELD: 930, PAYOUT: -930}),
    (e.PayoutSent, SENT, {PAYOUT: 930, CLEARING: -930}),
    (
        e.PayoutFailed,
        [*OUT, do(c.RecordPayoutFailed, BANK, payout_id=an_id(901), code="account_closed")],
        {PAYOUT: 930, HELD: -930},
    ),
    (
        e.PayoutReturned,
        [*SENT, do(c.RecordPayoutReturned, BANK, payout_id=an_id(901), **RETURN)],
        {CLEARING: 930, HELD: -930},
    ),
    (
        e.DebtRepaid,
        [
            *INDEBTED,
            do(c.RecordRepayment, STAFF, **RETURN),
        ],
        {CLEARING: 930, OWED: -930},
    ),
    (
        e.DebtWrittenOff,
        [*INDEBTED, do(c.WriteOffDebt, TREASURER, amount_minor=950)],
        {WRITTEN_OFF: 950, OWED: -950},
    ),
    (e.DiscrepancyRecorded, [*PAID, STRAY], {CLEARING: 970, PROVIDER_FEE: 30, SUSPENSE: -1_000}),
    (e.DiscrepancyRecorded, [*PAID, GONE], {SUSPENSE: 1_000, CLEARING: -1_000}),
    (
        e.DiscrepancyResolved,
        [*PAID, STRAY, settle("returned")],
        {SUSPENSE: 1_000, CLEARING: -1_000},
    ),
    (
        e.DiscrepancyResolved,
        [*PAID, GONE, settle("written_off")],
        {WRITTEN_OFF: 1_000, SUSPENSE: -1_000},
    ),
]


@pytest.mark.parametrize(
    ("kind", "story", "entry"),
    ENTRIES,
    ids=[f"{n}-{case[0].__name__}" for n, case in enumerate(ENTRIES)],
)
def test_the_entry_of_a_fact(
    kind: type[e.Event], story: list[Given], entry: dict[str, int]
) -> None:
    """Debits and credits of the last fact of this kind, to the cent."""
    last = next(each for each in reversed(given(*story).events) if type(each) is kind)
    lines = postings(last)
    assert {line.account: line.amount_minor for line in lines} == entry
    assert len(lines) == len(entry)
    assert {line.currency for line in lines} == {"BRL"}


def test_a_payout_that_settles_a_debt() -> None:
    """The cash leaves Clearing, the debt leaves the receivable."""
    steps: list[Given] = [*paid_by(1_000, 700), days(14), VERIFY]
    steps += [want_out(to_no=1), let_out(), sent_out(930), want_back(), refunded(), VERIFY]
    steps += [want_out(an_id(902), from_no=2), let_out(an_id(902)), sent_out(0, an_id(902))]
    last = given(*steps).events[-1]
    assert {line.account: line.amount_minor for line in postings(last)} == {
        PAYOUT: 651,
        OWED: -651,
    }


def test_every_fact_that_moves_money_is_booked() -> None:
    """No entry is missing from the table above, and every golden fact balances."""
    booked = set()
    for path in FILES:
        event = decode(path.stem, path.read_bytes())
        lines = postings(event)
        assert sum(line.amount_minor for line in lines) == 0, path.stem
        booked |= {type(event)} if lines else set()
    assert booked == {kind for kind, _, _ in ENTRIES}


def test_the_five_numbers_of_a_long_story() -> None:
    """Pledged, charged, held, paid and returned, with fees and debts beside them."""
    story = given(*paid_by(1_000, 700), days(14), VERIFY)
    story.when(want_out(numerator=1, denominator=2), let_out(), sent_out(465 + 325))
    story.when(want_back(), refunded(), disputed(no=2, amount_minor=700))
    figures = Figures()
    for event in story.events:
        apply(figures, event)
        assert figures.reconcile()
    assert figures == story.state.figures
    assert figures == Figures(
        pledged_minor=1_700,
        pledges=2,
        charged_minor=1_700,
        held_minor=326,
        paid_minor=790,
        returned_minor=1_000,
        fees_minor=119 - 50,
        owed_minor=485,
        disputed_minor=700,
    )


def test_figures_that_do_not_reconcile_are_told() -> None:
    """Charged + owed + written off = held + paid + fees + returned."""
    assert Figures(charged_minor=5, owed_minor=1, held_minor=3, fees_minor=3).reconcile()
    assert not Figures(charged_minor=5, held_minor=4).reconcile()
