"""The log on both stores: reading, append turns, waiting."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
)

from app.log import (
    CommitUnknown,
    EventLog,
    KeyEntry,
    LogRow,
    TurnHooks,
    open_log,
    postgres,
    postgres_rows,
    rows,
    sqlite,
)
from tests.log.appending import Log, append


def positions(log: Log) -> list[int]:
    """All positions of a log."""
    return [row.position for row in log.read(0, 10_000)]


# --- Reading -------------------------------------------------------------------------------------


def test_an_empty_log(log: Log) -> None:
    """Nothing is read from it and nothing is wrong with that."""
    port: EventLog = log
    assert port.last() == (0, 0)
    assert port.read(0, 10) == []
    assert port.read_stream("campaign:a") == []
    assert port.position_of("campaign:a", 1) is None
    assert port.heads() == []
    assert log.max_notification_id() is None


def test_rows_are_read_as_they_were_written(log: Log) -> None:
    """In order of position, or of version within a stream."""
    append(log, ("a", 1), ("b", 1), at=7, body=b'{"x":1}')
    append(log, ("a", 2), ("a", 3), at=9)
    assert log.read(0, 2) == [
        LogRow(1, "a", 1, 7, "test.v1", b'{"x":1}'),
        LogRow(2, "b", 1, 7, "test.v1", b'{"x":1}'),
    ]
    assert [row.position for row in log.read(1, 2)] == [2, 3]
    assert [row.position for row in log.read_stream("a")] == [1, 3, 4]
    assert [row.version for row in log.read_stream("a", 1)] == [2, 3]
    assert [row.version for row in log.read_stream("a", 1, 1)] == [2]
    assert log.last() == (4, 9)
    assert (log.position_of("a", 3), log.position_of("b", 1)) == (4, 2)
    assert (log.position_of("a", 0), log.position_of("a", 4), log.position_of("c", 1)) == (
        None,
    ) * 3


def test_bodies_are_read_in_one_piece(log: Log) -> None:
    """With where they begin and end, and their tags: all that a follower asks of most of them."""
    assert log.read_bodies(0, 10) is None
    append(log, ("a", 1), ("b", 1), body=b'{"x":1}')
    append(log, ("a", 2), body='{"y":"\U0001f30a"}'.encode())
    assert log.read_bodies(0, 2) == (1, 2, ["test.v1"] * 2, b'[{"x":1},{"x":1}]')
    assert log.read_bodies(1, 9) == (2, 3, ["test.v1"] * 2, '[{"x":1},{"y":"\U0001f30a"}]'.encode())
    assert log.read_bodies(3, 9) is None


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff\xfe", b'a\x00"b\n', "\U0001f30a".encode()])
def test_any_bytes_come_back(log: Log, body: bytes) -> None:
    """Packing rows for the way out of a store changes no byte of a body."""
    append(log, ('odd "näme"', 1), ("b", 1), body=body)
    append(log, ("c", 1), body=b"after")
    assert [row.body for row in log.read(0, 9)] == [body, body, b"after"]
    assert log.read(0, 1)[0].stream == 'odd "näme"'


def test_long_reads_go_page_by_page(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page borders show nowhere: none twice, none missing, and the limit holds."""
    monkeypatch.setattr(rows, "MAX_ROWS_PER_READ", 4)
    monkeypatch.setattr(postgres_rows, "MAX_ROWS_PER_READ", 4)
    append(log, *[("ab"[n % 2], n // 2 + 1) for n in range(18)])
    assert positions(log) == list(range(1, 19))
    assert [row.position for row in log.read(3, 7)] == list(range(4, 11))
    assert [row.version for row in log.read_stream("a")] == list(range(1, 10))
    assert [row.version for row in log.read_stream("b", 2, 6)] == list(range(3, 9))
    assert [row.version for row in log.read_stream("b", 5, 4)] == [6, 7, 8, 9]


def test_single_versions_are_read_together(log: Log) -> None:
    """In their order, each once; those that are not there are left out."""
    append(log, ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("a", 4))
    assert [row.position for row in log.read_versions("a", [4, 2, 9, 4])] == [3, 5]
    assert log.read_versions("a", []) == []
    assert log.read_versions("c", [1]) == []


def test_heads_are_the_streams_that_moved(log: Log) -> None:
    """With their present versions, from the beginning or after a position."""
    append(log, ("a", 1), ("b", 1), ("a", 2))
    append(log, ("c", 1), ("a", 3))
    assert sorted(log.heads()) == [("a", 3), ("b", 1), ("c", 1)]
    assert sorted(log.heads(2)) == [("a", 3), ("c", 1)]
    assert log.heads(5) == []


def test_many_threads_read_at_once(log: Log) -> None:
    """Each on a connection of its own, while another thread appends."""
    append(log, ("a", 1))
    faults: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(200):
                found = positions(log)
                assert found == list(range(1, len(found) + 1))
        except BaseException as fault:  # noqa: BLE001 - told to the test's own thread
            faults.append(fault)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for version in range(2, 60):
        append(log, ("a", version))
    for reader in readers:
        reader.join()
    assert faults == []


# --- Opening and closing -------------------------------------------------------------------------


def test_a_closed_log_says_so(log: Log) -> None:
    """Reading and appending are refused; closing again is not."""
    append(log, ("a", 1))
    log.close()
    log.close()
    with pytest.raises(InterfaceError, match="closed"):
        log.last()
    with pytest.raises(InterfaceError, match="closed"):
        append(log, ("a", 2))


# --- Append turns --------------------------------------------------------------------------------


def test_a_turn_shows_the_end_of_the_log(log: Log) -> None:
    """And what was appended after a position the caller knows."""
    append(log, ("a", 1), ("b", 1), at=7)
    with log.turn() as turn:
        assert (turn.position, turn.at) == (2, 7)
        assert [row.position for row in turn.tail(1)] == [2]
        assert turn.tail(2) == []


def test_streams_get_small_numbers(log: Log) -> None:
    """Once each; those given in a turn that failed are given again."""
    with log.turn() as turn:
        assert [turn.stream_number(name) for name in ("a", "b", "a")] == [1, 2, 1]
    with pytest.raises(IntegrityError):
        append(log, ("c", 1), ("c", 1))
    with log.turn() as turn:
        assert [turn.stream_number(name) for name in ("d", "b")] == [3, 2]


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 1023, 1024, 1025, 2500])
def test_turns_of_any_size_are_written_whole(log: Log, count: int) -> None:
    """Whatever the statements of many rows are put together from."""
    append(log, *[("a", n + 1) for n in range(count)])
    append(log, ("a", count + 1))
    assert positions(log) == list(range(1, count + 2))


@pytest.mark.parametrize("taken", [[2], [1, 3], [0], [1, 2, 4], [-7, 2], [1, 50, 3]])
def test_positions_follow_without_a_gap(log: Log, taken: list[int]) -> None:
    """Rows that would leave one, or overwrite, are never written."""
    append(log, ("a", 1))
    rows = [(1 + n, 1, 2 + i, 0, "test.v1", b"") for i, n in enumerate(taken)]
    with pytest.raises((AssertionError, IntegrityError)), log.turn() as turn:
        turn.append(rows)
    assert positions(log) == [1]


def test_time_does_not_run_backwards(log: Log) -> None:
    """Rows older than the log's last event are never written."""
    append(log, ("a", 1), at=7)
    with pytest.raises(AssertionError, match="time"):
        append(log, ("a", 2), at=6)
    assert log.last() == (1, 7)


def test_a_version_is_taken_once(log: Log) -> None:
    """A turn with a version that exists is undone as a whole."""
    append(log, ("a", 1))
    with pytest.raises(IntegrityError):
        append(log, ("b", 1), ("a", 1))
    with pytest.raises(IntegrityError):
        append(log, ("b", 1), ("b", 1))
    assert positions(log) == [1]
    append(log, ("b", 1))
    assert positions(log) == [1, 2]


def test_an_exception_in_a_turn_undoes_it(log: Log) -> None:
    """And the next turn works on the same connection."""

    def fail_in_a_turn() -> None:
        with log.turn() as turn:
            turn.append([(1, turn.stream_number("a"), 1, 0, "test.v1", b"")])
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail_in_a_turn()
    assert log.last() == (0, 0)
    append(log, ("a", 1))
    assert positions(log) == [1]


def test_names_read_in_a_turn_that_failed_are_forgotten(log: Log) -> None:
    """The stream's number may be given to another one next time."""

    def fail_in_a_turn() -> None:
        with log.turn() as turn:
            number = turn.stream_number("a")
            turn.append([(1, number, 1, 0, "test.v1", b"")], [(b"k", b"d", number, 1, 1, 1)])
            assert [row.stream for row in turn.tail(0)] == ["a"]
            assert turn.keys([b"k"])[b"k"].stream == "a"
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_a_turn()
    append(log, ("b", 1))
    assert [row.stream for row in log.read(0, 9)] == ["b"]


def test_keys_stand_beside_their_events(log: Log) -> None:
    """They are found again with what they led to, and taken once."""
    with log.turn() as turn:
        number = turn.stream_number("a")
        turn.append([(1, number, 1, 0, "test.v1", b"")], [(b"k", b"d", number, 1, 1, 1)])
    with log.turn() as turn:
        assert turn.keys([b"k", b"unknown"]) == {b"k": KeyEntry(b"d", "a", 1, 1, 1)}
    with pytest.raises(IntegrityError), log.turn() as turn:
        turn.append([(2, number, 2, 0, "test.v1", b"")], [(b"k", b"e", number, 2, 2, 1)])
    assert log.last() == (1, 0)


def test_many_keys_are_looked_up_together(log: Log) -> None:
    """Whatever their number."""
    hashes = [n.to_bytes(2, "big") for n in range(2500)]
    with log.turn() as turn:
        number = turn.stream_number("a")
        turn.append(
            [(1, number, 1, 0, "test.v1", b"")],
            [(key, b"d" + key, number, 1, 1, 1) for key in hashes[::2]],
        )
    with log.turn() as turn:
        found = turn.keys(hashes)
    assert sorted(found) == hashes[::2]
    assert all(entry.digest == b"d" + key for key, entry in found.items())
    with log.turn() as turn:
        assert turn.keys([]) == {}


def test_a_commit_that_fails_is_unknown(log: Log) -> None:
    """From the commit on the log never says that nothing was written."""

    def fail() -> None:
        raise OperationalError("disk I/O error")

    log.hooks = TurnHooks(after_commit=fail)
    with pytest.raises(CommitUnknown):
        append(log, ("a", 1))
    log.hooks = TurnHooks(before_commit=fail)
    with pytest.raises(OperationalError):
        append(log, ("a", 2))
    log.hooks = TurnHooks()
    append(log, ("a", 2))
    assert positions(log) == [1, 2]


def test_a_turn_in_progress_is_not_seen(log: Log) -> None:
    """Readers see a turn whole, after its commit."""
    with log.turn() as turn:
        turn.append([(1, turn.stream_number("a"), 1, 0, "test.v1", b"")])
        assert log.last() == (0, 0)
    assert log.last() == (1, 0)


# --- Waiting -------------------------------------------------------------------------------------


NEVER_S = 100_000.0


def append_elsewhere(database_url: str, path: Path) -> None:
    """Append in another process."""
    log = open_log(database_url, path)
    append(log, ("a", 1))
    log.close()


def test_waiting_ends_with_an_append_of_this_process(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not when the log is looked at again."""
    monkeypatch.setattr(sqlite, "POLL_S", NEVER_S)
    monkeypatch.setattr(postgres, "POLL_S", NEVER_S)
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.append(log.wait(0, NEVER_S)))
    waiter.start()
    while not log._moved._waiters:  # type: ignore[attr-defined]
        threading.Event().wait(0.001)
    append(log, ("a", 1))
    waiter.join()
    assert found == [1]


def test_an_append_between_looking_and_waiting_is_not_missed(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its reader would sleep over it."""
    monkeypatch.setattr(sqlite, "POLL_S", NEVER_S)
    monkeypatch.setattr(postgres, "POLL_S", NEVER_S)
    last = log.last

    def late() -> tuple[int, int]:
        monkeypatch.setattr(log, "last", last)
        found = last()
        append(log, ("a", 1))
        return found

    monkeypatch.setattr(log, "last", late)
    assert log.wait(0, NEVER_S) == 1


def test_waiting_ends_with_an_append_of_another_process(
    log: Log, database_url: str, log_path: Path
) -> None:
    """Whether somebody tells us of it or the log is looked at."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=append_elsewhere, args=(database_url, log_path))
    process.start()
    assert log.wait(0, NEVER_S) == 1
    process.join()
    assert process.exitcode == 0


def test_waiting_ends_with_its_time(log: Log) -> None:
    """With the position as it is."""
    append(log, ("a", 1))
    assert log.wait(1, 0.01) == 1
