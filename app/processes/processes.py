"""All processes of one platform: they follow the log and see to what it asks for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from app.following.tail import require_readable
from app.log import LogRow, UnreadableEvent
from app.payments.port import Notification, PaymentProvider
from app.processes.collect import CollectRunner
from app.processes.deadlines import CloseRunner, LapseRunner
from app.processes.disburse import PayoutRunner, ReturnRunner
from app.processes.following import Following
from app.processes.grace import CancelRunner, DropRunner
from app.processes.news import News
from app.processes.pages import PageRunner
from app.processes.rate import RateLimit
from app.processes.refund import GiveBackRunner, RefundRunner
from app.processes.runner import LEASE_MS, Engine, Runner, World
from app.processes.work import Changes, Kind, Trouble, Work
from projections.reading import Facts, Tail

FOLLOWED_AT_ONCE: Final = 5_000
"""Events read and folded in one transaction."""
BATCH: Final = 1_000
"""Rows leased at once, and asked of the provider in one call."""
WAIT_S: Final = 0.5
REST_S: Final = 0.05
"""How long following rests after each time, so that many events share a transaction."""
POLL_S: Final = 0.1

RUNNERS: Final[Mapping[str, tuple[type[Runner], ...]]] = {
    "inside": (CloseRunner, LapseRunner, PageRunner, GiveBackRunner),
    "collect": (CollectRunner,),  # before drops: a retry held up by a suspension goes first
    "grace": (DropRunner, CancelRunner),
    "refund": (RefundRunner,),
    "disburse": (ReturnRunner, PayoutRunner),
}
"""In the order in which a step runs them; each group has a thread of its own in a server, so that
a slow provider holds up nothing but its own kind.
"""

_logger = logging.getLogger(__name__)


class Log(Protocol):
    """What processes ask of the log."""

    @property
    def log_id(self) -> str:
        """The log's random id."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows after a position, in order."""

    def last(self) -> tuple[int, int]:
        """The last event's (position, at); (0, 0) for an empty log."""

    def wait(self, after: int, timeout: float) -> int:
        """Wait for an event after a position; the last position."""


