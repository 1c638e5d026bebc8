"""Charging pledges: one row per pledge sees it to its end, whatever happens on the way.

What to do next is read from the pledge's state, never from the row. The order of a charge: lease
the row, record the attempt (`CollectionRequested`), ask the provider under the attempt's key,
record the outcome. After a kill at any point the next runner finds the pledge `collecting` and asks
`look_up`: only where the provider never saw the key does it charge, under the same key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar, Final, TypeAlias, assert_never

import msgspec
from msgspec import Struct

from app.engine import Outcome as Recorded
from app.payments.port import (
    ActionRequired,
    CollectRequest,
    Declined,
    Outcome,
    Pending,
    PortError,
    Succeeded,
    Unknown,
)
from app.processes.facts import charge_fact
from app.processes.following import SUSPENDED
from app.processes.keys import ChargeKey, charge_key
from app.processes.runner import SUSPENDED_MS, Runner, ask_at, identity
from app.processes.work import Kind, Task, Verdict, done, failed, later
from domain import commands as c
from domain.errors import CampaignSuspended
from domain.state import ENDED, IN_FLIGHT, Campaign, Phase, Pledge, Status
from domain.terms import DAY_MS, Terms

SOON_MS: Final = 1_000
"""When to look again at what has just moved on."""

BY: Final = "system:collect"

NO_METHOD: Final = Declined(code="no_payment_method", retryable=False)
NEVER_SENT: Final = Declined(code="never_sent", retryable=False)
"""The campaign ended before the provider saw the charge: it is not sent any more."""

_logger = logging.getLogger(__name__)


class Seen(Struct, frozen=True):
    """A pledge with its campaign, as they stood when they were looked at."""

    phase: Phase
    suspended: bool
    currency: str
    terms: Terms
    status: Status
    attempt: int
    attempt_version: int
    amount_minor: int
    retryable: bool
    failed_at: int
    charged: bool


class Case(Struct, frozen=True):
    """A leased row and the pledge it is about. `attempt` is the one under way or to be made, `key`
    what the provider knows it by; `next_attempt` is made once that one is cancelled.
    """

    task: Task
    seen: Seen
    no: int
    attempt: int
    key: str
    next_attempt: int = 0


class Finish(Struct, frozen=True):
    """Nothing is left to do for this pledge."""


class Wait(Struct, frozen=True):
    """Nothing is to be done before `until` (ms UTC)."""

    until: int
    why: str = ""


class Charge(Struct, frozen=True):
    """Make this attempt; what waits for the backer's confirmation is cancelled first."""

    attempt: int
    cancels: bool = False


class Ask(Struct, frozen=True):
    """The provider knows what became of the last attempt."""


Step: TypeAlias = Finish | Wait | Charge | Ask


def look(state: Campaign, nos: Iterable[int]) -> dict[int, Seen]:
    """See these pledges of a campaign; numbers it does not have are left out."""
    found = {}
    for no in nos:
        pledge = state.pledge(no)
        if pledge is not None:
            found[no] = _seen(state, pledge)
    return found


def _seen(state: Campaign, pledge: Pledge) -> Seen:
    return Seen(
        state.phase,
        state.suspended,
        state.bound.currency,
        state.bound.terms,
        pledge.status,
        pledge.attempt,
        pledge.attempt_version,
        pledge.amount_minor,
        pledge.retryable,
        pledge.failed_at,
        pledge.funds is not None,
    )


def _look_again(state: Campaign, cases: Sequence[Case]) -> dict[str, tuple[int, str]]:
    pledges = ((case.key, state.pledges[case.no - 1]) for case in cases)
    return {key: (pledge.amount_minor, pledge.payment_method) for key, pledge in pledges}


def next_step(seen: Seen, replaced_version: int, now: int) -> Step:
    """What is to be done next for a pledge. `replaced_version` is the version of the fact that
    its payment method was last replaced, or 0.
    """
    match seen.status:
        case Status.COLLECTING | Status.UNKNOWN:
            return Ask()
        case Status.ACTION_REQUIRED if replaced_version <= seen.attempt_version:
            return Ask()
        case Status.MADE | Status.FAILED | Status.ACTION_REQUIRED:
            when = _attempt_at(seen, replaced_version)
            if when is None or not _is_due(seen):
                return Finish()
            if seen.suspended:
                return Wait(now + SUSPENDED_MS, SUSPENDED)
            if now < when:
                return Wait(when)
            return Charge(seen.attempt + 1, cancels=seen.status is Status.ACTION_REQUIRED)
        case Status.COLLECTED | Status.DROPPED | Status.WITHDRAWN | Status.RELEASED:
            return Finish()
        case _:
            assert_never(seen.status)


