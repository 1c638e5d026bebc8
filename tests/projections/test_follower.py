"""The follower stops rather than skip, race or guess, and tells who waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from domain import events as e
from domain.codec import decode, encode
from domain.events import TAGS
from domain.ledger import Posting
from projections import journal, runner
from projections.journal import Journal, UnbalancedEntryError
from projections.pledge_book import FactsDisagreeError
from projections.reading import LogGapError, UnreadableFactError
from projections.runner import (
    PROJECTIONS,
    CheckpointMovedError,
    Follower,
    StaleViewsError,
)
from projections.views import ViewsFile
from tests.projections.history import Log, Row, some_history
from tests.projections.views_of import everything, rows_of


@pytest.fixture
def log() -> Log:
    """A log with campaigns in all their states."""
    return some_history(Random(7)).log


@pytest.fixture
def file(tmp_path: Path) -> Iterator[ViewsFile]:
    """A file for views."""
    file = ViewsFile(tmp_path / "views.db")
    yield file
    file.close_sync()


def follow(log: Log, file: ViewsFile) -> Follower:
    """A follower of all views."""
    return Follower(log.read, file, log_id=log.log_id)


def test_of_two_followers_one_stops(log: Log, file: ViewsFile) -> None:
    """Who finds the checkpoint moved writes nothing and stops for good."""
    one, other = follow(log, file), follow(log, file)
    one.step(10)
    with pytest.raises(CheckpointMovedError):
        other.step(10)
    assert isinstance(other.fault, CheckpointMovedError)
    one.catch_up()
    with pytest.raises(CheckpointMovedError):
        other.step(10)
    assert rows_of(file) == everything(log, 1_000)


def test_followers_in_two_threads_write_each_event_once(log: Log, file: ViewsFile) -> None:
    """However two followers meet, one is left and the views are as if it had been alone."""
    followers = [follow(log, file), follow(log, file)]
    start = threading.Barrier(2)

    def run(follower: Follower) -> None:
        start.wait()
        try:
            while follower.step(3):
                pass
        except CheckpointMovedError:
            return

    threads = [threading.Thread(target=run, args=(follower,)) for follower in followers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(follower.fault is None for follower in followers) == [False, True]
    assert rows_of(file) == everything(log, 1_000)


@pytest.mark.parametrize(
    "strange",
    [
        Row(0, "pledge.made.v9", b"{}"),
        Row(0, "pledge.made.v1", b"{}"),
        Row(0, "pledge.made.v1", b'{"type":"pledge.dropped.v1"}'),
    ],
    ids=["unknown", "unreadable", "mislabelled"],
)
def test_a_strange_event_stops_the_follower(log: Log, file: ViewsFile, strange: Row) -> None:
    """Everything before it is folded, nothing after it, and the fault says where it is."""
    log.rows[20] = strange._replace(position=21)
    follower = follow(log, file)
    with pytest.raises(UnreadableFactError, match="position 21"):
        follower.catch_up()
    assert follower.position == 20
    assert isinstance(follower.fault, UnreadableFactError)
    with pytest.raises(UnreadableFactError):
        follower.step()
    known = Log()
    known.rows = log.rows[:20]
    assert rows_of(file) == everything(known, 1_000)


def test_a_gap_in_the_log_stops_the_follower(log: Log, file: ViewsFile) -> None:
    """Positions follow each other, or something is lost."""
    del log.rows[5]
    with pytest.raises(LogGapError, match="at 7, not at 6"):
        follow(log, file).step()


@pytest.mark.parametrize(
    ("kind", "total", "said"),
    [
        (e.CampaignCancelled, "released_minor", "releases"),
        (e.FeesCharged, "platform_fee_minor", "charges fees"),
        (e.PayoutApproved, "amount_minor", "pays out"),
    ],
)
def test_facts_that_do_not_add_up_stop_the_follower(
    kind: type[e.Event], total: str, said: str, file: ViewsFile
) -> None:
    """A total that its pledges do not sum to was not decided by these rules."""
    logs = (some_history(Random(seed)).log for seed in range(100))
    log = next(log for log in logs if any(row.tag == TAGS[kind] for row in log.rows))
    place = next(index for index, row in enumerate(log.rows) if row.tag == TAGS[kind])
    event = decode(log.rows[place].tag, log.rows[place].body)
    forged = replace(event, **{total: getattr(event, total) + 1})
    log.rows[place] = log.rows[place]._replace(body=encode(forged))
    with pytest.raises(FactsDisagreeError, match=f"position {place + 1} {said}"):
        follow(log, file).catch_up()


def test_a_pledge_that_is_not_made_yet_cannot_change(file: ViewsFile) -> None:
    """Not even where it is made later in the same batch."""
    logs = (some_history(Random(seed)).log for seed in range(100))
    made, changed = TAGS[e.PledgeMade], TAGS[e.PaymentMethodReplaced]
    log = next(log for log in logs if any(row.tag == changed for row in log.rows))
    events = [decode(row.tag, row.body) for row in log.rows]
    late = next(place for place, row in enumerate(log.rows) if row.tag == changed)
    named = [(event.stream, getattr(event, "no", 0)) for event in events]
    early = next(
        place
        for place, row in enumerate(log.rows)
        if row.tag == made and named[place] == named[late]
    )
    for place, other in ((early, late), (late, early)):
        body = encode(events[other])
        log.rows[place] = log.rows[place]._replace(tag=TAGS[type(events[other])], body=body)
    with pytest.raises(FactsDisagreeError, match=f"position {early + 1} names pledge .* never"):
        follow(log, file).catch_up()


@pytest.mark.parametrize("apart", [False, True])
def test_a_pledge_is_made_once(log: Log, file: ViewsFile, *, apart: bool) -> None:
    """A second pledge of the same number is not taken for the first."""
    made = next(row for row in log.rows if row.tag == TAGS[e.PledgeMade])
    log.rows = [*log.rows[: made.position], made._replace(position=made.position + 1)]
    follower = follow(log, file)
    follower.catch_up(until=made.position if apart else 0)
    with pytest.raises(FactsDisagreeError, match=f"{made.position + 1} a pledge is made twice"):
        follower.catch_up()


def test_an_entry_that_does_not_balance_is_not_written(
    log: Log, file: ViewsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal refuses what does not sum to zero, and the batch with it."""
    monkeypatch.setattr(journal, "postings", lambda _: (Posting("Income:PlatformFee", 1, "BRL"),))
    empty = rows_of_fresh(log, file)
    with pytest.raises(UnbalancedEntryError):
        follow(log, file).step()
    assert rows_of(file) == empty


