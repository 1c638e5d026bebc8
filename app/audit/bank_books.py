"""The test bank's books as an auditor reads them: its file, for reading only, at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.audit.reader import open_for_reading
from app.payments.port import (
    DisputeDecided,
    DisputeOpened,
    LineKind,
    Notification,
    OutcomeReported,
    PayOutReturned,
)
from app.payments.test_bank.books import BooksBroken, check_books

PROVIDER: Final = "test_bank"
"""The bank's name in our accounts."""

# `TB` and `TBD` begin what the bank calls its operations and disputes (`Operation.reference`,
# `Dispute.dispute_id`); a returned payout is called by its news. A collect has one dispute at most.
_LINES: Final = """
    SELECT l.no, l.kind, coalesce(o.key, ''),
        CASE
            WHEN l.kind LIKE 'dispute%' THEN 'TBD' || d.no
            WHEN l.kind = 'pay_out_returned' THEN 'TB' || l.operation || '/returned'
            ELSE 'TB' || l.operation
        END,
        l.amount_minor, l.fee_minor, l.clearing, l.disputed, l.currency, o.no IS NOT NULL
    FROM line l
    LEFT JOIN operation o ON o.no = l.operation
    LEFT JOIN dispute d ON d.operation = l.operation
    ORDER BY l.no"""
_UNDELIVERED: Final = "SELECT body FROM notification WHERE delivered_at IS NULL"

_news: msgspec.json.Decoder[Notification] = msgspec.json.Decoder(Notification)


class BankLine(NamedTuple):
    """One movement on our account at the bank, in minor units.

    `reference` is the bank's word for the operation, for a dispute that of the dispute. By
    `clearing_minor` and `disputed_minor` our two balances at the bank change. `known` is False
    where the bank itself has lost the operation.
    """

    no: int
    kind: LineKind
    key: str
    reference: str
    amount_minor: int
    fee_minor: int
    clearing_minor: int
    disputed_minor: int
    currency: str
    known: bool


class BankBooks:
    """The bank's file at the moment when this was made. Close it soon: it holds that moment.

    Raises CannotAudit where there is no file.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_for_reading(path)
        # The first read fixes the moment.
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT count(*) FROM bank").fetchone()

    def contradiction(self) -> str:
        """What the bank's books contradict themselves in; empty where they do not."""
        try:
            check_books(self._connection)
        except BooksBroken as broken:
            return str(broken)
        return ""

    def lines(self) -> Iterator[BankLine]:
        """Every movement, in the bank's order."""
        return map(BankLine._make, self._connection.execute(_LINES))

    def untold(self) -> Iterator[tuple[LineKind | None, str]]:
        """What the bank has not told us yet: the kind of line, and its key or dispute id.

        The kind is None for the outcome of an operation, whatever it is.
        """
        for (body,) in self._connection.execute(_UNDELIVERED):
            news = _news.decode(body)
            match news:
                case OutcomeReported():
                    yield None, news.key
                case DisputeOpened():
                    yield "dispute_opened", news.dispute_id
                case DisputeDecided():
                    yield "dispute_won" if news.won else "dispute_lost", news.dispute_id
                case PayOutReturned():
                    yield "pay_out_returned", news.key

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
