"""Run the platform behind a web server: in several processes, in one, or as a demo."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final

import uvicorn
import uvloop

from app.asgi import create_app
from app.cli_options import STORE_FAULTS
from app.demo.clock import DemoClock
from app.demo.driver import drive
from app.demo.plans import CHANNELS, channel_plan
from app.demo.seed import Seeder
from app.demo.witness import witnessed
from app.engine import clock_ms
from app.following.lock import FollowLock
from app.following.seen import ForkedLogError
from app.metrics.meter import FOLLOWING
from app.serving.supervising import REFUSED, Job, Supervisor
from app.settings import Settings
from app.web.connections import server_limits
from app.wiring import Platform, open_platform
from domain.terms import DAY_MS

GRACE_S: Final = 10
"""How long answers under way may take once the server is told to stop, in seconds."""

BACKLOG: Final = 2_048
"""Connections that the system keeps for us while every process is busy."""

LOOK_S: Final = 0.5

_logger = logging.getLogger(__name__)


class CannotServeError(Exception):
    """The server cannot be started; the message says why."""


# --- In several processes ------------------------------------------------------------------------


def serve(settings: Settings, *, workers: int, follow: bool) -> None:
    """Serve with so many web processes and, where wished, one that follows, until told to stop.

    Raises CannotServeError. Call it from a process without threads: its children are forks of it.
    """
    _log_to_stderr()
    listening = _listen(settings)
    _prepare(settings)
    jobs = [
        Job(name, partial(_run_web, settings, listening, name))
        for name in (f"web-{settings.port}-{number}" for number in range(1, workers + 1))
    ]
    if follow:
        jobs.append(Job(FOLLOWING, partial(_run_follow, settings), order=1))
    _logger.info("serving %s in %s", settings.public_url, ", ".join(job.name for job in jobs))
    if Supervisor(jobs).run(listening.close) == REFUSED:
        raise CannotServeError("A process could not go on; what it said stands above.")


def follow(settings: Settings) -> None:
    """Follow the log until told to stop; stand by while another process does. Raises
    CannotServeError.
    """
    _log_to_stderr()
    _prepare(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not _follow_until(settings, stop):
        raise CannotServeError("The log was exchanged; what was said stands above.")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as fault:
        raise CannotServeError(
            f"Cannot listen on {settings.host}, port {settings.port}: {fault.strerror}."
        ) from fault
    listening.setblocking(False)  # noqa: FBT003 - the library has it so
    return listening


def _prepare(settings: Settings) -> None:
    """Open everything once, so that files are made, shapes checked and faults told, by one process
    and before others begin. In a child, as what was opened cannot be taken over by forks.
    """
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_open_once, args=(settings, sending), name="prepare")
    child.start()
    sending.close()
    with suppress(EOFError):
        raise CannotServeError(receiving.recv())
    child.join()
    if child.exitcode:
        raise CannotServeError(f"Opening {settings.data_dir} failed (exit code {child.exitcode}).")


def _open_once(settings: Settings, told: Any) -> None:  # noqa: ANN401 - multiprocessing's own
    async def open_and_close(*, follows: bool) -> None:
        async with open_platform(settings, role="follow" if follows else "web"):
            pass

    with FollowLock(settings.data_dir) as lock:
        try:
            asyncio.run(open_and_close(follows=lock.take()))
        except Exception as fault:
            if not isinstance(fault, (*STORE_FAULTS, ForkedLogError)):
                _logger.exception("the data could not be opened")
            told.send(str(fault) or type(fault).__name__)


def _run_web(settings: Settings, listening: socket.socket, name: str) -> None:
    """Answer requests, in a child."""
    # The server raises the signal that ended it once more, when it is done.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        _run(_serve_web(settings, listening, name))
    except ForkedLogError as fault:
        _logger.critical("%s", fault)
        sys.exit(REFUSED)


async def _serve_web(settings: Settings, listening: socket.socket, name: str) -> None:
    async with open_platform(settings, role="web", process=name) as platform:
        await serve_platform(platform, listening)


def _run_follow(settings: Settings) -> None:
    """Follow the log, in a child."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if not _follow_until(settings, stop):
        sys.exit(REFUSED)


def _follow_until(settings: Settings, stop: threading.Event) -> bool:
    """Follow until told to stop; False where the log is not the one that was seen."""
    with FollowLock(settings.data_dir) as lock:
        if not lock.wait(stop):
            return True
        try:
            asyncio.run(_follow(settings, stop))
        except ForkedLogError as fault:
            _logger.critical("%s", fault)
            return False
    return True


