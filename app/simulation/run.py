"""Feed a history to the platform in the order of time, and let its processes do the rest."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from app.engine import Outcome
from app.simulation.catarse import CURRENCY, Project
from app.wiring import Platform
from domain import commands as c
from domain.state import WON, Campaign, Phase
from domain.terms import DAY_MS, Submission, Terms

NAMESPACE: Final = uuid.UUID("6f1d3c1e-6a0f-5d3b-9d52-6b1f3f0e7a11")
"""Under which every synthetic id is made, so that two runs give the same ids."""

PLEDGES_AT: Final = DAY_MS // 2
"""The data know the day; pledges are made at its noon (ms after midnight UTC)."""

AFTERMATH_DAYS: Final = 60
"""How long the clock runs on after the last end: retries, payouts."""

PAYOUT_AFTER_DAYS: Final = 16
"""When a creator asks for the money, in days after the end."""

OPEN_DAYS: Final = 365
"""An unfinished project stays open this long after the last one that is finished."""

Progress = Callable[[int, int], None]
"""Called with the days done and all days."""


class SimulatedClock:
    """A clock that stands where it was put; ms UTC."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Return the simulated time."""
        return self.now


class LogNotEmptyError(Exception):
    """A history starts on an empty log; time does not run backwards."""


class UnexpectedAnswerError(Exception):
    """The engine refused what the data say happened."""


class Result(Struct, frozen=True):
    """What came of a history. `match_rule`: the outcome is that of "pledged >= goal";
    `match_source`: it is the one the data name. Both count finished all-or-nothing campaigns.
    """

    campaigns: int
    pledges: int
    pledged_minor: int
    finished_aon: int
    match_rule: int
    match_source: int


