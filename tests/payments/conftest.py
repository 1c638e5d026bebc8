"""A fresh test bank for every payment test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.payments.test_bank.bank import Bank

NOTIFICATION_SECRET = b"shared between the bank and us.."


@pytest.fixture
def bank_path(tmp_path: Path) -> Path:
    """Where the bank of this test keeps its file."""
    return tmp_path / "test_bank.db"


@pytest.fixture
def bank(bank_path: Path) -> Iterator[Bank]:
    """A bank whose books must agree with themselves when the test is over."""
    bank = Bank(bank_path, notification_secret=NOTIFICATION_SECRET)
    yield bank
    bank.check_books()
    bank.close()
