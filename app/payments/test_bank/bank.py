"""The test bank's counter: the payment provider, whose every quirk can be chosen by the card."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from app.payments.port import (
    CollectRequest,
    KeyConflict,
    Method,
    Notification,
    OperationKind,
    Outcome,
    PayOutRequest,
    PreparedMethod,
    PrepareMethod,
    RefundRequest,
    StatementLine,
    Unknown,
)
from app.payments.test_bank import books, cards, notifications, rules
from app.payments.test_bank.backroom import Backroom
from app.payments.test_bank.rules import BankTerms
from app.payments.test_bank.store import Operation, Turn
from domain.money import EXPONENTS

Request = CollectRequest | RefundRequest | PayOutRequest

SQLITE_MAX_INTEGER = 2**63 - 1


def _nothing(keys: Sequence[str]) -> None:
    """What happens where no fault is planted."""


class Faults(msgspec.Struct, kw_only=True):
    """Where a test can stop the bank: each is called with the keys of the call and may raise.

    `before_money`: nothing has happened yet. `after_money`: all is committed, the answer is not
    given.
    """

    before_money: Callable[[Sequence[str]], None] = _nothing
    after_money: Callable[[Sequence[str]], None] = _nothing


class Bank(Backroom):
    """The test bank as a `PaymentProvider`. See `Backroom` for `path`, `notification_secret` and
    `origin`. One object may be used by several threads, one call at a time.
    """

    name: ClassVar[str] = "test_bank"
    supports_later_collection: ClassVar[bool] = True
    supports_partial_refund: ClassVar[bool] = True

    def __init__(
        self,
        path: Path,
        *,
        notification_secret: bytes,
        origin: str = "",
        terms: BankTerms | None = None,
        faults: Faults | None = None,
        new_token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        super().__init__(
            path,
            notification_secret=notification_secret,
            origin=origin,
            terms=terms,
            new_token=new_token,
        )
        self.faults = faults or Faults()

    def accepts_currency(self, currency: str) -> bool:
        """Every currency of ISO 4217 that is money."""
        return currency in EXPONENTS

    # Methods

    def prepare_method(self, request: PrepareMethod) -> PreparedMethod:
        """Open a session on the hosted page."""
        session = self._new_token()
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, NULL)",
                (session, request.reference, request.description, request.return_path, request.at),
            )
        return PreparedMethod(session=session, url=f"{self._pages}/pay/{session}")

    def method_of(self, session: str) -> Method | None:
        """The method given in this session; None while there is none."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT m.id, s.reference, m.last4, m.fingerprint FROM session s "
                "JOIN method m ON m.id = s.method_id WHERE s.id = ?",
                (session,),
            ).fetchone()
        if row is None:
            return None
        method_id, reference, last4, fingerprint = row
        return Method(
            method_id=method_id, reference=reference, last4=last4, fingerprint=fingerprint
        )

    # Money

    def collect_many(self, requests: Sequence[CollectRequest]) -> list[Outcome]:
        """Take money from cards, in one transaction."""
        keys = [request.key for request in requests]
        self.faults.before_money(keys)
        outcomes: list[Outcome] = []
        with self._store.turn() as turn:
            known = turn.operations(keys)
            methods = turn.methods({request.method_id for request in requests})
            for request in requests:
                operation = known.get(request.key)
                if operation is not None:
                    outcomes.append(self._again(operation, "collect", request, request.method_id))
                    continue
                operation = _new_operation(turn, "collect", request, request.method_id)
                operation.return_path = request.return_path
                known[request.key] = operation
                method = methods.get(request.method_id)
                rules.collect(turn, operation, method, self.terms, self._new_token)
                lost = method is not None and method.behaviour == "timeout"
                outcomes.append(Unknown() if lost else rules.outcome_of(operation, self._pages))
        self.faults.after_money(keys)
        return outcomes

    def refund_many(self, requests: Sequence[RefundRequest]) -> list[Outcome]:
        """Give collected money back, in one transaction."""
        keys = [request.key for request in requests]
        self.faults.before_money(keys)
        outcomes: list[Outcome] = []
        with self._store.turn() as turn:
            known = turn.operations([*keys, *(request.collect_key for request in requests)])
            methods = turn.methods(
                {operation.subject for operation in known.values() if operation.kind == "collect"}
            )
            for request in requests:
                operation = known.get(request.key)
                if operation is not None:
                    outcomes.append(self._again(operation, "refund", request, request.collect_key))
                    continue
                operation = _new_operation(turn, "refund", request, request.collect_key)
                collected = known.get(request.collect_key)
                known[request.key] = operation
                method = methods.get(collected.subject) if collected else None
                rules.refund(turn, operation, collected, method, self.terms)
                outcomes.append(rules.outcome_of(operation, self._pages))
        self.faults.after_money(keys)
        return outcomes

    def pay_out_many(self, requests: Sequence[PayOutRequest]) -> list[Outcome]:
        """Send money to creators' accounts, in one transaction."""
        keys = [request.key for request in requests]
        self.faults.before_money(keys)
        outcomes: list[Outcome] = []
        with self._store.turn() as turn:
            known = turn.operations(keys)
            for request in requests:
                operation = known.get(request.key)
                if operation is not None:
                    outcomes.append(self._again(operation, "pay_out", request, request.account))
                    continue
                operation = _new_operation(turn, "pay_out", request, request.account)
                known[request.key] = operation
                rules.pay_out(turn, operation, self.terms)
                lost = request.account == cards.ACCOUNT_TIMEOUT
                outcomes.append(Unknown() if lost else rules.outcome_of(operation, self._pages))
        self.faults.after_money(keys)
        return outcomes

    def cancel(self, key: str, at: int) -> Outcome | None:
        """Withdraw a collect that waits for the card holder; any other is left as it is."""
        with self._store.turn() as turn:
            operation = turn.operations([key]).get(key)
            if operation is None:
                return None
            if operation.state == "action_required":
                if at < operation.expires_at:
                    rules.decline(operation, "cancelled")
                else:
                    rules.decline(operation, "confirmation_expired", retryable=True)
                turn.change(operation)
        return rules.outcome_of(operation, self._pages)

    def look_up(self, key: str) -> Outcome | None:
        """The present outcome under this key; None: the bank never saw it."""
        with self._store.reading() as connection:
            operation = Turn(connection).operations([key]).get(key)
        return rules.outcome_of(operation, self._pages) if operation else None

    def parse_notification(self, headers: Mapping[str, str], body: bytes) -> list[Notification]:
        """Check the signature and read it. Raises InvalidNotification."""
        return notifications.parse(self._notification_secret, headers, body)

    # The books as the merchant sees them

    def statement(self, after: int = 0, limit: int = 1_000) -> list[StatementLine]:
        """The merchant's statement, after line `after`."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT l.no, l.kind, o.key, o.no, l.amount_minor, l.fee_minor, l.currency, l.at "
                "FROM line l JOIN operation o ON o.no = l.operation "
                "WHERE l.no > ? ORDER BY l.no LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            StatementLine(
                no=no,
                kind=kind,
                key=key,
                reference=f"TB{operation}",
                amount_minor=amount,
                fee_minor=fee,
                currency=currency,
                at=at,
            )
            for no, kind, key, operation, amount, fee, currency, at in rows
        ]

    def totals(self, up_to: int = SQLITE_MAX_INTEGER) -> dict[str, books.Totals]:
        """The statement's totals by currency, up to and including line `up_to`."""
        with self._store.reading() as connection:
            return books.totals(connection, up_to)

    def operations(self, after: int = 0, limit: int = 1_000) -> list[Operation]:
        """Everything the merchant ever asked, also what was declined, after operation `after`."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM operation WHERE no > ? ORDER BY no LIMIT ?", (after, limit)
            ).fetchall()
        return [Operation(*row) for row in rows]

    def check_books(self) -> None:
        """Raise BooksBroken unless the bank's books agree with themselves."""
        with self._store.reading() as connection:
            books.check_books(connection)

    def _again(
        self, operation: Operation, kind: OperationKind, request: Request, subject: str
    ) -> Outcome:
        """The present outcome of a key used before. Raises KeyConflict for other content."""
        before = (operation.kind, operation.subject, operation.amount_minor, operation.currency)
        if before != (kind, subject, request.amount_minor, request.currency):
            raise KeyConflict(request.key)
        return rules.outcome_of(operation, self._pages)


def _new_operation(turn: Turn, kind: OperationKind, request: Request, subject: str) -> Operation:
    operation = Operation(
        turn.next_operation(),
        request.key,
        kind,
        subject,
        request.amount_minor,
        request.currency,
        request.at,
    )
    turn.add(operation)
    return operation
