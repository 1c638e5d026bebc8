"""The follower: reads the log in batches, and folds each into all views in one transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct
from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from domain.events import BESIDE_CAMPAIGNS, CampaignSubmitted, PledgeMade
from projections import pledges
from projections.backer_ledger import BackerLedger
from projections.campaign_pages import CampaignPages
from projections.creator_desk import CreatorDesk
from projections.facts import Fact
from projections.journal import Journal, UnbalancedEntryError
from projections.new_pledges import NewPledges, Together
from projections.pledge_book import FactsDisagreeError, PledgeBook
from projections.pledge_changes import fold as fold_pledges
from projections.reading import Facts, LogGapError, Reading, Row, Tail, UnreadableFactError
from projections.rows import METADATA, table
from projections.seen import SeenBackers
from projections.views import ViewsFile

BATCH: Final = 20_000
"""Most events in one transaction. The more, the fewer times a page is written: with a thousand
campaigns at once, 20,000 cost two thirds of what 5,000 do per event; but a reader waits for a
batch."""

MANY: Final = 1_000
"""From so many events in a batch on the follower rests after it, so that the next one has more:
twice as long as the batch took, but at most `REST_S`. Who is far behind does not rest."""

REST_S: Final = 0.2

PAUSE_S: Final = 1.0
"""How long the log is waited for before the follower looks whether it should stop."""

LOOK_S: Final = 0.05
"""How often a process whose own follower does not run looks how far another one is."""

MOST_KNOWN: Final = 200_000
"""Campaigns whose keys are remembered from batch to batch."""

_logger = logging.getLogger(__name__)


class Fold(Protocol):
    """What one batch does to a projection's tables."""

    def fold(self, facts: Sequence[Fact], made: Iterable[Together]) -> None:
        """Change rows in memory, as the facts say; `made` are the new pledges."""

    def write(self) -> None:
        """Write them."""


class Projection(Protocol):
    """A read model: its tables, and how facts change them.

    Raise `version` with every change of the tables or of what is written into them. No row may
    depend on a clock, a name, chance, or on how the log was cut into batches.
    """

    @property
    def name(self) -> str:
        """What its checkpoint is called."""

    @property
    def version(self) -> int:
        """Which shape its tables have."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Its tables; nobody else writes to them."""

    def begin(self, conn: Connection, book: PledgeBook) -> Fold:
        """Begin a batch; `book` tells of every pledge that it changes."""


class Target(Protocol):
    """Where a follower writes: the current views, or one file of its own."""

    def current(self) -> ViewsFile:
        """The file to write to now."""


PROJECTIONS: Final[tuple[Projection, ...]] = (
    CampaignPages(),
    BackerLedger(),
    Journal(),
    CreatorDesk(),
)
"""All of them. The rows of pledges lie under them, with a checkpoint of their own."""

PLEDGES: Final = "pledges"


class CheckpointRow(Struct):
    """How far a projection has read a log."""

    projection: str
    log: str
    version: int
    position: int


CHECKPOINTS: Final = table("checkpoints", CheckpointRow, ["projection", "log"])


def tables_of(projections: Sequence[Projection]) -> list[Table]:
    """Every table that a follower of these projections needs."""
    own = [each for projection in projections for each in projection.tables]
    return [CHECKPOINTS, *pledges.TABLES, *own]


class CheckpointMovedError(Exception):
    """Another follower was first: nothing of this batch was written."""


class StaleViewsError(Exception):
    """The views were written by another version: they are to be rebuilt."""


LASTING: Final = (
    UnreadableFactError,
    LogGapError,
    StaleViewsError,
    FactsDisagreeError,
    UnbalancedEntryError,
)
"""Faults that trying again does not mend."""


