"""What the commands of one append turn lead to, before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Generic, NamedTuple

from msgspec import Struct

from app.engine.decider import Decider, S, State
from app.engine.waiting import Entry, KeyHashes, Outcome
from app.log import KeyEntry, NewKey, NewRow, Turn
from domain.codec import encode
from domain.errors import CommandExpired, Rejection, Repeated
from domain.events import TAGS, Event

_logger = logging.getLogger(__name__)


class IdempotencyKeyReused(Rejection):
    """The idempotency key was used before with other content."""

    reason = "idempotency_key_reused"


class InconsistentDecision(Exception):  # noqa: N818 - what was found
    """A decider's events do not fit their stream, version or time, or their state."""


class _Claimed(NamedTuple):
    """A claim with the hash under which the log keeps it."""

    key: bytes
    refused: type[Rejection]


class Repetition(Struct, frozen=True):
    """A command to be answered with a first outcome: `count` events, or those of its command."""

    entry: Entry
    stream: str
    version: int
    count: int | None
    position: int


class Decisions(Generic[S]):
    """The rows and keys to append, and the answers that wait for the commit.

    `states` are those loaded for this turn, by stream; they evolve in place. `deferred` are
    commands whose state was lost on the way: they wait for the next turn. Streams that may differ
    from the log are in `broken`, whether the turn commits or not.
    """

    def __init__(self, decider: Decider[S], states: dict[str, S], turn: Turn, at: int) -> None:
        self._decider = decider
        self._states = states
        self._turn = turn
        self._at = at
        self._numbers: dict[str, int] = {}
        self._known: dict[bytes, KeyEntry] = {}
        self._claims: dict[Entry, _Claimed] = {}
        self.rows: list[NewRow] = []
        self.keys: list[NewKey] = []
        self.repetitions: list[Repetition] = []
        self.deferred: list[Entry] = []
        self.broken: set[str] = set()

    def decide(self, batch: Sequence[Entry]) -> None:
        """Let the decider handle each command in its order.

        An exception that is no Rejection fails its own command; the stream's later commands are
        deferred, because the state may have changed half-way.
        """
        self._look_up_keys(batch)
        at, states, handle, tags = self._at, self._states, self._decider.handle, TAGS
        for entry in batch:
            job, index = entry
            command, stream = job.commands[index], job.streams[index]
            state = states.get(stream)
            if state is None:
                self.deferred.append(entry)
                continue
            hashes = None if job.keys is None else job.keys[index]
            if hashes is not None and self._answer_known(entry, hashes):
                continue
            claimed = self._claims.get(entry)
            if claimed is not None and self._refuse_claimed(entry, stream, claimed):
                continue
            version = state.version
            try:
                events = handle(state, command, at)
                bodies = [(tags[type(event)], encode(event)) for event in events]
                _require_consistent(events, state, stream, version, at)
            except Rejection as no:
                self._require_untouched(stream, state, version)
                job.results[index] = no.with_traceback(None)
            except Repeated as again:
                self._require_untouched(stream, state, version)
                self.repetitions.append(Repetition(entry, stream, again.version, None, 0))
            except Exception as fault:
                _logger.exception("%s failed", type(command).__name__)
                self._break(stream)
                job.results[index] = fault
            else:
                outcome = self._record(stream, events, bodies, hashes)
                if claimed is not None and events and claimed.key not in self._known:
                    number = self._numbers[stream]
                    self._keep_key(stream, number, outcome, KeyHashes(claimed.key, b""))
                job.results[index] = outcome

    def _record(
        self,
        stream: str,
        events: list[Event],
        bodies: list[tuple[str, bytes]],
        hashes: KeyHashes | None,
    ) -> Outcome:
        rows = self.rows
        before = self._turn.position + len(rows)
        number = self._numbers.get(stream)
        if number is None and (events or hashes is not None):
            number = self._numbers[stream] = self._turn.stream_number(stream)
        if number is not None:
            position = before
            for event, (tag, body) in zip(events, bodies, strict=True):
                position += 1
                rows.append((position, number, event.version, self._at, tag, body))
        outcome = Outcome(before + 1 if events else before, tuple(events))
        if hashes is not None and number is not None:
            self._keep_key(stream, number, outcome, hashes)
        return outcome

    def _keep_key(self, stream: str, number: int, outcome: Outcome, hashes: KeyHashes) -> None:
        count = len(outcome.events)
        version = outcome.events[0].version if count else 0
        entry = KeyEntry(hashes.content, stream, version, outcome.position, count)
        self._known[hashes.key] = entry
        self.keys.append((hashes.key, hashes.content, number, version, outcome.position, count))

    def _look_up_keys(self, batch: Sequence[Entry]) -> None:
        """Look up every idempotency key and every claim of the batch at once."""
        sent = []
        claim = self._decider.claim
        for entry in batch:
            job, index = entry
            if job.keys is not None and (hashes := job.keys[index]) is not None:
                sent.append(hashes.key)
            claimed = claim(job.commands[index])
            if claimed is not None:
                key = sha256(claimed.name.encode()).digest()
                self._claims[entry] = _Claimed(key, claimed.refused)
                sent.append(key)
        if sent:
            self._known = self._turn.keys(sent)

    def _refuse_claimed(self, entry: Entry, stream: str, claimed: _Claimed) -> bool:
        """Refuse what another stream has claimed; one's own claim is the decider's to answer."""
        known = self._known.get(claimed.key)
        if known is None or known.stream == stream:
            return False
        job, index = entry
        job.results[index] = claimed.refused()
        return True

    def _answer_known(self, entry: Entry, hashes: KeyHashes) -> bool:
        known = self._known.get(hashes.key)
        if known is None:
            return False
        job, index = entry
        expires_at = job.commands[index].expires_at
        if expires_at is not None and self._at > expires_at:
            job.results[index] = CommandExpired()
        elif known.digest != hashes.content:
            job.results[index] = IdempotencyKeyReused()
        else:
            self.repetitions.append(
                Repetition(entry, known.stream, known.version, known.count, known.position)
            )
        return True

    def _require_untouched(self, stream: str, state: S, version: int) -> None:
        if state.version != version:
            _logger.error("a refused command changed the state of %s, which is dropped", stream)
            self._break(stream)

    def _break(self, stream: str) -> None:
        self.broken.add(stream)
        del self._states[stream]


def _require_consistent(
    events: list[Event], state: State, stream: str, version: int, at: int
) -> None:
    """Raise InconsistentDecision unless the events follow `version` and made the state."""
    for event in events:
        version += 1
        if event.version != version or event.at != at or event.stream != stream:
            raise InconsistentDecision(f"{event} is not version {version} of {stream} at {at}")
    if state.version != version:
        raise InconsistentDecision(f"{stream} stands at {state.version} instead of {version}")
