"""What only the log in PostgreSQL does: its server can go away at any moment."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest
from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from app.log import (
    CommitUnknown,
    PostgresLog,
    PostgresSnapshots,
    TurnHooks,
    migrate_log,
    postgres,
    postgres_connection,
)
from tests.log.appending import append
from tests.postgresql import PostgresServer

pytestmark = pytest.mark.postgres

NEVER_S = 100_000.0
LONG_S = 30.0

Server = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def log(postgres_url: str) -> Iterator[PostgresLog]:
    """A new log."""
    made = PostgresLog(postgres_url)
    yield made
    made.close()


@pytest.fixture
def server(postgres_url: str) -> Iterator[Server]:
    """A connection of an administrator to the log's database."""
    with psycopg.connect(postgres_url, autocommit=True) as made:
        yield made


def positions(log: PostgresLog) -> list[int]:
    """All positions of a log."""
    return [row.position for row in log.read(0, 10_000)]


def until(holds: Callable[[], object]) -> None:
    """Wait for something that must come."""
    while not holds():
        threading.Event().wait(0.002)


def end_connections(server: Server) -> None:
    """Let the server end all connections but the administrator's; wait until they are gone."""
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    server.execute(f"SELECT pg_terminate_backend(pid) {others}")
    until(lambda: not server.execute(f"SELECT 1 {others}").fetchall())


# --- Opening -------------------------------------------------------------------------------------


def test_a_log_keeps_its_id(log: PostgresLog, postgres_url: str, empty_postgres_url: str) -> None:
    """However often it is opened; the log of another database has another."""
    again = PostgresLog(postgres_url)
    assert migrate_log(empty_postgres_url)
    other = PostgresLog(empty_postgres_url)
    # The databases of tests are copies of one: only a migration gives an id.
    assert again.log_id == log.log_id != other.log_id
    assert again.schema_version == 1
    again.close()
    other.close()


