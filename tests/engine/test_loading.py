"""A large state is loaded beside the turns: its own commands wait for it, nobody else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from app.engine import Engine, EngineBusy, NotCommitted, Outcome
from tests.engine.tally import Bench, Tally, count, only_outcomes

SMALL = 5


class Gate:
    """Holds whoever loads a large state until it is opened, and may then fail."""

    def __init__(self, read: Callable[..., object]) -> None:
        self.read = read
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.fault: Exception | None = None

    def __call__(self, stream: str, after_version: int = 0, limit: int | None = None) -> object:
        """Read as the log does, but hold the loader's first read."""
        if threading.current_thread().name.startswith("engine-load"):
            self.reached.set()
            assert self.opened.wait(30)
            if self.fault is not None:
                raise self.fault
        return self.read(stream, after_version, limit)


@pytest.fixture
def gate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A log in which stream a is large and stays behind the gate."""
    monkeypatch.setattr("app.engine.states.SMALL", SMALL)
    with bench.engine() as engine:
        only_outcomes(engine.submit_many([count("a") for _ in range(SMALL + 3)]))
    gate = Gate(bench.log.read_stream)
    monkeypatch.setattr(bench.log, "read_stream", gate)
    yield gate
    gate.opened.set()


def _later(engine: Engine[Tally], *names: str) -> tuple[threading.Thread, list[object]]:
    """Send commands for stream a from another thread; their results come later."""
    results: list[object] = []

    def send() -> None:
        results.extend(engine.submit_many([count("a", name=name) for name in names]))

    thread = threading.Thread(target=send)
    thread.start()
    return thread, results


def test_others_go_on_meanwhile(bench: Bench, gate: Gate) -> None:
    """The waiting commands are decided afterwards, in the order in which they came."""
    with bench.engine() as engine:
        first, answers = _later(engine, "one", "two")
        assert gate.reached.wait(30)
        second, more = _later(engine, "three")
        for _ in range(3):
            assert engine.submit(count("b")).events
        assert not answers
        gate.opened.set()
        first.join(30)
        second.join(30)
        versions = [
            outcome.events[0].version
            for outcome in [*answers, *more]
            if isinstance(outcome, Outcome)
        ]
        assert versions == [SMALL + 4, SMALL + 5, SMALL + 6]
        assert engine.submit(count("a")).events[0].version == SMALL + 7


def test_what_others_append_meanwhile_is_not_missed(bench: Bench, gate: Gate) -> None:
    """Another process goes on with the very stream that is being loaded here."""
    other = bench.another()
    with bench.engine() as engine:
        thread, answers = _later(engine, "one")
        assert gate.reached.wait(30)
        with other.engine() as others:
            only_outcomes(others.submit_many([count("a"), count("a")]))
        gate.opened.set()
        thread.join(30)
    other.close()
    (answer,) = answers
    assert isinstance(answer, Outcome)
    assert answer.events[0].version == SMALL + 6


@pytest.mark.parametrize("fault", [OSError("gone"), None])
def test_a_state_that_cannot_be_had(bench: Bench, gate: Gate, fault: Exception | None) -> None:
    """Who waits is told; the next one tries again."""
    gate.fault = fault or NotCommitted("no connection")
    with bench.engine() as engine:
        thread, answers = _later(engine, "one", "two")
        assert gate.reached.wait(30)
        gate.opened.set()
        thread.join(30)
        assert [type(answer) for answer in answers] == [type(gate.fault)] * 2
        gate.fault = None
        assert engine.submit(count("a")).events[0].version == SMALL + 4


def test_closing_waits_for_what_is_loaded(bench: Bench, gate: Gate) -> None:
    """Whoever was let in is answered."""
    engine = bench.engine()
    thread, answers = _later(engine, "one")
    assert gate.reached.wait(30)
    closing = threading.Thread(target=engine.close)
    closing.start()
    gate.opened.set()
    closing.join(30)
    thread.join(30)
    assert [type(answer) for answer in answers] == [Outcome]


def test_those_who_wait_count_as_waiting(bench: Bench, gate: Gate) -> None:
    """A large state on its way is no way around the queue's bound."""
    with bench.engine(max_waiting=4) as engine:
        threads = [_later(engine, f"{n} one", f"{n} two") for n in range(2)]
        assert gate.reached.wait(30)
        while engine._waiting._count < 4:
            threading.Event().wait(0.001)
        with pytest.raises(EngineBusy):
            engine.submit(count("b"))
        gate.opened.set()
        for thread, _ in threads:
            thread.join(30)
        assert engine.submit(count("b")).events
    assert sum(len(answers) for _, answers in threads) == 4


def test_a_look_at_a_large_state_holds_up_nobody(bench: Bench, gate: Gate) -> None:
    """It is loaded in the thread of who looks."""
    with bench.engine() as engine:
        seen: list[int] = []
        looking = threading.Thread(
            target=lambda: seen.append(engine.inspect("a", lambda state: state.total)),
            name="engine-load-look",
        )
        looking.start()
        assert gate.reached.wait(30)
        assert engine.submit(count("b")).events
        gate.opened.set()
        looking.join(30)
    assert seen == [SMALL + 3]
