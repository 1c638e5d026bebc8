"""Work in processes of its own, one for each processor, with a common count of what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from app.audit.progress import Progress
from app.audit.sources import CannotAudit

POLL_S: Final = 0.2
MOST_TASKS: Final = 4_096

Tell = Callable[[int], None]
"""Told how many events of a task are done."""

T = TypeVar("T")
R = TypeVar("R")

_board: Any = None
"""In a process of its own: how many events each task has done, and last whether to stop."""


class Processes:
    """Some processes, for one round of tasks after another."""

    def __init__(self, workers: int) -> None:
        context = get_context("spawn")  # a fork would copy locks that other threads hold
        self._board = context.Array("q", MOST_TASKS + 1, lock=False)
        self._pool = ProcessPoolExecutor(workers, context, _begin, (self._board,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._board[MOST_TASKS] = 1
        self._pool.shutdown(cancel_futures=True)

    def run(
        self, work: Callable[[T, Tell], R], tasks: Sequence[T], progress: Progress, total: int
    ) -> list[R]:
        """Do every task; `work` is a function of a module. Raises what a task raised."""
        assert len(tasks) <= MOST_TASKS, "as many as the board has places"
        self._board[: len(tasks)] = [0] * len(tasks)
        running = [self._pool.submit(_do, work, task, place) for place, task in enumerate(tasks)]
        try:
            for _ in _polls(running):
                progress(sum(self._board[: len(tasks)]), total)
            # All are done, or one has failed, and then this raises what stopped it.
            return [each.result() for each in running if each.done()]
        except BaseException:
            self._board[MOST_TASKS] = 1
            raise


def _polls(running: Sequence[Future[Any]]) -> Iterator[None]:
    """Every now and then, until all are done or one has failed."""
    waiting = True
    while waiting:
        yield
        done, not_done = wait(running, POLL_S)
        waiting = bool(not_done) and not any(each.exception() for each in done)


def _begin(board: Any) -> None:  # noqa: ANN401 - ctypes has no name for it
    global _board  # noqa: PLW0603 - the one way to hand it to a pool's processes
    _board = board


def _do(work: Callable[[T, Tell], R], task: T, place: int) -> R:
    def tell(events: int) -> None:
        _board[place] = events
        if _board[MOST_TASKS]:
            raise CannotAudit("Another share could not be read.")

    return work(task, tell)
