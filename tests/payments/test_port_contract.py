"""What every payment provider must do. A new provider is added to `PROVIDERS` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from app.payments.port import (
    CollectRequest,
    Declined,
    InvalidNotification,
    KeyConflict,
    PaymentProvider,
    PayOutRequest,
    PrepareMethod,
    RefundRequest,
    Succeeded,
)
from app.payments.test_bank.bank import Bank
from tests.payments.asking import AT, collect, pay_out, refund


class Candidate(msgspec.Struct):
    """A provider and what the suite cannot do through the port: have a backer give a card, have
    news sent, have the provider look at its own books.
    """

    provider: PaymentProvider
    good_method: Callable[[], str]
    declining_method: Callable[[], str]
    signed_news: Callable[[], tuple[Mapping[str, str], bytes]]
    check: Callable[[], None]
    close: Callable[[], None]


def on_the_test_bank(folder: Path) -> Candidate:
    """The built-in test bank."""
    bank = Bank(folder / "test_bank.db", notification_secret=b"the contract suite's own secret.")

    def signed_news() -> tuple[Mapping[str, str], bytes]:
        collect(bank, "news", bank.prepare_method_direct("slow", at=AT))
        bank.run_due(AT + 60_000)
        (delivery,) = bank.due_notifications(AT + 60_000)
        return delivery.headers, delivery.body

    return Candidate(
        provider=bank,
        good_method=lambda: bank.prepare_method_direct("success", at=AT),
        declining_method=lambda: bank.prepare_method_direct("decline", at=AT),
        signed_news=signed_news,
        check=bank.check_books,
        close=bank.close,
    )


PROVIDERS: dict[str, Callable[[Path], Candidate]] = {"test_bank": on_the_test_bank}


@pytest.fixture(params=PROVIDERS)
def candidate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Candidate]:
    """Each provider in turn; its own books must agree at the end of every test."""
    candidate = PROVIDERS[request.param](tmp_path)
    yield candidate
    candidate.check()
    candidate.close()


@pytest.fixture
def provider(candidate: Candidate) -> PaymentProvider:
    """The provider alone."""
    return candidate.provider


def lines(provider: PaymentProvider) -> list[tuple[str, str, int]]:
    """The statement as (kind, key, amount)."""
    return [(line.kind, line.key, line.amount_minor) for line in provider.statement(0, 1_000)]


def balance(provider: PaymentProvider) -> int:
    """Our balance at the provider, from its statement."""
    return sum(line.balance_change_minor for line in provider.statement(0, 1_000))


def test_a_collect_moves_the_money_once(candidate: Candidate) -> None:
    """A collect from a good method succeeds, names itself, and is one line on the statement."""
    outcome = collect(candidate.provider, "k1", candidate.good_method(), 10_000)

    assert isinstance(outcome, Succeeded)
    assert outcome.reference
    assert 0 <= outcome.fee_minor < 10_000
    assert lines(candidate.provider) == [("collected", "k1", 10_000)]
    assert balance(candidate.provider) == 10_000 - outcome.fee_minor


def test_the_same_key_collects_once(candidate: Candidate) -> None:
    """The same request again, even later, gives the first outcome and moves nothing."""
    method = candidate.good_method()
    first = collect(candidate.provider, "k1", method, at=AT)

    assert collect(candidate.provider, "k1", method, at=AT + 5_000) == first
    assert lines(candidate.provider) == [("collected", "k1", 10_000)]


def test_the_same_key_twice_in_one_batch_collects_once(candidate: Candidate) -> None:
    """A batch that holds a request twice answers both with the one outcome."""
    request = CollectRequest(
        key="k1", method_id=candidate.good_method(), amount_minor=500, currency="BRL", at=AT
    )

    first, second = candidate.provider.collect_many([request, request])

    assert first == second
    assert lines(candidate.provider) == [("collected", "k1", 500)]


@pytest.mark.parametrize(
    ("amount_minor", "currency"), [(10_001, "BRL"), (10_000, "EUR")], ids=["amount", "currency"]
)
def test_a_key_with_other_content_is_refused(
    candidate: Candidate, amount_minor: int, currency: str
) -> None:
    """A key used for one thing cannot be used for another, and the first stays as it was."""
    method = candidate.good_method()
    first = collect(candidate.provider, "k1", method)

    with pytest.raises(KeyConflict) as conflict:
        collect(candidate.provider, "k1", method, amount_minor, currency)

    assert conflict.value.key == "k1"
    assert candidate.provider.look_up("k1") == first


def test_a_key_with_another_method_is_refused(candidate: Candidate) -> None:
    """The method belongs to what a key stands for."""
    collect(candidate.provider, "k1", candidate.good_method())

    with pytest.raises(KeyConflict):
        collect(candidate.provider, "k1", candidate.good_method())


def test_a_key_of_another_kind_is_refused(candidate: Candidate) -> None:
    """A collect's key can be neither a refund's nor a payout's, however alike they are else."""
    method = candidate.good_method()
    collect(candidate.provider, "k1", method)

    with pytest.raises(KeyConflict):
        refund(candidate.provider, "k1", method)
    with pytest.raises(KeyConflict):
        pay_out(candidate.provider, "k1", method)


