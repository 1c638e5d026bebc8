"""Killed at every point: money moves exactly once, and our books are the bank's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from app.payments.test_bank.rules import BankTerms
from app.processes import Processes
from app.processes.work import Kind, Task
from domain import commands as c
from domain.state import Campaign
from domain.terms import DAY_MS
from tests.postgresql import PostgresServer
from tests.processes.stage import CREATOR, DEADLINE, STAFF, START, Stage, new_id

HOUR_MS = 3_600_000


class Killed(BaseException):
    """The process ends here, as with kill -9: nothing may catch it."""


class Tripwire:
    """Kills at the `at`-th crossing. A crossing is the moment before or after any call to the
    engine, the provider or the work store: so after a lease, after a request was recorded, after
    the provider moved money, before the outcome is recorded, before the row is done.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.crossed = 0

    def cross(self) -> None:
        """One moment more."""
        self.crossed += 1
        if self.crossed == self.at:
            raise Killed

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a moment before and after it."""

        def watched(*args: object, **kwargs: object) -> object:
            self.cross()
            result = call(*args, **kwargs)
            self.cross()
            return result

        return watched


class Watched:
    """An object all of whose methods are crossed."""

    def __init__(self, inner: object, wire: Tripwire) -> None:
        self._inner = inner
        self._wire = wire

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        return self._wire.around(found) if callable(found) else found


def watched_processes(stage: Stage, wire: Tripwire) -> Processes:
    """Processes that end at the wire."""
    made = stage.make_processes(
        engine=Watched(stage.engine, wire),
        provider=Watched(stage.bank, wire),
        methods=wire.around(stage.methods),
    )
    work = made._work
    lease = work.lease

    def lease_and_cross(kind: Kind, now: int, until: int, limit: int) -> list[Task]:
        tasks = lease(kind, now, until, limit)
        if tasks:
            wire.cross()
        return tasks

    changed = {"lease": lease_and_cross}
    changed |= {name: wire.around(getattr(work, name)) for name in ("settle", "apply")}
    for name, method in changed.items():
        setattr(work, name, method)
    return made


Script = Callable[[Stage, Callable[[int], None]], None]
"""What happens: it does what people do, and calls its second argument to let time pass."""


def play(
    folder: Path, script: Script, kill_at: int, database_url: str = ""
) -> tuple[int, Counter[tuple[str, int]], str]:
    """Play a script, killing the processes once; returns what came of it."""
    folder.mkdir()
    stage = Stage(folder, database_url, bank_terms=BankTerms(return_after_ms=2 * HOUR_MS))
    wire = Tripwire(kill_at)
    stage.processes.close()
    stage.processes = watched_processes(stage, wire)

    def pass_time(until: int) -> None:
        try:
            stage.run_until(until)
        except Killed:
            stage.restart()
            stage.run_until(until)

    try:
        script(stage, pass_time)
        stage.check()
        campaigns = sorted({event.stream.removeprefix("campaign:") for event in stage.events()})
        assert stage.processes.waiting() == {}
        seen = "; ".join(stage.look(campaign, summary) for campaign in campaigns)
        return wire.crossed, Counter(stage.lines()), seen
    finally:
        stage.close()


def summary(state: Campaign) -> str:
    """What must be the same however often the processes were killed."""
    figures = state.figures
    assert figures.reconcile()
    assert not state.discrepancies
    statuses = [str(pledge.status) for pledge in state.pledges]
    return f"{state.phase} {statuses} {figures}"


# --- What happens --------------------------------------------------------------------------------


def collected(stage: Stage, pass_time: Callable[[int], None]) -> None:
    """A campaign is charged after success: plainly, with a lost answer, late, at the retry."""
    campaign = stage.campaign()
    for behaviour in ("success", "timeout", "slow", "insufficient_funds"):
        stage.pledge(campaign, 5_000, behaviour)
    pass_time(DEADLINE + 2 * DAY_MS)


def dropped(stage: Stage, pass_time: Callable[[int], None]) -> None:
    """A confirmation that never comes, and a card that is lost, are dropped after their grace."""
    campaign = stage.campaign(grace_days=0, retry_after_days=())
    for behaviour in ("success", "needs_confirmation", "lost_later"):
        stage.pledge(campaign, 5_000, behaviour)
    pass_time(DEADLINE + HOUR_MS)


def given_back(stage: Stage, pass_time: Callable[[int], None]) -> None:
    """A campaign that charges at the pledge fails, and everything goes back."""
    campaign = stage.campaign(collect_at="pledge", goal_minor=100_000)
    stage.pledge(campaign, 5_000)
    stage.pledge(campaign, 6_000, "slow")
    pass_time(START + HOUR_MS)
    pass_time(DEADLINE + HOUR_MS)


def paid_out(stage: Stage, pass_time: Callable[[int], None]) -> None:
    """A payout whose answer is lost; then one pledge is disputed and lost, and a refund netted."""
    campaign = stage.campaign(collect_at="pledge", goal_minor=5_000)
    stage.pledge(campaign, 5_000)
    stage.pledge(campaign, 6_000)
    pass_time(DEADLINE + 15 * DAY_MS)
    stage.approve_payout(campaign, "TEST-TIMEOUT", numerator=1, denominator=2)
    pass_time(stage.now + HOUR_MS)
    stage.do(
        c.RequestRefund,
        campaign,
        f"creator:{CREATOR}",
        no=1,
        refund_id=new_id(),
        amount_minor=4_000,
        cause="goodwill",
    )
    pass_time(stage.now + HOUR_MS)
    stage.approve_payout(campaign)
    pass_time(stage.now + HOUR_MS)


def cancelled(stage: Stage, pass_time: Callable[[int], None]) -> None:
    """Cancelled after a payout that came back later: each pledge's remainder goes back."""
    campaign = stage.campaign(collect_at="pledge", goal_minor=5_000)
    stage.pledge(campaign, 5_000)
    pass_time(DEADLINE + 15 * DAY_MS)
    stage.approve_payout(campaign, "TEST-RETURNED", numerator=1, denominator=2)
    pass_time(stage.now + HOUR_MS)
    stage.do(c.CancelCampaign, campaign, STAFF, cause="cannot_deliver")
    pass_time(stage.now + HOUR_MS)
    pass_time(stage.now + 3 * HOUR_MS)


SCRIPTS = (collected, dropped, given_back, paid_out, cancelled)


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where the machine has such a place: hundreds of little logs are made here."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_killed_at_every_point(quick_path: Path, script: Script) -> None:
    """Whenever the processes are killed, it ends as if they had not been."""
    points, expected_lines, expected_state = play(quick_path / "whole", script, 0)
    assert points > 20

    for kill_at in range(1, points + 1):
        _, lines, state = play(quick_path / str(kill_at), script, kill_at)
        assert (lines, state) == (expected_lines, expected_state), f"killed at {kill_at}"


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("script", SCRIPTS)
def test_killed_over_postgresql(
    quick_path: Path, script: Script, postgres_server: PostgresServer, migrated_template: str
) -> None:
    """The same with the log and the work in PostgreSQL; at a few points, as each takes a database
    of its own.
    """

    def played(kill_at: int) -> tuple[int, Counter[tuple[str, int]], str]:
        url = postgres_server.create(migrated_template)
        try:
            return play(quick_path / str(kill_at), script, kill_at, url)
        finally:
            postgres_server.drop(url)

    points, expected_lines, expected_state = played(0)
    assert points > 20

    for kill_at in range(3, points + 1, 11):
        _, lines, state = played(kill_at)
        assert (lines, state) == (expected_lines, expected_state), f"killed at {kill_at}"
