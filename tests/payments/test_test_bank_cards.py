"""Each magic card and account of the test bank does what its table says."""

from __future__ import annotations

import pytest

from app.payments.port import (
    ActionRequired,
    CollectRequest,
    DeclineCode,
    Declined,
    DisputeDecided,
    DisputeOpened,
    Notification,
    OutcomeReported,
    PayOutReturned,
    Pending,
    Succeeded,
    Unknown,
)
from app.payments.test_bank import cards
from app.payments.test_bank.backroom import DisputeError
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import BEHAVIOURS, MAGIC_CARDS, Behaviour, magic_card
from app.payments.test_bank.notifications import deliver_due
from app.payments.test_bank.rules import BankTerms
from tests.payments.asking import AT, collect, pay_out, refund

LATER = AT + 60_000
A_DAY = 24 * 60 * 60 * 1_000


def news_of(bank: Bank, at: int = LATER) -> list[Notification]:
    """All news due at `at`, delivered in order."""
    heard: list[Notification] = []

    def post(headers: object, body: bytes) -> int:
        assert isinstance(headers, dict)
        heard.extend(bank.parse_notification(headers, body))
        return 204

    deliver_due(bank, at, post)
    return heard


def test_every_behaviour_has_a_card_and_a_row_in_the_table() -> None:
    """Cards, behaviours and the documented table are the same set."""
    assert [card.behaviour for card in MAGIC_CARDS] == list(BEHAVIOURS)
    assert cards.__doc__ is not None
    for card in MAGIC_CARDS:
        assert f"| {card.spaced} | {card.behaviour} " in cards.__doc__
        assert magic_card(card.spaced) == magic_card(card.number) == card


def test_success(bank: Bank) -> None:
    """The plain card pays, and the bank has no more to say about it."""
    assert isinstance(collect(bank, "k", bank.prepare_method_direct(at=AT)), Succeeded)
    assert news_of(bank) == []


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        ("decline", "card_declined", False),
        ("lost_later", "card_lost", False),
        ("declines_later", "card_declined", True),
    ],
)
def test_cards_that_always_decline(
    bank: Bank, behaviour: Behaviour, code: DeclineCode, retryable: bool
) -> None:
    """Such a card declines at every attempt."""
    method = bank.prepare_method_direct(behaviour, at=AT)

    for attempt in (1, 2, 3):
        assert collect(bank, f"k/{attempt}", method) == Declined(code=code, retryable=retryable)
    assert bank.statement() == []


def test_insufficient_funds_has_money_at_the_second_attempt(bank: Bank) -> None:
    """The first attempt is declined for good under its key; the next key succeeds."""
    method = bank.prepare_method_direct("insufficient_funds", at=AT)
    declined = Declined(code="insufficient_funds", retryable=True)

    assert collect(bank, "k/1", method) == declined
    assert isinstance(collect(bank, "k/2", method), Succeeded)
    assert collect(bank, "k/1", method) == declined


@pytest.mark.parametrize("approved", [True, False])
def test_needs_confirmation(bank: Bank, approved: bool) -> None:
    """Nothing moves before the card holder answers; the answer is final and comes as news."""
    outcome = collect(bank, "k", bank.prepare_method_direct("needs_confirmation", at=AT))
    assert isinstance(outcome, ActionRequired)
    assert outcome.expires_at == AT + A_DAY
    assert bank.statement() == []
    operation = bank.to_confirm(outcome.url.rpartition("/")[2])
    assert operation is not None

    bank.confirm(operation, AT + 1, approved=approved)
    bank.confirm(operation, AT + 2, approved=not approved)

    final = bank.look_up("k")
    assert isinstance(final, Succeeded if approved else Declined)
    assert len(bank.statement()) == approved
    assert [(n.key, n.outcome) for n in news_of(bank) if isinstance(n, OutcomeReported)] == [
        ("k", final)
    ]


def test_a_confirmation_expires(bank: Bank) -> None:
    """After its time the collect is declined, retryable, and can no longer be confirmed."""
    outcome = collect(bank, "k", bank.prepare_method_direct("needs_confirmation", at=AT))
    assert isinstance(outcome, ActionRequired)
    operation = bank.to_confirm(outcome.url.rpartition("/")[2])
    assert operation is not None

    (news,) = news_of(bank, AT + A_DAY)
    bank.confirm(operation, AT + A_DAY + 1, approved=True)

    expired = Declined(code="confirmation_expired", retryable=True)
    assert isinstance(news, OutcomeReported)
    assert news.outcome == expired
    assert bank.look_up("k") == expired
    assert bank.statement() == []


