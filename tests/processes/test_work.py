"""The work store: leases, wakes, backing off, and its loss."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psycopg
import pytest
from eventsourcing.persistence import PersistenceError
from sqlalchemy import Connection, text

from app.log import UnreadableEvent
from app.processes.keys import (
    ChargeKey,
    PayoutKey,
    RefundKey,
    ReturnKey,
    charge_key,
    command_id,
    payout_key,
    read_key,
    refund_key,
    return_key,
)
from app.processes.rate import RateLimit
from app.processes.work import METADATA, Changes, Job, Task, Work, done, failed, later, open_work
from app.settings import Settings, load_settings
from domain import commands as c
from domain import events as e
from domain.state import Campaign
from domain.terms import DAY_MS
from tests.processes.stage import DEADLINE, STAFF, START, Stage, new_id

T = TypeVar("T")
HOUR_MS = 3_600_000
LOG = "log"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Both stores in turn."""
    environ = {"TRIBUTARY_DATABASE_URL": database_url, "TRIBUTARY_SECRET": "s" * 32}
    return load_settings(environ, data_dir=tmp_path)


@pytest.fixture
def work(settings: Settings) -> Iterator[Work]:
    """An empty store."""
    opened = Work(open_work(settings), "one")
    yield opened
    opened.close()


def job(key: str = "k", due_at: int = 10, payload: str = "") -> Job:
    """A row about pledge 1 of some campaign."""
    return Job("collect", key, "campaign", "1", due_at, payload)


def apply(work: Work, change: Callable[[Changes], None]) -> None:
    """Follow one event that changes the work so."""
    changes = Changes()
    change(changes)
    before = work.position(LOG)
    changes.position = before + 1
    assert work.apply(changes, LOG, before)


def ensuring(keys: Iterable[str]) -> Callable[[Changes], None]:
    """A row for each key."""

    def change(changes: Changes) -> None:
        for key in keys:
            changes.ensure(job(key))

    return change


def lease(work: Work, now: int = 10) -> list[Task]:
    """Take what is due, for a hundred milliseconds."""
    return work.lease("collect", now, now + 100, 10)


def test_a_leased_row_is_nobody_elses_until_the_lease_ends(settings: Settings, work: Work) -> None:
    """Another process gets it only after that, and what the first then says is ignored."""
    other = Work(open_work(settings), "two")
    apply(work, lambda changes: changes.ensure(job()))
    assert lease(work, 9) == []
    (mine,) = lease(work, 10)

    assert lease(other, 109) == []
    (theirs,) = lease(other, 110)

    assert (mine.attempts, theirs.attempts) == (1, 2)
    work.settle([done(mine)])
    assert work.waiting() == {"collect": 1}
    other.settle([done(theirs)])
    assert work.waiting() == {}
    other.close()


def test_a_row_woken_while_leased_is_not_let_go_of(work: Work) -> None:
    """Neither done nor put off: what woke it is seen to."""
    for verdict in (done, lambda task: later(task, 5_000)):
        apply(work, lambda changes: changes.ensure(job()))
        (task,) = lease(work)
        apply(work, lambda changes: changes.wake(job(due_at=20, payload="7")))
        assert lease(work, 50) == [], "it is still leased"

        work.settle([verdict(task)])

        (again,) = lease(work, 50)
        assert again.payload == "7"
        work.settle([done(again)])
        assert work.waiting() == {}


def test_ensuring_twice_changes_nothing_and_waking_moves_it_forward(work: Work) -> None:
    """The first due time stands, unless something wakes it earlier."""
    apply(work, lambda changes: changes.ensure(job(due_at=50)))
    apply(work, lambda changes: changes.ensure(job(due_at=10)))
    assert work.next_due() == {"collect": 50}
    apply(work, lambda changes: changes.wake(job(due_at=20)))
    apply(work, lambda changes: changes.wake(job(due_at=90)))
    assert work.next_due() == {"collect": 20}


def test_within_one_batch_the_last_word_counts(work: Work) -> None:
    """Asked for and over in one batch leaves nothing; over and asked for again leaves a row."""

    def begun_and_over(changes: Changes) -> None:
        changes.ensure(job("a"))
        changes.drop("a")
        changes.drop("b")
        changes.wake(job("b", due_at=30))

    apply(work, lambda changes: changes.ensure(job("b", due_at=70, payload="old")))
    apply(work, begun_and_over)

    (task,) = lease(work, 30)
    assert (task.key, task.payload) == ("b", "")