def rows_of_fresh(log: Log, file: ViewsFile) -> dict[str, list[tuple[object, ...]]]:
    """The tables as they are made, empty."""
    follow(log, file)
    return rows_of(file)


def test_views_of_another_version_are_not_written(log: Log, file: ViewsFile) -> None:
    """A program that writes other rows asks for a rebuild."""
    follow(log, file).step()

    class NewJournal(Journal):
        version = 2  # type: ignore[misc]

    others = (*(p for p in PROJECTIONS if p.name != "journal"), NewJournal())
    with pytest.raises(StaleViewsError, match="tributary rebuild"):
        Follower(log.read, file, log_id=log.log_id, projections=others)


def test_who_waits_is_told(log: Log, file: ViewsFile) -> None:
    """A reader that asks for a position gets it as soon as the views are there."""
    follower, stop = follow(log, file), threading.Event()
    assert not follower.wait_for(1, timeout=0)
    last = len(log.rows)
    thread = threading.Thread(target=follower.run, args=(stop, log.wait))
    thread.start()
    try:
        assert follower.wait_for(last, timeout=30)
        assert follower.position == last
        assert follower.lag() == 0
        assert not follower.wait_for(last + 1, timeout=0.01)
    finally:
        stop.set()
        thread.join()
    assert follower.fault is None


