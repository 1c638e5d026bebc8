"""States in memory: evicted, rebuilt, caught up with what others wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.engine import Outcome, load_state
from app.engine.states import BrokenStream, StateCache
from app.engine.waiting import UNANSWERED
from app.log import EventLog, LogRow, TurnHooks, UnreadableEvent, decode_row
from tests.engine.tally import Bench, Tally, TallyDecider, count, only_outcomes, stream


def append_stranger(
    log: EventLog, name: str, version: int, tag: str = "from.the.future.v9"
) -> None:
    """Write an event that no code here knows."""
    with log.turn() as turn:
        number = turn.stream_number(name)
        turn.append([(turn.position + 1, number, version, turn.at, tag, b"{}")])


def test_the_least_used_states_are_forgotten() -> None:
    """By weight, the longest unused first; the last one stays whatever it weighs."""
    cache: StateCache[Tally] = StateCache(TallyDecider(), limit=10)
    for name in "abc":
        cache.put(name, Tally(name, version=4))
        cache.settle([name])
    assert [name for name in "abc" if cache.get(name)] == ["b", "c"]
    assert cache.weight == 8
    cache.settle(["b"])
    cache.put("d", Tally("d", version=5))
    cache.settle(["d"])
    assert [name for name in "bcd" if cache.get(name)] == ["b", "d"]
    cache.put("huge", Tally("huge", version=99))
    cache.settle(["huge"])
    assert (len(cache), cache.weight) == (1, 99)
    cache.drop("huge")
    assert (len(cache), cache.weight) == (0, 0)


def test_a_state_that_grows_is_weighed_again() -> None:
    """Otherwise one campaign could fill the memory unseen."""
    cache: StateCache[Tally] = StateCache(TallyDecider(), limit=10)
    small, growing = Tally("small", version=1), Tally("growing", version=1)
    cache.put("small", small)
    cache.put("growing", growing)
    cache.settle(["small", "growing"])
    growing.version = 10
    cache.settle(["growing"])
    assert cache.get("small") is None
    assert cache.weight == 10


def test_a_stream_without_events_leaves_no_state(bench: Bench) -> None:
    """Commands to made-up ids cannot fill the memory."""
    with bench.engine() as engine:
        engine.submit_many([count(f"made-up {n}", way="refuse") for n in range(50)])
        assert len(engine._states) == 0


def test_evicted_states_come_back_as_they_were(bench: Bench) -> None:
    """With room for almost nothing every command rebuilds its state, and all is right."""
    with bench.engine(cache_limit=1, max_batch=4) as engine:
        results = engine.submit_many([count(f"c{n % 5}") for n in range(100)])
        assert len(engine._states) == 1
    assert len(only_outcomes(results)) == 100
    for n in range(5):
        assert bench.versions(f"c{n}") == list(range(1, 21))


@pytest.mark.parametrize("cached", [True, False])
def test_two_engines_on_one_log_see_each_other(bench: Bench, cached: bool) -> None:
    """Each decides on what the other recorded, before or after the lock."""
    other = bench.another()
    limit = 10**9 if cached else 1
    with bench.engine(cache_limit=limit) as one, other.engine(cache_limit=limit) as two:
        for n in range(30):
            outcome = (one, two)[n % 2].submit(count("ab"[n % 3 == 0], name=f"{n}"))
            assert outcome.position == n + 1
            assert (two, one)[n % 2].submit(count("ab"[n % 3 == 0], name=f"{n}")).repeated
    other.close()
    assert bench.versions("a") == list(range(1, 21))
    assert bench.versions("b") == list(range(1, 11))


def test_what_others_write_between_load_and_lock_is_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remainder is caught up inside the turn, for states old and new."""
    other = bench.another()
    turn: Callable[[], object] = bench.log.turn

    def late() -> object:
        monkeypatch.undo()
        with other.engine() as two:
            two.submit_many([count("known", amount=10), count("new", amount=20)])
        return turn()

    with bench.engine(TallyDecider(limit=30)) as one:
        one.submit(count("known"))
        monkeypatch.setattr(bench.log, "turn", late)
        results = one.submit_many([count("known"), count("new", amount=2), count("new", amount=9)])
    other.close()
    assert [getattr(r, "position", None) for r in results] == [4, 5, None]
    assert bench.versions("known") == [1, 2, 3]
    assert bench.versions("new") == [1, 2]


def test_an_unknown_event_stops_its_stream_and_no_other(bench: Bench) -> None:
    """What this code cannot read is never skipped, and does not stop the rest."""
    with bench.engine() as engine:
        engine.submit_many([count("a"), count("b")])
        append_stranger(bench.log, stream("a"), 2)
        results = engine.submit_many([count("a"), count("b"), count("a")])
    fault = results[0]
    assert isinstance(fault, UnreadableEvent)
    assert (fault.position, fault.stream, fault.tag) == (3, stream("a"), "from.the.future.v9")
    assert "position 3, stream campaign:a, version 2, tag from.the.future.v9" in str(fault)
    assert isinstance(results[2], UnreadableEvent)
    assert [outcome.position for outcome in only_outcomes([results[1]])] == [4]


