"""Paging through a campaign: what concerns every pledge, a thousand rows a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from app.processes.following import cancel_now, collect_now, give_back
from app.processes.runner import Runner
from app.processes.work import Job, Kind, Task, Verdict
from domain.state import Campaign, Phase, Pledge, Status

PAGE: Final = 1_000
"""Pledges seen, and rows written at most, in one transaction."""


class PageRunner(Runner):
    """Writes a row for each pledge that is to be charged after success, or to get its money back
    after the end. The row's payload is the number of the last pledge seen.
    """

    kind: ClassVar[Kind] = "page"

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Turn one page for each campaign."""
        return [self._turn(task, now) for task in tasks]

    def _turn(self, task: Task, now: int) -> Verdict:
        seen = int(task.payload or 0)

        def page(state: Campaign) -> tuple[int, list[Job]]:
            some = state.pledges[seen : seen + PAGE]
            return len(some), [job for pledge in some for job in _jobs(state, pledge, task, now)]

        count, jobs = self.world.engine.inspect(task.campaign_id, page)
        if count < PAGE:
            return Verdict(task, jobs=tuple(jobs))
        return Verdict(task, now, fresh=True, payload=str(seen + count), jobs=tuple(jobs))


def _jobs(state: Campaign, pledge: Pledge, task: Task, now: int) -> list[Job]:
    what, _, version = task.ref.partition("/")
    if what == "collect":
        due = state.phase is Phase.SUCCEEDED and pledge.status is Status.MADE
        return [collect_now(state.campaign_id, pledge.no, now)] if due else []
    funds = pledge.funds
    if funds is not None:
        left = funds.returnable_minor > 0
        return [give_back(state.campaign_id, pledge.no, int(version), now)] if left else []
    gone = pledge.status is Status.RELEASED and pledge.attempt
    return [cancel_now(state.campaign_id, pledge.no, now)] if gone else []
