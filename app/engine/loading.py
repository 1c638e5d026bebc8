"""Large states on their way into memory, while the others go on."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Generic

from app.engine.decider import S
from app.engine.waiting import Entry

LOADERS: Final = 2
"""Threads that load; more would only take turns at the interpreter."""

SWITCH_S: Final = 0.0005
"""How long a thread may keep the interpreter from another while a state is loaded.

An append turn gives it up at every step of the database. With Python's own 5 ms it would wait that
long each time to have it back from the loader, and a turn of 1 ms would take 50.
"""


class Loading(Generic[S]):
    """Streams that are being loaded, each with the commands that wait for it, in their order.

    `load` is called in a thread of ours, `wake` when a state is ready. All methods are for one
    thread, the engine's.
    """

    def __init__(self, load: Callable[[str], S], wake: Callable[[], None]) -> None:
        self._load = load
        self._wake = wake
        self._parked: dict[str, list[Entry]] = {}
        self._ready: deque[tuple[str, S | Exception]] = deque()
        self._threads = ThreadPoolExecutor(LOADERS, thread_name_prefix="engine-load")
        self._came = threading.Event()
        self._lock = threading.Lock()
        self._at_work = 0
        self._usual_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._parked)

    def __contains__(self, stream: str) -> bool:
        return stream in self._parked

    def park(self, stream: str, entry: Entry) -> None:
        """Let a command wait for its stream; the first one has it loaded."""
        waiting = self._parked.get(stream)
        if waiting is not None:
            waiting.append(entry)
            return
        self._parked[stream] = [entry]
        try:
            self._threads.submit(self._run, stream)
        except BaseException:
            del self._parked[stream]  # who asked is told, and nobody waits for ever
            raise

    def _run(self, stream: str) -> None:
        try:
            with self._giving_way():
                state = self._load(stream)
            self._ready.append((stream, state))
        except Exception as fault:  # noqa: BLE001 - told to each who waits
            self._ready.append((stream, fault))
        self._came.set()
        self._wake()

    @contextmanager
    def _giving_way(self) -> Iterator[None]:
        """Let threads take turns at the interpreter more often, as long as one of ours loads."""
        with self._lock:
            self._at_work += 1
            if self._at_work == 1:
                self._usual_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_S, self._usual_s))
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    sys.setswitchinterval(self._usual_s)

    def take(self) -> list[tuple[str, S | Exception, list[Entry]]]:
        """Return what was loaded, or why not, with the commands that waited for it."""
        taken = []
        self._came.clear()
        while self._ready:
            stream, found = self._ready.popleft()
            taken.append((stream, found, self._parked.pop(stream, [])))
        return taken

    def wait(self) -> None:
        """Wait until there is something to take."""
        self._came.wait()

    def close(self) -> None:
        """End the threads; nothing may wait any more."""
        self._threads.shutdown()
