"""Commands on their way to the engine: who asked, what is answered, who waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from domain.commands import Command
from domain.events import Event


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a command led to.

    `position` is the place in the log of its first event; a command that changed nothing stands
    at the log's end as it found it. `repeated` says that this was the outcome of the same command
    before.
    """

    position: int
    events: tuple[Event, ...]
    repeated: bool = False

    @property
    def last_position(self) -> int:
        """The place of its last event: views that stand there show all of it."""
        return self.position + max(0, len(self.events) - 1)


class EngineBusy(Exception):  # noqa: N818 - a state, not a fault
    """Too many commands wait already; try again later. Nothing was done."""


class EngineClosed(Exception):  # noqa: N818 - a state, not a fault
    """The engine takes no more commands. Nothing was done."""


class KeyHashes(NamedTuple):
    """The hash of an idempotency key, and that of the content it was sent with."""

    key: bytes
    content: bytes


_encoder = msgspec.json.Encoder(order="deterministic")

UNANSWERED: Final = AssertionError("the engine answers every command")
"""What stands in the place of a result until there is one."""


def key_hashes(command: Command, key: str) -> KeyHashes:
    """Hash a key and a command's content: all of it but its id and its expiry."""
    content = _encoder.encode(msgspec.structs.replace(command, command_id="", expires_at=None))
    name = type(command).__name__.encode()
    return KeyHashes(
        hashlib.sha256(key.encode()).digest(), hashlib.sha256(name + b"\0" + content).digest()
    )


class Job:
    """The commands of one caller. Their results stand in the order of the commands."""

    __slots__ = ("commands", "done", "future", "keys", "left", "next", "results", "streams")

    def __init__(
        self,
        commands: Sequence[Command],
        streams: Sequence[str],
        keys: Sequence[KeyHashes | None] | None,
        future: asyncio.Future[list[Outcome | Exception]] | None = None,
    ) -> None:
        self.commands = commands
        self.streams = streams
        self.keys = keys
        self.results: list[Outcome | Exception] = [UNANSWERED] * len(commands)
        self.next = 0
        self.left = len(commands)
        self.future = future
        # A bare lock is the cheapest thing that a thread can wait for; the engine releases it.
        self.done = threading.Lock()
        self.done.acquire()


Entry = tuple[Job, int]
"""One command: its caller's job and its place in it."""


class WaitingCommands:
    """The engine's bounded queue, first come first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: deque[Job] = deque()
        self._count = 0
        self._closed = False
        self._woken = False
        self.turned_away = 0
        """How many commands were not let in, as too many waited."""
        self._changed = threading.Condition(threading.Lock())

    def put(self, job: Job) -> None:
        """Queue a job. One larger than the limit is let in when nothing else waits.

        Raises EngineBusy or EngineClosed.
        """
        with self._changed:
            if self._closed:
                raise EngineClosed("the engine is closed")
            count = self._count + len(job.commands)
            if self._count and count > self._limit:
                self.turned_away += len(job.commands)
                raise EngineBusy(f"{self._count} commands wait already")
            self._jobs.append(job)
            self._count = count
            self._changed.notify()

    def take(self, most: int, *, wait: bool) -> list[Entry]:
        """Return up to `most` commands in their order; wait for the first one if told to.

        Nothing comes only when nothing waits (without `wait`), after `wake`, or when the queue is
        closed and empty.
        """
        taken: list[Entry] = []
        with self._changed:
            while wait and not (self._jobs or self._closed or self._woken):
                self._changed.wait()
            self._woken = False
            while self._jobs and most > 0:
                job = self._jobs[0]
                end = min(job.next + most, len(job.commands))
                taken += [(job, index) for index in range(job.next, end)]
                most -= end - job.next
                job.next = end
                if end == len(job.commands):
                    self._jobs.popleft()
            self._count -= len(taken)
        return taken

    @property
    def number(self) -> int:
        """How many commands wait."""
        return self._count

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing more can come."""
        with self._changed:
            return self._closed and not self._jobs

    def wake(self) -> None:
        """Let `take` return, though nothing came."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def count(self, commands: int) -> None:
        """Count commands that were taken and wait again elsewhere, or no more where negative."""
        with self._changed:
            self._count += commands

    def close(self) -> None:
        """Take no more jobs; those that wait are still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