class Follower:
    """Keeps views level with a log.

    `read(after, limit)` gives the log's rows after a position; or it gives facts, as the tail does
    that all followers of a process share. Any thread may step, one at a time,
    and any may wait.
    `fault` is what stopped it; as long as it stands, every step raises it again.
    """

    def __init__(
        self,
        read: Callable[[int, int], Sequence[Row]] | Facts,
        target: Target,
        *,
        log_id: str,
        projections: Sequence[Projection] = PROJECTIONS,
    ) -> None:
        self._facts: Facts = Tail(read) if callable(read) else read
        self._target = target
        self._log_id = log_id
        self._projections = projections
        self._versions = {PLEDGES: pledges.VERSION} | {p.name: p.version for p in projections}
        self._campaigns: dict[str, int] = {}
        self._backers = SeenBackers()
        self._backers_at = -1
        self._stepping = threading.Lock()
        self._moved = threading.Condition()
        self._waiters: dict[asyncio.Future[None], tuple[int, asyncio.AbstractEventLoop]] = {}
        self._running = False
        self._seen = 0
        self.fault: Exception | None = None
        self._file = target.current()
        self._position = self._checkpoint(self._file)

    @property
    def position(self) -> int:
        """How far the views have read the log."""
        return self._position

    def lag(self) -> int:
        """By how many events the views are behind what was last heard of the log."""
        return max(0, self._seen - self._position)

    # --- Following -------------------------------------------------------------------------------

    def step(self, limit: int = BATCH) -> int:
        """Fold the next batch; return how many events it had.

        Raises UnreadableFactError, LogGapError, CheckpointMovedError or StaleViewsError, and what
        a fold raises. Nothing of a batch that failed is kept.
        """
        with self._stepping:
            return self._step_alone(limit)

    def _step_alone(self, limit: int) -> int:
        if self.fault is not None:
            raise self.fault
        try:
            return self._step(limit)
        except (UnreadableFactError, LogGapError, CheckpointMovedError, StaleViewsError) as fault:
            self.fault = fault
            raise

    def _step(self, limit: int) -> int:
        self._adopt()
        reading = self._facts.after(self._position, limit)
        if not reading.events and reading.fault is not None:
            raise reading.fault
        while reading.events and not self._folded(reading):
            self._adopt()
            reading = reading.beyond(self._position)
        return len(reading.events)

    def catch_up(
        self, until: int | None = None, progress: Callable[[int], None] | None = None
    ) -> int:
        """Step to a position or the end of the log; return how many events that were."""
        total = 0
        while until is None or self._position < until:
            limit = BATCH if until is None else min(BATCH, until - self._position)
            events = self.step(limit)
            if not events:
                break
            total += events
            if progress is not None:
                progress(self._position)
        return total

    def run(self, stop: threading.Event, wait: Callable[[int, float], int]) -> None:
        """Follow until told to stop, or until a fault; what a thread runs.

        `wait(after, timeout)` waits for an event after a position and returns the last position.
        """
        self._running = True
        try:
            while not stop.is_set():
                try:
                    self._seen = wait(self._position, PAUSE_S)
                    began = time.monotonic()
                    if MANY <= self.step() < BATCH:
                        stop.wait(min(2 * (time.monotonic() - began), REST_S))
                except LASTING as fault:
                    self.fault = fault
                    _logger.exception("the views stand still at position %d", self._position)
                    return
                except CheckpointMovedError:
                    # A follower of another process was first: go on from where it left.
                    stop.wait(LOOK_S)
                    self._stand_again()
                except Exception:
                    # A locked file, a full disk: nothing of the batch was kept, so it is read again
                    # from where the views stand.
                    _logger.exception("a batch after position %d failed", self._position)
                    stop.wait(PAUSE_S)
                    self._stand_again()
        finally:
            self._running = False

    def _stand_again(self) -> None:
        """Look anew where the views stand, if they can be read."""
        self.fault = None
        with suppress(SQLAlchemyError, StaleViewsError):
            self._tell(self._checkpoint(self._file))

    # --- A batch ---------------------------------------------------------------------------------

    def _folded(self, reading: Reading) -> bool:
        """Write a batch; False where the views were rebuilt meanwhile and nothing was written."""
        last = reading.last
        with self._file.writer.begin() as conn:
            # A rebuild switches while it holds this lock: now it is certain which file is current.
            if self._target.current() is not self._file:
                return False
            self._move(conn, last)
            facts, made = self._sorted_out(conn, reading)
            book = PledgeBook(conn, self._seen_backers(conn), made)
            folds = [projection.begin(conn, book) for projection in self._projections]
            together = made.together()
            for fold in folds:
                fold.fold(facts, together)
            fold_pledges(book, facts)
            book.write()
            for fold in folds:
                fold.write()
        self._backers_at = last
        self._tell(last)
        return True

    def _seen_backers(self, conn: Connection) -> SeenBackers:
        """The backers that the views have: those of the last batch, if nobody wrote since."""
        if self._backers_at != self._position:
            self._backers = SeenBackers()
            self._backers.load(conn)
            self._backers_at = self._position
        return self._backers

    def _move(self, conn: Connection, position: int) -> None:
        """Move every checkpoint, each from exactly where this follower left it."""
        columns = CHECKPOINTS.c
        moved = conn.execute(
            update(CHECKPOINTS)
            .where(columns.log == self._log_id, columns.position == self._position)
            .values(position=position)
        )
        if moved.rowcount != len(self._versions):
            raise CheckpointMovedError(
                f"the views were not at position {self._position} any more:"
                " another follower writes them"
            )

    def _sorted_out(self, conn: Connection, reading: Reading) -> tuple[list[Fact], NewPledges]:
        """The new pledges, and all other facts with their campaigns' keys; those that a hold ends
        are in both.
        """
        self._know(conn, reading)
        known, facts, beside = self._campaigns, list[Fact](), BESIDE_CAMPAIGNS
        new: list[PledgeMade] = []
        positions: list[int] = []
        for position, event in zip(reading.positions, reading.events, strict=True):
            if type(event) is PledgeMade:
                new.append(event)
                positions.append(position)
                if not event.hold_id:
                    continue
            elif type(event) in beside:
                continue
            facts.append(Fact(position, known[event.stream], event))
        return facts, NewPledges(new, [known[event.stream] for event in new], positions)

    def _know(self, conn: Connection, reading: Reading) -> None:
        """Know the keys of all campaigns of a batch."""
        known = self._campaigns
        if len(known) > MOST_KNOWN:
            known.clear()
        missing = {event.stream for event in reading.events} - known.keys()
        if missing:
            for position, event in zip(reading.positions, reading.events, strict=True):
                if type(event) is CampaignSubmitted:
                    known[event.stream] = position
                elif type(event) in BESIDE_CAMPAIGNS:
                    missing.discard(event.stream)
            known.update(pledges.campaign_keys(conn, missing - known.keys()))

    # --- The file --------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Go over to the current file where the views were rebuilt."""
        file = self._target.current()
        if file is not self._file:
            self._file.close_sync()
            self._file = file
            self._position = self._checkpoint(file)
            self._backers_at = -1

    def _checkpoint(self, file: ViewsFile) -> int:
        """Where the file's views stand; tables and checkpoints are made for a log never read."""
        columns = CHECKPOINTS.c
        with file.writer.begin() as conn:
            CHECKPOINTS.create(conn, checkfirst=True)
            wanted = select(columns.projection, columns.version, columns.position)
            found = conn.execute(wanted.where(columns.log == self._log_id)).all()
            if not found:
                METADATA.create_all(conn, tables=tables_of(self._projections))
                conn.execute(
                    insert(CHECKPOINTS),
                    [
                        {"projection": name, "log": self._log_id, "version": version, "position": 0}
                        for name, version in self._versions.items()
                    ],
                )
                return 0
        positions = {position for _, _, position in found}
        if {name: version for name, version, _ in found} != self._versions or len(positions) != 1:
            raise StaleViewsError(
                "The views were written by another version of Tributary:"
                " run `tributary rebuild`, or delete them."
            )
        return int(positions.pop())

    # --- Waiting ---------------------------------------------------------------------------------

    def _tell(self, position: int) -> None:
        with self._moved:
            self._position = position
            self._seen = max(self._seen, position)
            self._moved.notify_all()
            due: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
            for future, (wanted, loop) in list(self._waiters.items()):
                if wanted <= position:
                    due.setdefault(loop, []).append(future)
                    del self._waiters[future]
        for loop, futures in due.items():
            loop.call_soon_threadsafe(_wake, futures)

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds until the views have read a position; whether they have."""
        deadline = time.monotonic() + timeout
        while self._position < position:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._moved:
                self._moved.wait_for(
                    lambda: self._position >= position, left if self._running else LOOK_S
                )
            if not self._running and self._stands() >= position:
                return True
        return True

    async def wait_for_async(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109
        """The same, for a coroutine."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._position < position:
            left = deadline - loop.time()
            if left <= 0:
                return False
            future: asyncio.Future[None] = loop.create_future()
            with self._moved:
                if self._position >= position:
                    return True
                self._waiters[future] = position, loop
            try:
                await asyncio.wait([future], timeout=left if self._running else min(left, LOOK_S))
            finally:
                self._waiters.pop(future, None)
            if not self._running and await asyncio.to_thread(self._stands) >= position:
                return True
        return True

    def _stands(self) -> int:
        """Where the views stand, whoever writes them."""
        with self._target.current().reader_sync.connect() as conn:
            return stands_at(conn, self._log_id)


def stands_at(conn: Connection, log_id: str) -> int:
    """How far the views of a file have read a log."""
    wanted = select(CHECKPOINTS.c.position).where(CHECKPOINTS.c.log == log_id)
    return min(conn.execute(wanted).scalars(), default=0)


def _wake(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
