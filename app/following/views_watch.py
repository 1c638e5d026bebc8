"""How far the views are, for a process that leaves following the log to another one.

It reads the checkpoints that the follower writes with each batch, opens nothing for writing, and
looks often only while somebody waits: whoever has just pledged sees the pledge within milliseconds
of its batch, and a process that nobody asks costs nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from projections.runner import Follower
from projections.views import Views

LOOK_S: Final = 0.005
"""How often the checkpoints are read while somebody waits, and for how long a position is believed
otherwise. One reading takes some 20 µs."""

BUSY_TIMEOUT_S: Final = 1.0

_STANDS: Final = "SELECT min(position) FROM checkpoints WHERE log = ?"


class ViewsWatch(Follower):
    """Stands where a process expects its follower. Coroutines may wait on one event loop only.

    It never steps: `step` and `run` raise, as there is a follower elsewhere.
    """

    def __init__(self, views: Views, log_id: str) -> None:
        self._views = views
        self._log_id = log_id
        self._reading = threading.Lock()
        self._path: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._stood = 0
        self._looked_at = -LOOK_S
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._looking: asyncio.Task[None] | None = None
        self.fault = None

    @property
    def position(self) -> int:
        """How far the views have read the log, as of at most `LOOK_S` ago."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return self._stood
        return self.look()

    def look(self) -> int:
        """How far the views have read the log now; 0 while there are none."""
        with self._reading:
            try:
                (found,) = self._open().execute(_STANDS, (self._log_id,)).fetchone()
            except (sqlite3.Error, OSError):
                self._close()  # no views yet, or just exchanged: the next look opens what is there
                found = None
            if found is not None:
                self._stood = found
            self._looked_at = time.monotonic()
            return self._stood

    def lag(self) -> int:
        """Not known here: the log is not read."""
        return 0

    def _open(self) -> sqlite3.Connection:
        path = self._views.current().path
        if self._connection is None or path != self._path:
            self._close()
            self._connection = sqlite3.connect(
                f"file:{path}?mode=ro",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self._path = path
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the file."""
        with self._reading:
            self._close()

    # --- Following is done elsewhere -------------------------------------------------------------

    def step(self, limit: int = 0) -> int:  # noqa: ARG002 - as the follower has it
        """Raise: another process follows."""
        raise RuntimeError("this process does not follow the log")

    def run(
        self,
        stop: threading.Event,  # noqa: ARG002 - as the follower has it
        wait: Callable[[int, float], int],  # noqa: ARG002 - the same
    ) -> None:
        """Raise: another process follows."""
        self.step()

    # --- Waiting ---------------------------------------------------------------------------------

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds until the views have read a position; whether they have."""
        deadline = time.monotonic() + timeout
        while self.look() < position:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S)
        return True

    async def wait_for_async(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109 - as the follower has it
        """The same, for a coroutine; however many wait, one of them looks."""
        if self.look() >= position:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = position
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look_on())
        try:
            await asyncio.wait([future], timeout=timeout)
        finally:
            self._waiting.pop(future, None)
        return self._stood >= position

    async def _look_on(self) -> None:
        """Look until nobody waits."""
        while self._waiting:
            await asyncio.sleep(LOOK_S)
            stands = self.look()
            for future in [one for one, wanted in self._waiting.items() if wanted <= stands]:
                self._waiting.pop(future, None)
                with suppress(asyncio.InvalidStateError):
                    future.set_result(None)
