"""What goes wrong in a turn: whose fault it is, what is recorded, what is told."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from app.engine import InconsistentDecision, NotCommitted, Outcome
from app.log import CommitUnknown, TurnHooks
from tests.engine.tally import Bench, TallyDecider, TooMuch, count, only_outcomes


def fail() -> None:
    """Be a disk that is full."""
    raise OperationalError("database or disk is full")


class FailingCommit:
    """The writer's connection, whose COMMIT fails before or after it took effect."""

    def __init__(self, connection: Any, *, after: bool) -> None:  # noqa: ANN401 - of any store
        self._connection = connection
        self._after = after

    def execute(
        self,
        statement: str,
        *values: Any,  # noqa: ANN401 - the connection's own
        **options: Any,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        """Run a statement; fail at COMMIT."""
        if statement.endswith("COMMIT"):
            if self._after:
                self._connection.execute(statement)
            raise OperationalError("disk I/O error")
        return self._connection.execute(statement, *values, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the connection's own
        """All else is the connection's."""
        return getattr(self._connection, name)


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("crash", RuntimeError),
        ("crash half-way", RuntimeError),
        ("lose an event", InconsistentDecision),
        ("other time", InconsistentDecision),
    ],
)
def test_a_fault_fails_its_own_command(bench: Bench, way: str, fault: type[Exception]) -> None:
    """The commands before and after it are recorded as if it had never come."""
    with bench.engine() as engine:
        results = engine.submit_many(
            [count(amount=1), count("b"), count(amount=10, events=2, way=way), count(amount=100)]
        )
        assert isinstance(results.pop(2), fault)
        assert [o.events[0].version for o in only_outcomes(results)] == [1, 1, 2]
        assert engine.submit(count(events=0)).position == 3
        assert engine._states.get("campaign:a").total == 101  # type: ignore[union-attr]
    assert bench.versions("a") == [1, 2]
    assert [row.position for row in bench.log.read(0, 10)] == [1, 2, 3]


def test_a_refusal_that_changed_the_state_is_contained(bench: Bench) -> None:
    """A decider that refuses too late loses its state, not the log."""
    with bench.engine() as engine:
        results = engine.submit_many([count(), count(way="refuse half-way"), count()])
    assert [type(result) for result in results] == [Outcome, TooMuch, Outcome]
    assert bench.versions("a") == [1, 2]


@pytest.mark.parametrize("hook", ["after_append", "before_commit"])
def test_a_turn_that_fails_before_its_commit_is_undone(bench: Bench, hook: str) -> None:
    """Everyone is told that nothing was done, and the states forget what they saw."""
    with bench.engine(TallyDecider(limit=3)) as engine:
        engine.submit(count())
        bench.log.hooks = TurnHooks(**{hook: fail})
        results = engine.submit_many([count(amount=2), count(), count("b"), count(way="crash")])
        # The second was refused on the strength of the first, which is not there.
        assert [type(result) for result in results] == [NotCommitted] * 4
        assert [row.position for row in bench.log.read(0, 10)] == [1]
        bench.log.hooks = TurnHooks()
        again = engine.submit_many([count(), count("b"), count(), count()])
    assert [type(result) for result in again] == [Outcome, Outcome, Outcome, TooMuch]
    assert [row.position for row in bench.log.read(0, 10)] == [1, 2, 3, 4]


def test_a_full_disk_loses_nothing(sqlite_bench: Bench) -> None:
    """An error of SQLite's own while rows are written is told as not committed."""
    bench = sqlite_bench
    with bench.engine() as engine:
        engine.submit(count())
        writer = bench.log._writer
        assert isinstance(writer, sqlite3.Connection)
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count={pages}")
        big = count(name="x" * 100_000)
        with pytest.raises(NotCommitted, match="full"):
            engine.submit(big)
        writer.execute("PRAGMA max_page_count=1000000")
        assert engine.submit(big).events[0].version == 2


