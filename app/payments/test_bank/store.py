"""The test bank's own SQLite file: its tables, and how one transaction gathers what it writes."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from app.payments.port import LineKind, Notification, OperationKind
from app.payments.test_bank.books import entry
from app.payments.test_bank.cards import Behaviour

OperationState = Literal["succeeded", "pending", "action_required", "declined"]
DisputeState = Literal["open", "won", "lost"]
Task = Literal["settle", "expire", "open_dispute", "return_pay_out"]

BUSY_SECONDS = 30.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS bank (
  id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
  id TEXT PRIMARY KEY, reference TEXT NOT NULL, description TEXT NOT NULL,
  return_path TEXT NOT NULL, at INTEGER NOT NULL, method_id TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS method (
  id TEXT PRIMARY KEY, behaviour TEXT NOT NULL, last4 TEXT NOT NULL, fingerprint TEXT NOT NULL,
  at INTEGER NOT NULL, declines INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operation (
  no INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, subject TEXT NOT NULL,
  amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), currency TEXT NOT NULL,
  at INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, retryable INTEGER NOT NULL,
  fee_minor INTEGER NOT NULL, settled_at INTEGER NOT NULL, token TEXT NOT NULL,
  expires_at INTEGER NOT NULL, return_path TEXT NOT NULL,
  returned_minor INTEGER NOT NULL CHECK (returned_minor BETWEEN 0 AND amount_minor)) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS operation_token ON operation (token) WHERE token <> '';
CREATE INDEX IF NOT EXISTS operation_refund ON operation (subject) WHERE kind = 'refund';
CREATE TABLE IF NOT EXISTS line (
  no INTEGER PRIMARY KEY, operation INTEGER NOT NULL, kind TEXT NOT NULL,
  amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
  fee_minor INTEGER NOT NULL CHECK (fee_minor >= 0),
  currency TEXT NOT NULL, at INTEGER NOT NULL,
  card_holders INTEGER NOT NULL, outside INTEGER NOT NULL, clearing INTEGER NOT NULL,
  disputed INTEGER NOT NULL, bank_fees INTEGER NOT NULL,
  CHECK (card_holders + outside + clearing + disputed + bank_fees = 0)) STRICT;
CREATE TABLE IF NOT EXISTS dispute (
  no INTEGER PRIMARY KEY, operation INTEGER NOT NULL UNIQUE,
  amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), state TEXT NOT NULL,
  opened_at INTEGER NOT NULL, decided_at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS task (
  no INTEGER PRIMARY KEY, kind TEXT NOT NULL, operation INTEGER NOT NULL,
  due_at INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS task_due ON task (due_at);
CREATE TABLE IF NOT EXISTS notification (
  no INTEGER PRIMARY KEY, body BLOB NOT NULL, due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, delivered_at INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS notification_due ON notification (due_at) WHERE delivered_at IS NULL;
"""


class Operation(msgspec.Struct, gc=False):
    """One request as the bank keeps it; the fields are the columns of the table, in their order.

    `subject` is what the request names: a collect's method, a refund's collect key, a payout's
    account. `returned_minor`, of a collect, is what went back or is set aside to go back: refunds,
    and disputes that are open or lost.
    """

    no: int
    key: str
    kind: OperationKind
    subject: str
    amount_minor: int
    currency: str
    at: int
    state: OperationState = "pending"
    code: str = ""
    retryable: int = 0
    fee_minor: int = 0
    settled_at: int = 0
    token: str = ""
    expires_at: int = 0
    return_path: str = ""
    returned_minor: int = 0

    @property
    def reference(self) -> str:
        """What the bank calls this operation."""
        return f"TB{self.no}"

    @property
    def remainder_minor(self) -> int:
        """Of a collect: what can still be refunded or disputed."""
        return self.amount_minor - self.returned_minor


class Dispute(msgspec.Struct, gc=False):
    """A card holder's objection to one collect, over all that was left of it."""

    no: int
    operation: int
    amount_minor: int
    state: DisputeState
    opened_at: int
    decided_at: int

    @property
    def dispute_id(self) -> str:
        """What the bank calls this dispute."""
        return f"TBD{self.no}"


class StoredMethod(msgspec.Struct, gc=False):
    """A payment method: how it behaves and how to name it. There is no number to keep."""

    id: str
    behaviour: Behaviour
    last4: str
    fingerprint: str
    at: int
    declines: int = 0


