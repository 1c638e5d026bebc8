"""What only the log in SQLite does: its file, and the queue of its writers."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import DatabaseError, ProgrammingError

from app.log import SQLiteLog
from tests.log.appending import append


@pytest.fixture
def log(log_path: Path) -> Iterator[SQLiteLog]:
    """A new log in SQLite."""
    made = SQLiteLog(log_path)
    yield made
    made.close()


def test_a_log_keeps_its_id(log: SQLiteLog, log_path: Path, tmp_path: Path) -> None:
    """However often it is opened; another log has another."""
    again = SQLiteLog(log_path)
    other = SQLiteLog(tmp_path / "other.db")
    assert again.log_id == log.log_id != other.log_id
    assert again.schema_version == 1
    again.close()
    other.close()


def test_a_log_of_a_newer_tributary_is_refused(log: SQLiteLog, log_path: Path) -> None:
    """Rather than written to in an old way."""
    log.close()
    with sqlite3.connect(log_path) as connection:
        connection.execute("UPDATE meta SET value = '2' WHERE name = 'schema_version'")
    connection.close()
    with pytest.raises(ProgrammingError, match="schema 2"):
        SQLiteLog(log_path)


def test_a_file_that_is_no_database_is_refused(log_path: Path) -> None:
    """With the library's error, and no lock left behind."""
    log_path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(DatabaseError):
        SQLiteLog(log_path)


def test_what_is_in_the_log_stays(log: SQLiteLog, log_path: Path) -> None:
    """The file itself refuses to change or delete an event."""
    append(log, ("a", 1))
    connection = sqlite3.connect(log_path)
    for statement in ("UPDATE events SET at = 3", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
    connection.close()
    assert log.last() == (1, 0)


def test_no_writer_passes_one_that_waits(log_path: Path) -> None:
    """Who has just ended a turn does not take the next one past a waiting process."""
    busy, other, probe = SQLiteLog(log_path), SQLiteLog(log_path), log_path.with_suffix(".queue")
    order: list[str] = []

    def wait_for_a_turn() -> None:
        with other.turn():
            order.append("other")

    waiter = threading.Thread(target=wait_for_a_turn)
    with busy.turn():
        order.append("busy")
        waiter.start()
        while not _is_locked(probe):  # the waiter stands at the head of the queue
            threading.Event().wait(0.001)
    with busy.turn():
        order.append("busy")
    waiter.join()
    busy.close()
    other.close()
    assert order == ["busy", "other", "busy"]


def _is_locked(path: Path) -> bool:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
