"""The real server, as `tributary serve` starts it, for tests that end its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import httpx

from app.metrics.meter import Report, read_report, read_reports
from bench.crash_stage import CURRENCY, Stage, new_id

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = "from app.cli import main; main(prog_name='tributary')"

COMES_WITHIN_S: Final = 60.0
"""What a test waits for comes by then, on the busiest machine."""


def eventually(what: Callable[[], T | None]) -> T:
    """Wait until `what` gives something true, and return it."""
    deadline = time.monotonic() + COMES_WITHIN_S
    while not (found := what()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
    return found


def is_there(pid: int) -> bool:
    """Whether a process is there and not a corpse that nobody took leave of."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def environ(stage: Stage) -> dict[str, str]:
    """The environment of a command on this stage."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRIBUTARY_")}
    url = stage.settings.database_url
    return own | ({"TRIBUTARY_DATABASE_URL": url} if url else {})


def run(stage: Stage, *arguments: str, data_dir: Path | None = None) -> str:
    """Run a command to its end; what it said, and how it ended."""
    done = subprocess.run(
        command(data_dir or stage.settings.data_dir, arguments),
        env=environ(stage),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMES_WITHIN_S,
        check=False,
    )
    return f"{done.stdout}{done.stderr}\nexit {done.returncode}"


def command(data_dir: Path, arguments: Sequence[str]) -> list[str]:
    """`tributary`, with what stands before and behind it."""
    return [sys.executable, "-P", "-c", COMMAND, "--data", str(data_dir), *arguments]


class Served:
    """A command that serves until it is told to stop; as a context manager it is killed."""

    def __init__(self, stage: Stage, *arguments: str) -> None:
        self.stage = stage
        self.data_dir = stage.settings.data_dir
        self.said = self.data_dir / f"said-{new_id()}.txt"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command(self.data_dir, arguments),
                env=environ(stage),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.client = httpx.Client(base_url=stage.url, timeout=COMES_WITHIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for pid in (self.process.pid, *self.children()):
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """The processes that it started and that still are."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def ready(self) -> bool:
        """Whether it says that it should be sent requests. An assertion fails where it ended."""
        assert self.process.poll() is None, self.said.read_text()
        try:
            return httpx.get(f"{self.stage.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def reports(self) -> list[Report]:
        """What each of its processes says of itself."""
        return [one for one in read_reports(self.data_dir) if is_there(one.pid)]

    def report(self, process: str) -> Report | None:
        """What this process says of itself, if it is there."""
        found = read_report(self.data_dir, process)
        return found if found is not None and is_there(found.pid) else None

    def pledge(self, client: httpx.Client | None = None) -> dict[str, Any]:
        """Make a pledge; the answer."""
        stage = self.stage
        answer = (client or self.client).post(
            f"/api/v1/campaigns/{stage.campaigns[0].campaign_id}/pledges",
            json={
                "pledge_id": new_id(),
                "backer_id": stage.backers[0].id,
                "amount": 10_00,
                "currency": CURRENCY,
            },
            headers=stage.headers,
        )
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def stop(self) -> int:
        """Tell it to stop and wait for it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(COMES_WITHIN_S)
