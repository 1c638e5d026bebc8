"""One pass over the log: is it whole, and does every rule hold after every event?"""

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
from domain.invariants import Auditor
from domain.ledger import postings

Progress = Callable[[int, int], None]
"""Told how many events are done, of how many."""

Watcher = Callable[[int, AnyEvent], None]
"""Shown each readable event with its position, as the pass comes by."""

_LOST_KEYS: Final = """
    SELECT hex(k.key), k.position, k.version, k.count, s.name
    FROM keys k
    LEFT JOIN streams s ON s.id = k.stream
    LEFT JOIN events f ON f.position = k.position
    LEFT JOIN events l ON l.position = k.position + k.count - 1
    WHERE s.name IS NULL
        OR (k.count > 0 AND (f.stream IS NOT k.stream OR f.version IS NOT k.version
            OR l.stream IS NOT k.stream OR l.version IS NOT k.version + k.count - 1))
        OR (k.count = 0 AND (k.version <> 0 OR (k.position > 0 AND f.position IS NULL)))
        OR k.count < 0"""


class _Type(msgspec.Struct):
    type: str


class _Stream(msgspec.Struct):
    """What the pass remembers of a stream; without an auditor its rules cannot be followed."""

    auditor: Auditor | None
    version: int = 0


class Verification:
    """The pass. Feed it pages of rows in order; what is wrong lands in `findings`.

    Each campaign's state is kept in memory, as the engine would keep it. `watcher` sees every
    event that can be read.
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
            self._check_row(row)
        self.events += len(rows)

    def _check_row(self, row: LogRow) -> None:
        position = row.position
        if position != self._position + 1:
            missing = f"{self._position + 1:,} to {position - 1:,}"
            self.findings.add("positions", f"Positions {missing} are missing.", position)
        self._position = position
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
            self._add("rule 10", f"Time runs back from {self._at} to {event.at}.", row)
        else:
            self._at = event.at
        if type(event) is PledgeMade:
            self._check_pledge_id(row, event)
        self._post(row, event)
        self._follow(row, event)
        if self._watcher is not None:
            self._watcher(position, event)

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
                self._add(
                    "columns", f"The column says {row.tag!r}, the body says {tag!r}.", row
                )
                return self._decoded(row._replace(tag=tag))
            if isinstance(fault, UnknownEventError):
                raise UnreadableEvent(
                    row.position, row.stream, row.version, row.tag, fault
                ) from fault
            self._add("bytes", f"The body cannot be read: {fault}.", row)
            self._give_up(row.stream, row)
            self._streams[row.stream].version = row.version
            return None

    def _name_columns(self, row: LogRow, event: AnyEvent) -> None:
        for name in check_columns(row, event):
            if name == "body":
                self._add("bytes", "The bytes are not those that the encoder writes.", row)
            elif name != "tag":
                column, said = getattr(row, name), getattr(event, name)
                sentence = f"The column {name} says {column!r}, the body says {said!r}."
                self._add("columns", sentence, row)

    # --- The rules -------------------------------------------------------------------------------

    def _check_pledge_id(self, row: LogRow, event: PledgeMade) -> None:
        if event.pledge_id in self._pledge_ids:
            self._add("rule 4", f"The pledge {event.pledge_id} was made before.", row)
        self._pledge_ids.add(event.pledge_id)

    def _post(self, row: LogRow, event: AnyEvent) -> None:
        lines = postings(event)
        if not lines:
            return
        balances = self.balances
        total_minor = 0
        for account, amount_minor, currency in lines:
            total_minor += amount_minor  # all lines of an entry have the event's one currency
            balances[account, currency] += amount_minor
        if total_minor:
            self._add("rule 7", f"The journal entry sums to {total_minor}, not to zero.", row)

    def _follow(self, row: LogRow, event: AnyEvent) -> None:
        stream = self._streams.get(event.stream)
        if stream is None:
            stream = self._begin(row, event)
        if event.version != stream.version + 1:
            sentence = f"Version {event.version:,} follows version {stream.version:,}."
            self._add("versions", sentence, row)
            self._give_up(event.stream, row)
        stream.version = event.version
        if stream.auditor is None:
            return
        try:
            violations = stream.auditor.feed(event)
        except Exception as fault:  # noqa: BLE001 - whatever breaks the rules' own code is a finding
            sentence = f"The campaign's state cannot follow this event: {fault!r}."
            self._add("rule 11", sentence, row)
            self._give_up(event.stream, row)
            return
        for found in violations:
            self._add(f"rule {found.rule}", found.detail, row)

    def _begin(self, row: LogRow, event: AnyEvent) -> _Stream:
        campaign_id = event.stream.removeprefix(CAMPAIGN)
        named = event.stream.startswith(CAMPAIGN) and is_id(campaign_id)
        if not named:
            self._add("columns", f"{event.stream!r} is not the stream of a campaign.", row)
        stream = _Stream(Auditor(campaign_id) if named else None)
        self._streams[event.stream] = stream
        return stream

    def _give_up(self, name: str, row: LogRow) -> None:
        """Follow a stream's rules no further: what came after would only be blamed on it."""
        stream = self._streams.setdefault(name, _Stream(None))
        if stream.auditor is not None:
            stream.auditor = None
            self._add("rule 11", "From here the rules of this campaign cannot be followed.", row)

    # --- At the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Check what can be said only of the whole: that the books sum to zero."""
        totals: defaultdict[str, int] = defaultdict(int)
        for (_, currency), amount_minor in self.balances.items():
            totals[currency] += amount_minor
        for currency, total_minor in sorted(totals.items()):
            if total_minor:
                sentence = f"The journal in {currency} sums to {total_minor}, not to zero."
                self.findings.add("rule 7", sentence)


def check_keys(log: AuditLog, findings: Findings) -> None:
    """Find idempotency keys that lead to no event, or to another stream's."""
    for key, position, version, count, stream in log.connection.execute(_LOST_KEYS):
        sentence = (
            f"The idempotency key {key[:16]} leads to {count} events from version {version},"
            " which are not there."
        )
        findings.add("keys", sentence, position, stream or "")


def _tag_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Type).type
    except msgspec.MsgspecError:
        return ""
