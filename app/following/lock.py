"""Only one process at a time follows the log into a data directory; others stand by."""

from __future__ import annotations

import fcntl
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

LOCK: Final = "follow.lock"

LOOK_S: Final = 0.2
"""How often one that stands by looks whether it is its turn."""

_logger = logging.getLogger(__name__)


class FollowLock:
    """The right to follow. The system takes it from a process that ends, however that ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Take it, if nobody has it; whether it is ours now."""
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def wait(self, stop: threading.Event) -> bool:
        """Stand by until it is ours; False where it was not when told to stop."""
        if self.take():
            return True
        _logger.info("another process follows the log into %s: standing by", self._path.parent)
        while not stop.wait(LOOK_S):
            if self.take():
                _logger.info("the other process is gone: following the log from here on")
                return True
        return False

    def release(self) -> None:
        """Let others have it."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
