"""The pass over the log: whether each row is whole, and every rule holds after every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from app.audit.findings import Findings
from app.audit.reader import CAMPAIGN
from app.log import LogRow, UnreadableEvent, check_columns
from domain.codec import UPCASTS, CorruptEventError, UnknownEventError, decode, encode
from domain.events import EVENT_TYPES, AnyEvent
from domain.ids import is_id
from domain.invariants import Auditor, Violation
from domain.ledger import postings

Watcher = Callable[[LogRow, AnyEvent], None]
"""Shown each readable event with its row, as the pass comes by."""

PER_STREAM: Final = 50
"""After so many violations in one stream its rules are followed no further: what comes is blamed
on what was found before."""


class _Type(msgspec.Struct):
    type: str


class _Stream(msgspec.Struct):
    """What the pass remembers of a stream; without an auditor its rules cannot be followed."""

    auditor: Auditor | None
    version: int = 0
    found: int = 0


class Verification:
    """The pass over some of the streams. Feed it pages of their rows in order, then finish; what
    is wrong lands in `findings`.

    Each campaign's state is kept in memory, as the engine would keep it. `watcher` sees every
    event that can be read. `balances` are the journal's, by account and currency.
    """

    def __init__(self, findings: Findings, watcher: Watcher) -> None:
        self.findings = findings
        self.events = 0
        self.balances: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._watcher = watcher
        self._streams: dict[str, _Stream] = {}

    def feed(self, rows: list[LogRow]) -> None:
        """Check the next rows. Raises UnreadableEvent at a fact that this code does not know."""
        for row in rows:
            self._check(row)
        self.events += len(rows)

    def _check(self, row: LogRow) -> None:
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
        for account, amount_minor, currency in postings(event):
            self.balances[account, currency] += amount_minor
        self._follow(row, event)
        self._watcher(row, event)

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
        """Check every state as a whole."""
        for name, stream in self._streams.items():
            for found in stream.auditor.check_whole() if stream.auditor is not None else ():
                self.findings.add(f"rule {found.rule}", found.detail, None, name)


def _tag_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Type).type
    except msgspec.MsgspecError:
        return ""