async def _follow(settings: Settings, stop: threading.Event) -> None:
    """Raises ForkedLogError."""
    async with open_platform(settings, role="follow") as platform:
        platform.start()
        try:
            while not stop.is_set():
                await asyncio.sleep(LOOK_S / 5)
                if platform.fork:
                    raise ForkedLogError(platform.fork)
        finally:
            await platform.stop()


# --- In one process ------------------------------------------------------------------------------


async def serve_demo(settings: Settings, say: Callable[[str], None]) -> None:
    """Fill an empty platform with sample campaigns, serve it, and keep pledging to it.

    Raises CannotServeError.
    """
    clock = DemoClock()
    with FollowLock(settings.data_dir) as lock:
        if not lock.take():
            raise CannotServeError(f"Another process serves {settings.data_dir}.")
        with witnessed(settings) as asking:
            async with open_platform(asking, clock=clock) as platform:
                await _serve_demo(platform, clock, say)


async def _serve_demo(platform: Platform, clock: DemoClock, say: Callable[[str], None]) -> None:
    settings = platform.settings
    if platform.log.last()[0]:
        say(f"The campaigns in {settings.data_dir} are served as they are.")
    else:
        say("Making three years of sample campaigns: half a minute …")
        channels = [channel_plan(name) for name in CHANNELS]
        await Seeder(platform, clock, channels, clock_ms()).run()
    clock.now = 0
    say(_welcome(settings, await _demo_keys(platform)))
    driver = asyncio.create_task(drive(platform))
    try:
        await serve_platform(platform)
    finally:
        driver.cancel()
        with suppress(asyncio.CancelledError):
            await driver


class _Server(uvicorn.Server):
    """Tells the platform at once when it is told to stop."""

    def __init__(self, config: uvicorn.Config, platform: Platform) -> None:
        super().__init__(config)
        self._platform = platform

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came. A process with a parent is told by it, not by the terminal."""
        if sig == signal.SIGINT and self._platform.role == "web":
            return
        self._platform.stopping = True
        super().handle_exit(sig, frame)


async def serve_platform(platform: Platform, listening: socket.socket | None = None) -> None:
    """Serve an open platform, and run what its role asks for behind it, until told to stop."""
    _log_to_stderr()
    config = uvicorn.Config(
        create_app(platform),
        host=platform.settings.host,
        port=platform.settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
        **server_limits(),
    )
    platform.start()
    try:
        await _Server(config, platform).serve(None if listening is None else [listening])
    finally:
        await platform.stop()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run on the faster event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def run_demo(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the demo until told to stop. Raises CannotServeError."""
    _run(serve_demo(settings, say))


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(processName)s %(name)s: %(message)s"
    )
    # A witness is asked every second or two; what goes wrong there is told by who asks.
    logging.getLogger("httpx").setLevel(logging.WARNING)


async def _demo_keys(platform: Platform) -> str:
    """A key for the API that is shown and works for a day; the demo has nothing to protect."""
    at = clock_ms()
    party = await platform.stores.people.add_person("staff", at=at)
    token, _ = await platform.stores.keys.create(
        role="staff",
        owner=party,
        scopes=("backers:write", "campaigns:write", "events:read", "pledges:import", "staff"),
        at=at,
        expires_at=at + DAY_MS,
    )
    return token


def _welcome(settings: Settings, token: str) -> str:
    url = settings.public_url
    program = shlex.join((".venv/bin/tributary", "--data", str(settings.data_dir)))
    return f"""
Tributary is at {url}   (demo: no real money)

  1. {url}/                 36 campaigns in two channels; one closes in four minutes, at 96 %
  2. Open it, choose "A roof evening for eight" and pledge with the card that declines later:
     the river shows your own strand, {url}/me your pledges and a statement that adds up.
  3. {url}/demo             close it now; then {url}/outbox: the mail leads to the fix.
  4. {url}/demo/as/creator  a creator's desk: quote a refund, ask for a payout;
     {url}/demo/as/treasurer approves it. The whole site in Chinese: {url}/?lang=zh
  5. curl -H 'Authorization: Bearer {token}' \\
          '{url}/api/v1/events?after=0&limit=3'      ({url}/api describes the rest)
  6. {url}/audit            the books: verified, replayed, signed, witnessed;
     {url}/demo/cheat       change a copy of them as you like, and see who notices.
  7. In another terminal:
     {program} audit replay
     {program} audit verify

Ctrl-C ends it; the data stay in {settings.data_dir} (delete the directory to begin anew).
"""