def test_a_database_is_migrated_once(empty_postgres_url: str) -> None:
    """Whoever comes first does it, the others find it done."""
    for opened in (PostgresLog, PostgresSnapshots):
        with pytest.raises(ProgrammingError, match="run `tributary migrate`"):
            opened(empty_postgres_url)
    done: list[list[str]] = []
    together = [
        threading.Thread(target=lambda: done.append(migrate_log(empty_postgres_url)))
        for _ in range(4)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert sorted(done, key=len)[:3] == [[], [], []]
    assert max(done, key=len) == ["log: from version 0 to 1", "snapshots: from version 0 to 1"]
    PostgresLog(empty_postgres_url).close()
    PostgresSnapshots(empty_postgres_url).close()


@pytest.mark.parametrize("schema", ["log", "snapshots"])
def test_a_database_of_a_newer_tributary_is_refused(
    server: Server, postgres_url: str, schema: str
) -> None:
    """Rather than written to in an old way."""
    server.execute(f"SET search_path = {schema}")
    server.execute("UPDATE meta SET value = '2' WHERE name = 'schema_version'")
    with pytest.raises(ProgrammingError, match=f"schema 2 of the {schema}"):
        migrate_log(postgres_url)
    opened = PostgresLog if schema == "log" else PostgresSnapshots
    with pytest.raises(ProgrammingError, match=f"schema 2 of the {schema}"):
        opened(postgres_url)


def test_a_server_that_is_not_there_is_told() -> None:
    """In a bounded time, without the password."""
    with pytest.raises(OperationalError, match="refused") as told:
        PostgresLog("postgresql://someone:se-cret@127.0.0.1:1/nothing")
    assert "se-cret" not in str(told.value)


def test_a_server_that_only_reads_is_no_place_for_a_log(
    postgres_server: PostgresServer, server: Server, postgres_url: str
) -> None:
    """A standby would answer with a log that is behind."""
    name = postgres_url.rsplit("/", 1)[1]
    server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(OperationalError, match="read-only"):
        PostgresLog(postgres_url)


def test_what_is_in_the_log_stays(log: PostgresLog, server: Server) -> None:
    """The database itself refuses to change or delete an event."""
    append(log, ("a", 1))
    for statement in (
        "UPDATE log.events SET at = 3",
        "DELETE FROM log.events",
        "TRUNCATE log.events",
    ):
        for role in ("origin", "replica"):
            server.execute(f"SET session_replication_role = {role}")
            with pytest.raises(psycopg.IntegrityError, match="never"):
                server.execute(statement)
    assert log.last() == (1, 0)


@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_commits_are_durable_whatever_the_default(
    server: Server, postgres_url: str, default: str, used: str
) -> None:
    """A database that was tuned for speed does not lose acknowledged pledges."""
    name = postgres_url.rsplit("/", 1)[1]
    server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {default}')
    server.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    log = PostgresLog(postgres_url)
    with log.turn():
        writer = log._writer
        assert writer is not None
        assert writer.execute("SHOW synchronous_commit").fetchone() == (used,)
        assert writer.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    log.close()


# --- Turns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 9, 10, 11, 3_000])
def test_a_connection_that_breaks_in_a_turn(log: PostgresLog, server: Server, count: int) -> None:
    """Before the commit nothing is written, and that is what is told."""
    append(log, ("a", 1))
    with pytest.raises(OperationalError), log.turn() as turn:  # noqa: PT012 - all of a turn
        turn.append([(2, 1, 2, 0, "test.v1", b"")])
        end_connections(server)
        turn.append([(3 + n, 1, 3 + n, 0, "test.v1", b"") for n in range(count)])
    assert positions(log) == [1]
    append(log, *[("a", 2 + n) for n in range(count)])
    assert positions(log) == list(range(1, count + 2))


def test_connections_that_broke_between_turns_are_not_noticed(
    log: PostgresLog, server: Server
) -> None:
    """A restart of the server costs nobody an error who comes after it."""
    append(log, ("a", 1))
    assert log.last() == (1, 0)
    for version in (2, 3):
        end_connections(server)
        append(log, ("a", version))
        end_connections(server)
        assert positions(log) == list(range(1, version + 1))


def test_a_connection_that_breaks_at_the_commit(log: PostgresLog, server: Server) -> None:
    """It is not known what became of the turn; the next one finds the log as it is."""
    append(log, ("a", 1))
    log.hooks = TurnHooks(before_commit=lambda: end_connections(server))
    with pytest.raises(CommitUnknown):
        append(log, ("a", 2))
    log.hooks = TurnHooks()
    append(log, ("a", 2))
    assert positions(log) == [1, 2]


def test_a_commit_with_a_warning_is_unknown(log: PostgresLog, server: Server) -> None:
    """So a server says that it has committed, but that no standby may have it."""
    server.execute(
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$"
    )
    server.execute(
        "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON log.events"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()"
    )
    with pytest.raises(CommitUnknown, match="synchronous replication"):
        append(log, ("a", 1))
    assert positions(log) == [1]


def test_an_error_passed_over_is_no_commit(log: PostgresLog) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction without an error."""
    append(log, ("a", 1))
    with pytest.raises(OperationalError, match="before its commit"), log.turn() as turn:  # noqa: PT012
        turn.append([(2, turn.stream_number("b"), 1, 0, "test.v1", b"")])
        with suppress(psycopg.IntegrityError):
            turn.append([(3, turn.stream_number("a"), 1, 0, "test.v1", b"")])
    append(log, ("b", 1))
    assert [row.stream for row in log.read(0, 9)] == ["a", "b"]


def test_a_turn_waits_a_bounded_time(
    log: PostgresLog, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For another that holds it; then that is told, and the turn after that is had."""
    monkeypatch.setattr(postgres_connection, "LOCK_TIMEOUT_S", 0.05)
    other = PostgresLog(postgres_url)
    with log.turn(), pytest.raises(OperationalError, match="held the log's turn"):
        append(other, ("a", 1))
    append(other, ("a", 1))
    assert positions(log) == [1]
    other.close()


def test_who_sleeps_in_a_turn_loses_it(
    log: PostgresLog, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process does not keep the others from writing, nor write when it goes on."""
    monkeypatch.setattr(postgres_connection, "IDLE_TURN_S", 0.05)
    sleeper = PostgresLog(postgres_url)
    with pytest.raises(OperationalError), sleeper.turn() as turn:  # noqa: PT012 - all of a turn
        number = turn.stream_number("a")
        append(log, ("a", 1))  # waits until the sleeper's turn is taken from it
        turn.append([(1, number, 1, 0, "test.v1", b"")])
    assert positions(log) == [1]
    append(sleeper, ("a", 2))
    sleeper.close()


def test_no_writer_passes_one_that_waits(
    log: PostgresLog, server: Server, postgres_url: str
) -> None:
    """Who has just ended a turn does not take the next one past a waiting process."""
    other = PostgresLog(postgres_url)
    order: list[str] = []

    def wait_for_a_turn() -> None:
        with other.turn():
            order.append("other")

    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = ("
    waiting += "SELECT oid FROM pg_database WHERE datname = current_database())"
    waiter = threading.Thread(target=wait_for_a_turn)
    with log.turn():
        order.append("busy")
        waiter.start()
        until(lambda: server.execute(waiting).fetchone())
    with log.turn():
        order.append("busy")
    waiter.join()
    other.close()
    assert order == ["busy", "other", "busy"]


def test_another_log_in_its_place_is_refused(log: PostgresLog, server: Server) -> None:
    """A database that was replaced while we were cut off is not written to."""
    append(log, ("a", 1))
    server.execute("UPDATE log.meta SET value = 'another' WHERE name = 'log_id'")
    end_connections(server)
    with pytest.raises(OperationalError, match="holds log another"):
        append(log, ("a", 2))
    assert positions(log) == [1]


# --- Reading and waiting -------------------------------------------------------------------------


def test_readers_are_bounded(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds them all in use waits, but not for ever."""
    monkeypatch.setattr(postgres_connection, "READER_WAIT_S", 0.01)
    most = postgres_connection.MAX_READERS

    def nested(depth: int) -> tuple[int, int]:
        if depth == 0:
            return log.last()
        return log._readers.run(lambda _: nested(depth - 1))

    assert nested(most - 1) == (0, 0)
    with pytest.raises(OperationalError, match="in use"):
        nested(most)
    assert nested(most - 1) == (0, 0)


def test_a_connection_lent_out_is_closed_with_the_log(log: PostgresLog) -> None:
    """When it comes back; nothing can be read afterwards."""
    lent = []

    def close(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        lent.append(connection)
        log.close()

    log._readers.run(close)
    assert lent[0].closed
    with pytest.raises(InterfaceError, match="closed"):
        log.last()


def is_listening(server: Server) -> object:
    """Whether somebody listens and has looked at the log's end since."""
    return server.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
        " AND application_name = %s AND query LIKE 'SELECT position%%'",
        (postgres_connection.LISTENER,),
    ).fetchone()


@pytest.fixture
def waiter(
    request: pytest.FixtureRequest, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Waiter]:
    """Somebody who waits for the first event and does not look for it."""
    monkeypatch.setattr(postgres, "POLL_S", NEVER_S)
    monkeypatch.setattr(postgres_connection, "LISTEN_CHECK_S", getattr(request, "param", NEVER_S))
    made = Waiter(log)
    made.start()
    yield made
    log._announce(1_000)
    made.join()


class Waiter(threading.Thread):
    """Waits for the first event of a log in a thread."""

    def __init__(self, log: PostgresLog) -> None:
        super().__init__()
        self._log = log
        self.found = 0

    def run(self) -> None:
        """Wait."""
        self.found = self._log.wait(0, NEVER_S)


def test_a_turn_of_another_process_is_heard(
    waiter: Waiter, server: Server, postgres_url: str
) -> None:
    """At once, by NOTIFY."""
    until(lambda: is_listening(server))
    other = PostgresLog(postgres_url)
    append(other, ("a", 1))
    other.close()
    waiter.join(LONG_S)
    assert waiter.found == 1


def test_what_was_missed_while_nobody_listened_is_found(
    waiter: Waiter, server: Server, postgres_url: str
) -> None:
    """A broken connection is opened anew, and the log's end looked at."""
    until(lambda: is_listening(server))
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
        (postgres_connection.LISTENER,),
    )
    other = PostgresLog(postgres_url)
    append(other, ("a", 1))
    other.close()
    waiter.join(LONG_S)
    assert waiter.found == 1


@pytest.mark.parametrize("waiter", [0.02], indirect=True)
def test_silence_is_not_believed_for_long(waiter: Waiter, server: Server) -> None:
    """Who listens looks at the log's end now and then, whatever became of the server's word."""
    until(lambda: is_listening(server))
    append_unheard(server)
    waiter.join(LONG_S)
    assert waiter.found == 1


def append_unheard(server: Server) -> None:
    """Append without a NOTIFY."""
    server.execute("INSERT INTO log.streams VALUES (1, 'a')")
    server.execute("INSERT INTO log.events VALUES (1, 1, 1, 0, 'test.v1', '')")


def test_the_log_is_looked_at_where_nothing_is_heard(
    log: PostgresLog, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second, whatever became of the listening connection."""
    monkeypatch.setattr(postgres, "POLL_S", 0.02)
    monkeypatch.setattr(log._listener, "start", lambda: None)
    other = PostgresLog(postgres_url)
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.append(log.wait(0, NEVER_S)))
    waiter.start()
    until(lambda: log._moved._waiters)  # type: ignore[attr-defined]
    append(other, ("a", 1))
    waiter.join()
    assert found == [1]
    other.close()


def test_reading_goes_by_an_index(log: PostgresLog, server: Server) -> None:
    """Also before the server knows how large the tables are: a plan once made stays long."""
    append(log, ("a", 1))
    for settings in ("SET enable_seqscan = off", "SET plan_cache_mode = force_generic_plan"):
        server.execute(settings)
    types = {postgres._READ: "(bigint, bigint)", postgres._READ_STREAM: "(text, bigint, bigint)"}
    for number, (statement, given) in enumerate(types.items()):
        pieces = re.split("%[bs]", statement)
        numbered = pieces[0] + "".join(
            f"${place}{text}" for place, text in enumerate(pieces[1:], 1)
        )
        server.execute(f"PREPARE read_{number} {given} AS {numbered}")
        values = "('a', 1, 1)" if "text" in given else "(1, 1)"
        plan = str(server.execute(f"EXPLAIN EXECUTE read_{number} {values}").fetchall())
        assert "Index Scan using events_by" in plan
        assert "Sort" not in plan