def _is_due(seen: Seen) -> bool:
    early = seen.phase is Phase.LIVE and seen.terms.collect_at == "pledge"
    return early or seen.phase is Phase.SUCCEEDED


def _attempt_at(seen: Seen, replaced_version: int) -> int | None:
    """From when on the next attempt may be made; None: not without another payment method."""
    if seen.status is not Status.FAILED or replaced_version > seen.attempt_version:
        return 0
    return retry_at(seen.terms, seen.attempt, seen.failed_at) if seen.retryable else None


def retry_at(terms: Terms, attempt: int, failed_at: int) -> int | None:
    """When to try again after the `attempt`-th attempt failed; None: no more.

    `failed_at` is when the first of them did; a retry lies inside the grace period.
    """
    if not 1 <= attempt <= len(terms.retry_after_days):
        return None
    days = terms.retry_after_days[attempt - 1]
    return failed_at + days * DAY_MS if days < terms.grace_days else None


class CollectRunner(Runner):
    """Sees pledges through to a charge or its failure."""

    kind: ClassVar[Kind] = "collect"
    asks_provider: ClassVar[bool] = True

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Decide each pledge's next step, and take the steps of one sort together."""
        verdicts: list[Verdict] = []
        to_charge: list[Case] = []
        to_ask: list[Case] = []
        for task, seen in self._look(tasks):
            if seen is None:
                verdicts.append(done(task))
                continue
            step = next_step(seen, int(task.payload or 0), now)
            match step:
                case Finish():
                    verdicts.append(done(task))
                case Wait(until=until, why=why):
                    verdicts.append(later(task, until, why=why))
                case Charge(attempt=attempt, cancels=False):
                    to_charge.append(self._case(task, seen, attempt))
                case Charge(attempt=attempt):
                    to_ask.append(self._case(task, seen, seen.attempt, attempt))
                case Ask():
                    to_ask.append(self._case(task, seen, seen.attempt))
                case _:
                    assert_never(step)
        answers = self._ask(to_ask, to_charge, verdicts, now)
        answers += self._charge(self._request(to_charge, verdicts, now), now)
        return verdicts + self._record(answers, now)

    def _look(self, tasks: Sequence[Task]) -> list[tuple[Task, Seen | None]]:
        nos: dict[str, list[int]] = {}
        for task in tasks:
            nos.setdefault(task.campaign_id, []).append(task.no)
        seen = {
            campaign_id: self.world.engine.inspect(campaign_id, partial(look, nos=some))
            for campaign_id, some in nos.items()
        }
        return [(task, seen[task.campaign_id].get(task.no)) for task in tasks]

    def _case(self, task: Task, seen: Seen, attempt: int, next_attempt: int = 0) -> Case:
        no = task.no
        key = charge_key(self.world.log_id, task.campaign_id, no, attempt)
        return Case(task, seen, no, attempt, key, next_attempt)

    # --- Asking what became of it ----------------------------------------------------------------

    def _ask(
        self, cases: Sequence[Case], to_charge: list[Case], verdicts: list[Verdict], now: int
    ) -> list[tuple[Case, Outcome]]:
        """Return what the provider says of attempts under way.

        What it never saw is charged now, under the same key. An attempt that waited for the
        backer, and is cancelled because there is another method, makes room for the next one.
        """
        answers: list[tuple[Case, Outcome]] = []
        unseen: list[Case] = []
        provider = self.world.provider
        for case in cases:
            ask = partial(provider.cancel, at=now) if case.next_attempt else provider.look_up
            try:
                outcome = ask(case.key)
            except Exception as fault:  # noqa: BLE001 - out of reach, however it says so
                verdicts.append(failed(case.task, fault, now))
                continue
            if case.next_attempt and (outcome is None or isinstance(outcome, Declined)):
                to_charge.append(self._case(case.task, case.seen, case.next_attempt))
            elif outcome is not None:
                answers.append((case, outcome))
            elif case.seen.phase in ENDED:
                answers.append((case, NEVER_SENT))
            elif case.seen.suspended:
                verdicts.append(later(case.task, now + SUSPENDED_MS, why=SUSPENDED))
            elif case.seen.status in IN_FLIGHT:
                unseen.append(case)
            else:
                verdicts.append(failed(case.task, "the provider does not know the charge", now))
        return answers + self._charge(unseen, now)

    # --- Charging --------------------------------------------------------------------------------

    def _request(self, cases: Sequence[Case], verdicts: list[Verdict], now: int) -> list[Case]:
        """Record the attempts; returns those that nobody had recorded before."""
        requests = [
            c.RequestCollection(
                **identity(case.task.campaign_id, BY, f"{case.key}/request"),
                no=case.no,
                attempt=case.attempt,
            )
            for case in cases
        ]
        fresh = []
        for case, answer in zip(cases, self.world.submit(requests), strict=True):
            match answer:
                case Recorded(repeated=False):
                    fresh.append(case)
                case Recorded():  # somebody is at it: ask what became of it, later
                    verdicts.append(later(case.task, ask_at(case.task, now), fresh=False))
                case CampaignSuspended():
                    verdicts.append(later(case.task, now + SUSPENDED_MS, why=SUSPENDED))
                case _:  # a rejection says that the state has moved on: look again
                    verdicts.append(failed(case.task, answer, now))
        return fresh

    def _charge(self, cases: Sequence[Case], now: int) -> list[tuple[Case, Outcome]]:
        """Ask the provider to charge what each pledge promises now, by the method it has now.

        Until the attempt was recorded, its backer could revise it or replace the method.
        """
        if not cases:
            return []
        present = self._present(cases)
        known = self.world.methods({method for _, method in present.values() if method})
        requests: list[CollectRequest] = []
        charged: list[Case] = []
        answers: list[tuple[Case, Outcome]] = []
        for case in cases:
            amount_minor, method = present[case.key]
            reference = known.get(method)
            if reference is None:
                answers.append((case, NO_METHOD))
                continue
            charged.append(case)
            requests.append(
                CollectRequest(
                    key=case.key,
                    method_id=reference,
                    amount_minor=amount_minor,
                    currency=case.seen.currency,
                    at=now,
                    return_path=self.world.return_path(case.task.campaign_id, case.no),
                )
            )
        return answers + list(zip(charged, self._collect(requests), strict=True))

    def _present(self, cases: Sequence[Case]) -> dict[str, tuple[int, str]]:
        """Amount and method of each case's pledge, by the case's key."""
        by_campaign: dict[str, list[Case]] = {}
        for case in cases:
            by_campaign.setdefault(case.task.campaign_id, []).append(case)
        present: dict[str, tuple[int, str]] = {}
        for campaign_id, some in by_campaign.items():
            present |= self.world.engine.inspect(campaign_id, partial(_look_again, cases=some))
        return present

    def _collect(self, requests: list[CollectRequest]) -> list[Outcome]:
        """Send charges; where the provider does not answer, nothing is known of any."""
        if not requests:
            return []
        try:
            return self.world.provider.collect_many(requests)
        except PortError:  # nothing of the call was done
            raise
        except Exception:
            _logger.warning("the provider did not answer", exc_info=True)
            return [Unknown() for _ in requests]

    # --- Recording -------------------------------------------------------------------------------

    def _record(self, answers: Sequence[tuple[Case, Outcome]], now: int) -> list[Verdict]:
        """Record what the provider said."""
        verdicts: list[Verdict] = []
        told: list[tuple[Case, Outcome, c.Command]] = []
        for case, outcome in answers:
            known = case.seen.status is Status.ACTION_REQUIRED
            fact = self._fact(case, outcome)
            if fact is None or (known and isinstance(outcome, ActionRequired)):
                verdicts.append(later(case.task, ask_at(case.task, now), fresh=False))
            else:
                told.append((case, outcome, fact))
        recorded = self.world.submit([fact for _, _, fact in told])
        for (case, outcome, _), answer in zip(told, recorded, strict=True):
            verdicts.append(_after(case.task, outcome, answer, now))
        return verdicts

    def _fact(self, case: Case, outcome: Outcome) -> c.Command | None:
        provider = self.world.provider.name
        about = ChargeKey(case.task.campaign_id, case.no, case.attempt)
        fact = charge_fact(about, case.key, case.seen.currency, outcome, provider)
        if fact is not None and (outcome is NO_METHOD or outcome is NEVER_SENT):
            return msgspec.structs.replace(fact, by=BY)  # our own finding, not the provider's
        return fact


def _after(task: Task, outcome: Outcome, answer: Recorded | Exception, now: int) -> Verdict:
    """What becomes of a row once the engine has answered."""
    if isinstance(answer, Exception):
        return failed(task, answer, now)
    match outcome:
        case Succeeded():
            return done(task)
        case Declined():  # the state now says when to try again, if at all
            return later(task, now + SOON_MS)
        case ActionRequired() | Pending() | Unknown():
            return later(task, ask_at(task, now), fresh=False)
        case _:
            assert_never(outcome)
