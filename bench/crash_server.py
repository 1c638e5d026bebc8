"""The real server in a process of its own, which can be told to die in the middle of a turn."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from app.engine import Engine, Outcome
from app.engine.waiting import UNANSWERED, Entry
from app.log import TurnHooks
from app.serving.server import serve_platform
from app.settings import Settings
from app.wiring import open_platform
from bench.crash_tree import TreeMoment, die_at
from domain.state import Campaign

Moment = Literal["after_append", "before_commit", "after_commit"]
"""Where in a turn: the rows are written; all is written; it is durable but not yet answered."""

LOG_NAME: Final = "server.log"
"""Where in the data directory the servers write what they have to say."""

ANSWER_ARRIVES_S: Final = 0.3
"""How long a planted early answer has to reach its client before the server dies."""


class Kill(Struct, frozen=True):
    """Die at the `turn`-th time that this moment comes, of a turn or of the transparency log."""

    moment: Moment | TreeMoment
    turn: int


def run(settings: Settings, kill: Kill | None, answer_before_commit: bool) -> None:  # noqa: FBT001 - passed by name of the process's arguments
    """Serve until killed. `answer_before_commit` plants the bug of that name."""
    _write_to(settings)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve(settings, kill, answer_before_commit=answer_before_commit))


async def _serve(settings: Settings, kill: Kill | None, *, answer_before_commit: bool) -> None:
    early = _EarlyAnswers(kill) if answer_before_commit else None
    hooks = TurnHooks(before_commit=early.answer) if early else _hooks(kill)
    async with open_platform(settings, hooks=hooks) as platform:
        if early:
            early.plant(platform.engine)
        await serve_platform(platform)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hooks(kill: Kill | None) -> TurnHooks:
    if kill is None:
        return TurnHooks()
    due = _Countdown(kill.turn)

    def hook() -> None:
        if due():
            _die()

    match kill.moment:
        case "after_append":
            return TurnHooks(after_append=hook)
        case "before_commit":
            return TurnHooks(before_commit=hook)
        case "after_commit":
            return TurnHooks(after_commit=hook)
        case moment:
            die_at(moment, due)
            return TurnHooks()


class _Countdown:
    """True at the `count`-th call."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self) -> bool:
        self._left -= 1
        return self._left == 0


class _EarlyAnswers:
    """The bug "answer before commit": callers hear the outcome while it can still be lost.

    The server dies between the two, so that the bug shows each time.
    """

    def __init__(self, kill: Kill | None) -> None:
        self._due: Callable[[], bool] = _Countdown(kill.turn) if kill else lambda: False
        self._batch: list[Entry] = []
        self._engine: Engine[Campaign] | None = None

    def plant(self, engine: Engine[Campaign]) -> None:
        """Remember each turn's commands on their way into it."""
        turn = engine._turn  # noqa: SLF001 - a bug is planted where it would grow

        def remembering(batch: list[Entry]) -> int:
            self._batch = batch
            return turn(batch)

        setattr(engine, "_turn", remembering)  # noqa: B010 - a method of one object is replaced
        self._engine = engine

    def answer(self) -> None:
        """Answer whoever has an outcome, before the commit. When it is time, die after a turn in
        which a client was told of a pledge.
        """
        if self._engine is None:
            return
        decided = [entry for entry in self._batch if entry[0].results[entry[1]] is not UNANSWERED]
        self._engine._answer(decided)  # noqa: SLF001 - the same
        told = any(
            job.future is not None and job.left == 0 and isinstance(job.results[index], Outcome)
            for job, index in decided
        )
        if told and self._due():
            time.sleep(ANSWER_ARRIVES_S)
            _die()


def _end_with_parent() -> None:
    """No server outlives the harness, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a server is started by the harness"
    parent.join()
    _die()


def _write_to(settings: Settings) -> None:
    descriptor = os.open(settings.data_dir / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