class Turn:
    """What one transaction writes, gathered first and then written with a statement per table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        (operations,) = connection.execute("SELECT coalesce(max(no), 0) FROM operation").fetchone()
        (lines,) = connection.execute("SELECT coalesce(max(no), 0) FROM line").fetchone()
        self._last_operation: int = operations
        self._last_line: int = lines
        self._new: list[Operation] = []
        self._changed: dict[int, Operation] = {}
        self._declined: list[tuple[str]] = []
        self._lines: list[tuple[int | str, ...]] = []
        self._tasks: list[tuple[Task, int, int]] = []
        self._notifications: list[tuple[bytes, int]] = []

    def operations(self, keys: Iterable[str]) -> dict[str, Operation]:
        """The operations known under these keys."""
        rows = self.connection.execute(
            "SELECT o.* FROM json_each(?) k CROSS JOIN operation o ON o.key = k.value",
            (json.dumps(list(keys)),),
        )
        return {row[1]: Operation(*row) for row in rows}

    def methods(self, ids: Iterable[str]) -> dict[str, StoredMethod]:
        """The payment methods known under these ids."""
        rows = self.connection.execute(
            "SELECT m.* FROM json_each(?) k CROSS JOIN method m ON m.id = k.value",
            (json.dumps(list(ids)),),
        )
        return {row[0]: StoredMethod(*row) for row in rows}

    def next_operation(self) -> int:
        """The number of the next new operation."""
        self._last_operation += 1
        return self._last_operation

    def next_dispute(self) -> int:
        """The number of the next new dispute, which is written at once."""
        (last,) = self.connection.execute("SELECT coalesce(max(no), 0) FROM dispute").fetchone()
        return int(last) + 1

    def add(self, operation: Operation) -> None:
        """Write a new operation; what is changed of it before `write` is written too."""
        self._new.append(operation)

    def change(self, operation: Operation) -> None:
        """Write the changed fields of an operation that was there before."""
        self._changed[operation.no] = operation

    def count_decline(self, method: StoredMethod) -> None:
        """Remember that a collect from this method was declined."""
        method.declines += 1
        self._declined.append((method.id,))

    def move(
        self, kind: LineKind, operation: Operation, amount_minor: int, fee_minor: int, at: int
    ) -> None:
        """Move money: a line on the statement, and its double entry."""
        self._last_line += 1
        self._lines.append(
            (
                self._last_line,
                operation.no,
                kind,
                amount_minor,
                fee_minor,
                operation.currency,
                at,
                *entry(kind, amount_minor, fee_minor),
            )
        )

    def later(self, kind: Task, operation: Operation, due_at: int) -> None:
        """Have the bank itself do something when `due_at` has come."""
        self._tasks.append((kind, operation.no, due_at))

    def notify(self, notification: Notification, due_at: int) -> None:
        """Queue news for the merchant."""
        self._notifications.append((msgspec.json.encode(notification), due_at))

    def write(self) -> None:
        """Write all that was gathered. The commit is the caller's."""
        write = self.connection.executemany
        columns = ",".join("?" * len(Operation.__struct_fields__))
        write(
            f"INSERT INTO operation VALUES ({columns})",  # noqa: S608 - only question marks
            map(msgspec.structs.astuple, self._new),
        )
        write(
            "UPDATE operation SET state = ?, code = ?, retryable = ?, fee_minor = ?, "
            "settled_at = ?, returned_minor = ? WHERE no = ?",
            [
                (o.state, o.code, o.retryable, o.fee_minor, o.settled_at, o.returned_minor, o.no)
                for o in self._changed.values()
            ],
        )
        write("UPDATE method SET declines = declines + 1 WHERE id = ?", self._declined)
        write("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._lines)
        write("INSERT INTO task (kind, operation, due_at) VALUES (?, ?, ?)", self._tasks)
        write("INSERT INTO notification (body, due_at) VALUES (?, ?)", self._notifications)


class Store:
    """The open file. One connection, used by one thread at a time; several processes may share
    the file.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.transaction() as connection:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(
                "INSERT OR IGNORE INTO bank VALUES (1, ?)", (secrets.token_bytes(32),)
            )
            (self.secret,) = connection.execute("SELECT secret FROM bank").fetchone()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed at the end, rolled back where anything raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """A transaction that writes what the turn has gathered."""
        with self.transaction() as connection:
            turn = Turn(connection)
            yield turn
            turn.write()
