"""A kill at any point, or two asking at once, never moves money twice and never hides it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.payments.port import CollectRequest, PayOutRequest, RefundRequest, Succeeded
from app.payments.test_bank.bank import Bank, Faults
from tests.payments.asking import AT, collect, pay_out, refund

KEYS = ["k0", "k1", "k2"]

# Run as a process of its own and killed by itself where the argument says; 9 is its exit code.
ASK_AND_DIE = """
import os, sys
from pathlib import Path
from app.payments.port import CollectRequest
from app.payments.test_bank.bank import Bank, Faults
from app.payments.test_bank.store import Turn

path, where, method = sys.argv[1:]
die = lambda *_: os._exit(9)
write = Turn.write
if where == "before_commit":
    Turn.write = lambda turn: (write(turn), die())
faults = Faults(**{where: die}) if where != "before_commit" else Faults()
bank = Bank(Path(path), notification_secret=b"secret", faults=faults)
bank.collect_many([
    CollectRequest(key=k, method_id=method, amount_minor=10000, currency="BRL", at=1700000000000)
    for k in ("k0", "k1", "k2")
])
"""


@pytest.mark.parametrize(
    ("where", "moved"), [("before_money", 0), ("before_commit", 0), ("after_money", 3)]
)
def test_a_killed_batch_is_whole_or_nothing_and_can_be_asked_again(
    bank: Bank, bank_path: Path, where: str, moved: int
) -> None:
    """After a real kill the bank knows all of the batch or none, and asking again ends with each
    collect made exactly once.
    """
    method = bank.prepare_method_direct(at=AT)

    died = subprocess.run(
        [sys.executable, "-c", ASK_AND_DIE, str(bank_path), where, method],
        check=False,
        timeout=60,
    )

    assert died.returncode == 9
    found = [bank.look_up(key) for key in KEYS]
    assert sum(isinstance(outcome, Succeeded) for outcome in found) == moved
    assert sum(outcome is None for outcome in found) == 3 - moved
    again = [collect(bank, key, method) for key in KEYS]
    assert all(isinstance(outcome, Succeeded) for outcome in again)
    assert moved == 0 or again == found
    assert [line.key for line in bank.statement()] == KEYS


def failing(keys: Sequence[str]) -> None:
    """A connection lost at this point."""
    raise ConnectionError


@pytest.mark.parametrize("point", ["before_money", "after_money"])
def test_a_lost_connection_leaves_every_kind_of_operation_to_be_looked_up(
    bank: Bank, point: str
) -> None:
    """An exception says nothing about the money; `look_up` does, and asking again moves it once."""
    collect(bank, "k", bank.prepare_method_direct(at=AT))
    setattr(bank.faults, point, failing)
    with pytest.raises(ConnectionError):
        refund(bank, "r", "k")
    with pytest.raises(ConnectionError):
        pay_out(bank, "p")
    bank.faults = Faults()

    for key in ("r", "p"):
        assert (bank.look_up(key) is not None) == (point == "after_money")
    refund(bank, "r", "k")
    pay_out(bank, "p")
    assert [line.kind for line in bank.statement()] == ["collected", "refunded", "paid_out"]


def test_faults_see_the_keys_of_the_call(bank: Bank) -> None:
    """A test can choose the call it breaks by its keys."""
    seen: list[Sequence[str]] = []
    bank.faults = Faults(before_money=seen.append, after_money=seen.append)
    method = bank.prepare_method_direct(at=AT)

    bank.collect_many(
        [
            CollectRequest(key=key, method_id=method, amount_minor=1, currency="BRL", at=AT)
            for key in KEYS
        ]
    )
    bank.refund_many(
        [RefundRequest(key="r", collect_key="k0", amount_minor=1, currency="BRL", at=AT)]
    )
    bank.pay_out_many([PayOutRequest(key="p", account="a", amount_minor=1, currency="BRL", at=AT)])

    assert seen == [KEYS, KEYS, ["r"], ["r"], ["p"], ["p"]]


def test_many_asking_at_once_collect_once(bank: Bank, bank_path: Path) -> None:
    """Threads on one bank and on a second one of the same file, all asking for the same: once."""
    second = Bank(bank_path, notification_secret=b"secret")
    method = bank.prepare_method_direct(at=AT)
    answers: list[list[object]] = []
    start = threading.Barrier(4)

    def ask(bank: Bank) -> None:
        start.wait()
        answers.append([collect(bank, f"k{n}", method) for n in range(25)])

    threads = [threading.Thread(target=ask, args=(b,)) for b in (bank, bank, second, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()

    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    assert sorted(line.key for line in bank.statement()) == sorted(f"k{n}" for n in range(25))


def test_two_refunds_at_once_do_not_exceed_the_collect(bank: Bank, bank_path: Path) -> None:
    """Of refunds that race for the same money only as many succeed as there is money."""
    second = Bank(bank_path, notification_secret=b"secret")
    collect(bank, "k", bank.prepare_method_direct(at=AT), 1_000)
    start = threading.Barrier(2)

    def ask(bank: Bank, name: str) -> None:
        start.wait()
        for n in range(10):
            refund(bank, f"{name}/{n}", "k", 100)

    threads = [
        threading.Thread(target=ask, args=(bank, "a")),
        threading.Thread(target=ask, args=(second, "b")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()

    assert bank.totals()["BRL"].refunded_minor == 1_000
    assert sum(line.kind == "refunded" for line in bank.statement()) == 10
