"""The platform audits itself: every so often `audit verify` and `audit replay`, beside the server.

Each runs in a process of its own that gives way to everything else, so that neither the server's
interpreter nor its processors are held up. What they find is kept in the data directory
(`app.audit.last`), where the audit page, health and metrics read it; what they print goes to the
server's log where something was found.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Final, Literal

from app.audit.last import read_last
from app.settings import Settings

Command = Literal["verify", "replay"]

FIRST_AFTER_S: Final = 60.0
"""How long a server has run before it first audits itself."""

DEMO_AFTER_S: Final = 4.0
"""The same in a demo, whose visitors want to see a seal."""

LOOK_S: Final = 0.2
"""How often a running audit is looked after: so long may it outlive the order to stop."""

LONGEST_S: Final = 6 * 3_600.0
"""An audit that takes longer is ended; the next one begins anew."""

KILL_AFTER_S: Final = 5.0
TOLD: Final = 4_000
"""Characters of what an audit printed that are repeated in the server's log."""

_GIVING_WAY: Final = """
import os
os.nice(19)
from app.cli import main
main(prog_name="tributary")
"""

FOUND: Final = 1

_logger = logging.getLogger(__name__)


class SelfAudit:
    """Audits one data directory every `settings.audit_every_s` seconds; never where that is 0.

    `may_audit` says whether it is for this process to do: of several machines on one log one does.
    """

    def __init__(self, settings: Settings, may_audit: Callable[[], bool]) -> None:
        self._settings = settings
        self._may_audit = may_audit

    def run(self, stop: threading.Event) -> None:
        """Audit when it is due, until told to stop."""
        every_s = self._settings.audit_every_s
        if not every_s:
            return
        pause_s = self._first_pause_s(every_s)
        while not stop.wait(pause_s):
            pause_s = every_s
            if self._may_audit():
                self.once(stop)

    def _first_pause_s(self, every_s: float) -> float:
        """Until the last audit is old enough, but not at once: a server that starts is busy."""
        if self._settings.demo:
            return DEMO_AFTER_S
        last = read_last(self._settings.last_audit_path)
        kept = [each.at for each in (last.verify, last.replay) if each is not None]
        if len(kept) < len(("verify", "replay")):
            return FIRST_AFTER_S
        return max(FIRST_AFTER_S, min(every_s, min(kept) / 1000 + every_s - time.time()))

    def once(self, stop: threading.Event) -> None:
        """Verify, then replay; end at once where told to stop."""
        commands: tuple[Command, ...] = ("verify", "replay")
        for command in commands:
            if stop.is_set():
                return
            try:
                self._audit(command, stop)
            except OSError as fault:
                _logger.warning("the audit's %s could not be started: %s", command, fault)

    def _audit(self, command: Command, stop: threading.Event) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as told:
            process = subprocess.Popen(  # noqa: S603 - our own program, our own directory
                [
                    *(sys.executable, "-P", "-c", _GIVING_WAY),
                    *("--data", str(self._settings.data_dir)),
                    *("audit", command, "--keep", "--workers", "1"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
            )
            began = time.monotonic()
            while process.poll() is None:
                if stop.wait(LOOK_S) or time.monotonic() - began > LONGEST_S:
                    _end(process)
                    _logger.info("the audit's %s was ended before it was done", command)
                    return
            _tell(command, process.returncode, told)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End an audit: it only reads, so nothing is lost."""
    process.terminate()
    try:
        process.wait(KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tell(command: Command, code: int, told: IO[str]) -> None:
    """Say in the log how it went; all of it only where something is wrong."""
    if code == 0:
        _logger.info("the audit's %s found nothing wrong", command)
        return
    told.seek(0)
    words = told.read(TOLD).strip()
    if code == FOUND:
        _logger.error("the audit's %s FOUND SOMETHING WRONG:\n%s", command, words)
    else:
        _logger.warning("the audit's %s could not be done (%s):\n%s", command, code, words)
