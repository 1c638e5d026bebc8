"""What the commands of one append turn lead to, before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic

from msgspec import Struct

from app.engine.claims import Claims
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


class Repetition(Struct, frozen=True):
    """A command to be answered with a first outcome: `count` events, or those of its command."""

    entry: Entry
    stream: str
    version: int
    count: int | None
    position: int


class Decisions(Generic[S]):
    """The rows and keys to append, and the answers that wait for the commit.

    `states` are those loaded for this turn, by stream; they evolve in place. `claims` are the names
    of the whole log up to this turn, `claimed` those that its commands claim. `deferred` are
    commands whose state was lost on the way: they wait for the next turn. Streams that may differ
    from the log are in `broken`, whether the turn commits or not.
    """

    def __init__(
        self, decider: Decider[S], states: dict[str, S], claims: Claims, turn: Turn, at: int
    ) -> None:
        self._decider = decider
        self._states = states
        self._claims = claims
        self._turn = turn
        self._at = at
        self._numbers: dict[str, int] = {}
        self._known: dict[bytes, KeyEntry] = {}
        self.rows: list[NewRow] = []
        self.keys: list[NewKey] = []
        self.claimed: list[int] = []
        self.repetitions: list[Repetition] = []
        self.deferred: list[Entry] = []
        self.broken: set[str] = set()

    def decide(self, batch: Sequence[Entry]) -> None:
        """Let the decider handle each command in its order.

        An exception that is no Rejection fails its own command; the stream's later commands are
        deferred, because the state may have changed half-way.
        """
        self._look_up_keys(batch)
        names = list(map(self._decider.claim, [job.commands[index] for job, index in batch]))
        taken = self._claims.known([name for name in names if name is not None])
        at, states, handle = self._at, self._states, self._decider.handle
        for entry, name in zip(batch, names, strict=True):
            job, index = entry
            command, stream = job.commands[index], job.streams[index]
            state = states.get(stream)
            if state is None:
                self.deferred.append(entry)
                continue
            hashes = None
            if job.keys is not None:
                hashes = job.keys[index]
                if hashes is not None and self._answer_known(entry, hashes):
                    continue
            # One's own name is the decider's to answer.
            if name in taken and not self._decider.has_claimed(state, command):
                job.results[index] = self._decider.claimed_twice()
                continue
            version = state.version
            try:
                events = handle(state, command, at)
                bodies = [encode(event) for event in events]
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
                job.results[index] = self._record(stream, events, bodies, hashes)
                if name is not None and events:
                    taken.add(name)
                    self.claimed.append(name)

    def _record(
        self, stream: str, events: list[Event], bodies: list[bytes], hashes: KeyHashes | None
    ) -> Outcome:
        rows = self.rows
        before = position = self._turn.position + len(rows)
        number = self._numbers.get(stream)
        if number is None and (events or hashes is not None):
            number = self._numbers[stream] = self._turn.stream_number(stream)
        if number is None:
            return Outcome(before, ())
        for event, body in zip(events, bodies, strict=True):
            position += 1
            tag = TAGS[type(event)]
            rows.append((position, number, event.version, self._at, tag, body))
        outcome = Outcome(before + 1 if events else before, tuple(events))
        if hashes is not None:
            self._keep_key(stream, number, outcome, hashes)
        return outcome

    def _keep_key(self, stream: str, number: int, outcome: Outcome, hashes: KeyHashes) -> None:
        count = len(outcome.events)
        version = outcome.events[0].version if count else 0
        entry = KeyEntry(hashes.content, stream, version, outcome.position, count)
        self._known[hashes.key] = entry
        self.keys.append((hashes.key, hashes.content, number, version, outcome.position, count))

    def _look_up_keys(self, batch: Sequence[Entry]) -> None:
        """Look up every idempotency key of the batch at once."""
        sent = [
            hashes.key
            for job, index in batch
            if job.keys is not None and (hashes := job.keys[index]) is not None
        ]
        if sent:
            self._known = self._turn.keys(sent)

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
