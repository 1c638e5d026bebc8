"""How the test bank's news reaches us: signed, at least once, and again after a failure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.payments.port import InvalidNotification, OutcomeReported
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.notifications import (
    LAST_RETRY_MS,
    MAX_BODY_BYTES,
    SIGNATURE_HEADER,
    deliver_due,
    parse,
    retry_after_ms,
    sign,
)
from tests.payments.asking import AT, collect

LATER = AT + 60_000


class Merchant:
    """Our side of the wire: takes news, or answers with the statuses it was told to."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []

    def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """Hear one notification."""
        self.bodies.append(body)
        return self.statuses.pop(0) if self.statuses else 200


def test_news_is_delivered_once_when_it_is_taken(bank: Bank) -> None:
    """News that was answered with success is not sent again."""
    collect(bank, "k", bank.prepare_method_direct("slow", at=AT))
    merchant = Merchant()

    assert deliver_due(bank, LATER, merchant.post) == 1
    assert deliver_due(bank, LATER, merchant.post) == 0
    assert len(merchant.bodies) == 1


@pytest.mark.parametrize("status", [199, 302, 404, 500, 503])
def test_news_that_was_not_taken_comes_again_later(bank: Bank, status: int) -> None:
    """Any answer but 2xx means: the same news again after a minute, then after two."""
    collect(bank, "k", bank.prepare_method_direct("slow", at=AT))
    merchant = Merchant(status, status)

    assert deliver_due(bank, LATER, merchant.post) == 0
    assert deliver_due(bank, LATER + 59_999, merchant.post) == 0
    assert len(merchant.bodies) == 1
    assert deliver_due(bank, LATER + 60_000, merchant.post) == 0
    assert deliver_due(bank, LATER + 179_999, merchant.post) == 0
    assert deliver_due(bank, LATER + 180_000, merchant.post) == 1
    assert merchant.bodies[0] == merchant.bodies[1] == merchant.bodies[2]


def test_the_wait_between_attempts_is_bounded() -> None:
    """It doubles from a minute and never exceeds six hours."""
    waits = [retry_after_ms(attempts) for attempts in range(1, 100)]

    assert waits[:3] == [60_000, 120_000, 240_000]
    assert max(waits) == LAST_RETRY_MS
    assert waits == sorted(waits)


def test_a_kill_between_sending_and_marking_sends_again(bank: Bank) -> None:
    """What the merchant heard but the bank could not note is heard again, with the same id."""
    collect(bank, "k", bank.prepare_method_direct("slow", at=AT))
    heard: list[bytes] = []

    def killed(headers: Mapping[str, str], body: bytes) -> int:
        heard.append(body)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        deliver_due(bank, LATER, killed)
    merchant = Merchant()

    assert deliver_due(bank, LATER, merchant.post) == 1
    assert merchant.bodies == heard


def test_more_news_than_one_round_holds_is_all_sent(bank: Bank) -> None:
    """Delivery goes on until nothing is due, in the order in which it fell due."""
    method = bank.prepare_method_direct("slow", at=AT)
    for n in range(130):
        collect(bank, f"k{n}", method, at=AT + n)
    merchant = Merchant()

    assert deliver_due(bank, LATER, merchant.post) == 130
    assert len(set(merchant.bodies)) == 130


def test_the_signature_is_hmac_sha256_over_the_raw_body(bank: Bank) -> None:
    """Another implementation of the same rule makes the same signature."""
    collect(bank, "k", bank.prepare_method_direct("slow", at=AT))
    bank.run_due(LATER)
    (delivery,) = bank.due_notifications(LATER)

    mac = hmac.new(b"shared between the bank and us..", delivery.body, hashlib.sha256).hexdigest()

    assert delivery.headers[SIGNATURE_HEADER] == f"v1={mac}"


def test_another_banks_news_is_refused(bank: Bank, tmp_path: Path) -> None:
    """News signed with another secret is not the bank's, however well formed."""
    other = Bank(tmp_path / "other.db", notification_secret=b"a secret of another bank")
    collect(other, "k", other.prepare_method_direct("slow", at=AT))
    other.run_due(LATER)
    (delivery,) = other.due_notifications(LATER)
    other.close()

    with pytest.raises(InvalidNotification):
        bank.parse_notification(delivery.headers, delivery.body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"type":"party"}', b"\xff", b"null"])
def test_a_signed_body_that_says_nothing_we_know_is_refused(body: bytes) -> None:
    """A right signature does not make sense of nonsense."""
    with pytest.raises(InvalidNotification):
        parse(b"secret", sign(b"secret", body), body)


def test_a_body_too_large_is_refused() -> None:
    """Nobody makes us hash megabytes."""
    body = b" " * (MAX_BODY_BYTES + 1)
    with pytest.raises(InvalidNotification, match="bytes"):
        parse(b"secret", sign(b"secret", body), body)


def test_news_says_which_operation_of_ours_it_is_about(bank: Bank) -> None:
    """News carries our key, so that it is never matched by amount or time."""
    key = "log/campaign/7/1"
    collect(bank, key, bank.prepare_method_direct("slow", at=AT))
    bank.run_due(LATER)
    (delivery,) = bank.due_notifications(LATER)

    (news,) = bank.parse_notification(delivery.headers, delivery.body)

    assert isinstance(news, OutcomeReported)
    assert (news.key, news.kind, news.at) == (key, "collect", LATER)
