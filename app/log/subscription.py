"""Following the log through the library's `Subscription`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

if TYPE_CHECKING:
    from app.log.postgres import PostgresLog
    from app.log.sqlite import SQLiteLog

BATCH: Final = 500
WAIT_S: Final = 0.2
"""How long an iteration may go on after `stop`."""


class LogSubscription(Subscription[ApplicationRecorder]):
    """Every notification after a position, then each new one as it is appended.

    It reads in the thread that iterates; `stop` from any thread ends the iteration.
    """

    def __init__(self, log: SQLiteLog | PostgresLog, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=log, gt=gt, topics=topics)
        self._log = log
        self._after = gt or 0
        self._fetched: deque[Notification] = deque()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            if self._fetched:
                return self._fetched.popleft()
            self._fetch()
        raise StopIteration

    def _fetch(self) -> None:
        last = self._log.wait(self._after, WAIT_S)
        if last <= self._after:
            return
        found = self._log.select_notifications(
            self._after, BATCH, stop=last, topics=self._topics, inclusive_of_start=False
        )
        self._fetched.extend(found)
        # Topics left out must not be read again and again.
        self._after = found[-1].id if len(found) == BATCH else last