def test_an_unknown_event_inside_the_turn_waits_for_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands are told once the state has been loaded again; nobody waits for ever."""
    turn: Callable[[], object] = bench.log.turn

    def late() -> object:
        monkeypatch.undo()
        append_stranger(bench.log, stream("a"), 2)
        return turn()

    with bench.engine() as engine:
        engine.submit(count("a"))
        monkeypatch.setattr(bench.log, "turn", late)
        results = engine.submit_many([count("a"), count("b")])
    assert isinstance(results[0], UnreadableEvent)
    assert only_outcomes([results[1]])[0].position == 3


def test_a_gap_in_a_stream_is_not_evolved_over(bench: Bench) -> None:
    """A version that does not follow the last one stops the reader."""
    with bench.engine() as engine:
        engine.submit(count("a"))
    body = bench.log.read(0, 1)[0]
    with bench.log.turn() as turn:
        number = turn.stream_number(stream("a"))
        turn.append([(2, number, 3, turn.at, body.tag, body.body)])
    with pytest.raises(BrokenStream, match="version 3 follows 1"):
        load_state(bench.log, None, TallyDecider(), stream("a"))


def test_a_body_of_another_version_is_not_evolved_over(bench: Bench) -> None:
    """A copied body under a new version stops the reader, who would not end otherwise."""
    with bench.engine() as engine:
        engine.submit(count("a"))
    row = bench.log.read(0, 1)[0]
    with bench.log.turn() as turn:
        turn.append([(2, turn.stream_number(stream("a")), 2, turn.at, row.tag, row.body)])
    with pytest.raises(BrokenStream, match="the body of version 2 says 1"):
        load_state(bench.log, None, TallyDecider(), stream("a"))


def test_an_engine_alone_never_reads_back_what_it_wrote(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catching up is for what others append."""
    monkeypatch.setattr(bench.log, "read", lambda *_: 1 / 0)
    with bench.engine() as engine:
        assert [engine.submit(count()).position for _ in range(3)] == [1, 2, 3]


def test_what_was_loaded_is_not_evolved_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What others append between the catching up and the loading is in both."""
    with bench.engine() as engine:
        engine.submit(count("a"))
    other = bench.another()
    read_stream = bench.log.read_stream

    def late(name: str, after: int, limit: int) -> list[LogRow]:
        monkeypatch.undo()
        with other.engine() as two:
            two.submit(count("a", amount=10))
        return read_stream(name, after, limit)

    with bench.engine() as one:
        monkeypatch.setattr(bench.log, "read_stream", late)
        assert one.submit(count("a", amount=100)).position == 3
        assert one._states.get(stream("a")) == Tally(stream("a"), version=3, total=111)
    other.close()
    assert caplog.records == []


def test_commands_after_a_fault_keep_their_order(bench: Bench) -> None:
    """Deferred commands go first in the next turn."""
    turns: list[int] = []

    def slowly() -> None:
        turns.append(1)
        time.sleep(0.05)  # an answer that does not wait for the deferred would come before them

    bench.log.hooks = TurnHooks(before_commit=slowly)
    with bench.engine(max_batch=3) as engine:
        results = engine.submit_many(
            [count(name="1"), count(way="crash"), count(name="2"), count(name="3")]
        )
        assert UNANSWERED not in results
    assert [type(result) for result in results] == [Outcome, RuntimeError, Outcome, Outcome]
    causes = [decode_row(row) for row in bench.log.read_stream(stream("a"))]
    assert [getattr(event, "cause", "") for event in causes] == ["1 1", "1 2", "1 3"]
    assert bench.versions("a") == [1, 2, 3]
    assert len(turns) == 2


def test_a_state_can_be_looked_at_between_turns(bench: Bench) -> None:
    """As the log has it, also what others wrote; the look of an unknown stream keeps nothing."""
    other = bench.another()
    with bench.engine() as engine, other.engine() as two:
        engine.submit(count("a", amount=10))
        assert engine.inspect("a", lambda state: (state.version, state.total)) == (1, 10)
        two.submit_many([count("a", amount=5), count("b", amount=7)])
        assert engine.inspect("a", lambda state: state.total) == 15
        assert engine.inspect("b", lambda state: state.total) == 7
        assert engine.inspect("made-up", lambda state: state.version) == 0
        assert len(engine._states) == 2
        assert engine.submit(count("b")).events[0].version == 2
    other.close()


def test_nobody_looks_at_a_turn_in_progress(bench: Bench) -> None:
    """What is not committed is not seen, and what failed never is."""
    seen: list[int] = []
    reached, opened = threading.Event(), threading.Event()

    def fail() -> None:
        reached.set()
        assert opened.wait(30)
        raise RuntimeError("stopped")

    with bench.engine() as engine:
        engine.submit(count("a", amount=1))
        bench.log.hooks = TurnHooks(before_commit=fail)
        writer = threading.Thread(target=engine.submit_many, args=([count("a", amount=10)],))
        writer.start()
        assert reached.wait(30)
        looker = threading.Thread(
            target=lambda: seen.append(engine.inspect("a", lambda state: state.total))
        )
        looker.start()
        looker.join(0.05)
        assert seen == []
        opened.set()
        writer.join()
        looker.join()
    assert seen == [1]
