"""The test bank's books add up whatever is asked of it, and their check sees when they do not."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.payments.port import Declined, DisputeOpened, Pending, Succeeded
from app.payments.test_bank import cards
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.books import BooksBroken, Totals
from app.payments.test_bank.cards import BEHAVIOURS
from app.payments.test_bank.notifications import deliver_due
from tests.payments.asking import AT, collect, pay_out, refund

ACCOUNTS = ("account-1", cards.ACCOUNT_CLOSED, cards.ACCOUNT_SLOW, cards.ACCOUNT_RETURNED)

# What is asked: (what, of which card or earlier collect, amount, whether twice; or how decided).
actions = st.lists(
    st.tuples(
        st.sampled_from(["collect", "refund", "pay_out", "confirm", "cancel", "wait", "decide"]),
        st.integers(0, 30),
        st.integers(1, 3_000),
        st.booleans(),
    ),
    max_size=25,
)


class Bystander:
    """Asks the bank for things at random and keeps the simplest possible books of the answers."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.methods = bank.prepare_methods_direct(BEHAVIOURS, at=AT)
        self.at = AT
        self.asked: list[str] = []
        self.collects: list[str] = []
        self.disputes: list[str] = []

    def do(self, what: str, which: int, amount: int, twice: bool) -> None:
        """Do one thing; what is asked twice must be answered the same and count once."""
        self.at += 100
        key = f"{what}/{len(self.asked)}"
        match what:
            case "collect":
                method = self.methods[which % len(self.methods)]
                self.collects.append(key)
                for _ in range(1 + twice):
                    collect(self.bank, key, method, amount, at=self.at)
            case "refund" if self.collects:
                of = self.collects[which % len(self.collects)]
                first = refund(self.bank, key, of, amount, at=self.at)
                assert not twice or refund(self.bank, key, of, amount, at=self.at + 1) == first
            case "pay_out":
                account = ACCOUNTS[which % len(ACCOUNTS)]
                first = pay_out(self.bank, key, account, amount, at=self.at)
                assert not twice or pay_out(self.bank, key, account, amount) == first
            case "confirm":
                for operation in self.bank.operations():
                    if operation.state == "action_required":
                        self.bank.confirm(operation, self.at, approved=twice)
            case "cancel" if self.collects:
                self.bank.cancel(self.collects[which % len(self.collects)], self.at)
            case "wait":
                self.at += 1_000
                deliver_due(self.bank, self.at, self._hear)
            case "decide" if self.disputes:
                self.bank.decide_dispute(self.disputes.pop(), self.at, won=twice)
        self.asked.append(key)

    def _hear(self, headers: object, body: bytes) -> int:
        assert isinstance(headers, dict)
        for news in self.bank.parse_notification(headers, body):
            if isinstance(news, DisputeOpened):
                self.disputes.append(news.dispute_id)
        return 200


