"""Followers share one reading of the log, and each sees all of it."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import reading
from projections.reading import Bodies, LogGapError, Tail
from tests.projections.history import Log, Row, some_history

WEATHER = b'{"type":"weather.changed.v1"}'


@pytest.fixture(scope="module")
def log() -> Log:
    """A log with campaigns in all their states."""
    return some_history(Random(7)).log


class Counted:
    """A log that counts how many rows were read."""

    def __init__(self, log: Log, *, in_one_piece: bool) -> None:
        self._log = log
        self.rows = 0
        self.tail = Tail(self.read, self.read_bodies if in_one_piece else None)

    def read(self, after: int, limit: int) -> list[Row]:
        """The rows after a position."""
        rows = self._log.read(after, limit)
        self.rows += len(rows)
        return rows

    def read_bodies(self, after: int, limit: int) -> Bodies | None:
        """The same in one piece."""
        rows = self.read(after, limit)
        if not rows:
            return None
        joined = b"[" + b",".join(row.body for row in rows) + b"]"
        return rows[0].position, rows[-1].position, [row.tag for row in rows], joined


kinds = pytest.mark.parametrize("in_one_piece", [False, True])


@kinds
def test_what_one_follower_read_the_next_does_not_read(log: Log, *, in_one_piece: bool) -> None:
    """Each fact is read and decoded once, whoever comes first and in whatever steps."""
    counted = Counted(log, in_one_piece=in_one_piece)
    for limit in (7, 1_000, 13):
        after = 0
        while (found := counted.tail.after(after, limit)).events:
            assert found.positions[0] == after + 1
            after = found.last
        assert after == len(log.rows)
    assert counted.rows == len(log.rows)


asked = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=30)


@settings(max_examples=60)
@given(asked, st.integers(1, 50), st.booleans())
def test_whoever_asks_for_whatever(
    asked: list[tuple[int, int]],
    kept: int,
    in_one_piece: bool,
) -> None:
    """However little stays in memory, each asker gets exactly what the log has there."""
    log = some_history(Random(7)).log
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "KEPT", kept)
        tail = Counted(log, in_one_piece=in_one_piece).tail
        for position, limit in asked:
            found = tail.after(position, limit)
            wanted = log.read(position, limit)
            assert [msgspec.json.encode(event) for event in found.events] == [
                row.body for row in wanted
            ]
            assert list(found.positions) == [row.position for row in wanted]


@kinds
@pytest.mark.parametrize(
    "strange",
    [
        Row(21, "weather.changed.v1", WEATHER),
        Row(21, "pledge.made.v1", b"{}"),
        Row(21, "pledge.made.v1", b'{"type":"pledge.dropped.v1"}'),
        Row(21, "pledge.made.v1", WEATHER),
    ],
    ids=["unknown", "unreadable", "mislabelled", "other"],
)
def test_before_a_strange_fact_it_ends(log: Log, strange: Row, *, in_one_piece: bool) -> None:
    """What stands before it is given; then it says what is wrong, again and again."""
    odd = Log()
    odd.rows = [*log.rows[:20], strange, *log.rows[21:]]
    tail = Counted(odd, in_one_piece=in_one_piece).tail
    found = tail.after(0, 100)
    assert (found.last, len(found.events)) == (20, 20)
    for position in (5, 20):
        fault = tail.after(position, 100).fault
        assert fault is not None
        assert fault.position == 21


@kinds
def test_a_label_that_its_fact_belies(log: Log, *, in_one_piece: bool) -> None:
    """A fact under another's tag is not taken for either."""
    odd, other = Log(), next(row for row in log.rows if row.tag != log.rows[4].tag)
    odd.rows = [*log.rows[:4], log.rows[4]._replace(tag=other.tag), *log.rows[5:]]
    found = Counted(odd, in_one_piece=in_one_piece).tail.after(0, 100)
    assert found.last == 4
    assert found.fault is not None


@kinds
def test_a_gap_is_told(log: Log, *, in_one_piece: bool) -> None:
    """Positions follow each other, or something is lost."""
    odd = Log()
    odd.rows = [*log.rows[:5], *log.rows[6:]]
    with pytest.raises(LogGapError, match="at 7, not at 6"):
        Counted(odd, in_one_piece=in_one_piece).tail.after(0, 100)