def test_a_refunds_key_with_other_content_is_refused(candidate: Candidate) -> None:
    """Neither the amount nor the collect of a refund can change under its key."""
    method = candidate.good_method()
    collect(candidate.provider, "k1", method)
    collect(candidate.provider, "k2", method)
    refund(candidate.provider, "r1", "k1", 100)

    with pytest.raises(KeyConflict):
        refund(candidate.provider, "r1", "k1", 101)
    with pytest.raises(KeyConflict):
        refund(candidate.provider, "r1", "k2", 100)


def test_a_payouts_key_with_other_content_is_refused(provider: PaymentProvider) -> None:
    """Neither the amount nor the account of a payout can change under its key."""
    pay_out(provider, "p1", "account-1", 100)

    with pytest.raises(KeyConflict):
        pay_out(provider, "p1", "account-1", 101)
    with pytest.raises(KeyConflict):
        pay_out(provider, "p1", "account-2", 100)


def test_a_conflict_undoes_its_whole_batch(candidate: Candidate) -> None:
    """Where one key of a batch conflicts, nothing of the batch was done."""
    method = candidate.good_method()
    collect(candidate.provider, "k1", method)
    batch = [
        CollectRequest(key=key, method_id=method, amount_minor=77, currency="BRL", at=AT)
        for key in ("k0", "k1", "k2")
    ]

    with pytest.raises(KeyConflict):
        candidate.provider.collect_many(batch)

    assert candidate.provider.look_up("k0") is None
    assert candidate.provider.look_up("k2") is None
    assert lines(candidate.provider) == [("collected", "k1", 10_000)]


def test_a_decline_moves_nothing_and_is_final(candidate: Candidate) -> None:
    """A declined collect is declined for ever under its key, and is on no statement."""
    method = candidate.declining_method()
    outcome = collect(candidate.provider, "k1", method)

    assert isinstance(outcome, Declined)
    assert outcome.code
    assert collect(candidate.provider, "k1", method) == outcome
    assert candidate.provider.look_up("k1") == outcome
    assert lines(candidate.provider) == []


def test_a_method_nobody_prepared_is_declined(provider: PaymentProvider) -> None:
    """A collect from an unknown method is declined, not an error of the batch."""
    outcome = collect(provider, "k1", "no-such-method")

    assert isinstance(outcome, Declined)
    assert not outcome.retryable


def test_outcomes_come_in_the_order_of_the_requests(candidate: Candidate) -> None:
    """Each outcome of a batch stands where its request stood."""
    good, bad = candidate.good_method(), candidate.declining_method()
    methods = [good, bad, bad, good, bad]
    batch = [
        CollectRequest(key=f"k{n}", method_id=method, amount_minor=100, currency="BRL", at=AT)
        for n, method in enumerate(methods)
    ]

    outcomes = candidate.provider.collect_many(batch)

    assert [isinstance(outcome, Succeeded) for outcome in outcomes] == [
        method == good for method in methods
    ]
    assert outcomes == [candidate.provider.look_up(request.key) for request in batch]


def test_an_empty_batch_is_nothing(provider: PaymentProvider) -> None:
    """No requests, no outcomes, no error."""
    assert provider.collect_many([]) == []
    assert provider.refund_many([]) == []
    assert provider.pay_out_many([]) == []


def test_look_up_knows_every_kind_and_nothing_else(candidate: Candidate) -> None:
    """The outcome under our key is found again; a key never used is None."""
    provider = candidate.provider
    collected = collect(provider, "k1", candidate.good_method())
    refunded = refund(provider, "r1", "k1")
    paid = pay_out(provider, "p1")

    assert provider.look_up("k1") == collected
    assert provider.look_up("r1") == refunded
    assert provider.look_up("p1") == paid
    assert provider.look_up("k2") is None


def test_a_collect_is_refunded_in_parts_and_never_beyond(candidate: Candidate) -> None:
    """Refunds add up to the collect at most; the one that would go beyond is declined."""
    provider = candidate.provider
    collect(provider, "k1", candidate.good_method(), 10_000)
    if not provider.supports_partial_refund:
        assert isinstance(refund(provider, "r1", "k1", 9_999), Declined)
        assert isinstance(refund(provider, "r2", "k1", 10_000), Succeeded)
        return

    assert isinstance(refund(provider, "r1", "k1", 4_000), Succeeded)
    assert isinstance(refund(provider, "r2", "k1", 6_001), Declined)
    assert isinstance(refund(provider, "r3", "k1", 6_000), Succeeded)
    assert isinstance(refund(provider, "r4", "k1", 1), Declined)
    assert lines(provider)[1:] == [("refunded", "r1", 4_000), ("refunded", "r3", 6_000)]


def test_refunds_in_one_batch_see_each_other(candidate: Candidate) -> None:
    """Two refunds that together exceed the collect do not both succeed."""
    provider = candidate.provider
    collect(provider, "k1", candidate.good_method(), 10_000)
    batch = [
        RefundRequest(key=key, collect_key="k1", amount_minor=10_000, currency="BRL", at=AT)
        for key in ("r1", "r2")
    ]

    first, second = provider.refund_many(batch)

    assert isinstance(first, Succeeded)
    assert isinstance(second, Declined)