@pytest.mark.postgres
@pytest.mark.parametrize("events", [1, 500])
def test_a_full_disk_of_a_server_loses_nothing(postgres_bench: Bench, events: int) -> None:
    """An error of PostgreSQL's own while rows are written, by either way, is not committed."""
    bench = postgres_bench
    with bench.engine() as engine, psycopg.connect(bench.database_url, autocommit=True) as server:
        engine.submit(count())
        server.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        server.execute(
            "CREATE TRIGGER fail AFTER INSERT ON log.events FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        with pytest.raises(NotCommitted, match="extend file"):
            engine.submit(count(events=events))
        server.execute("DROP TRIGGER fail ON log.events")
        assert engine.submit(count(events=events)).events[-1].version == 1 + events


@pytest.mark.postgres
def test_a_server_whose_turn_another_holds_is_told_as_not_committed(postgres_bench: Bench) -> None:
    """After a bounded wait; the engine goes on when the turn is free."""
    bench = postgres_bench
    stranger = bench.another()
    with bench.engine() as engine:
        engine.submit(count())
        writer = bench.log._writer
        assert isinstance(writer, psycopg.Connection)
        writer.execute("SET lock_timeout = 10")
        with stranger.log.turn(), pytest.raises(NotCommitted, match="held the log's turn"):
            engine.submit(count())
        assert engine.submit(count()).position == 2
    stranger.close()


def test_a_log_that_cannot_be_locked_is_told_as_not_committed(
    sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's write lock on the file makes the turn fail, not the engine."""
    bench = sqlite_bench
    with bench.engine() as engine:
        engine.submit(count())
        writer = bench.log._writer
        assert isinstance(writer, sqlite3.Connection)
        writer.execute("PRAGMA busy_timeout=10")
        stranger = sqlite3.connect(bench.directory / "log.db", isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotCommitted, match="locked"):
            engine.submit(count())
        stranger.execute("ROLLBACK")
        stranger.close()
        assert engine.submit(count()).position == 2


@pytest.mark.parametrize("recorded", [False, True])
def test_an_unknown_commit_is_told_as_unknown(bench: Bench, recorded: bool) -> None:
    """Never as failed: the same command sent again finds out."""
    mine = count(name="mine")
    with bench.engine() as engine:
        engine.submit(count())
        writer: Any = FailingCommit(bench.log._writer, after=recorded)
        bench.log._writer = writer
        results = engine.submit_many([mine, count("b"), count(way="refuse")])
        assert [type(result) for result in results] == [CommitUnknown] * 3
        answer = engine.submit(mine)
    assert answer.repeated is recorded
    assert (answer.position, answer.events[0].version) == (2, 2)
    assert bench.versions("a") == [1, 2]


def test_what_fails_after_the_commit_is_not_told_as_failed(bench: Bench) -> None:
    """From the commit on, no error may say that nothing was done."""
    with bench.engine() as engine:
        bench.log.hooks = TurnHooks(after_commit=fail)
        with pytest.raises(CommitUnknown):
            engine.submit(count())
        bench.log.hooks = TurnHooks()
        assert engine.submit(count()).events[0].version == 2


def test_an_engine_that_fails_itself_says_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in the engine's own work after the commit does not leave callers waiting."""
    with bench.engine() as engine:
        monkeypatch.setattr(engine._states, "settle", lambda _: 1 / 0)
        results = engine.submit_many([count(name="mine"), count(name="mine")])
        assert [type(result) for result in results] == [Outcome, CommitUnknown]
        monkeypatch.undo()
        assert engine.submit(count()).events[0].version == 2


def test_a_log_that_cannot_be_read_before_the_turn_is_told_as_not_committed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has been asked of the log yet."""

    def unreadable(*_: object) -> None:
        raise OperationalError("disk I/O error")

    with bench.engine() as engine:
        monkeypatch.setattr(bench.log, "last", unreadable)
        with pytest.raises(NotCommitted):
            engine.submit(count())
        monkeypatch.undo()
        monkeypatch.setattr(bench.log, "read_stream", unreadable)
        with pytest.raises(NotCommitted):
            engine.submit(count())
        monkeypatch.undo()
        assert engine.submit(count()).position == 1


def test_a_repeat_that_cannot_be_read_is_told_as_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first outcome stands in the log, whatever keeps us from reading it now."""

    def unreadable(*_: object) -> None:
        raise OperationalError("disk I/O error")

    with bench.engine() as engine:
        engine.submit(count(name="mine"))
        monkeypatch.setattr(bench.log, "read_versions", unreadable)
        with pytest.raises(CommitUnknown, match="not readable now"):
            engine.submit(count(name="mine"))


def test_a_state_that_cannot_be_loaded_fails_its_own_commands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of other streams in the same turn go through."""
    decider = TallyDecider()
    with bench.engine() as engine:
        engine.submit(count("a"))
    with bench.engine(decider) as engine:
        monkeypatch.setattr(decider, "evolve", lambda *_: 1 / 0)
        (result,) = engine.submit_many([count("a")])
        assert isinstance(result, ZeroDivisionError)
        monkeypatch.undo()
        mixed = engine.submit_many([count("a"), count("b")])
    assert [outcome.position for outcome in only_outcomes(mixed)] == [2, 3]


def test_a_log_that_went_back_is_not_written_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost end would be written anew with other facts under the same positions."""
    with bench.engine() as engine:
        only_outcomes(engine.submit_many([count(), count(), count("b")]))
        monkeypatch.setattr(engine, "_seen", 5)
        for _ in range(2):
            with pytest.raises(NotCommitted, match="ends at 3, where 5 was seen"):
                engine.submit(count())
        monkeypatch.setattr(engine, "_seen", 3)
        assert engine.submit(count()).position == 4
