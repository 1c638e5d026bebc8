"""Moving pages from the write-ahead log to the log's file beside the append turns.

SQLite checkpoints in the thread whose commit made the write-ahead log long enough, which holds up
every caller of that turn and the next. Over many campaigns that is a fifth of the writer's time. A
thread of its own does most of it meanwhile, without the interpreter's lock; the writer's own
checkpoint (`WRITER_CHECKPOINT_PAGES`) then finds little left and starts the file anew.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from app.log.connection import READER_CACHE_KIB, connect

EVENTS: Final = 20_000
"""After so many events there are some forty megabytes to move."""

_logger = logging.getLogger(__name__)


class Checkpointer:
    """Checkpoints a log's file whenever enough was written. Its thread begins with the first time.

    `wrote` and `close` are for whoever holds the turn.
    """

    def __init__(self, path: Path, events: int = EVENTS) -> None:
        self._path = path
        self._events = events
        self._written = 0
        self._due = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def wrote(self, events: int) -> None:
        """So many events were committed."""
        self._written += events
        if self._written < self._events:
            return
        self._written = 0
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-checkpoint", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._due.wait() and not self._closing:
            self._due.clear()
            try:
                with closing(connect(self._path, cache_kib=READER_CACHE_KIB)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error:
                # Nothing is lost but time: the writer does it when its own bound is reached.
                _logger.warning("the log could not be checkpointed beside the turns", exc_info=True)

    def close(self) -> None:
        """End the thread, after what it is in the midst of."""
        self._closing = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