@settings(max_examples=80, deadline=None)
@given(actions)
def test_whatever_is_asked_the_books_add_up(
    asked: list[tuple[str, int, int, bool]],
) -> None:
    """After any sequence: the books agree with themselves, with every outcome, and no collect gave
    back more than it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank(Path(folder) / "bank.db", notification_secret=b"secret")
        bystander = Bystander(bank)
        for action in asked:
            bystander.do(*action)

        bank.check_books()
        lines = bank.statement(0, 10_000)
        kinds = Counter((line.key, line.kind) for line in lines)
        assert all(count == 1 for count in kinds.values())
        moved = {line.key for line in lines}
        returned: Counter[str] = Counter()
        for operation in bank.operations():
            outcome = bank.look_up(operation.key)
            assert isinstance(outcome, Succeeded) == (operation.key in moved)
            if operation.kind == "refund" and isinstance(outcome, Succeeded | Pending):
                returned[operation.subject] += operation.amount_minor
        for dispute, collected in bank.disputes():
            if dispute.state != "won":
                returned[collected.key] += dispute.amount_minor
        for operation in bank.operations():
            assert returned[operation.key] <= operation.amount_minor
        change = sum(line.balance_change_minor for line in lines)
        assert change == sum(total.clearing_minor for total in bank.totals().values())
        bank.close()


def test_totals_by_currency_and_up_to_a_line(bank: Bank) -> None:
    """Totals are kept apart by currency, and can be asked for as of an earlier line."""
    method = bank.prepare_method_direct(at=AT)
    collect(bank, "k1", method, 10_000, "BRL")
    collect(bank, "k2", method, 700, "JPY")
    refund(bank, "r1", "k1", 2_500)
    pay_out(bank, "p1", amount_minor=5_000)
    bank.transfer_in("repaid/1", 900, "BRL", AT)

    totals = bank.totals()

    assert totals["BRL"] == Totals(
        currency="BRL",
        collected_minor=10_000,
        fees_minor=100,
        refunded_minor=2_500,
        paid_out_minor=5_000,
        pay_outs_returned_minor=0,
        transferred_in_minor=900,
        disputed_minor=0,
        dispute_lost_minor=0,
        dispute_fees_minor=0,
        clearing_minor=10_000 - 100 - 2_500 - 5_000 + 900,
    )
    assert totals["JPY"].collected_minor == 700
    assert totals["JPY"].clearing_minor == 693
    assert bank.totals(up_to=2)["BRL"].refunded_minor == 0
    assert bank.totals(up_to=0) == {}


def test_a_transfer_in_counts_once(bank: Bank) -> None:
    """Money somebody sends us is there once, however often the bank is told of it."""
    first = bank.transfer_in("repaid/1", 900, "BRL", AT)

    assert bank.transfer_in("repaid/1", 900, "BRL", AT + 1) == first
    assert bank.look_up("repaid/1") == first
    assert bank.totals()["BRL"].transferred_in_minor == 900


def test_every_operation_can_be_read_also_the_declined(bank: Bank) -> None:
    """An audit can go through all that was ever asked, in pages."""
    collect(bank, "k1", bank.prepare_method_direct(at=AT))
    collect(bank, "k2", bank.prepare_method_direct("decline", at=AT))
    assert isinstance(bank.look_up("k2"), Declined)

    assert [(o.key, o.state) for o in bank.operations()] == [
        ("k1", "succeeded"),
        ("k2", "declined"),
    ]
    assert [o.key for o in bank.operations(after=1, limit=1)] == ["k2"]


def test_the_books_are_on_file(tmp_path: Path) -> None:
    """Opened again, the bank knows every key and every cent."""
    first = Bank(tmp_path / "bank.db", notification_secret=b"secret")
    outcome = collect(first, "k1", first.prepare_method_direct(at=AT))
    first.close()

    again = Bank(tmp_path / "bank.db", notification_secret=b"secret")

    assert again.look_up("k1") == outcome
    assert again.totals()["BRL"].collected_minor == 10_000
    again.close()


TAMPERING = {
    "entry moved to another account": "UPDATE line SET clearing = clearing - 1, "
    "outside = outside + 1 WHERE no = 1",
    "line of another amount": "UPDATE line SET amount_minor = amount_minor + 1 WHERE no = 1",
    "line removed": "DELETE FROM line WHERE no = 1",
    "last line removed": "DELETE FROM line WHERE no = 2",
    "line doubled": "INSERT INTO line SELECT 3, operation, kind, amount_minor, fee_minor, "
    "currency, at, card_holders, outside, clearing, disputed, bank_fees FROM line WHERE no = 1",
    "operation declined after the fact": "UPDATE operation SET state = 'declined' WHERE no = 1",
    "fee changed": "UPDATE operation SET fee_minor = fee_minor + 1 WHERE no = 1",
    "refund forgotten": "UPDATE operation SET returned_minor = 0 WHERE no = 1",
    "refund removed": "DELETE FROM operation WHERE no = 2",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_the_check_sees_tampering(tmp_path: Path, how: str) -> None:
    """Each way of changing the books by hand is found."""
    path = tmp_path / "bank.db"
    bank = Bank(path, notification_secret=b"secret")
    collect(bank, "k1", bank.prepare_method_direct(at=AT))
    refund(bank, "r1", "k1", 100)
    bank.check_books()

    connection = sqlite3.connect(path)
    assert connection.execute(TAMPERING[how]).rowcount == 1
    connection.commit()
    connection.close()

    with pytest.raises(BooksBroken):
        bank.check_books()
    bank.close()


def test_an_unbalanced_line_cannot_be_written(bank: Bank, bank_path: Path) -> None:
    """The file itself refuses an entry that does not sum to zero."""
    collect(bank, "k1", bank.prepare_method_direct(at=AT))
    connection = sqlite3.connect(bank_path)

    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE line SET clearing = clearing + 1 WHERE no = 1")
    connection.close()
