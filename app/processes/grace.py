"""Payments that were not completed: dropped after their grace, and never confirmed late."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final, assert_never

from app.engine import Outcome as Recorded
from app.payments.port import ActionRequired, Declined, Pending, Succeeded, Unknown
from app.processes.collect import Seen, look
from app.processes.facts import charge_fact
from app.processes.following import SUSPENDED
from app.processes.keys import ChargeKey, charge_key
from app.processes.runner import SUSPENDED_MS, Runner, ask_at, identity
from app.processes.work import Kind, Task, Verdict, done, failed, later
from domain import commands as c
from domain.state import Status
from domain.terms import DAY_MS

BY: Final = "system:collect"
FATE_MS: Final = 600_000
"""How long to wait for the fate of a charge that was under way when its grace ended."""


class _Canceller(Runner):
    """A runner that takes back charges which wait for their backer."""

    asks_provider: ClassVar[bool] = True

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """See to each pledge by itself: these are few."""
        verdicts = []
        for task in tasks:
            found = self.world.engine.inspect(task.campaign_id, partial(look, nos=(task.no,)))
            seen = found.get(task.no)
            try:
                verdicts.append(done(task) if seen is None else self.see_to_one(task, seen, now))
            except Exception as fault:  # noqa: BLE001 - the next one is not held up
                verdicts.append(failed(task, fault, now))
        return verdicts

    @abstractmethod
    def see_to_one(self, task: Task, seen: Seen, now: int) -> Verdict:
        """Do what the row is about."""

    def cancel(self, task: Task, seen: Seen, now: int) -> Verdict | None:
        """Have the provider forget the last attempt. None: it can no longer be confirmed; else
        what the row has to wait for, or is done because the money was taken before.
        """
        world = self.world
        about = ChargeKey(task.campaign_id, task.no, seen.attempt)
        key = charge_key(world.log_id, task.campaign_id, task.no, seen.attempt)
        outcome = world.provider.cancel(key, now)
        match outcome:
            case None | Declined():
                return None
            case Succeeded():
                fact = charge_fact(about, key, seen.currency, outcome, world.provider.name)
                assert fact is not None, "money that moved is a fact"
                return self.told(task, fact, now)
            case Pending() | Unknown() | ActionRequired():
                return later(task, ask_at(task, now), fresh=False)
            case _:
                assert_never(outcome)

    def told(self, task: Task, command: c.Command, now: int) -> Verdict:
        """Submit what ends the row."""
        (answer,) = self.world.submit([command])
        match answer:
            case Recorded():
                return done(task)
            case _:
                return failed(task, answer, now)


class DropRunner(_Canceller):
    """Drops pledges whose payment was not completed within the grace period."""

    kind: ClassVar[Kind] = "drop"

    def see_to_one(self, task: Task, seen: Seen, now: int) -> Verdict:
        """Drop it at the end of its grace. What is under way is waited for, a suspension too."""
        match seen.status:
            case Status.COLLECTING | Status.UNKNOWN:
                return later(task, now + FATE_MS)
            case Status.FAILED | Status.ACTION_REQUIRED:
                pass
            case _:
                return done(task)
        grace_ends_at = seen.failed_at + seen.terms.grace_days * DAY_MS
        if now < grace_ends_at:
            return later(task, grace_ends_at)
        if seen.suspended:
            return later(task, now + SUSPENDED_MS, why=SUSPENDED)
        if seen.status is Status.ACTION_REQUIRED:
            waits = self.cancel(task, seen, now)
            if waits is not None:
                return waits
        key = f"{self.world.log_id}/{task.key}"
        return self.told(task, c.DropPledge(**identity(task.campaign_id, BY, key), no=task.no), now)


class CancelRunner(_Canceller):
    """Takes back what a backer could still confirm although the pledge is gone."""

    kind: ClassVar[Kind] = "cancel"

    def see_to_one(self, task: Task, seen: Seen, now: int) -> Verdict:
        """Cancel the last attempt. Money taken before is recorded: the rules say what it is."""
        gone = seen.status in (Status.WITHDRAWN, Status.DROPPED, Status.RELEASED)
        if not gone or seen.charged or not seen.attempt:
            return done(task)
        return self.cancel(task, seen, now) or done(task)