def test_a_confirmation_after_its_time_is_refused_before_the_bank_noticed(bank: Bank) -> None:
    """The time counts, not whether the bank got round to it."""
    outcome = collect(bank, "k", bank.prepare_method_direct("needs_confirmation", at=AT))
    assert isinstance(outcome, ActionRequired)
    operation = bank.to_confirm(outcome.url.rpartition("/")[2])
    assert operation is not None

    assert bank.confirm(operation, AT + A_DAY, approved=True).state == "declined"
    assert bank.statement() == []


def test_a_cancelled_collect_cannot_be_confirmed(bank: Bank) -> None:
    """Once we took it back, the card holder's answer moves nothing."""
    outcome = collect(bank, "k", bank.prepare_method_direct("needs_confirmation", at=AT))
    assert isinstance(outcome, ActionRequired)
    operation = bank.to_confirm(outcome.url.rpartition("/")[2])
    assert operation is not None

    assert bank.cancel("k", AT + 1) == Declined(code="cancelled", retryable=False)
    bank.confirm(operation, AT + 2, approved=True)

    assert bank.look_up("k") == Declined(code="cancelled", retryable=False)
    assert bank.statement() == []


def test_timeout_moves_the_money_and_loses_the_answer(bank: Bank) -> None:
    """Only asking, or the news, tells that the money moved; asking again moves nothing."""
    method = bank.prepare_method_direct("timeout", at=AT)

    assert collect(bank, "k", method) == Unknown()
    truth = bank.look_up("k")
    assert isinstance(truth, Succeeded)
    assert collect(bank, "k", method) == truth
    assert len(bank.statement()) == 1
    (news,) = news_of(bank)
    assert isinstance(news, OutcomeReported)
    assert news.outcome == truth


def test_duplicate_notifications_come_twice_with_older_news_between(bank: Bank) -> None:
    """The same news has the same id; the older "pending" arrives after the newer "succeeded"."""
    method = bank.prepare_method_direct("duplicate_notifications", at=AT)
    assert isinstance(collect(bank, "k", method), Pending)

    heard = [news for news in news_of(bank) if isinstance(news, OutcomeReported)]

    first, older, again = heard
    assert first == again
    assert isinstance(first.outcome, Succeeded)
    assert isinstance(older.outcome, Pending)
    assert older.at < first.at
    assert older.id != first.id
    assert bank.look_up("k") == first.outcome
    assert len(bank.statement()) == 1


def test_slow_settles_collects_and_refunds_later(bank: Bank) -> None:
    """What is pending moves when it is due, not before, and is told once."""
    method = bank.prepare_method_direct("slow", at=AT)
    pending = collect(bank, "k", method)
    assert isinstance(pending, Pending)
    assert news_of(bank, AT + 999) == []
    assert bank.look_up("k") == pending

    (settled,) = news_of(bank, AT + 1_000)
    assert isinstance(settled, OutcomeReported)
    assert isinstance(settled.outcome, Succeeded)
    assert settled.outcome.reference == pending.reference
    assert isinstance(refund(bank, "r", "k", 10_000, at=LATER), Pending)
    assert isinstance(refund(bank, "r2", "k", 1, at=LATER), Declined)
    (given_back,) = news_of(bank, LATER + 1_000)
    assert isinstance(given_back, OutcomeReported)
    assert (given_back.key, given_back.kind) == ("r", "refund")
    assert [line.kind for line in bank.statement()] == ["collected", "refunded"]


def test_refund_fails(bank: Bank) -> None:
    """The collect succeeds; no refund of it ever does, and the money stays collected."""
    collect(bank, "k", bank.prepare_method_direct("refund_fails", at=AT))

    assert refund(bank, "r", "k") == Declined(code="refund_refused", retryable=False)
    assert [line.kind for line in bank.statement()] == ["collected"]


