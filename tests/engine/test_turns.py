"""Append turns: many callers, one commit, one time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from app.engine import Engine, EngineBusy, EngineClosed, Outcome
from app.log import TurnHooks
from tests.engine.tally import START, Bench, Tally, TallyDecider, TooMuch, count, only_outcomes


class Gate:
    """Holds the first turn before its commit until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.turns = 0

    def __call__(self) -> None:
        """Wait in the turn."""
        self.turns += 1
        self.reached.set()
        assert self.opened.wait(30)


def test_an_outcome_says_where_its_events_stand(bench: Bench) -> None:
    """Positions count over the log, versions within the stream."""
    with bench.engine() as engine:
        first = engine.submit(count("a", events=2))
        second = engine.submit(count("b"))
    assert (first.position, first.last_position) == (1, 2)
    assert [event.version for event in first.events] == [1, 2]
    assert (second.position, second.events[0].version, second.repeated) == (3, 1, False)
    rows = bench.log.read(0, 10)
    assert [(row.position, row.stream, row.version, row.at) for row in rows] == [
        (1, "campaign:a", 1, START),
        (2, "campaign:a", 2, START),
        (3, "campaign:b", 1, START),
    ]


def test_sixty_four_threads_share_commits(bench: Bench) -> None:
    """Every caller gets its own outcome, nothing is lost, and turns are shared."""
    turns: list[int] = []
    bench.log.hooks = TurnHooks(before_commit=lambda: turns.append(1))
    outcomes: list[Outcome] = []

    def submit(engine: Engine[Tally], number: int) -> None:
        outcomes.extend(engine.submit(count(f"c{number % 5}")) for _ in range(20))

    with bench.engine() as engine:
        threads = [threading.Thread(target=submit, args=(engine, n)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcome.position for outcome in outcomes) == list(range(1, 1281))
    assert [row.position for row in bench.log.read(0, 2000)] == list(range(1, 1281))
    for number in range(5):
        versions = bench.versions(f"c{number}")
        assert versions == list(range(1, len(versions) + 1))
    assert len(turns) < 1280


def test_commands_that_wait_are_decided_in_one_turn(bench: Bench) -> None:
    """While one turn commits, all others gather for the next."""
    gate = Gate()
    bench.log.hooks = TurnHooks(before_commit=gate)
    results: list[Outcome] = []
    with bench.engine() as engine:
        threads = [
            threading.Thread(target=lambda: results.append(engine.submit(count())))
            for _ in range(10)
        ]
        threads[0].start()
        assert gate.reached.wait(30)
        for thread in threads[1:]:
            thread.start()
        while engine._waiting._count < 9:
            threading.Event().wait(0.001)
        gate.opened.set()
        for thread in threads:
            thread.join()
    assert len(results) == 10
    assert gate.turns == 2


def test_a_long_list_spans_turns_in_its_order(bench: Bench) -> None:
    """Outcomes come in the order of the commands, over as many turns as it takes."""
    turns: list[int] = []
    bench.log.hooks = TurnHooks(before_commit=lambda: turns.append(1))
    with bench.engine(max_batch=10) as engine:
        results = engine.submit_many([count(f"c{n % 3}", name=str(n)) for n in range(95)])
    assert [outcome.position for outcome in only_outcomes(results)] == list(range(1, 96))
    assert len(turns) == 10


def test_a_refusal_is_its_callers_own(bench: Bench) -> None:
    """A rejection is raised to its caller, stored nowhere, and leaves the others alone."""
    with bench.engine(TallyDecider(limit=2)) as engine:
        results = engine.submit_many([count(), count(), count(), count("b")])
        assert [type(result) for result in results] == [Outcome, Outcome, TooMuch, Outcome]
        with pytest.raises(TooMuch):
            engine.submit(count())
    assert bench.versions("a") == [1, 2]


def test_a_turn_that_records_nothing_commits_nothing(bench: Bench) -> None:
    """Refusals and commands without events cost no write to the disk."""
    turns: list[int] = []
    with bench.engine() as engine:
        engine.submit(count())
        bench.log.hooks = TurnHooks(after_commit=lambda: turns.append(1))
        nothing = engine.submit(count(events=0))
        with pytest.raises(TooMuch):
            engine.submit(count("new", way="refuse"))
    assert (nothing.position, nothing.events, nothing.last_position) == (1, (), 1)
    assert turns == []


def test_one_time_for_a_turn_and_never_backwards(bench: Bench) -> None:
    """A clock that steps back does not take the log with it, nor does a new engine."""
    with bench.engine() as engine:
        engine.submit(count())
        bench.clock.now = START + 500
        engine.submit_many([count("a"), count("b")])
        bench.clock.now = START - 900
        engine.submit(count())
    with bench.engine() as engine:
        engine.submit(count("c"))
        bench.clock.now = START + 501
        engine.submit(count("c"))
    times = [row.at - START for row in bench.log.read(0, 10)]
    assert times == [0, 500, 500, 500, 500, 501]


async def test_async_callers_are_answered_by_one_call_per_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of waiting tasks cost one wake-up of the event loop for each turn."""
    turns: list[int] = []
    wakes: list[int] = []
    loop = asyncio.get_running_loop()
    call: Callable[..., object] = loop.call_soon_threadsafe

    def counted(*args: object) -> object:
        wakes.append(1)
        return call(*args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    bench.log.hooks = TurnHooks(before_commit=lambda: turns.append(1))
    with bench.engine() as engine:
        outcomes = await asyncio.gather(*(engine.submit_async(count()) for _ in range(500)))
        assert len(wakes) <= len(turns) < 500
        many = await engine.submit_many_async([count(), count(way="refuse")])
    assert sorted(outcome.position for outcome in outcomes) == list(range(1, 501))
    assert [type(result) for result in many] == [Outcome, TooMuch]


async def test_a_caller_that_stops_waiting_undoes_nothing(bench: Bench) -> None:
    """A cancelled task's command is decided all the same, and the others are answered."""
    gate = Gate()
    bench.log.hooks = TurnHooks(before_commit=gate)
    with bench.engine() as engine:
        gone = asyncio.ensure_future(engine.submit_async(count()))
        stays = asyncio.ensure_future(engine.submit_async(count()))
        await asyncio.to_thread(gate.reached.wait, 30)
        gone.cancel()
        gate.opened.set()
        outcome = await stays
    assert gone.cancelled()
    assert outcome.events[0].version == 2


def test_a_full_queue_says_so(bench: Bench) -> None:
    """Beyond the bound the caller is told at once that nothing was done."""
    gate = Gate()
    bench.log.hooks = TurnHooks(before_commit=gate)
    with bench.engine(max_waiting=3) as engine:
        first = threading.Thread(target=engine.submit, args=(count(),))
        first.start()
        assert gate.reached.wait(30)
        waits = threading.Thread(target=engine.submit_many, args=([count()] * 7,))
        waits.start()
        while not engine._waiting._count:
            threading.Event().wait(0.001)
        with pytest.raises(EngineBusy):
            engine.submit(count())
        gate.opened.set()
        first.join()
        waits.join()
        assert engine.submit(count()).position == 9


def test_a_closed_engine_finishes_and_takes_no_more(bench: Bench) -> None:
    """What waits is decided before the end; what comes later is refused."""
    gate = Gate()
    bench.log.hooks = TurnHooks(before_commit=gate)
    engine = bench.engine()
    threads = [threading.Thread(target=engine.submit, args=(count(),)) for _ in range(2)]
    threads[0].start()
    assert gate.reached.wait(30)
    threads[1].start()
    while not engine._waiting._count:
        threading.Event().wait(0.001)
    closer = threading.Thread(target=engine.close)
    closer.start()
    gate.opened.set()
    for thread in (*threads, closer):
        thread.join()
    assert bench.versions("a") == [1, 2]
    with pytest.raises(EngineClosed):
        engine.submit(count())
