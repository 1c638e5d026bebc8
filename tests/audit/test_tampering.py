"""The forger's hand: what it leaves, and that a careful one leaves nothing askew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.audit import tampering
from app.audit.verify import verify
from domain import events as e
from tests.audit.world import World


@pytest.fixture
def copy(world_in_files: World, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a log: a campaign with three pledges that goes on beside another one."""
    first, second = world_in_files.launch(), world_in_files.launch()
    for amount_minor in (1_000, 2_000, 3_000):
        world_in_files.pledge(first, amount_minor)
        world_in_files.pledge(second, amount_minor)
    path = tmp_path / "copy.db"
    tampering.copy_log(world_in_files.settings.log_path, path)
    with closing(tampering.open_copy(path)) as opened:
        yield opened


@pytest.fixture
def before(world_in_files: World, copy: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The log itself, for reading only."""
    assert copy.total_changes == 0
    location = f"{world_in_files.settings.log_path.as_uri()}?mode=ro"
    with closing(sqlite3.connect(location, uri=True)) as opened:
        yield opened


def place(copy: sqlite3.Connection, nth: int) -> int:
    """Where the nth pledge stands."""
    rows = copy.execute(
        "SELECT position FROM events WHERE tag = 'pledge.made.v1' ORDER BY position"
    )
    return int(rows.fetchall()[nth - 1][0])


def found(tmp_path: Path) -> set[str]:
    """The kinds of findings of the copy, by its own rows alone."""
    _, effort = verify(tmp_path / "copy.db", tmp_path / "no_bank.db", workers=1)
    return set(effort.by_kind)


def test_a_copy_is_the_log(
    copy: sqlite3.Connection, before: sqlite3.Connection, tmp_path: Path
) -> None:
    """Untouched it is the same to the byte, and clean."""
    assert list(tampering.differing(before, copy)) == []
    assert found(tmp_path) == set()


def test_a_flipped_bit(copy: sqlite3.Connection, before: sqlite3.Connection) -> None:
    """One bit of one event, and back again by the same."""
    position = place(copy, 2)
    was = tampering.body_at(copy, position)
    assert tampering.flip_bit(copy, position, 83) == position
    assert list(tampering.differing(before, copy)) == [position]
    assert (
        sum(
            (a ^ b).bit_count() for a, b in zip(was, tampering.body_at(copy, position), strict=True)
        )
        == 1
    )
    tampering.flip_bit(copy, position, 83)
    assert list(tampering.differing(before, copy)) == []


def test_a_rewritten_event(copy: sqlite3.Connection, tmp_path: Path) -> None:
    """A pledge of another amount is written as the one encoder would: no row tells."""
    position = place(copy, 2)
    tampering.rewrite(copy, position, amount_minor=99_000)
    event = tampering.event_at(copy, position)
    assert isinstance(event, e.PledgeMade)
    assert event.amount_minor == 99_000
    assert found(tmp_path) == set()


def test_a_deleted_event(copy: sqlite3.Connection, tmp_path: Path) -> None:
    """It leaves a gap that is found."""
    tampering.remove(copy, place(copy, 3))
    assert {"positions", "versions"} <= found(tmp_path)


def test_a_carefully_deleted_event(
    copy: sqlite3.Connection, before: sqlite3.Connection, tmp_path: Path
) -> None:
    """The last pledge of a campaign closes up without a trace among the rows."""
    position = place(copy, 5)
    (last,) = copy.execute("SELECT max(position) FROM events").fetchone()
    assert tampering.remove(copy, position, careful=True) == position
    assert copy.execute("SELECT max(position), count(*) FROM events").fetchone() == (last - 1,) * 2
    assert list(tampering.differing(before, copy)) == [position, last]
    assert found(tmp_path) == set()


def test_a_careful_deletion_numbers_the_rest_anew(copy: sqlite3.Connection, tmp_path: Path) -> None:
    """What comes later in the stream takes new versions; the rules see pledge numbers that jump."""
    tampering.remove(copy, place(copy, 1), careful=True)
    assert not found(tmp_path) & {"positions", "versions", "columns", "bytes", "keys"}
    assert "rule 4" in found(tmp_path)


def test_a_carefully_inserted_event(copy: sqlite3.Connection, tmp_path: Path) -> None:
    """An event that never was takes its place, and nothing in the rows is askew."""
    (last,) = copy.execute("SELECT max(position) FROM events").fetchone()
    event = tampering.event_at(copy, last)
    assert isinstance(event, e.PledgeMade)
    made = msgspec.structs.replace(
        event, no=event.no + 1, pledge_id=event.command_id[:-1] + "0", command_id=event.backer
    )
    assert tampering.insert(copy, last + 1, made, careful=True) == last + 1
    assert tampering.event_at(copy, last + 1).version == event.version + 1
    assert found(tmp_path) == set()


def test_an_inserted_event_moves_the_rest(
    copy: sqlite3.Connection, before: sqlite3.Connection
) -> None:
    """All from there on stands one place further back."""
    position = place(copy, 3)
    event = tampering.event_at(copy, position)
    tampering.insert(copy, position, msgspec.structs.replace(event, version=99))
    assert tampering.body_at(copy, position + 1) == tampering.body_at(before, position)


def test_swapped_events(copy: sqlite3.Connection, tmp_path: Path) -> None:
    """Two pledges of a campaign in each other's places are found."""
    assert tampering.swap(copy, place(copy, 3), place(copy, 1)) == place(copy, 1)
    assert {"versions", "rule 4"} <= found(tmp_path)


def test_carefully_swapped_events(
    copy: sqlite3.Connection, before: sqlite3.Connection, tmp_path: Path
) -> None:
    """With each other's time, version and number, no row tells."""
    one, other = place(copy, 1), place(copy, 3)
    tampering.swap(copy, one, other, careful=True)
    assert list(tampering.differing(before, copy)) == [one, other]
    event = tampering.event_at(copy, one)
    assert isinstance(event, e.PledgeMade)
    assert (event.no, event.amount_minor) == (1, 2_000)
    assert found(tmp_path) == set()


def test_a_truncated_log(
    copy: sqlite3.Connection, before: sqlite3.Connection, tmp_path: Path
) -> None:
    """A log that ends earlier is whole in itself."""
    size = place(copy, 4)
    assert tampering.truncate(copy, size) == size + 1
    assert next(tampering.differing(before, copy)) == size + 1
    assert found(tmp_path) == set()


def test_the_log_itself_is_only_read(world_in_files: World, tmp_path: Path) -> None:
    """Copying writes nothing, and the copy's triggers alone are gone."""
    world_in_files.launch()
    path = world_in_files.settings.log_path
    tampering.copy_log(path, tmp_path / "copy.db")
    tampering.open_copy(tmp_path / "copy.db").close()
    with closing(sqlite3.connect(path)) as log, pytest.raises(sqlite3.IntegrityError):
        log.execute("DELETE FROM events")
