"""What only the bank does: take cards on its page, hear card holders, decide disputes, do what is
due, and send the news. The merchant sees nothing of this but through `app.payments.port`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

import msgspec

from app.payments.port import KeyConflict, Outcome, check_request
from app.payments.test_bank import cards, notifications, rules
from app.payments.test_bank.cards import Behaviour, MagicCard
from app.payments.test_bank.notifications import Delivery
from app.payments.test_bank.rules import BankTerms
from app.payments.test_bank.store import Dispute, Operation, Store, Task, Turn

PAGES_PATH = "/test-bank"
DUE_BATCH = 1_000


class DisputeError(Exception):
    """There is no such dispute, or it was decided the other way."""


class CardRefusedError(Exception):
    """The hosted page does not take this card: `declined`, or it is none of the test cards."""

    def __init__(self, *, declined: bool) -> None:
        super().__init__("declined" if declined else "not a test card")
        self.declined = declined


class Session(msgspec.Struct, frozen=True):
    """A backer's visit to the hosted page; `method_id` once a card was given."""

    id: str
    reference: str
    description: str
    return_path: str
    at: int
    method_id: str | None


class Backroom:
    """The bank without its counter, on the file at `path`; several may be open on one file.

    `notification_secret` signs the news and is shared with the merchant. `origin` stands before
    the paths of the bank's pages ("https://…", or empty for the merchant's own origin).
    """

    def __init__(
        self,
        path: Path,
        *,
        notification_secret: bytes,
        origin: str = "",
        terms: BankTerms | None = None,
        new_token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self.terms = terms or BankTerms()
        self._store = Store(path)
        self._notification_secret = notification_secret
        self._pages = origin + PAGES_PATH
        self._new_token = new_token

    def close(self) -> None:
        """Close the bank's file."""
        self._store.close()

    # Cards

    def session(self, session: str) -> Session | None:
        """A visit to the hosted page."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT * FROM session WHERE id = ?", (session,)).fetchone()
        return row and Session(*row)

    def give_card(self, session: Session, typed: str, at: int, wallet: str = "") -> str:
        """Take a card number as typed on the hosted page; returns the new method's id.

        The number is not kept. A session takes one card: asked again it returns the first.
        `wallet` tells one browser's cards from another's, as everybody types the same few numbers.
        Raises CardRefusedError for a number that is no magic card, and for the card that is
        declined.
        """
        card = cards.magic_card(typed)
        if card is None:
            raise CardRefusedError(declined=False)
        if card.behaviour == "decline":
            raise CardRefusedError(declined=True)
        with self._store.transaction() as connection:
            (given,) = connection.execute(
                "SELECT method_id FROM session WHERE id = ?", (session.id,)
            ).fetchone()
            if given is not None:
                return str(given)
            method_id = self._add_method(connection, card, self.fingerprint(typed, wallet), at)
            connection.execute(
                "UPDATE session SET method_id = ? WHERE id = ?", (method_id, session.id)
            )
        return method_id

    def fingerprint(self, typed: str, wallet: str = "") -> str:
        """What is equal for the same card, and tells nobody else its number."""
        number = typed.replace(" ", "").replace("-", "")
        return self._mark("card", f"{number} {wallet}".strip())

    def prepare_method_direct(self, behaviour: Behaviour = "success", *, at: int) -> str:
        """A method without a page, for imports and simulations; returns its id."""
        return self.prepare_methods_direct([behaviour], at=at)[0]

    def prepare_methods_direct(self, behaviours: Sequence[Behaviour], *, at: int) -> list[str]:
        """One method for each, in order and in one transaction, each as if of a card of its own.
        Raises ValueError for a behaviour that no magic card has.
        """
        by_behaviour = {card.behaviour: card for card in cards.MAGIC_CARDS}
        unknown = set(behaviours) - set(by_behaviour)
        if unknown:
            raise ValueError(f"no magic card behaves like {sorted(unknown)}")
        with self._store.transaction() as connection:
            return [
                self._add_method(connection, by_behaviour[behaviour], None, at)
                for behaviour in behaviours
            ]

    def form_token(self, purpose: str, subject: str) -> str:
        """What a form of the bank's pages carries, so that no other site can send it."""
        return self._mark(f"form {purpose}", subject)

    # Decisions

    def to_confirm(self, token: str) -> Operation | None:
        """The collect that the card holder is asked about on the confirmation page."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT * FROM operation WHERE token = ? AND token <> ''", (token,)
            ).fetchone()
        return row and Operation(*row)

    def confirm(self, operation: Operation, at: int, *, approved: bool) -> Operation:
        """The card holder's answer. What was decided before stays as it is."""
        with self._store.turn() as turn:
            present = turn.operations([operation.key])[operation.key]
            if present.state != "action_required":
                return present
            if at >= present.expires_at:
                rules.decline(present, "confirmation_expired", retryable=True)
            elif approved:
                rules.settle(turn, present, self.terms, at)
            else:
                rules.decline(present, "confirmation_refused")
            turn.change(present)
            rules.report(turn, present, at)
        return present

    def disputes(self) -> list[tuple[Dispute, Operation]]:
        """Every dispute with its collect, the newest first."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT d.*, o.* FROM dispute d JOIN operation o ON o.no = d.operation "
                "ORDER BY d.no DESC"
            ).fetchall()
        width = len(Dispute.__struct_fields__)
        return [(Dispute(*row[:width]), Operation(*row[width:])) for row in rows]

    def decide_dispute(self, dispute_id: str, at: int, *, won: bool) -> Dispute:
        """Decide for the merchant (`won`) or the card holder; the same again changes nothing.
        Raises DisputeError.
        """
        with self._store.turn() as turn:
            row = turn.connection.execute(
                "SELECT * FROM dispute WHERE 'TBD' || no = ?", (dispute_id,)
            ).fetchone()
            if row is None:
                raise DisputeError(f"There is no dispute {dispute_id!r}.")
            dispute = Dispute(*row)
            if dispute.state == "open":
                rules.decide_dispute(
                    turn, dispute, _operation(turn, dispute.operation), self.terms, at, won=won
                )
                turn.connection.execute(
                    "UPDATE dispute SET state = ?, decided_at = ? WHERE no = ?",
                    (dispute.state, dispute.decided_at, dispute.no),
                )
            elif (dispute.state == "won") != won:
                raise DisputeError(f"Dispute {dispute_id} was {dispute.state} before.")
        return dispute

    def transfer_in(self, key: str, amount_minor: int, currency: str, at: int) -> Outcome:
        """Somebody sends the merchant money, as a creator who repays a debt. Raises KeyConflict."""
        check_request(key, amount_minor, currency)
        with self._store.turn() as turn:
            operation = turn.operations([key]).get(key)
            if operation is None:
                operation = Operation(
                    turn.next_operation(), key, "transfer_in", "", amount_minor, currency, at
                )
                turn.add(operation)
                rules.settle(turn, operation, self.terms, at)
            elif (operation.kind, operation.amount_minor, operation.currency) != (
                "transfer_in",
                amount_minor,
                currency,
            ):
                raise KeyConflict(key)
        return rules.outcome_of(operation, self._pages)

    # Time and news

    def run_due(self, at: int) -> int:
        """Do all that is due at `at`: settle, expire, open disputes, return payouts. Returns how
        much was done.
        """
        done = 0
        while batch := self._run_due_batch(at):
            done += batch
        return done

    def due_notifications(self, at: int, limit: int = notifications.BATCH) -> list[Delivery]:
        """The next signed notifications to send, in the order in which they fell due."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT no, body FROM notification WHERE delivered_at IS NULL AND due_at <= ? "
                "ORDER BY due_at, no LIMIT ?",
                (at, limit),
            ).fetchall()
        return [
            Delivery(no=no, headers=notifications.sign(self._notification_secret, body), body=body)
            for no, body in rows
        ]

    def mark_delivered(self, no: int, at: int) -> None:
        """The merchant has this notification."""
        with self._store.transaction() as connection:
            connection.execute("UPDATE notification SET delivered_at = ? WHERE no = ?", (at, no))

    def mark_failed(self, no: int, at: int) -> None:
        """The merchant did not take this notification: it is due again later."""
        with self._store.transaction() as connection:
            (attempts,) = connection.execute(
                "UPDATE notification SET attempts = attempts + 1 WHERE no = ? RETURNING attempts",
                (no,),
            ).fetchone()
            connection.execute(
                "UPDATE notification SET due_at = ? WHERE no = ?",
                (at + notifications.retry_after_ms(attempts), no),
            )

    def _run_due_batch(self, at: int) -> int:
        with self._store.turn() as turn:
            tasks = turn.connection.execute(
                "SELECT no, kind, operation FROM task WHERE due_at <= ? "
                "ORDER BY due_at, no LIMIT ?",
                (at, DUE_BATCH),
            ).fetchall()
            for _, kind, number in tasks:
                self._do(turn, kind, _operation(turn, number), at)
            turn.connection.executemany(
                "DELETE FROM task WHERE no = ?", [(no,) for no, _, _ in tasks]
            )
        return len(tasks)

    def _do(self, turn: Turn, task: Task, operation: Operation, at: int) -> None:
        """Do one task. An operation has at most one, so what is on file of it is current."""
        match task:
            case "settle":
                self._settle_pending(turn, operation, at)
            case "expire":
                if operation.state == "action_required":
                    rules.decline(operation, "confirmation_expired", retryable=True)
                    turn.change(operation)
                    rules.report(turn, operation, at)
            case "open_dispute":
                if operation.remainder_minor:
                    dispute = rules.open_dispute(turn, operation, turn.next_dispute(), at)
                    turn.connection.execute(
                        "INSERT INTO dispute VALUES (?, ?, ?, ?, ?, ?)",
                        msgspec.structs.astuple(dispute),
                    )
            case "return_pay_out":
                rules.return_pay_out(turn, operation, at)
            case _:
                assert_never(task)

    def _settle_pending(self, turn: Turn, operation: Operation, at: int) -> None:
        rules.settle(turn, operation, self.terms, at)
        turn.change(operation)
        method = turn.methods([operation.subject]).get(operation.subject)
        if method is not None and method.behaviour == "duplicate_notifications":
            rules.report_confusingly(turn, operation, at)
        else:
            rules.report(turn, operation, at)

    def _add_method(
        self, connection: sqlite3.Connection, card: MagicCard, fingerprint: str | None, at: int
    ) -> str:
        method_id = self._new_token()
        connection.execute(
            "INSERT INTO method (id, behaviour, last4, fingerprint, at) VALUES (?, ?, ?, ?, ?)",
            (
                method_id,
                card.behaviour,
                card.number[-4:],
                fingerprint or self._mark("direct", method_id),
                at,
            ),
        )
        return method_id

    def _mark(self, purpose: str, subject: str) -> str:
        """A word that only this bank can make, always the same for the same subject."""
        return hmac.new(
            self._store.secret, f"{purpose}:{subject}".encode(), hashlib.sha256
        ).hexdigest()[:32]


def _operation(turn: Turn, number: int) -> Operation:
    """The operation on file with this number."""
    row = turn.connection.execute("SELECT * FROM operation WHERE no = ?", (number,)).fetchone()
    return Operation(*row)
