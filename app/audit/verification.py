"""One pass over the log: whether it is whole, and every rule holds after every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from app.audit.findings import Findings
from app.audit.reader import CAMPAIGN, AuditLog
from app.log import LogRow, UnreadableEvent, check_columns
from domain.codec import UPCASTS, CorruptEventError, UnknownEventError, decode, encode
from domain.events import EVENT_TYPES, AnyEvent, PledgeMade
from domain.ids import is_id
from domain.invariants import Auditor, Violation
from domain.ledger import postings
from domain.state import Campaign

Watcher = Callable[[int, AnyEvent], None]
"""Shown each readable event with its position, as the pass comes by."""

PER_STREAM: Final = 50
"""After so many violations in one stream its rules are followed no further: what comes is blamed
on what was found before."""

_LOST_KEYS: Final = """
    SELECT hex(k.key), k.position, k.version, k.count, coalesce(s.name, '')
    FROM keys k
    LEFT JOIN streams s ON s.id = k.stream
    LEFT JOIN events f ON f.position = k.position
    LEFT JOIN events l ON l.position = k.position + k.count - 1
    WHERE s.name IS NULL
        OR k.count < 0
        OR (k.count > 0 AND (f.stream IS NOT k.stream OR f.version IS NOT k.version
            OR l.stream IS NOT k.stream OR l.version IS NOT k.version + k.count - 1))
        OR (k.count = 0 AND k.position > 0 AND f.position IS NULL)"""


class _Type(msgspec.Struct):
    type: str


class _Stream(msgspec.Struct):
    """What the pass remembers of a stream; without an auditor its rules cannot be followed."""

    auditor: Auditor | None
    version: int = 0
    found: int = 0


class Verification:
    """The pass. Feed it pages of rows in order, then finish; what is wrong lands in `findings`.

    Each campaign's state is kept in memory, as the engine would keep it. `watcher` sees every
    event that can be read. `balances` are the journal's, by account and currency.
    """

    def __init__(self, findings: Findings, watcher: Watcher | None = None) -> None:
        self.findings = findings
        self.events = 0
        self.balances: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._watcher = watcher
        self._position = 0
        self._at = 0
        self._streams: dict[str, _Stream] = {}
        self._pledge_ids: set[str] = set()

    def feed(self, rows: list[LogRow]) -> None:
        """Check the next rows. Raises UnreadableEvent at a fact that this code does not know."""
        for row in rows:
            self._check(row)
        self.events += len(rows)

    def state_of(self, campaign_id: str) -> Campaign | None:
        """A campaign's state after the last row; None where it could not be followed so far."""
        stream = self._streams.get(CAMPAIGN + campaign_id)
        return None if stream is None or stream.auditor is None else stream.auditor.state

    def _check(self, row: LogRow) -> None:
        if row.position != self._position + 1:
            missing = f"Positions {self._position + 1:,} to {row.position - 1:,} are missing."
            self.findings.add("positions", missing, row.position, row.stream)
        self._position = row.position
        event = self._decoded(row)
        if event is None:
            return
        if (
            event.stream != row.stream
            or event.version != row.version
            or event.at != row.at
            or encode(event) != row.body
        ):
            self._name_columns(row, event)
        if event.at < self._at:
            self._add("rule 10", f"The log's time runs back from {self._at} to {event.at}.", row)
        else:
            self._at = event.at
        if type(event) is PledgeMade:
            if event.pledge_id in self._pledge_ids:
                self._add("rule 4", f"The pledge id {event.pledge_id} was used before.", row)
            self._pledge_ids.add(event.pledge_id)
        for account, amount_minor, currency in postings(event):
            self.balances[account, currency] += amount_minor
        self._follow(row, event)
        if self._watcher is not None:
            self._watcher(row.position, event)

    def _add(self, rule: str, sentence: str, row: LogRow) -> None:
        self.findings.add(rule, sentence, row.position, row.stream)

    # --- The stored bytes ------------------------------------------------------------------------

    def _decoded(self, row: LogRow) -> AnyEvent | None:
        """Read the body, which is the truth whatever the column says; None where it is damaged."""
        try:
            return decode(row.tag, row.body)
        except (UnknownEventError, CorruptEventError) as fault:
            tag = _tag_in(row.body)
            if tag != row.tag and (tag in EVENT_TYPES or tag in UPCASTS):
                self._add("columns", f"The column tag says {row.tag!r}, the body {tag!r}.", row)
                return self._decoded(row._replace(tag=tag))
            if isinstance(fault, UnknownEventError):
                raise UnreadableEvent(
                    row.position, row.stream, row.version, row.tag, fault
                ) from fault
            self._add("bytes", f"The body cannot be read: {fault}.", row)
            self._give_up(row)
            self._streams[row.stream].version = row.version
            return None

    def _name_columns(self, row: LogRow, event: AnyEvent) -> None:
        for name in check_columns(row, event):
            if name == "body":
                self._add("bytes", "The bytes are not those that the encoder writes.", row)
            elif name != "tag":  # named where it was read
                column, said = getattr(row, name), getattr(event, name)
                sentence = f"The column {name} says {column!r}, the body {said!r}."
                self._add("columns", sentence, row)

    # --- The rules -------------------------------------------------------------------------------

    def _follow(self, row: LogRow, event: AnyEvent) -> None:
        stream = self._streams.get(event.stream) or self._begin(row, event)
        if event.version != stream.version + 1:
            sentence = f"Version {event.version:,} follows version {stream.version:,}."
            self._add("versions", sentence, row)
        stream.version = event.version
        if stream.auditor is None:
            return
        try:
            violations = stream.auditor.feed(event)
        except Exception as fault:  # noqa: BLE001 - whatever a damaged stream breaks is a finding
            violations = [Violation(11, f"The campaign's state cannot follow: {fault!r}.")]
            stream.found = PER_STREAM
        self._name(stream, violations, row)

    def _name(self, stream: _Stream, violations: list[Violation], row: LogRow) -> None:
        if not violations:
            return
        for found in violations:
            self._add(f"rule {found.rule}", found.detail, row)
        stream.found += len(violations)
        if stream.found >= PER_STREAM:
            self._give_up(row)

    def _begin(self, row: LogRow, event: AnyEvent) -> _Stream:
        campaign_id = event.stream.removeprefix(CAMPAIGN)
        named = event.stream.startswith(CAMPAIGN) and is_id(campaign_id)
        if not named:
            self._add("columns", f"{event.stream!r} is not the stream of a campaign.", row)
        stream = _Stream(Auditor(campaign_id) if named else None)
        self._streams[event.stream] = stream
        return stream

    def _give_up(self, row: LogRow) -> None:
        stream = self._streams.setdefault(row.stream, _Stream(None))
        if stream.auditor is not None:
            stream.auditor = None
            sentence = "The rules of this campaign are followed no further than here."
            self._add("rule 11", sentence, row)

    # --- At the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Check what can be said only of the whole: every state, and that the books sum to zero."""
        for name, stream in self._streams.items():
            for found in stream.auditor.check_whole() if stream.auditor is not None else ():
                self.findings.add(f"rule {found.rule}", found.detail, None, name)
        totals: defaultdict[str, int] = defaultdict(int)
        for (_, currency), amount_minor in self.balances.items():
            totals[currency] += amount_minor
        for currency, total_minor in sorted(totals.items()):
            if total_minor:
                sentence = f"The journal in {currency} sums to {total_minor}, not to zero."
                self.findings.add("rule 7", sentence)


def check_keys(log: AuditLog, findings: Findings) -> None:
    """Find idempotency keys that lead to no event, or to those of another stream."""
    for key, position, version, count, stream in log.connection.execute(_LOST_KEYS):
        sentence = (
            f"The idempotency key with the hash {key[:16].lower()}… leads to {count} events from"
            f" version {version}, which are not there."
        )
        findings.add("keys", sentence, position, stream)


def _tag_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Type).type
    except msgspec.MsgspecError:
        return ""
