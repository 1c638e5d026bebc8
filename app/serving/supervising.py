"""The parent of a server's processes: starts them, starts anew what dies, stops all in order.

It forks children from a process that has imported everything and opened nothing: a child that died
is back within milliseconds, running the same code. Children hold one end of a pipe whose other end
only the parent has: when the parent is gone, however it went, they stop as if told to.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Final

from msgspec import Struct

FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 10.0
LIVED_S: Final = 10.0
"""A child that lived for so long did start: the next pause is the first one again."""

STOPS_WITHIN_S: Final = 20.0
"""A child that was told to stop and is still there after this is ended with SIGKILL."""

REFUSED: Final = 78
"""The exit code of a child that must not be started again: EX_CONFIG of sysexits.h."""

_logger = logging.getLogger(__name__)
_context = multiprocessing.get_context("fork")


class Job(Struct, frozen=True):
    """What a child does. Of a server that stops, children of a lower `order` stop first."""

    name: str
    run: Callable[[], None]
    order: int = 0


class _Child:
    """One job, in one process after the other."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process: ForkProcess | None = None
        self.due_at = 0.0
        self._began_at = 0.0
        self._pause_s = FIRST_PAUSE_S

    def start(self, lifeline: tuple[int, int]) -> None:
        self.process = _context.Process(
            target=_live, args=(self.job, lifeline), name=self.job.name, daemon=False
        )
        self._began_at = time.monotonic()
        self.process.start()

    def ended(self) -> int:
        """Take leave of a process that is gone; its exit code. Says when the next one comes."""
        assert self.process is not None, "only a child that runs can end"
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        self.process = None
        now = time.monotonic()
        if now - self._began_at >= LIVED_S:
            self._pause_s = FIRST_PAUSE_S
        self.due_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)
        return code


class Supervisor:
    """Runs jobs, each in a process of its own, until told to stop by SIGTERM or SIGINT.

    The caller has no threads, no event loop and no open database: children are forks of it.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._children = [_Child(job) for job in jobs]
        self._stopping = False
        self._urgent = False
        self._wake: tuple[int, int] = (-1, -1)
        self._lifeline: tuple[int, int] = (-1, -1)

    def run(self, before_stop: Callable[[], None] = lambda: None) -> int:
        """Run until told to stop; return 0, or REFUSED where a child said that it cannot run.

        `before_stop` is called first when stopping: to let go of what children share.
        """
        self._wake, self._lifeline = os.pipe(), os.pipe()
        os.set_blocking(self._wake[1], False)
        before = {each: signal.signal(each, self._told) for each in (signal.SIGTERM, signal.SIGINT)}
        # What is here now lives as long as the children: their collector need not look at it.
        gc.collect()
        gc.freeze()
        code = 0
        try:
            while not self._stopping:
                self._start_due()
                code = self._watch()
                if code == REFUSED:
                    break
        finally:
            before_stop()
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in (*self._wake, *self._lifeline):
                os.close(descriptor)
        return code

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._urgent = self._stopping
        self._stopping = True
        os.write(self._wake[1], b"!")

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.due_at:
                child.start(self._lifeline)

    def _watch(self) -> int:
        """Wait until something happens; return REFUSED where a child cannot run, else 0."""
        dues = [child.due_at for child in self._children if child.process is None]
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        happened = wait([*self._sentinels(), self._wake[0]], timeout)
        for child in self._children:
            if child.process is None or child.process.sentinel not in happened:
                continue
            code = child.ended()
            if code == REFUSED:
                return REFUSED
            if not self._stopping:
                _logger.error(
                    "%s ended (%s); it is started again in %.1f s",
                    child.job.name,
                    f"signal {-code}" if code < 0 else f"exit code {code}",
                    child.due_at - time.monotonic(),
                )
        return 0

    def _sentinels(self) -> list[int]:
        return [child.process.sentinel for child in self._children if child.process is not None]

    # --- Stopping --------------------------------------------------------------------------------

    def _stop(self) -> None:
        """End the children, those of each order together; a second signal ends all at once."""
        self._stopping = True
        for order in sorted({child.job.order for child in self._children}):
            some = [child for child in self._children if child.job.order == order]
            for child in some:
                if child.process is not None:
                    child.process.terminate()
            self._await(some, time.monotonic() + STOPS_WITHIN_S)

    def _await(self, children: Sequence[_Child], deadline: float) -> None:
        while running := [child for child in children if child.process is not None]:
            sentinels = [child.process.sentinel for child in running if child.process is not None]
            if self._urgent or time.monotonic() >= deadline:
                for child in running:
                    if child.process is not None:
                        _logger.error("%s does not stop; it is killed", child.job.name)
                        child.process.kill()
            happened = wait([*sentinels, self._wake[0]], max(0.1, deadline - time.monotonic()))
            if self._wake[0] in happened:
                os.read(self._wake[0], 64)
            for child in running:
                if child.process is not None and child.process.sentinel in happened:
                    child.ended()


def _live(job: Job, lifeline: tuple[int, int]) -> None:
    """Do a job in a fresh child."""
    listening, held = lifeline
    os.close(held)  # only the parent's death closes the last copy
    # The parent is told by the terminal, too, and tells its children in their order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(listening,), daemon=True).start()
    job.run()


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOPS_WITHIN_S)
    os._exit(1)
