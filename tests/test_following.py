"""What the followers of a process read the log through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from app.following.tail import require_readable, tail_of
from app.log import SQLiteLog, UnreadableEvent
from domain.codec import decode, encode
from tests.projections.history import Log, Row, some_history


def kept(history: Log, path: Path) -> SQLiteLog:
    """A log in a file with the rows of one in memory."""
    log = SQLiteLog(path)
    versions: dict[str, int] = {}
    with log.turn() as turn:
        rows = []
        for row in history.rows:
            known = decode(row.tag, row.body) if row.tag.endswith(".v1") else None
            stream, at = (known.stream, known.at) if known else ("campaign:unknown", 2**50)
            version = versions[stream] = versions.get(stream, 0) + 1
            number = turn.stream_number(stream)
            rows.append((row.position, number, version, at, row.tag, row.body))
        turn.append(rows)
    return log


@pytest.fixture
def history() -> Log:
    """Facts of campaigns in all their states."""
    return some_history(Random(7)).log


@pytest.fixture
def log(history: Log, tmp_path: Path) -> Iterator[SQLiteLog]:
    """The same in a file."""
    log = kept(history, tmp_path / "log.db")
    yield log
    log.close()


def test_in_one_piece_there_is_what_there_is_row_by_row(history: Log, log: SQLiteLog) -> None:
    """First and last position, tags and bodies; and nothing beyond the end."""
    count = len(history.rows)
    for after, limit in ((0, 1), (0, 1_000), (3, 10), (count - 1, 5)):
        rows = log.read(after, limit)
        found = log.read_bodies(after, limit)
        assert found is not None
        first, last, tags, joined = found
        assert (first, last) == (rows[0].position, rows[-1].position)
        assert tags == [row.tag for row in rows]
        assert joined == b"[" + b",".join(row.body for row in rows) + b"]"
    assert log.read_bodies(count, 5) is None


def test_the_tail_gives_every_fact(history: Log, log: SQLiteLog) -> None:
    """In their order, whole."""
    tail, after, bodies = tail_of(log), 0, []
    while (found := tail.after(after, 17)).events:
        bodies += [encode(event) for event in found.events]
        after = found.last
    assert bodies == [row.body for row in history.rows]


def test_what_cannot_be_read_is_named(history: Log, tmp_path: Path) -> None:
    """Where it is, in which stream: for people who must act on it."""
    history.rows.append(Row(len(history.rows) + 1, "weather.changed.v9", b"{}"))
    log = kept(history, tmp_path / "log.db")
    try:
        before = tail_of(log).after(0, len(history.rows) - 1)
        require_readable(log, before)
        found = tail_of(log).after(0, 10_000)
        with pytest.raises(
            UnreadableEvent, match=f"position {len(history.rows)}, stream .*weather"
        ):
            require_readable(log, found)
    finally:
        log.close()
