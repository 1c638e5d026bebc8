"""What all runners share: lease due rows, see to them, say what becomes of them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, TypeVar

from msgspec import Struct

from app.engine import EngineBusy, EngineClosed, Outcome
from app.payments.port import PaymentProvider
from app.processes.keys import command_id
from app.processes.rate import RateLimit
from app.processes.work import Kind, Task, Verdict, Work, failed
from domain.commands import Command
from domain.errors import Rejection
from domain.state import Campaign

T = TypeVar("T")

LEASE_MS: Final = 60_000
"""How long a row belongs to the one who took it. After a kill its work goes on after this time."""

ASK_FIRST_MS: Final = 60_000
"""When the provider is asked what became of a request, if no news came. By then a request that
was under way when its caller died has arrived, so "never seen" can be believed."""

ASK_LAST_MS: Final = 3_600_000
SUSPENDED_MS: Final = 3_600_000
"""How often to look whether a suspension is over, should the fact of it be missed."""

_logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What processes ask of the engine."""

    def submit_many(self, commands: Sequence[Command]) -> list[Outcome | Exception]:
        """Decide commands in their order; an outcome or exception for each."""

    def inspect(self, campaign_id: str, look: Callable[[Campaign], T]) -> T:
        """Return what `look` sees of a campaign's present state; it must not change it."""


class World(Struct, frozen=True):
    """Everything outside that a runner touches.

    `methods` returns the provider's references of our payment method ids; ids it does not know are
    left out. `accounts` returns the provider's name of our payout account id. `return_path` is
    where a backer goes after confirming a charge of this pledge.
    """

    log_id: str
    engine: Engine
    provider: PaymentProvider
    work: Work
    rate: RateLimit
    methods: Callable[[Collection[str]], Mapping[str, str]]
    accounts: Callable[[str], str]
    return_path: Callable[[str, int], str]
    lease_ms: int
    batch: int

    @property
    def by_provider(self) -> str:
        """The actor of what the provider reports."""
        return f"provider:{self.provider.name}"

    def submit(self, commands: Sequence[Command]) -> list[Outcome | Exception]:
        """Hand commands to the engine. A rejection tells that the state has moved on."""
        if not commands:
            return []
        answers = self.engine.submit_many(commands)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, Rejection):
                _logger.debug("%s was refused: %s", type(command).__name__, answer.reason)
        return answers


class Runner(ABC):
    """Sees to the rows of one kind."""

    kind: ClassVar[Kind]
    asks_provider: ClassVar[bool] = False

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Do what each leased row is about. What it raises is found out row by row."""

    def step(self, now: int) -> int:
        """See to one batch of what is due at `now` (ms UTC); returns how many rows it was."""
        world = self.world
        room = world.rate.take(world.batch, now) if self.asks_provider else world.batch
        if not room:
            return 0
        tasks = world.work.lease(self.kind, now, now + world.lease_ms, room)
        if self.asks_provider:
            world.rate.give_back(room - len(tasks))
        if tasks:
            world.work.settle(self._safely(tasks, now))
        return len(tasks)

    def _safely(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """See to rows so that one that cannot be done does not hold up the others.

        Every step may be done twice, so after a fault the batch is simply tried again by halves.
        """
        try:
            return self.see_to(tasks, now)
        except (EngineBusy, EngineClosed) as fault:
            return [failed(task, fault, now) for task in tasks]
        except Exception as fault:
            if len(tasks) > 1:
                half = len(tasks) // 2
                return self._safely(tasks[:half], now) + self._safely(tasks[half:], now)
            (task,) = tasks
            _logger.warning("%s could not be seen to", task.key, exc_info=True)
            return [failed(task, fault, now)]


def ask_at(task: Task, now: int) -> int:
    """When to ask the provider again what became of a request."""
    return now + min(ASK_FIRST_MS << min(max(task.attempts - 1, 0), 20), ASK_LAST_MS)


def identity(campaign_id: str, by: str, cause: str) -> dict[str, Any]:
    """The common fields of a command that this cause leads to."""
    return {"campaign_id": campaign_id, "by": by, "command_id": command_id(cause)}
