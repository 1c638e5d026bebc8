"""What happens because its time has come: campaigns close, holds lapse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from app.engine import Outcome as Recorded
from app.processes.runner import Runner, identity
from app.processes.work import Kind, Task, Verdict, done, failed
from domain import commands as c
from domain.errors import DeadlineNotReached, NotYourPledge, Rejection

BY: Final = "system:deadlines"


class _Timed(Runner):
    """A runner that submits one command for each row."""

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Submit the commands together."""
        answers = self.world.submit([self.command(task) for task in tasks])
        verdicts = []
        for task, answer in zip(tasks, answers, strict=True):
            match answer:
                case DeadlineNotReached() | NotYourPledge():
                    # The engine's clock is behind ours, or the deadline was moved and the row of
                    # the new one takes the place of this one as soon as the log is followed.
                    verdicts.append(failed(task, answer, now))
                case Recorded() | Rejection():
                    verdicts.append(done(task))
                case _:
                    verdicts.append(failed(task, answer, now))
        return verdicts

    @abstractmethod
    def command(self, task: Task) -> c.Command:
        """What the row asks for."""


class CloseRunner(_Timed):
    """Closes campaigns at their deadline. The row's key holds it: an extended one has another."""

    kind: ClassVar[Kind] = "close"

    def command(self, task: Task) -> c.Command:
        """Close it."""
        cause = f"{self.world.log_id}/{task.key}"
        return c.CloseCampaign(**identity(task.campaign_id, BY, cause))


class LapseRunner(_Timed):
    """Lets checkout holds lapse."""

    kind: ClassVar[Kind] = "lapse"

    def command(self, task: Task) -> c.Command:
        """Let it lapse; one that is gone already is let be."""
        cause = f"{self.world.log_id}/{task.key}"
        return c.LapseHold(**identity(task.campaign_id, BY, cause), hold_id=task.ref)