def test_failing_rows_wait_twice_as_long_each_time(work: Work) -> None:
    """From two seconds on, at most an hour, with the error in sight; progress forgets it."""
    apply(work, lambda changes: changes.ensure(job()))
    waits, now = [], 10
    for _ in range(13):
        (task,) = work.lease("collect", now, now + 100, 10)
        work.settle([failed(task, ValueError("bad"), now)])
        due = work.next_due()["collect"]
        waits.append((due - now) // 1_000)
        now = due
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
    assert [trouble.last_error for trouble in work.troubles()] == ["ValueError: bad"]

    (task,) = work.lease("collect", now, now + 100, 10)
    work.settle([later(task, now)])

    assert work.troubles() == []
    (task,) = work.lease("collect", now + 100, now + 200, 10)
    assert task.attempts == 1


def test_two_followers_do_not_follow_the_same_events(settings: Settings, work: Work) -> None:
    """Who comes second writes nothing."""
    other = Work(open_work(settings), "two")
    apply(work, lambda changes: changes.ensure(job()))
    changes = Changes()
    changes.ensure(job("second"))
    changes.position = 1

    assert not other.apply(changes, LOG, 0)

    assert work.waiting() == {"collect": 1}
    other.close()


def together(threads: int, do: Callable[[int], T]) -> list[T]:
    """What so many threads do, which begin at the same moment."""
    start = threading.Barrier(threads)

    def run(number: int) -> T:
        start.wait()
        return do(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def test_many_runners_lease_each_row_once(settings: Settings, work: Work) -> None:
    """Six machines that ask for work at the same moment share it, and none waits for another."""
    machines = [Work(open_work(settings), f"machine-{n}") for n in range(6)]
    apply(work, ensuring(f"k{n}" for n in range(600)))

    def take_all(n: int) -> list[str]:
        taken: list[str] = []
        while tasks := machines[n].lease("collect", 10, 1_000, 7):
            taken += [task.key for task in tasks]
        return taken

    taken = [key for part in together(6, take_all) for key in part]
    taken += [task.key for task in work.lease("collect", 10, 1_000, 600)]  # what was stepped over

    assert sorted(taken) == sorted(f"k{n}" for n in range(600))
    for machine in machines:
        machine.close()


def test_many_followers_follow_each_event_once(settings: Settings, work: Work) -> None:
    """Of six that followed the same events one writes; the position says which."""
    machines = [Work(open_work(settings), f"machine-{n}") for n in range(6)]

    def follow(n: int) -> list[int]:
        won = []
        for position in range(20):
            changes = Changes()
            changes.wake(job("k", due_at=position))
            changes.position = position + 1
            while machines[n].position(LOG) < position:
                pass
            if machines[n].apply(changes, LOG, position):
                won.append(position)
        return won

    won = together(6, follow)

    assert sorted(position for part in won for position in part) == list(range(20))
    assert work.position(LOG) == 20
    (task,) = lease(work)
    assert task.wakes == 19
    for machine in machines:
        machine.close()


def test_following_and_settling_do_not_hinder_each_other(settings: Settings, work: Work) -> None:
    """While machines settle rows in any order, others wake and drop the same: nobody fails."""
    keys = [f"k{n}" for n in range(60)]
    machines = [Work(open_work(settings), f"machine-{n}") for n in range(4)]
    apply(work, ensuring(keys))

    def follow() -> None:
        for turn in range(40):
            changes = Changes()
            for key in random.Random(turn).sample(keys, 30):
                changes.wake(job(key, due_at=10))
            for key in random.Random(-turn).sample(keys, 10):
                changes.drop(key)
            before = work.position(LOG)
            changes.position = before + 1
            assert work.apply(changes, LOG, before)

    def run(n: int) -> None:
        for turn in range(40):
            tasks = machines[n].lease("collect", 10, 11, 20)
            random.Random(turn).shuffle(tasks)
            jobs = tuple(job(key) for key in random.Random(turn).sample(keys, 20))
            machines[n].settle(
                [later(task, 10) if no % 2 else done(task) for no, task in enumerate(tasks)]
                + [msgspec.structs.replace(later(task, 10), jobs=jobs) for task in tasks[:1]]
            )

    together(5, lambda n: follow() if n == 4 else run(n))

    assert work.position(LOG) == 41
    for machine in machines:
        machine.close()


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    """The log fills it again, so nothing is converted."""
    settings = load_settings({}, data_dir=tmp_path)
    work = Work(open_work(settings), "one")
    apply(work, lambda changes: changes.ensure(job()))
    work.close()
    connection = sqlite3.connect(settings.work_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    opened = Work(open_work(settings), "later")

    assert (opened.position(LOG), opened.waiting()) == (0, {})
    opened.close()


def test_keys_tell_what_they_are_about() -> None:
    """Every key can be read again, and none of another log."""
    one = new_id()
    keys = {
        charge_key(LOG, one, 3, 2): ChargeKey(one, 3, 2),
        refund_key(LOG, one, 3, "r"): RefundKey(one, 3, "r"),
        return_key(LOG, one, 3, "d"): ReturnKey(one, 3, "d"),
        payout_key(LOG, one, "p"): PayoutKey(one, "p"),
    }
    assert {key: read_key(LOG, key) for key in keys} == keys
    assert {read_key("other", key) for key in keys} == {None}
    assert command_id("a") == command_id("a") != command_id("b")


def test_the_rate_refills_with_time() -> None:
    """Four a second: four at once, then one each quarter of a second."""
    rate = RateLimit(4.0)
    assert [rate.take(10, 1_000), rate.take(10, 1_000)] == [4, 0]
    assert rate.ready_at() == 1_250
    assert rate.take(10, 1_249) == 0
    assert rate.take(10, 1_250) == 1
    rate.give_back(1)
    assert rate.take(10, 1_250) == 1
    assert rate.take(10, 9_000) == 4


# --- With the log --------------------------------------------------------------------------------


def in_the_midst(stage: Stage) -> list[str]:
    """Campaigns in every state that has work to do, their work followed up to now."""
    charging = stage.campaign()
    for behaviour in ("success", "timeout", "needs_confirmation", "insufficient_funds"):
        stage.pledge(charging, 5_000, behaviour)
    stage.pledge(charging, 5_000, "lost_later")
    failing = stage.campaign(collect_at="pledge", goal_minor=100_000)
    stage.pledge(failing, 5_000)
    stage.step()
    stage.run_until(DEADLINE, news=False)
    open_one = stage.campaign(deadline_at=DEADLINE + 20 * DAY_MS)
    stage.pledge(open_one, 20_000)
    refunding = stage.campaign(collect_at="pledge", deadline_at=DEADLINE + 20 * DAY_MS)
    leaving = stage.pledge(refunding, 8_000, "slow")
    stage.run_until(DEADLINE + HOUR_MS, news=False)
    stage.do(c.WithdrawPledge, refunding, STAFF, pledge_id=leaving)
    stage.processes.follow()
    return [charging, failing, open_one, refunding]


@contextmanager
def changing(stage: Stage) -> Iterator[Connection]:
    """The stage's store, to be changed behind the processes' back."""
    engine = open_work(stage.settings)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_lost_store_is_made_anew_from_the_log(stage: Stage) -> None:
    """What was asked for and has no outcome is there again, and everything ends as it should."""
    campaigns = in_the_midst(stage)
    before = stage.processes.waiting()
    stage.processes.close()
    if stage.settings.database_url:
        with changing(stage) as connection:
            METADATA.drop_all(connection)
            METADATA.create_all(connection)
    for file in stage.folder.glob("work.db*"):
        file.unlink()
    stage.processes = stage.make_processes()
    stage.processes.follow()

    after = stage.processes.waiting()
    # Whole campaigns are paged through once more, and their pledges found to be seen to.
    assert after == before | {"page": 2, "collect": after["collect"]}
    assert after["collect"] >= before["collect"]
    stage.run_until(DEADLINE + 21 * DAY_MS)

    assert [stage.phase(campaign) for campaign in campaigns] == [
        "settled",
        "failed",
        "settled",
        "failed",
    ]
    assert stage.processes.waiting() == {}


def test_reconstructing_in_place(stage: Stage) -> None:
    """The same by a command, without the file being lost."""
    in_the_midst(stage)
    due = stage.processes.next_due()

    assert stage.processes.reconstruct() == stage.log.last()[0]

    assert due is not None
    stage.run_until(DEADLINE + 21 * DAY_MS)
    assert stage.processes.waiting() == {}


def test_a_log_restored_from_an_older_copy(stage: Stage) -> None:
    """Work that is ahead of the log is thrown away and made anew."""
    campaign = stage.campaign()
    stage.step()
    stage.processes.close()
    with changing(stage) as connection:
        connection.execute(text("UPDATE checkpoints SET position = 1000000"))
        connection.execute(text("DELETE FROM work"))

    stage.processes = stage.make_processes()
    stage.pledge(campaign)
    stage.run_until(DEADLINE)

    assert stage.phase(campaign) == "settled"


def test_an_unknown_event_stops_the_follower(stage: Stage) -> None:
    """It is never skipped: what comes before it is followed, nothing after it, and the reason is
    told.
    """
    stage.campaign()
    position, at = stage.log.last()
    with stage.log.turn() as turn:
        number = turn.stream_number("campaign:x")
        turn.append([(position + 1, number, 1, at, "pledge.made.v9", b"{}")])

    with pytest.raises(UnreadableEvent, match=r"pledge\.made\.v9"):
        stage.processes.follow()

    assert stage.processes.position == position
    # The books of this log cannot be summed any more: a whole one takes its place.
    stage.close()
    for file in stage.folder.glob("*.db*"):
        file.unlink()
    Stage.__init__(stage, stage.folder)


def test_the_threads_of_a_server(stage: Stage) -> None:
    """Started, a pledge is charged by itself; stopped, nothing moves any more."""
    campaign = stage.campaign(collect_at="pledge")
    stage.processes.start()
    stage.pledge(campaign)
    settled = threading.Event()
    for _ in range(600):
        if stage.state_of(campaign) == "collected":
            settled.set()
            break
        settled.wait(0.05)
    stage.processes.stop()
    assert settled.is_set()

    stage.pledge(campaign)
    settled.wait(0.3)

    assert stage.state_of(campaign, 2) == "made"
    assert stage.processes.fault == ""
    assert stage.now == START


def test_two_servers_on_the_same_files(stage: Stage) -> None:
    """Both follow and both run: every pledge is charged once."""
    campaign = stage.campaign(collect_at="pledge")
    other = stage.make_processes(batch=7)
    stage.processes.start()
    other.start()
    pledges = 60
    for _ in range(pledges):
        stage.pledge(campaign)
    pause = threading.Event()
    for _ in range(600):
        if stage.look(campaign, lambda state: state.open_pledges) == 0:
            break
        pause.wait(0.05)
    stage.processes.stop()
    other.close()

    assert [kind for kind, _ in stage.lines()] == ["collected"] * pledges
    assert len(stage.facts(e.PledgeCollected)) == pledges
    stage.step()
    assert stage.processes.waiting() == {"close": 1}


@pytest.mark.postgres
def test_connections_that_break_again_and_again(tmp_path: Path, postgres_url: str) -> None:
    """While everything is charged, the server ends all connections: each pledge is charged once,
    and the books are the bank's.
    """
    stage = Stage(tmp_path, postgres_url)
    campaign = stage.campaign(collect_at="pledge")
    pledges = 40
    for _ in range(pledges):
        stage.pledge(campaign)
    stage.processes.close()
    stage.processes = stage.make_processes(batch=3)
    stage.processes.start()
    pause = threading.Event()
    with psycopg.connect(postgres_url, autocommit=True) as ender:
        for turn in range(600):
            if turn < 40:
                ender.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            if turn >= 40 and not seen_or(1, lambda: stage.look(campaign, _open_pledges)):
                break
            pause.wait(0.05)
            # What was put off after a fault is due by and by.
            stage.now += 1_000
    stage.processes.stop()
    stage.run_until(stage.now + HOUR_MS)

    assert stage.look(campaign, _open_pledges) == 0
    assert [kind for kind, _ in stage.lines()] == ["collected"] * pledges
    assert len(stage.facts(e.PledgeCollected)) == pledges
    stage.check()
    stage.close()


def _open_pledges(state: Campaign) -> int:
    return state.open_pledges


def seen_or(otherwise: T, look: Callable[[], T]) -> T:
    """What is seen, or something else where the connection is just broken."""
    try:
        return look()
    except PersistenceError:
        return otherwise


def test_a_stumbling_runner_goes_on(stage: Stage) -> None:
    """An engine that is out of order for a while holds up the work, and loses nothing."""
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign)
    submit_many = stage.engine.submit_many
    stage.engine.submit_many = lambda commands: [OSError("disk full") for _ in commands]  # type: ignore[method-assign, assignment, misc]
    stage.step()
    (trouble,) = stage.processes.troubles()
    assert trouble.last_error == "OSError: disk full"

    stage.engine.submit_many = submit_many  # type: ignore[method-assign]
    stage.run_until(START + 60_000)

    assert stage.state_of(campaign) == "collected"
