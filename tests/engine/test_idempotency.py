"""The same command twice: the first outcome, whichever way it is recognised."""

from __future__ import annotations

import pytest

from app.engine import BrokenStream, IdempotencyKeyReused, Outcome
from app.log import LogRow, TurnHooks
from domain.errors import CommandExpired
from tests.engine.tally import START, Bench, TallyDecider, TooMuch, count, only_outcomes


def test_a_key_answers_with_the_first_outcome(bench: Bench) -> None:
    """Also after a restart, and with another command id and expiry."""
    with bench.engine() as engine:
        engine.submit(count())
        first = engine.submit(count(events=2), key="k")
        again = engine.submit(count(events=2), key="k")
    with bench.engine() as engine:
        engine.submit(count())
        later = engine.submit(count(events=2, expires_at=START + 1), key="k")
    assert not first.repeated
    for outcome in (again, later):
        assert outcome.repeated
        assert (outcome.position, outcome.events) == (first.position, first.events)
    assert bench.versions("a") == [1, 2, 3, 4]


def test_a_key_is_for_one_content(bench: Bench) -> None:
    """The same key with anything else is refused: another amount, stream or actor."""
    with bench.engine() as engine:
        engine.submit(count(amount=1), key="k")
        for other in (count(amount=2), count("b"), count(by="system:others")):
            with pytest.raises(IdempotencyKeyReused):
                engine.submit(other, key="k")
        assert engine.submit(count(amount=2), key="l").position == 2


def test_a_key_used_twice_in_one_turn(bench: Bench) -> None:
    """The second of two waiting commands is answered with the first one's outcome."""
    with bench.engine() as engine:
        results = engine.submit_many(
            [count(), count(), count(amount=2), count()], keys=["k", "k", "k", None]
        )
    assert [type(result) for result in results] == [
        Outcome,
        Outcome,
        IdempotencyKeyReused,
        Outcome,
    ]
    first, second, last = only_outcomes([results[0], results[1], results[3]])
    assert (second.position, second.events, second.repeated) == (1, first.events, True)
    assert last.position == 2


def test_an_expired_command_is_refused_even_where_its_key_is_known(bench: Bench) -> None:
    """After `expires_at` the answer is always no."""
    with bench.engine() as engine:
        engine.submit(count(expires_at=START), key="k")
        bench.clock.now = START + 1
        with pytest.raises(CommandExpired):
            engine.submit(count(expires_at=START), key="k")
        with pytest.raises(CommandExpired):
            engine.submit(count(expires_at=START), key="new")
        assert engine.submit(count(), key="k").repeated


def test_a_refused_command_leaves_its_key_free(bench: Bench) -> None:
    """Refusals are not stored: what is refused today may be accepted tomorrow."""
    with bench.engine(TallyDecider(limit=0)) as engine, pytest.raises(TooMuch):
        engine.submit(count(), key="k")
    with bench.engine() as engine:
        assert not engine.submit(count(), key="k").repeated


def test_a_command_that_changed_nothing_keeps_its_key(bench: Bench) -> None:
    """Its outcome is no events, each time."""
    with bench.engine() as engine:
        engine.submit(count())
        first = engine.submit(count(events=0), key="k")
        engine.submit(count())
        again = engine.submit(count(events=0), key="k")
    assert first == Outcome(1, ())
    assert again == Outcome(1, (), repeated=True)


def test_a_key_is_kept_with_its_events_or_not_at_all(bench: Bench) -> None:
    """Both stand in one transaction."""

    def fail() -> None:
        raise RuntimeError("stopped")

    with bench.engine() as engine:
        bench.log.hooks = TurnHooks(before_commit=fail)
        (result,) = engine.submit_many([count()], keys=["k"])
        assert isinstance(result, Exception)
        bench.log.hooks = TurnHooks()
        assert not engine.submit(count(), key="k").repeated
    assert bench.versions("a") == [1]


def test_what_the_rules_recognise_is_answered_from_the_log(bench: Bench) -> None:
    """All events of the first command, and no other's, however many there are."""
    with bench.engine() as engine:
        engine.submit(count())
        first = engine.submit(count(name="mine", events=40))
        engine.submit(count(name="other"))
        again = engine.submit(count(name="mine", amount=7))
    assert (again.position, again.events, again.repeated) == (2, first.events, True)


def test_a_repeat_in_the_same_turn_finds_the_first_outcome(bench: Bench) -> None:
    """Also before the first one is committed, because all are answered after the commit."""
    with bench.engine() as engine:
        first, again = only_outcomes(
            engine.submit_many([count(name="mine", events=3), count(name="mine")])
        )
    assert (again.position, again.events, again.repeated) == (1, first.events, True)


def test_many_repeats_are_answered_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list sent again costs one look into the log for each stream, not one for each command."""
    commands = [count("ab"[n % 2], name=str(n), events=1 + n // 38) for n in range(40)]
    reads: list[str] = []
    read_versions = bench.log.read_versions

    def counted(name: str, versions: set[int]) -> list[LogRow]:
        reads.append(name)
        return read_versions(name, versions)

    with bench.engine() as engine:
        first = only_outcomes(engine.submit_many(commands))
        monkeypatch.setattr(bench.log, "read_versions", counted)
        again = only_outcomes(engine.submit_many(commands))
    assert [(o.position, o.events) for o in again] == [(o.position, o.events) for o in first]
    assert all(outcome.repeated for outcome in again)
    assert sorted(reads) == ["campaign:a", "campaign:b"]


def test_a_repeat_of_what_is_not_there_is_a_fault(bench: Bench) -> None:
    """A decider that remembers what the log has not is told off, not believed."""
    with bench.engine() as engine:
        engine.submit(count())
        state = engine._states.get("campaign:a")
        assert state is not None
        state.names["never"] = 7
        (result,) = engine.submit_many([count(name="never")])
    assert isinstance(result, BrokenStream)