@pytest.mark.parametrize("won", [True, False])
def test_dispute(bank: Bank, won: bool) -> None:
    """What was left of the collect is kept back, then comes back or is gone with a fee."""
    collect(bank, "k", bank.prepare_method_direct("dispute", at=AT), 10_000)
    refund(bank, "r1", "k", 4_000)
    assert news_of(bank, AT + 999) == []

    (opened,) = news_of(bank, AT + 1_000)
    assert isinstance(opened, DisputeOpened)
    assert (opened.key, opened.amount_minor) == ("k", 6_000)
    assert isinstance(refund(bank, "r2", "k", 1), Declined)
    assert bank.totals()["BRL"].disputed_minor == 6_000

    bank.decide_dispute(opened.dispute_id, LATER, won=won)
    bank.decide_dispute(opened.dispute_id, LATER + 1, won=won)
    with pytest.raises(DisputeError):
        bank.decide_dispute(opened.dispute_id, LATER, won=not won)

    (decided,) = news_of(bank)
    assert isinstance(decided, DisputeDecided)
    assert (decided.won, decided.amount_minor, decided.fee_minor) == (
        won,
        6_000,
        0 if won else 1_500,
    )
    clearing = 10_000 - 100 - 4_000
    assert bank.totals()["BRL"].clearing_minor == clearing - (0 if won else 6_000 + 1_500)
    assert isinstance(refund(bank, "r3", "k", 6_000), Succeeded if won else Declined)


def test_a_collect_refunded_in_full_is_not_disputed(bank: Bank) -> None:
    """Where nothing is left there is nothing to dispute."""
    collect(bank, "k", bank.prepare_method_direct("dispute", at=AT))
    refund(bank, "r", "k")

    assert news_of(bank) == []
    assert bank.disputes() == []


def test_there_is_no_dispute_of_that_name(bank: Bank) -> None:
    """An unknown dispute cannot be decided."""
    with pytest.raises(DisputeError):
        bank.decide_dispute("TBD1", AT, won=True)


def test_accounts_that_go_wrong(bank: Bank) -> None:
    """A closed account declines, a slow one settles later, one comes back, one loses the answer."""
    assert pay_out(bank, "closed", cards.ACCOUNT_CLOSED) == Declined(
        code="account_closed", retryable=False
    )
    assert isinstance(pay_out(bank, "slow", cards.ACCOUNT_SLOW), Pending)
    assert isinstance(pay_out(bank, "returned", cards.ACCOUNT_RETURNED), Succeeded)
    assert pay_out(bank, "timeout", cards.ACCOUNT_TIMEOUT) == Unknown()
    assert isinstance(bank.look_up("timeout"), Succeeded)

    heard = news_of(bank)

    assert {(type(news), news.key) for news in heard} == {
        (OutcomeReported, "slow"),
        (OutcomeReported, "timeout"),
        (PayOutReturned, "returned"),
    }
    assert bank.totals()["BRL"].clearing_minor == -20_000


@pytest.mark.parametrize(
    ("amount_minor", "fee_minor"), [(1, 0), (50, 0), (150, 2), (250, 2), (350, 4), (10_000, 100)]
)
def test_the_fee_is_rounded_half_to_even(bank: Bank, amount_minor: int, fee_minor: int) -> None:
    """One per cent, in whole minor units, a half going to the even neighbour."""
    outcome = collect(bank, "k", bank.prepare_method_direct(at=AT), amount_minor)

    assert isinstance(outcome, Succeeded)
    assert outcome.fee_minor == fee_minor


def test_the_fee_can_be_set(bank: Bank) -> None:
    """Rate and fixed part come from the bank's terms; what was collected before keeps its fee."""
    method = bank.prepare_method_direct(at=AT)
    before = collect(bank, "k1", method)
    bank.terms = BankTerms(fee_basis_points=250, fee_fixed_minor=30)

    after = collect(bank, "k2", method)

    assert isinstance(after, Succeeded)
    assert after.fee_minor == 280
    assert bank.look_up("k1") == before


def test_methods_in_bulk_are_each_a_card_of_their_own(bank: Bank) -> None:
    """Methods made without a page have distinct ids and behave as asked, in order."""
    methods = bank.prepare_methods_direct(["success", "decline", "success"], at=AT)

    assert len(set(methods)) == 3
    outcomes = bank.collect_many(
        [
            CollectRequest(key=f"k{n}", method_id=method, amount_minor=5, currency="BRL", at=AT)
            for n, method in enumerate(methods)
        ]
    )
    assert [isinstance(outcome, Succeeded) for outcome in outcomes] == [True, False, True]


def test_a_behaviour_no_card_has_is_refused(bank: Bank) -> None:
    """A misspelt behaviour makes no method."""
    with pytest.raises(ValueError, match="sucess"):
        bank.prepare_method_direct("sucess", at=AT)  # type: ignore[arg-type]
