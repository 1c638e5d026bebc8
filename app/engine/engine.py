"""The engine: the only way into the log.

One thread takes all commands that wait, decides them in one append turn, and answers every caller
after the commit (group commit): many callers share one write to the disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from eventsourcing.persistence import PersistenceError

from app.engine.claims import LEAST_TAIL, Kept, claims_of, load_claims, save_claims
from app.engine.decider import Decider, S
from app.engine.loading import Loading
from app.engine.repeating import answer_repetitions
from app.engine.states import (
    PAGE_ROWS,
    StateCache,
    evolve_row,
    follow_on,
    load_small,
    load_state,
)
from app.engine.turn import Decisions
from app.engine.waiting import UNANSWERED, Entry, Job, Outcome, WaitingCommands, key_hashes
from app.log import (
    CommitUnknown,
    EventLog,
    LogRow,
    SnapshotStore,
)
from domain.commands import Command

MAX_BATCH: Final = 8_192
"""Commands in one append turn."""
MAX_WAITING: Final = 65_536
"""Commands that may wait, over all callers."""
CACHE_LIMIT: Final = 4_000_000
"""The weight of the states kept in memory, in pledges of about 550 bytes each."""

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class NotCommitted(PersistenceError):  # noqa: N818 - a fact to tell
    """The turn could not be recorded: nothing of it is in the log. Send the command again."""


class LogWentBack(PersistenceError):  # noqa: N818 - what was found
    """The log ends earlier than it did: a copy was brought back, or a database lost its end.

    Going on would give the same positions to other facts, so nothing is recorded any more.
    """


class TurnObserver(Protocol):
    """Who wants to know of each append turn, such as a meter."""

    def turn(self, seconds: float, commands: int, events: int) -> None:
        """A turn took so long, from the lock to the answers, for so many commands and events."""

    def answered(self, entries: Sequence[Entry]) -> None:
        """These commands have their results."""


def clock_ms() -> int:
    """Return the time now, in ms UTC."""
    return time.time_ns() // 1_000_000


class Engine(Generic[S]):
    """Decides commands and records what they lead to, in the order they came.

    `clock` returns ms UTC; all events of a turn get the same time, never earlier than the log's
    last. `max_batch` bounds a turn, `max_waiting` the queue, `cache_limit` the weight of the
    states in memory (see `Decider.weight`). `observer` is told of each turn. Close it, or use it as
    a context manager; the log and the snapshots stay open.
    """

    def __init__(
        self,
        log: EventLog,
        snapshots: SnapshotStore | None,
        decider: Decider[S],
        *,
        clock: Callable[[], int] = clock_ms,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
        cache_limit: int = CACHE_LIMIT,
        observer: TurnObserver | None = None,
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._decider = decider
        self._clock = clock
        self._max_batch = max_batch
        self._waiting = WaitingCommands(max_waiting)
        self._states: StateCache[S] = StateCache(decider, cache_limit)
        self._observer = observer
        self._seen, _ = log.last()
        self._claims, self._claims_saved = load_claims(log, snapshots, decider, self._seen)
        self._saving: threading.Thread | None = None
        self._loading: Loading[S] = Loading(self._load_now, self._waiting.wake)
        self._deferred: list[Entry] = []
        self._between_turns = threading.Lock()
        self._looking = threading.Lock()
        self._writer = threading.Thread(target=self._run, name="engine", daemon=True)
        self._writer.start()

    # --- For callers -----------------------------------------------------------------------------

    def submit(self, command: Command, key: str | None = None) -> Outcome:
        """Decide one command and wait for its outcome to be durable.

        `key` is an idempotency key: the same key with the same content is answered with the first
        outcome; the caller makes it unique among all who send keys. Raises the Rejection, or
        EngineBusy, EngineClosed, NotCommitted (nothing was done), CommitUnknown (it may have been
        done: ask again), or the decider's own error.
        """
        return _only(self.submit_many((command,), None if key is None else (key,)))

    def submit_many(
        self, commands: Sequence[Command], keys: Sequence[str | None] | None = None
    ) -> list[Outcome | Exception]:
        """Decide commands in their order; return an outcome or exception for each.

        A long list may span turns. Raises EngineBusy or EngineClosed for the whole list.
        """
        if not commands:
            return []
        job = self._job(commands, keys, None)
        self._waiting.put(job)
        job.done.acquire()
        return job.results

    async def submit_async(self, command: Command, key: str | None = None) -> Outcome:
        """Do as `submit`, without holding up the event loop."""
        return _only(await self.submit_many_async((command,), None if key is None else (key,)))

    async def submit_many_async(
        self, commands: Sequence[Command], keys: Sequence[str | None] | None = None
    ) -> list[Outcome | Exception]:
        """Do as `submit_many`, without holding up the event loop.

        A caller that stops waiting does not undo its commands.
        """
        if not commands:
            return []
        future: asyncio.Future[list[Outcome | Exception]]
        future = asyncio.get_running_loop().create_future()
        self._waiting.put(self._job(commands, keys, future))
        return await future

    def inspect(self, campaign_id: str, look: Callable[[S], T]) -> T:
        """Return what `look` sees of a campaign's present state, between two turns.

        `look` must not change the state, nor keep it: what it returns is all that leaves. Raises
        what loading the state raises.
        """
        stream = self._decider.prefix + campaign_id
        with self._looking:  # one cold state at a time, however many look
            loaded = None if stream in self._states else self._load_now(stream)
            with self._between_turns:
                self._catch_up_with_others()
                state = self._states.get(stream)
                if state is None:
                    state = self._load_now(stream) if loaded is None else loaded
                    self._adopt(stream, state)
                try:
                    return look(state)
                finally:
                    self._states.settle((stream,))

    def _job(
        self,
        commands: Sequence[Command],
        keys: Sequence[str | None] | None,
        future: asyncio.Future[list[Outcome | Exception]] | None,
    ) -> Job:
        stream_of = self._decider.stream_of
        streams = [stream_of(command) for command in commands]
        hashes = None
        if keys is not None and any(key is not None for key in keys):
            hashes = [
                None if key is None else key_hashes(command, key)
                for command, key in zip(commands, keys, strict=True)
            ]
        return Job(commands, streams, hashes, future)

    @property
    def waiting(self) -> int:
        """How many commands wait for a turn."""
        return self._waiting.number

    @property
    def turned_away(self) -> int:
        """How many commands were answered with EngineBusy so far."""
        return self._waiting.turned_away

    def close(self) -> None:
        """Decide what waits, then stop."""
        self._waiting.close()
        self._writer.join()
        self._loading.close()
        if self._saving is not None:
            self._saving.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- The writer's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._release_loaded()
            room = self._max_batch - len(self._deferred)
            batch = self._deferred[: self._max_batch]
            self._deferred = self._deferred[self._max_batch :]
            if room > 0:
                batch += self._waiting.take(room, wait=not batch)
            if not batch:
                if self._waiting.ended:
                    if not self._loading:
                        return
                    self._loading.wait()  # for those who were let in before it was closed
                continue
            with self._between_turns:
                started = time.perf_counter()
                try:
                    events = self._turn(batch)
                except Exception as fault:
                    _logger.exception("a turn failed outside its transaction")
                    self._start_over(batch, fault)
                    events = 0
                try:
                    self._save_claims_if_due()
                except Exception:
                    _logger.exception("the claims could not be saved; the log holds them all")
            self._answer(batch)
            if self._observer is not None:
                try:
                    self._observer.turn(time.perf_counter() - started, len(batch), events)
                    self._observer.answered(batch)
                except Exception:
                    _logger.exception("a turn could not be told of")

    def _start_over(self, batch: list[Entry], fault: Exception) -> None:
        """Forget everything; commands without an answer may or may not have been recorded. Those
        that wait for their state, or for the next turn, were not touched.
        """
        self._states.clear()
        waiting = set(self._deferred)
        for entry in batch:
            job, index = entry
            if entry in waiting or job.streams[index] in self._loading:
                continue
            if job.results[index] is UNANSWERED:
                job.results[index] = CommitUnknown(str(fault))

    def _turn(self, batch: list[Entry]) -> int:
        """Run one append turn and set the results of its commands; return how many events it had.

        A command without a result waits: for its state, or for the next turn.
        """
        try:
            self._catch_up_with_others()
        except PersistenceError as fault:
            _fail(batch, NotCommitted, fault)
            return 0
        states = self._load(batch)
        used = list(states)
        ready = batch
        if self._loading or any(job.results[index] is not UNANSWERED for job, index in batch):
            ready = [entry for entry in batch if entry[0].streams[entry[1]] in states]
        if not ready:
            return 0
        try:
            with self._log.turn() as turn:
                if turn.position < self._seen:
                    raise LogWentBack(  # noqa: TRY301 - it is told as every turn that fails
                        f"the log ends at {turn.position:,}, where {self._seen:,} was seen before"
                    )
                if turn.position != self._seen:
                    self._catch_up(turn.tail(self._seen), states)
                    self._seen = turn.position
                at = max(self._clock(), turn.at)
                decisions = Decisions(self._decider, states, self._claims, turn, at)
                decisions.decide(ready)
                if decisions.rows or decisions.keys:
                    turn.append(decisions.rows, decisions.keys)
        except Exception as fault:
            _logger.exception("a turn of %d commands was not recorded", len(ready))
            self._drop(used)
            known = not isinstance(fault, CommitUnknown)
            _fail(ready, NotCommitted if known else CommitUnknown, fault)
            return 0
        self._seen += len(decisions.rows)
        self._claims.add(decisions.claimed)
        self._deferred = decisions.deferred + self._deferred
        self._drop(decisions.broken)
        self._states.settle(used)
        answer_repetitions(self._log, decisions.repetitions)
        return len(decisions.rows)

    def _catch_up_with_others(self) -> None:
        """Evolve what other processes appended, before the lock, so that little is left to do."""
        if self._log.last()[0] == self._seen:
            return
        while rows := self._log.read(self._seen, PAGE_ROWS):
            self._catch_up(rows, {})
            self._seen = rows[-1].position

    def _catch_up(self, rows: list[LogRow], states: dict[str, S]) -> None:
        self._claims.add(claims_of(self._decider, rows))
        for row in rows:
            state = self._states.get(row.stream)
            if state is None or row.version <= state.version:
                continue
            try:
                evolve_row(self._decider, state, row)
            except Exception:
                # Loading the state again tells the same to the callers who need it.
                _logger.exception("position %d cannot be evolved", row.position)
                self._states.drop(row.stream)
                states.pop(row.stream, None)

    # --- States ----------------------------------------------------------------------------------

    def _load(self, batch: list[Entry]) -> dict[str, S]:
        """Return the states of a batch by stream.

        Commands whose state cannot be had fail; those whose state takes long wait for it, and
        nobody else for them.
        """
        states: dict[str, S] = {}
        failed: dict[str, Exception] = {}
        for entry in batch:
            job, index = entry
            stream = job.streams[index]
            if stream in states:
                continue
            if stream in self._loading:
                self._park(stream, entry)
                continue
            if stream not in failed:
                try:
                    state = self._states.get(stream)
                    if state is None:
                        state = load_small(self._log, self._snapshots, self._decider, stream)
                        if state is None:
                            self._park(stream, entry)
                            continue
                        self._states.put(stream, state)
                    states[stream] = state
                    continue
                except Exception as fault:  # noqa: BLE001 - told to each who needs the stream
                    failed[stream] = _load_fault(stream, fault)
            job.results[index] = failed[stream]
        return states

    def _park(self, stream: str, entry: Entry) -> None:
        self._loading.park(stream, entry)
        self._waiting.count(1)

    def _release_loaded(self) -> None:
        """Let the commands go on whose state has come; they are the next to be decided."""
        for stream, found, entries in self._loading.take():
            self._waiting.count(-len(entries))
            fault = found if isinstance(found, Exception) else self._adoption_fault(stream, found)
            if fault is None:
                self._deferred += entries
                continue
            told = _load_fault(stream, fault)
            for job, index in entries:
                job.results[index] = told
            self._answer(entries)

    def _adoption_fault(self, stream: str, state: S) -> Exception | None:
        """Keep a state that was loaded; return why it cannot be kept."""
        try:
            with self._between_turns:
                self._adopt(stream, state)
        except Exception as fault:  # noqa: BLE001 - told to each who needs the stream
            return fault
        return None

    def _load_now(self, stream: str) -> S:
        return load_state(self._log, self._snapshots, self._decider, stream)

    def _adopt(self, stream: str, state: S) -> None:
        """Keep a state that was loaded a while ago, with what was recorded since."""
        follow_on(self._log, self._decider, stream, state)
        self._states.put(stream, state)
        self._states.settle((stream,))

    def _drop(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._states.drop(stream)

    def _save_claims_if_due(self) -> None:
        """Keep a snapshot of the claims beside the turns, when much has come since the last."""
        if self._snapshots is None or (self._saving is not None and self._saving.is_alive()):
            return
        tail = self._seen - self._claims_saved
        if tail < max(LEAST_TAIL, self._claims_saved // 4):
            return
        kept = Kept(self._seen, self._claims.runs())
        saving = threading.Thread(
            target=_save_claims,
            args=(self._log, self._snapshots, self._decider, kept),
            name="claims",
            daemon=True,
        )
        saving.start()
        self._saving, self._claims_saved = saving, kept.position

    # --- Answers ---------------------------------------------------------------------------------

    def _answer(self, batch: list[Entry]) -> None:
        """Wake the callers whose last command was answered; one call per event loop."""
        finished: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job, index in batch:
            if job.results[index] is UNANSWERED:
                continue
            job.left -= 1
            if job.left:
                continue
            if job.future is None:
                job.done.release()
            else:
                finished.setdefault(job.future.get_loop(), []).append(job)
        for loop, jobs in finished.items():
            try:
                loop.call_soon_threadsafe(_resolve, jobs)
            except RuntimeError:
                _logger.warning("%d callers are gone with their event loop", len(jobs))


def _load_fault(stream: str, fault: Exception) -> Exception:
    """What is told to those who need a state that cannot be had."""
    if isinstance(fault, PersistenceError):
        return NotCommitted(str(fault))
    _logger.error("the state of %s cannot be loaded", stream, exc_info=fault)
    return fault


def _save_claims(log: EventLog, snapshots: SnapshotStore, decider: Decider[S], kept: Kept) -> None:
    try:
        save_claims(log, snapshots, decider, kept)
    except Exception:
        _logger.exception("the claims could not be saved; the log holds them all")


def _fail(entries: list[Entry], fate: type[PersistenceError], fault: Exception) -> None:
    for job, index in entries:
        job.results[index] = fate(str(fault))


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future is not None and not job.future.done():
            job.future.set_result(job.results)


def _only(results: list[Outcome | Exception]) -> Outcome:
    (result,) = results
    if isinstance(result, Exception):
        raise result
    return result
