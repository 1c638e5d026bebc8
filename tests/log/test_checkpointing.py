"""The write-ahead log is emptied beside the turns, and nobody waits for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.log import SQLiteLog
from app.log.checkpointing import Checkpointer

WITHIN_S = 30


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SQLiteLog]:
    """A log that checkpoints after every ten events."""
    log = SQLiteLog(tmp_path / "log.db")
    log._checkpointer = Checkpointer(tmp_path / "log.db", events=10)
    yield log
    log.close()


def _append(log: SQLiteLog, events: int) -> None:
    with log.turn() as turn:
        number, after = turn.stream_number("campaign:a"), turn.position
        turn.append(
            [
                (after + n, number, after + n, 1_000, "other.v1", b"x" * 500)
                for n in range(1, events + 1)
            ]
        )


def _moved(path: Path) -> int:
    """How many events the file itself has, without its write-ahead log."""
    uri = f"file:{path}?immutable=1"
    connection = sqlite3.connect(uri, uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.DatabaseError:  # not even the tables are there
        return 0
    finally:
        connection.close()


def test_the_file_gets_what_was_written(log: SQLiteLog, tmp_path: Path) -> None:
    """Without any help of the writer, whose own bound is far away."""
    _append(log, 9)
    assert log._checkpointer._thread is None
    assert _moved(tmp_path / "log.db") == 0
    for _ in range(5):
        _append(log, 10)
    pause = threading.Event()
    for _ in range(WITHIN_S * 100):
        if _moved(tmp_path / "log.db") >= 19:
            break
        pause.wait(0.01)
    assert _moved(tmp_path / "log.db") >= 19
    assert log.last()[0] == 59


def test_closing_ends_the_thread(log: SQLiteLog) -> None:
    """Also while it is at work."""
    _append(log, 10)
    thread = log._checkpointer._thread
    assert thread is not None
    log.close()
    assert not thread.is_alive()


def test_what_fails_is_left_to_the_writer(
    log: SQLiteLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that cannot be made fails no turn, and the next one is tried."""
    tried = threading.Semaphore(0)

    def refuse(*_: object, **__: object) -> None:
        tried.release()
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("app.log.checkpointing.connect", refuse)
    for round_ in (1, 2):
        _append(log, 10)
        assert tried.acquire(timeout=WITHIN_S)
        assert log.last()[0] == 10 * round_
    log.close()
    assert "could not be checkpointed" in caplog.text