def test_the_same_refund_key_refunds_once(candidate: Candidate) -> None:
    """A refund asked for again is the first refund."""
    provider = candidate.provider
    collect(provider, "k1", candidate.good_method())
    first = refund(provider, "r1", "k1")

    assert refund(provider, "r1", "k1", at=AT + 9_000) == first
    assert lines(provider)[1:] == [("refunded", "r1", 10_000)]


def test_only_collected_money_is_refunded(candidate: Candidate) -> None:
    """A refund of nothing, of a declined collect, of another refund or currency is declined."""
    provider = candidate.provider
    collect(provider, "declined", candidate.declining_method())
    collect(provider, "k1", candidate.good_method())
    assert isinstance(refund(provider, "x1", "never-asked"), Declined)
    assert isinstance(refund(provider, "x2", "declined"), Declined)
    assert isinstance(refund(provider, "x3", "k1", currency="EUR"), Declined)
    assert isinstance(refund(provider, "r1", "k1"), Succeeded)
    assert isinstance(refund(provider, "x4", "r1"), Declined)
    assert [kind for kind, _, _ in lines(provider)] == ["collected", "refunded"]


def test_a_payout_leaves_our_balance_once(candidate: Candidate) -> None:
    """A payout takes its amount from our balance, and again under its key takes nothing."""
    provider = candidate.provider
    collect(provider, "k1", candidate.good_method())
    before = balance(provider)
    first = pay_out(provider, "p1", amount_minor=3_000)

    assert isinstance(first, Succeeded)
    assert pay_out(provider, "p1", amount_minor=3_000) == first
    assert balance(provider) == before - 3_000 - first.fee_minor


def test_payouts_in_one_batch_keep_their_order(provider: PaymentProvider) -> None:
    """A batch of payouts answers in order."""
    batch = [
        PayOutRequest(key=f"p{n}", account="a", amount_minor=n, currency="BRL", at=AT)
        for n in range(1, 6)
    ]

    outcomes = provider.pay_out_many(batch)

    assert outcomes == [provider.look_up(request.key) for request in batch]
    assert [amount for _, _, amount in lines(provider)] == [1, 2, 3, 4, 5]


def test_cancel_leaves_what_is_final(candidate: Candidate) -> None:
    """What has succeeded or was declined cannot be cancelled; an unseen key is None."""
    provider = candidate.provider
    collected = collect(provider, "k1", candidate.good_method())
    declined = collect(provider, "k2", candidate.declining_method())

    assert provider.cancel("k1", AT) == collected
    assert provider.cancel("k2", AT) == declined
    assert provider.cancel("k3", AT) is None
    assert lines(provider) == [("collected", "k1", 10_000)]


def test_the_statement_is_gapless_and_can_be_paged(candidate: Candidate) -> None:
    """Lines are numbered from 1 without a gap, and reading in pages gives them all."""
    provider = candidate.provider
    method = candidate.good_method()
    for n in range(7):
        collect(provider, f"k{n}", method)

    pages = [provider.statement(after, 3) for after in (0, 3, 6, 7)]

    assert [[line.no for line in page] for page in pages] == [[1, 2, 3], [4, 5, 6], [7], []]


def test_a_prepared_session_has_no_method_before_a_card_is_given(
    provider: PaymentProvider,
) -> None:
    """Preparing gives a page to send the backer to; the method comes from the page alone."""
    prepared = provider.prepare_method(
        PrepareMethod(reference="pledge-1", description="Later.", return_path="/back", at=AT)
    )

    assert prepared.session in prepared.url
    assert provider.method_of(prepared.session) is None
    assert provider.method_of("no-such-session") is None


def test_signed_news_is_read(candidate: Candidate) -> None:
    """News with the provider's signature is read, whatever the case of the header names."""
    headers, body = candidate.signed_news()
    shouted = {name.upper(): value for name, value in headers.items()}

    (news,) = candidate.provider.parse_notification(headers, body)

    assert news.key == "news"
    assert candidate.provider.parse_notification(shouted, body) == [news]


def test_news_that_was_tampered_with_is_refused(candidate: Candidate) -> None:
    """Not one bit of body or signature can be other than the provider sent it."""
    headers, body = candidate.signed_news()
    parse = candidate.provider.parse_notification

    for place in range(len(body)):
        changed = bytes([*body[:place], body[place] ^ 1, *body[place + 1 :]])
        with pytest.raises(InvalidNotification):
            parse(headers, changed)
    for bad in ({}, dict.fromkeys(headers, "v1=" + "0" * 64), dict.fromkeys(headers, "é")):
        with pytest.raises(InvalidNotification):
            parse(bad, body)


def test_the_currencies_a_provider_takes(provider: PaymentProvider) -> None:
    """A provider says what it takes; what is no currency it does not take."""
    assert provider.accepts_currency("BRL")
    assert not provider.accepts_currency("ZZZ")
    assert isinstance(pay_out(provider, "p1", currency="ZZZ"), Declined)
