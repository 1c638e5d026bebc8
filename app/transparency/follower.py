"""The follower that makes a leaf of every event, in the order of positions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from app.log.ports import LogRow
from app.log.reading import UnreadableEvent
from app.transparency.leaf import Salts, commit
from app.transparency.looking_up import Currencies, Subjects, ViewsBehindError
from app.transparency.making import LeafMaker
from app.transparency.public_part import public_part
from app.transparency.signing import RESTORE, ForkError
from app.transparency.store import OtherTreeError, TransparencyStore, TreeMovedError
from projections.reading import Facts, LogGapError, Reading, UnreadableFactError

BATCH: Final = 8_192
"""Most events in one transaction."""

REST_S: Final = 0.2
"""After a batch that reached the log's end, so that the next one has more and few are flushed to
the disk; a checkpoint follows within a second anyhow."""

PAUSE_S: Final = 1.0
"""How long the log is waited for before the follower looks whether it should stop."""

LOOK_S: Final = 0.05
"""How often it looks whether the views have come as far as it needs."""

SUBJECT: Final = "subject:"
"""How the stream begins that records a person's erasure."""

LASTING: Final = (UnreadableFactError, UnreadableEvent, LogGapError, ForkError, OtherTreeError)
"""Faults that trying again does not mend."""

_logger = logging.getLogger(__name__)


class Log(Protocol):
    """What is asked of the log beside its facts."""

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """The rows of one stream after a version, in order."""

    def last(self) -> tuple[int, int]:
        """The last event's (position, at); (0, 0) for an empty log."""

    def wait(self, after: int, timeout: float) -> int:
        """Wait for an event after a position; return the last position."""


class LeafFollower:
    """Keeps the tree level with the log. One thread steps.

    `fault` is what stopped it, for people; `trouble` what it tries again after. `may_follow` says
    whether it is for this process to append; `told` is called when the tree has grown.
    """

    def __init__(
        self,
        log: Log,
        facts: Facts,
        store: TransparencyStore,
        log_secret: bytes,
        subjects: Subjects,
        *,
        may_follow: Callable[[], bool],
        told: Callable[[], None],
    ) -> None:
        self._log = log
        self._facts = facts
        self._store = store
        self._salts = Salts(log_secret)
        self._maker = LeafMaker(log_secret)
        self._subjects = subjects
        self._currencies = Currencies(log)
        self._may_follow = may_follow
        self._told = told
        self._checked = False
        self._size = store.size
        self.fault = ""
        self.trouble = ""

    @property
    def size(self) -> int:
        """How many leaves the tree had when this last looked."""
        return self._size

    def step(self, limit: int = BATCH) -> int:
        """Make the next leaves; return how many.

        Raises UnreadableFactError, UnreadableEvent, LogGapError, ForkError and OtherTreeError,
        which last;
        ViewsBehindError, NoSuchPledgeError, TreeMovedError and what the database raises pass.
        Nothing of a batch that failed is written.
        """
        if not self._checked:
            self._check_end()
        reading = self._facts.after(self._size, limit)
        if not reading.events:
            if reading.fault is not None:
                raise reading.fault
            return 0
        try:
            self._size = self._store.append(self._size, self.leaves(reading))
        except BaseException:
            self._checked = False  # whoever was first, or whatever failed: look again
            raise
        self._told()
        return len(reading.events)

    def leaves(self, reading: Reading) -> list[bytes]:
        """The encoded leaves of these facts. Raises ViewsBehindError and NoSuchPledgeError."""
        for event in reading.events:
            if event.stream.startswith(SUBJECT):
                self._subjects.forget(event.stream[len(SUBJECT) :])
        parties = self._subjects.parties(reading.events, reading.after)
        keys = self._subjects.keys(parties)
        gone = {party for party in parties if party is not None and keys.get(party, b"") is None}
        erased = {party: at for party in gone if (at := self._erased_at(party))}
        currencies = self._currencies.of(reading.events)
        return self._maker.leaves(reading, parties, keys, currencies, erased)

    def _erased_at(self, party: str) -> int:
        """The position at which a person's erasure is recorded; 0 where it is not."""
        rows = self._log.read_stream(SUBJECT + party, 0, 1)
        return rows[0].position if rows else 0

    def _check_end(self) -> None:
        """Look where the tree stands, and whether its last leaf is that of the log's event there.

        Raises ForkError.
        """
        self._size = size = self._store.size
        last, _ = self._log.last()
        if size > last:
            raise ForkError(
                f"The transparency tree has {size:,} leaves and the log {last:,} events: the log"
                f" was rewound, and what was published of it cannot be continued. {RESTORE}"
            )
        if size:
            reading = self._facts.after(size - 1, 1)
            if not reading.events:
                raise ForkError(f"The log's event at position {size:,} cannot be read. {RESTORE}")
            (event,) = reading.events
            currency = self._currencies.of([event]).get(event.stream, "")
            public = public_part(event, currency).encode()
            made = commit(self._salts.public(event.stream, event.version), public)
            if made != self._store.leaf(size - 1).public:
                raise ForkError(
                    f"At position {size:,} the log holds another event than the one that is in the"
                    f" transparency tree: it is a fork. {RESTORE}"
                )
        self._checked = True

    def catch_up(self) -> int:
        """Step to the log's end, whoever else does; return how many leaves that were here.

        Raises as `step`, but for TreeMovedError.
        """
        total, made = 0, 1
        while made:
            try:
                made = self.step()
                total += made
            except TreeMovedError:
                continue
        return total

    def run(self, stop: threading.Event) -> None:
        """Follow until told to stop, or until a fault that lasts; what a thread runs."""
        while not stop.is_set():
            if not self._may_follow():
                self._checked = False
                self._subjects.rest(0.0)
                stop.wait(PAUSE_S)
                continue
            self._subjects.rest()
            try:
                self._log.wait(self._size, PAUSE_S)
                if self.step() < BATCH:
                    stop.wait(REST_S)
                self.trouble = ""
            except LASTING as fault:
                self.fault = str(fault)
                _logger.critical("the transparency tree stands still: %s", fault)
                return
            except (ViewsBehindError, TreeMovedError):
                stop.wait(LOOK_S)
            except Exception as fault:
                # A full disk, a database that does not answer: nothing of the batch was kept.
                # What the database quotes is for our log alone: health shows this to everybody.
                self.trouble = f"leaves could not be made: {type(fault).__name__}"
                _logger.exception("leaves after position %d could not be made", self._size)
                stop.wait(PAUSE_S)
