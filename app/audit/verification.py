"""The pass over the log: whether each row is whole, and every rule holds after every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from app.audit.findings import Findings
from app.audit.reader import CAMPAIGN, UNNAMED, StoredRow
from app.log import LogRow, UnreadableEvent, check_columns
from domain.checks.persons import SubjectAuditor
from domain.codec import UPCASTS, CorruptEventError, UnknownEventError, decode, encode
from domain.events import EVENT_TYPES, AnyEvent, PledgeMade
from domain.ids import is_id
from domain.invariants import Auditor, Violation
from domain.ledger import lines
from domain.subject import SUBJECT

Watcher = Callable[[int, AnyEvent], None]
"""Shown the position and each readable event that moves money, as the pass comes by."""

PER_STREAM: Final = 50
"""After so many violations in one stream its rules are followed no further: what comes is blamed
on what was found before."""


class _Type(msgspec.Struct):
    type: str


class _Stream(msgspec.Struct):
    """What the pass remembers of a stream; without an auditor its rules cannot be followed."""

    name: str
    auditor: Auditor | SubjectAuditor | None
    version: int = 0
    found: int = 0


class Verification:
    """The pass over some of the streams. Feed it pages of their rows in order, then finish; what
    is wrong lands in `findings`.

    Each campaign's state is kept in memory, as the engine would keep it. `balances` are the
    journal's, by currency and account. `watcher` sees every event whose money may have moved, and
    `pledge_ids` are those of the last page with their positions. `misplaced` counts the rows whose
    column names another stream than their body: it may belong to another share. `read` are the
    readable events of the last page, with `keeping` only.
    """

    def __init__(self, findings: Findings, watcher: Watcher, *, keeping: bool = False) -> None:
        self.findings = findings
        self.events = 0
        self.misplaced = 0
        self.balances: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.pledge_ids: list[tuple[str, int]] = []
        self.read: list[tuple[int, AnyEvent, bytes]] = []
        self._keeping = keeping
        self._watcher = watcher
        self._streams: dict[str, _Stream] = {}
        self._numbered: dict[int, _Stream] = {}
        self._names: Mapping[int, str] = {}

    def feed(self, rows: list[StoredRow], names: Mapping[int, str]) -> None:
        """Check the next rows. Raises UnreadableEvent at a fact that this code does not know.

        `names` are those of the streams by their numbers.
        """
        self._names = names
        self.pledge_ids = []
        self.read = []
        keeping, keep = self._keeping, self.read.append
        numbered, follow, watcher, pledge_ids = (
            self._numbered,
            self._follow,
            self._watcher,
            self.pledge_ids,
        )
        for row in rows:
            position, number, version, at, tag, body = row
            try:
                event = decode(tag, body)
            except (UnknownEventError, CorruptEventError) as fault:
                read = self._read_otherwise(self._named(row), fault)
                if read is None:
                    continue
                event = read
            stream = numbered.get(number)
            if (
                stream is not None
                and event.stream == stream.name
                and event.version == version
                and event.at == at
                and encode(event) == body
            ):
                canonical = body
            else:
                stream, canonical = self._place(self._named(row), number, event)
            entry = lines(event)
            if entry:
                books = self.balances[event.currency]  # type: ignore[union-attr] # it has lines
                for account, amount_minor in entry:
                    books[account] += amount_minor
            follow(position, stream, event, canonical, entry)
            if keeping:
                keep((position, event, body))
            if type(event) is PledgeMade:
                pledge_ids.append((event.pledge_id, position))
            else:
                watcher(position, event)
        self.events += len(rows)

    def _named(self, row: StoredRow) -> LogRow:
        return LogRow(row[0], self._names[row[1]], *row[2:])

    def _add(self, rule: str, sentence: str, position: int, stream: str) -> None:
        self.findings.add(rule, sentence, position, stream)

    # --- The stored bytes ------------------------------------------------------------------------

    def _read_otherwise(self, row: LogRow, fault: Exception) -> AnyEvent | None:
        """Read a body that is not what the column says; None where it is damaged."""
        tag = _tag_in(row.body)
        if tag != row.tag and (tag in EVENT_TYPES or tag in UPCASTS):
            sentence = f"The column tag says {row.tag!r}, the body {tag!r}."
            self._add("columns", sentence, row.position, row.stream)
            try:
                return decode(tag, row.body)
            except CorruptEventError as damage:
                fault = damage
        if isinstance(fault, UnknownEventError):
            raise UnreadableEvent(row.position, row.stream, row.version, row.tag, fault) from fault
        self._add("bytes", f"The body cannot be read: {fault}.", row.position, row.stream)
        stream = self._streams.setdefault(row.stream, _Stream(row.stream, None))
        self._give_up(row.position, stream)
        stream.version = row.version
        return None

    def _place(self, row: LogRow, number: int, event: AnyEvent) -> tuple[_Stream, bytes]:
        """Name what the columns say otherwise; return the body's stream, and the body where it is
        as the encoder writes it.
        """
        differing = check_columns(row, event)
        for name in differing:
            if name == "body":
                sentence = "The bytes are not those that the encoder writes."
                self._add("bytes", sentence, row.position, row.stream)
            elif name != "tag":  # named where it was read
                column, said = getattr(row, name), getattr(event, name)
                sentence = f"The column {name} says {column!r}, the body {said!r}."
                self._add("columns", sentence, row.position, row.stream)
        stream = self._streams.get(event.stream)
        if stream is None:
            stream = self._begin(row, event)
        if event.stream != row.stream:
            self.misplaced += 1
        elif row.stream != UNNAMED:
            self._numbered[number] = stream
        return stream, b"" if "body" in differing or row.tag not in EVENT_TYPES else row.body

    # --- The rules -------------------------------------------------------------------------------

    def _follow(
        self,
        position: int,
        stream: _Stream,
        event: AnyEvent,
        body: bytes,
        entry: list[tuple[str, int]],
    ) -> None:
        if event.version != stream.version + 1:
            sentence = f"Version {event.version:,} follows version {stream.version:,}."
            self._add("versions", sentence, position, event.stream)
        stream.version = event.version
        if stream.auditor is None:
            return
        try:
            violations = stream.auditor.feed(event, body, entry)
        except Exception as fault:  # noqa: BLE001 - whatever a damaged stream breaks is a finding
            violations = [Violation(11, f"The campaign's state cannot follow: {fault!r}.")]
            stream.found = PER_STREAM
        if violations:
            for found in violations:
                self._add(f"rule {found.rule}", found.detail, position, stream.name)
            stream.found += len(violations)
            if stream.found >= PER_STREAM:
                self._give_up(position, stream)

    def _begin(self, row: LogRow, event: AnyEvent) -> _Stream:
        kind, _, about = event.stream.partition(":")
        auditor: Auditor | SubjectAuditor | None = None
        if not is_id(about) or f"{kind}:" not in (CAMPAIGN, SUBJECT):
            sentence = f"{event.stream!r} is not the stream of a campaign or a person."
            self._add("columns", sentence, row.position, row.stream)
        else:
            is_campaign = f"{kind}:" == CAMPAIGN
            auditor = Auditor(about) if is_campaign else SubjectAuditor(event.stream)
        stream = _Stream(event.stream, auditor)
        self._streams[event.stream] = stream
        return stream

    def _give_up(self, position: int, stream: _Stream) -> None:
        if stream.auditor is not None:
            stream.auditor = None
            sentence = "The rules of this campaign are followed no further than here."
            self._add("rule 11", sentence, position, stream.name)

    # --- At the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Check every state as a whole."""
        for name, stream in self._streams.items():
            for found in stream.auditor.check_whole() if stream.auditor is not None else ():
                self.findings.add(f"rule {found.rule}", found.detail, None, name)


def read_body(body: bytes) -> AnyEvent | None:
    """The fact that a body says by itself; None where it cannot be read."""
    try:
        return decode(_tag_in(body), body)
    except (UnknownEventError, CorruptEventError):
        return None


def _tag_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Type).type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
