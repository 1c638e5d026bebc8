"""Our books against a provider's: every movement one by one, then the balances.

What the provider did and our books do not have yet is no violation where it was asked for and has
no outcome, or where the provider has not told us: such movements are in flight, and are named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.audit.bank_books import PROVIDER, BankBooks, BankLine
from app.audit.findings import Findings
from app.audit.movements import SENT_BACK, open_keys
from app.audit.reader import AuditLog, CannotAudit
from app.audit.states import state_at
from app.audit.wording import money_text
from app.log import UnreadableEvent
from app.processes.keys import ReturnKey, read_key
from domain.ledger import clearing, disputed

_THEIRS: Final = """CREATE TABLE theirs (
    kind TEXT, reference TEXT, key TEXT, amount INTEGER, fee INTEGER, clearing INTEGER,
    disputed INTEGER, currency TEXT)"""
_PREPARE: Final = (
    "CREATE INDEX ours_by_reference ON ours (reference, kind)",
    "CREATE INDEX bank.theirs_by_reference ON theirs (reference, kind)",
)
_TWICE: Final = """
    SELECT kind, reference, max(position), max(stream), count(*) FROM ours
    GROUP BY reference, kind HAVING count(*) > 1"""
_OURS_ALONE: Final = """
    SELECT kind, reference, clearing, currency, position, stream FROM ours o
    WHERE NOT EXISTS (
        SELECT 1 FROM theirs t WHERE t.reference = o.reference AND t.kind = o.kind)
    ORDER BY position"""
_THEIRS_ALONE: Final = """
    SELECT kind, reference, key, amount, clearing, disputed, currency FROM theirs t
    WHERE NOT EXISTS (
        SELECT 1 FROM ours o WHERE o.reference = t.reference AND o.kind = t.kind)
    ORDER BY t.rowid"""
_DIFFERENT: Final = """
    SELECT o.kind, o.reference, o.position, o.stream, o.currency, t.currency,
        o.amount, t.amount, o.fee, t.fee, o.clearing, t.clearing, o.key, t.key
    FROM ours o JOIN theirs t ON t.reference = o.reference AND t.kind = o.kind
    WHERE o.currency <> t.currency OR o.clearing <> t.clearing OR o.amount <> t.amount
        OR o.fee <> t.fee OR o.disputed <> t.disputed OR o.key <> t.key
    ORDER BY o.position"""
_UNCOUNTED: Final = """
    SELECT o.currency, sum(t.disputed)
    FROM ours o JOIN theirs t ON t.reference = o.reference AND t.kind = o.kind
    WHERE o.disputed IS NULL GROUP BY o.currency"""
_BALANCES: Final = "SELECT currency, sum(clearing), sum(disputed) FROM theirs GROUP BY currency"


class Reconciliation:
    """The comparison with the test bank's books, as they are when this is made.

    Make it, then read the log's last position: up to there all is compared.
    """

    def __init__(self, bank: Path, store: Path, log: AuditLog, findings: Findings) -> None:
        self.in_flight = Findings()
        self._findings = findings
        self._log = log
        # The bank has everything that our books had before its own were read.
        self._since, _ = log.last()
        self._store = store
        books = BankBooks(bank)
        try:
            if fault := books.contradiction():
                findings.add("provider", f"The bank's books contradict themselves: {fault}.")
            self._untold = frozenset(books.untold())
            with closing(sqlite3.connect(store)) as connection, connection:
                connection.execute(_THEIRS)
                places = ", ".join("?" * 8)
                connection.executemany(f"INSERT INTO theirs VALUES ({places})", self._rows(books))  # noqa: S608
        finally:
            books.close()

    def _rows(self, books: BankBooks) -> Iterator[tuple[Any, ...]]:
        for line in books.lines():
            if not line.known:
                sentence = f"The bank's line {line.no} is of no operation that the bank knows."
                self._findings.add("provider", sentence)
            kind, reference = self._named(line)
            yield (
                kind,
                reference,
                line.key,
                line.amount_minor,
                line.fee_minor,
                line.clearing_minor,
                line.disputed_minor,
                line.currency,
            )

    def _named(self, line: BankLine) -> tuple[str, str]:
        """Money that fitted nothing goes back under the name of what staff resolved."""
        if line.kind in ("refunded", "paid_out"):
            about = read_key(self._log.log_id, line.key)
            if isinstance(about, ReturnKey):
                return SENT_BACK, about.discrepancy_id
        return line.kind, line.reference

    # --- The comparison --------------------------------------------------------------------------

    def compare(
        self, gathered: sqlite3.Connection, balances: Mapping[tuple[str, str], int], up_to: int
    ) -> None:
        """Find what differs from what was `gathered` up to a position; `balances` are our
        journal's there, by account and currency.
        """
        gathered.execute("ATTACH ? AS bank", (str(self._store),))
        gathered.execute("DELETE FROM ours WHERE provider <> ?", (PROVIDER,))
        for statement in _PREPARE:
            gathered.execute(statement)
        self._name_repeated(gathered)
        self._name_differences(gathered)
        explained: dict[tuple[str, str], int] = {}
        self._name_ours(gathered, explained)
        self._name_theirs(gathered, explained, up_to)
        for currency, disputed_minor in gathered.execute(_UNCOUNTED):
            _explain(explained, disputed(PROVIDER), currency, disputed_minor)
        self._compare_balances(gathered, explained, balances)

    def _name_repeated(self, gathered: sqlite3.Connection) -> None:
        for kind, reference, position, stream, count in gathered.execute(_TWICE):
            sentence = f"What the bank calls {reference} ({kind}) is in our books {count} times."
            self._findings.add("provider", sentence, position, stream)

    def _name_differences(self, gathered: sqlite3.Connection) -> None:
        for row in gathered.execute(_DIFFERENT):
            kind, reference, position, stream, *pairs = row
            names = ("currency", "amount", "fee", "change of the balance", "key")
            said = [
                f"{name} {ours} in our books, {theirs} in theirs"
                for name, ours, theirs in zip(names, pairs[::2], pairs[1::2], strict=True)
                if ours is not None and ours != theirs
            ] or ["another change of what is kept back for disputes"]
            sentence = f"What the bank calls {reference} ({kind}) has {', '.join(said)}."
            self._findings.add("provider", sentence, position, stream)

    def _name_ours(
        self, gathered: sqlite3.Connection, explained: dict[tuple[str, str], int]
    ) -> None:
        """What the bank does not have: a violation, unless it is newer than the bank's books here,
        or a decision of staff that the bank has yet to carry out.
        """
        for kind, reference, change, currency, position, stream in gathered.execute(_OURS_ALONE):
            money = money_text(abs(change), currency)
            if kind == SENT_BACK:
                sentence = f"Staff decided that {money} goes back; the bank has not moved it."
                self.in_flight.add("provider", sentence, position, stream)
            elif position <= self._since:
                sentence = f"Our books have {reference} ({kind}) of {money}, the bank's do not."
                self._findings.add("provider", sentence, position, stream)
                continue
            _explain(explained, clearing(PROVIDER), currency, -change)

    def _name_theirs(
        self,
        gathered: sqlite3.Connection,
        explained: dict[tuple[str, str], int],
        up_to: int,
    ) -> None:
        """What our books do not have: in flight, or a violation."""
        waiting = cache(lambda campaign_id: self._waiting(campaign_id, up_to))
        for row in gathered.execute(_THEIRS_ALONE):
            kind, reference, key, amount, change, kept_back, currency = row
            about = read_key(self._log.log_id, key)
            asked_for = about is not None and key in waiting(about.campaign_id)
            untold = {(None, key), (kind, key), (kind, reference)} & self._untold
            money = money_text(amount, currency)
            sentence = f"The bank has {reference} ({kind}) of {money} under the key {key!r}"
            if asked_for:
                self.in_flight.add("provider", f"{sentence}; its outcome is not in our books yet.")
            elif untold:
                self.in_flight.add("provider", f"{sentence}; it has not told us yet.")
            elif kind == "transferred_in":
                self.in_flight.add("provider", f"{sentence}; staff have not booked it yet.")
            else:
                self._findings.add("provider", f"{sentence}; our books do not.")
                continue
            _explain(explained, clearing(PROVIDER), currency, change)
            _explain(explained, disputed(PROVIDER), currency, kept_back)

    def _waiting(self, campaign_id: str, up_to: int) -> frozenset[str]:
        """What a campaign waits for; nothing where its stream is damaged, which was told."""
        try:
            state = state_at(self._log, campaign_id, up_to)
        except (CannotAudit, UnreadableEvent):
            return frozenset()
        return open_keys(self._log.log_id, state)

    def _compare_balances(
        self,
        gathered: sqlite3.Connection,
        explained: Mapping[tuple[str, str], int],
        balances: Mapping[tuple[str, str], int],
    ) -> None:
        accounts = (clearing(PROVIDER), disputed(PROVIDER))
        theirs: dict[tuple[str, str], int] = {}
        for currency, *sums in gathered.execute(_BALANCES):
            for account, amount_minor in zip(accounts, sums, strict=True):
                theirs[account, currency] = amount_minor
        ours = {place: sum_ for place, sum_ in balances.items() if place[0] in accounts}
        for place in sorted(ours.keys() | theirs.keys()):
            ours_minor, theirs_minor = ours.get(place, 0), theirs.get(place, 0)
            in_flight_minor = explained.get(place, 0)
            if ours_minor + in_flight_minor != theirs_minor:
                account, currency = place
                sentence = (
                    f"{account} is {money_text(ours_minor, currency)} in our books, and"
                    f" {money_text(theirs_minor, currency)} in the bank's, with"
                    f" {money_text(in_flight_minor, currency)} in flight."
                )
                self._findings.add("provider", sentence)


def _explain(
    explained: dict[tuple[str, str], int], account: str, currency: str, amount_minor: int
) -> None:
    place = (account, currency)
    explained[place] = explained.get(place, 0) + amount_minor