async def test_a_coroutine_that_waits_is_told(log: Log, file: ViewsFile) -> None:
    """The same, without a thread for each reader."""
    follower, stop = follow(log, file), threading.Event()
    assert not await follower.wait_for_async(1, timeout=0)
    last = len(log.rows)
    thread = threading.Thread(target=follower.run, args=(stop, log.wait))
    thread.start()
    try:
        waits = [follower.wait_for_async(position, 30) for position in (1, last // 2, last)]
        assert await asyncio.gather(*waits) == [True, True, True]
        assert not await follower.wait_for_async(last + 1, timeout=0.01)
    finally:
        stop.set()
        thread.join()


async def test_who_waits_sees_what_another_process_writes(log: Log, file: ViewsFile) -> None:
    """A process whose own follower does not run waits for the views all the same."""
    idle, busy = follow(log, file), follow(log, file)
    busy.catch_up()
    assert idle.wait_for(len(log.rows), timeout=30)
    assert await follow(log, file).wait_for_async(len(log.rows), timeout=30)


def test_a_fault_ends_the_thread_and_is_kept(
    log: Log, file: ViewsFile, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread does not die unnoticed: the fault is logged and told."""
    log.rows[3] = Row(4, "weather.changed.v1", b"{}")
    follower = follow(log, file)
    follower.run(threading.Event(), log.wait)
    assert isinstance(follower.fault, UnreadableFactError)
    assert "stand still at position 3" in caplog.text
    assert follower.lag() == len(log.rows) - 3


def test_what_may_pass_is_tried_again(
    log: Log, file: ViewsFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that fails for a moment does not end the thread, nor leaves half a batch."""
    monkeypatch.setattr(runner, "PAUSE_S", 0.001)
    failures = iter([OSError("the disk is slow"), OSError("the disk is slow")])

    def read(after: int, limit: int) -> list[Row]:
        if after and (failure := next(failures, None)):
            raise failure
        return log.read(after, min(limit, 20))

    follower, stop = Follower(read, file, log_id=log.log_id), threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop, log.wait))
    thread.start()
    try:
        assert follower.wait_for(len(log.rows), timeout=30)
    finally:
        stop.set()
        thread.join()
    assert caplog.text.count("a batch after position 20 failed") == 2
    assert follower.fault is None
    assert rows_of(file) == everything(log, 1_000)


def test_another_follower_in_a_thread_is_joined_not_fought(log: Log, file: ViewsFile) -> None:
    """Threads of two processes on the same views: who was not first goes on from there."""
    followers, stop = [follow(log, file), follow(log, file)], threading.Event()
    followers[0].step(10)
    thread = threading.Thread(target=followers[1].run, args=(stop, log.wait))
    thread.start()
    try:
        assert followers[1].wait_for(len(log.rows), timeout=30)
    finally:
        stop.set()
        thread.join()
    assert rows_of(file) == everything(log, 1_000)


class Rests(threading.Event):
    """An event that notes how long it was waited for, and is set once the log is followed."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note it; nobody really waits."""
        self.seconds.append(timeout or 0.0)
        return self.is_set()


@pytest.mark.parametrize(
    ("many", "most", "rests"), [(20, 1_000, 1), (20, 30, 0), (10_000, 1_000, 0)]
)
def test_after_many_events_the_follower_rests(
    log: Log,
    file: ViewsFile,
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    most: int,
    rests: int,
) -> None:
    """So the next batch is larger; but not after few, and not while it is far behind."""
    monkeypatch.setattr(runner, "MANY", many)
    monkeypatch.setattr(runner, "BATCH", most)
    log.rows = log.rows[:90]
    stop = Rests()

    def wait(after: int, timeout: float) -> int:
        if after == len(log.rows):
            stop.set()
        return log.wait(after, timeout)

    follower = follow(log, file)
    monkeypatch.setattr(follower, "step", partial(follower.step, most))
    follower.run(stop, wait)
    assert follower.position == len(log.rows)
    assert len(stop.seconds) == rests
    assert all(0 < seconds <= runner.REST_S for seconds in stop.seconds)