class Processes:
    """Collect, refund, disburse, close at deadlines; and hear the provider's news.

    `step` does everything that is due and is for one thread (a simulation, a test); `start` and
    `stop` run the same in threads of a server. `methods` resolves payment method ids to the
    provider's references, `accounts` payout account ids, `return_path` says where a backer goes
    after confirming a charge of pledge `no`. `clock` returns ms UTC. At most `rate_per_s` requests
    a second go to the provider (None: no limit), `batch` in one call. Several processes may work on
    one store; what one leases is its own for `lease_ms`. `may_follow` says whether the log is to be
    followed here, which the threads ask again and again. `work` is closed with them.
    The log is read through `facts`, where the followers of a process share that.
    """

    def __init__(  # noqa: PLR0913 - everything outside comes in here, by name
        self,
        log: Log,
        engine: Engine,
        provider: PaymentProvider,
        work: Work,
        *,
        methods: Callable[[Collection[str]], Mapping[str, str]],
        clock: Callable[[], int],
        accounts: Callable[[str], str] = str,
        return_path: Callable[[str, int], str] = lambda _campaign_id, _no: "",
        rate_per_s: float | None = None,
        batch: int = BATCH,
        lease_ms: int = LEASE_MS,
        may_follow: Callable[[], bool] = lambda: True,
        facts: Facts | None = None,
    ) -> None:
        self._log = log
        self._facts = facts or Tail(log.read)
        self._clock = clock
        self._may_follow = may_follow
        self._work = work
        self._rate = RateLimit(rate_per_s)
        self._world = world = World(
            log_id=log.log_id,
            engine=engine,
            provider=provider,
            work=self._work,
            rate=self._rate,
            methods=methods,
            accounts=accounts,
            return_path=return_path,
            lease_ms=lease_ms,
            batch=batch,
        )
        self._news = News(world)
        self._groups = {
            name: [runner(world) for runner in group] for name, group in RUNNERS.items()
        }
        self._following_lock = threading.Lock()
        self._fault: str = ""
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        # Remembered with the first step: a process that only hears news and looks needs none of it.
        self._following: Following | None = None
        self._position = 0

    # --- Following -------------------------------------------------------------------------------

    def _remember(self) -> Following:
        self._position = self._work.position(self._log.log_id)
        if self._position > self._log.last()[0]:
            # The log was restored from an older copy: what was followed is not what is there.
            _logger.warning("the log is shorter than what was followed: the work is made anew")
            self._work.clear()
            self._position = 0
        self._following = Following(self._work.campaigns())
        return self._following

    def follow(self) -> int:
        """Turn what is new in the log into work; returns how many events it was.

        Raises UnreadableEvent at an event that this code does not know: none is skipped.
        """
        with self._following_lock:
            following = self._following or self._remember()
            followed = 0
            while (reading := self._facts.after(self._position, FOLLOWED_AT_ONCE)).events:
                new = self._apply(following, following.changes(reading))
                followed += new
                if not new:  # another process was first
                    following = self._remember()
            require_readable(self._log, reading)
            return followed

    def _apply(self, following: Following, changes: Changes) -> int:
        before = self._position
        if not self._work.apply(changes, self._log.log_id, before):
            return 0
        following.keep(changes)
        self._position = changes.position
        return changes.position - before

    @property
    def position(self) -> int:
        """Up to where the log was followed, by this process or by another."""
        if self._following is None:
            return self._work.position(self._log.log_id)
        return self._position

    def reconstruct(self) -> int:
        """Throw the work away and make it anew from the log: what was asked for and has no outcome.

        Returns how many events were followed. Not while other processes work on the same file.
        """
        with self._following_lock:
            self._work.clear()
            self._remember()
        return self.follow()

    # --- Running ---------------------------------------------------------------------------------

    def run_due(self, now: int) -> int:
        """Let each runner see to one batch of what is due at `now`; returns how many rows."""
        return sum(runner.step(now) for group in self._groups.values() for runner in group)

    def step(self, now: int) -> int:
        """Follow the log and do all that is due at `now` (ms UTC), until nothing is left.

        Returns how many events and rows it was; deterministic, for one thread.
        """
        total = 0
        while done := self.follow() + self.run_due(now):
            total += done
        return total

    def next_due(self) -> int | None:
        """When there is next something to do, in ms UTC; None: nothing waits for its time."""
        due = self._work.next_due()
        limited: set[Kind] = {
            runner.kind
            for group in self._groups.values()
            for runner in group
            if runner.asks_provider
        }
        times = [
            max(at, self._rate.ready_at()) if kind in limited else at for kind, at in due.items()
        ]
        return min(times, default=None)

    # --- News ------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Hear one delivery of the provider's notifications; see `News.receive`."""
        return self._news.receive(headers, body)

    def hear(self, notifications: Iterable[Notification]) -> int:
        """Hear notifications that were checked before."""
        return self._news.hear(notifications)

    # --- Looking ---------------------------------------------------------------------------------

    def waiting(self) -> dict[Kind, int]:
        """How many rows of work there are of each kind."""
        return self._work.waiting()

    def troubles(self, limit: int = 100) -> list[Trouble]:
        """What did not go through, with its last error."""
        return self._work.troubles(limit)

    @property
    def fault(self) -> str:
        """Why the log cannot be followed any further; empty when all is well."""
        return self._fault

    # --- A server's threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Follow and run in threads of their own, until `stop`."""
        assert not self._threads, "started twice"
        self._stop.clear()
        loops: dict[str, Callable[[], None]] = {"follow": self._follow_on}
        for name, group in self._groups.items():
            loops[name] = partial(self._run_on, group)
        for name, loop in loops.items():
            thread = threading.Thread(target=loop, name=f"processes-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads, after what each is in the midst of."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def close(self) -> None:
        """Stop, and close the file."""
        self.stop()
        self._work.close()

    def _run_on(self, group: Sequence[Runner]) -> None:
        while not self._stop.is_set():
            rows = 0
            for runner in group:
                try:
                    rows += runner.step(self._clock())
                except Exception:
                    _logger.exception("the runner of %s stumbled; it goes on", runner.kind)
            if not rows:
                self._stop.wait(POLL_S)

    def _follow_on(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._may_follow():  # another machine does, into the same work
                    self._following = None
                    self._stop.wait(WAIT_S)
                    continue
                followed = self.follow()
                self._fault = ""
                if followed:
                    self._stop.wait(REST_S)
                self._log.wait(self._position, POLL_S)
            except UnreadableEvent as fault:
                if str(fault) != self._fault:
                    _logger.error("processes stop following: %s", fault)  # noqa: TRY400
                self._fault = str(fault)
                self._stop.wait(WAIT_S)
            except Exception as fault:
                _logger.exception("following the log failed; it is tried again")
                self._fault = f"{type(fault).__name__}: {fault}"
                self._stop.wait(WAIT_S)