class History:
    """One run of a history through an empty platform whose clock is `clock`."""

    def __init__(
        self, platform: Platform, clock: SimulatedClock, projects: Sequence[Project]
    ) -> None:
        if platform.log.last()[0]:
            raise LogNotEmptyError("The log is not empty: give an empty directory with --data.")
        self._platform = platform
        self._clock = clock
        self._projects = projects
        self.pledges = 0
        self._method = ""
        self._texts: dict[str, str] = {}
        ends = [project.end_day for project in projects if project.finished]
        self._horizon = max(ends) + AFTERMATH_DAYS
        self._plan: dict[int, list[Project]] = defaultdict(list)
        self._gifts: dict[int, list[tuple[Project, int]]] = defaultdict(list)
        self._payouts: dict[int, list[Project]] = defaultdict(list)
        for project in projects:
            self._plan[project.launch_day].append(project)
            for index, total in enumerate(project.days):
                self._gifts[total.day].append((project, index))
            if project.finished:
                self._payouts[project.end_day + PAYOUT_AFTER_DAYS].append(project)

    async def run(self, progress: Progress) -> None:
        """Run every day from the first launch to the end of the aftermath."""
        await self._prepare()
        first = min(self._plan)
        for day in range(first, self._horizon + 1):
            self._clock.now = day * DAY_MS
            self._settle()
            self._launch(self._plan.pop(day, ()))
            self._pay_out(self._payouts.pop(day, ()))
            self._clock.now += PLEDGES_AT
            self._pledge(self._gifts.pop(day, ()))
            progress(day - first + 1, self._horizon - first + 1)

    async def _prepare(self) -> None:
        stores = self._platform.stores
        bank_method = self._platform.bank.prepare_method_direct("success", at=0)
        self._method = await stores.methods.add(
            party=_id("payer"), provider=self._platform.provider.name, reference=bank_method, at=0
        )
        for project in self._projects:
            document = {"title": project.name, "blurb": "", "story": ""}
            self._texts[project.project_id] = await stores.content.put(document, at=0)

    def _settle(self) -> None:
        while self._platform.processes.step(self._clock.now) + self._platform.hear_bank():
            pass

    def _launch(self, projects: Iterable[Project]) -> None:
        commands: list[c.Command] = []
        for project in projects:
            campaign: dict[str, Any] = {"campaign_id": campaign_id(project)}
            creator = _id("creator", project.project_id)
            submission = Submission(
                creator=creator,
                model=project.model,
                currency=CURRENCY,
                goal_minor=project.goal_minor,
                deadline_at=self._deadline_at(project),
                terms=_terms(project),
                text=self._texts[project.project_id],
            )
            commands += [
                c.SubmitCampaign(
                    **campaign,
                    by=f"creator:{creator}",
                    command_id=_id("submit", project.project_id),
                    channel=_id("channel"),
                    submission=submission,
                ),
                c.ApproveCampaign(
                    **campaign,
                    by=f"staff:{_id('staff')}",
                    command_id=_id("approve", project.project_id),
                ),
                c.LaunchCampaign(
                    **campaign,
                    by=f"creator:{creator}",
                    command_id=_id("launch", project.project_id),
                ),
            ]
        self._submit(commands)

    def _deadline_at(self, project: Project) -> int:
        day = project.end_day if project.finished else self._horizon + OPEN_DAYS
        return day * DAY_MS

    def _pledge(self, gifts: Iterable[tuple[Project, int]]) -> None:
        self.pledges += self._submit(
            [
                c.MakePledge(
                    campaign_id=campaign_id(project),
                    by="system:import",
                    command_id=pledge_id,
                    pledge_id=pledge_id,
                    backer=_id("backer", project.project_id, index, number),
                    amount_minor=amount_minor,
                    currency=CURRENCY,
                    payment_method=self._method,
                )
                for project, index in gifts
                for number, amount_minor in enumerate(project.days[index].amounts())
                for pledge_id in (_id("pledge", project.project_id, index, number),)
            ]
        )

    def _pay_out(self, projects: Iterable[Project]) -> None:
        commands: list[c.Command] = []
        for project in projects:
            state = self._platform.engine.inspect(campaign_id(project), _payable)
            if not state:
                continue
            campaign: dict[str, Any] = {"campaign_id": campaign_id(project)}
            payout = _id("payout", project.project_id)
            commands += [
                c.VerifyPayoutAccount(
                    **campaign,
                    by=f"staff:{_id('staff')}",
                    command_id=_id("verify", project.project_id),
                    account_id=_id("account", project.project_id),
                ),
                c.RequestPayout(
                    **campaign,
                    by=f"creator:{_id('creator', project.project_id)}",
                    command_id=_id("request", project.project_id),
                    payout_id=payout,
                ),
                c.ApprovePayout(
                    **campaign,
                    by=f"treasurer:{_id('treasurer')}",
                    command_id=_id("approve-payout", project.project_id),
                    payout_id=payout,
                ),
            ]
        self._submit(commands)

    def _submit(self, commands: Sequence[c.Command]) -> int:
        """Hand in commands that must all be accepted; return how many events they led to."""
        events = 0
        outcomes = self._platform.engine.submit_many(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            if not isinstance(outcome, Outcome):
                raise UnexpectedAnswerError(f"{command!r}: {outcome!r}") from outcome
            events += len(outcome.events)
        return events

    def outcomes(self, phases: dict[str, Phase], pledged: dict[str, int]) -> tuple[int, int, int]:
        """Count the finished all-or-nothing campaigns, and how many ended as the rule and as
        the data say; `phases` and `pledged` (at the deadline) are by campaign id.
        """
        finished = match_rule = match_source = 0
        for project in self._projects:
            if project.model != "all_or_nothing" or not project.finished:
                continue
            finished += 1
            won = phases[campaign_id(project)] in WON
            match_rule += won == (pledged[campaign_id(project)] >= project.goal_minor)
            match_source += won == (project.state == "successful")
        return finished, match_rule, match_source


def campaign_id(project: Project) -> str:
    """The campaign that a project becomes."""
    return _id("campaign", project.project_id)


def _payable(state: Campaign) -> bool:
    return state.phase in WON and state.figures.held_minor > 0


def _terms(project: Project) -> Terms:
    return Terms(collect_at="success" if project.model == "all_or_nothing" else "pledge")


def _id(*words: object) -> str:
    return str(uuid.uuid5(NAMESPACE, "/".join(map(str, words))))
