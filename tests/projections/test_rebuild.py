"""Views can be thrown away at any time, and are rebuilt while they are read and written."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from projections.rebuild import rebuild
from projections.runner import Follower
from projections.views import RebuildingError, Views, ViewsFile, only_one
from tests.projections.history import Log, Row, some_history
from tests.projections.views_of import everything, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the views are."""
    return tmp_path / "data" / "views.db"


@pytest.fixture
async def views(path: Path) -> AsyncIterator[Views]:
    """Views that are open."""
    views = Views(path)
    yield views
    await views.close()


@pytest.fixture
def log() -> Log:
    """A log with campaigns in all their states."""
    return some_history(Random(11), campaigns=3).log


def follow(log: Log, views: Views) -> Follower:
    """A follower of the current views."""
    return Follower(log.read, views, log_id=log.log_id)


async def positions(views: Views) -> set[int]:
    """Where the views stand, as a reader sees them."""
    async with views.connect() as conn:
        return set((await conn.execute(text("SELECT position FROM checkpoints"))).scalars())


async def test_rebuilt_views_equal_the_live_ones(log: Log, views: Views, path: Path) -> None:
    """Row for row, and the live follower goes on with the rebuilt file."""
    end = len(log.rows)
    late = log.rows[end - 10 :]
    del log.rows[end - 10 :]
    follower = follow(log, views)
    while follower.step(7):
        pass
    live = rows_of(views.current())
    fresh = rebuild(log.read, path, log_id=log.log_id)
    assert fresh.name == "views-2.db"
    assert views.current().path == fresh
    assert rows_of(views.current()) == live
    assert await positions(views) == {end - 10}
    log.rows += late
    follower.catch_up()
    assert rows_of(views.current()) == everything(log, 1_000)


def test_a_rebuild_makes_views_where_there_are_none(log: Log, path: Path) -> None:
    """Deleted views come back."""
    fresh = rebuild(log.read, path, log_id=log.log_id)
    assert path.resolve() == fresh
    views = Views(path)
    assert follow(log, views).position == len(log.rows)
    assert rows_of(views.current()) == everything(log, 1_000)
    views.current().close_sync()


async def test_rebuilding_while_the_log_grows(log: Log, views: Views, path: Path) -> None:
    """Events that are appended and followed during the rebuild are in the rebuilt views once."""
    everything_there_will_be = list(log.rows)
    del log.rows[40:]
    follower, grown = follow(log, views), threading.Event()

    def grow() -> None:
        for row in everything_there_will_be[40:]:
            log.rows.append(row)
            follower.step()
        grown.set()

    def read_slowly(after: int, limit: int) -> Sequence[Row]:
        return log.read(after, min(limit, 3))

    writer = threading.Thread(target=grow)
    writer.start()
    seen = []
    while not grown.is_set():
        before = await positions(views)
        rebuild(read_slowly, path, log_id=log.log_id)
        seen.append((before, await positions(views)))
    writer.join()
    assert all(min(after) >= max(before) for before, after in seen)
    follower.catch_up()
    assert follower.fault is None
    assert follower.position == len(log.rows) == len(everything_there_will_be)
    assert rows_of(views.current()) == everything(log, 1_000)


async def test_a_rebuild_does_not_go_back(log: Log, views: Views, path: Path) -> None:
    """What the live views read while the rebuild ended is in the new ones at the switch."""
    late = log.rows[-10:]
    del log.rows[-10:]
    follower = follow(log, views)
    follower.catch_up()

    def read_as_it_grows(after: int, limit: int) -> Sequence[Row]:
        rows = log.read(after, limit)
        if not rows and late:
            log.rows += late
            late.clear()
            follower.catch_up()
        return rows

    rebuild(read_as_it_grows, path, log_id=log.log_id)
    assert await positions(views) == {len(log.rows)} == {follower.position}


async def test_a_batch_that_meets_the_switch_goes_to_the_new_views(
    log: Log, views: Views, path: Path
) -> None:
    """A follower that had read its batch when the views were rebuilt writes nothing to the old."""
    late = log.rows[-10:]
    del log.rows[-10:]

    def read_and_rebuild(after: int, limit: int) -> Sequence[Row]:
        rows = log.read(after, limit)
        if late:
            rebuild(log.read, path, log_id=log.log_id)
            log.rows += late
            late.clear()
        return rows

    follower = Follower(read_and_rebuild, views, log_id=log.log_id)
    old = views.current()
    follower.step(5)
    assert views.current() is not old
    assert await positions(views) == {follower.position}
    follower.catch_up()
    assert rows_of(views.current()) == everything(log, 1_000)
    assert not any(rows_of(old).values())


async def test_views_that_nobody_wrote_to_can_be_rebuilt(
    log: Log, views: Views, path: Path
) -> None:
    """A file without a single table is no obstacle."""
    assert rebuild(log.read, path, log_id=log.log_id).name == "views-2.db"
    assert await positions(views) == {len(log.rows)}


async def test_a_reader_keeps_the_views_that_it_opened(log: Log, views: Views, path: Path) -> None:
    """A switch takes no file from under a reader; the next one sees the new file."""
    follow(log, views).step(10)
    async with views.connect() as conn:
        rebuild(log.read, path, log_id=log.log_id)
        rebuild(log.read, path, log_id=log.log_id)
        told = set((await conn.execute(text("SELECT position FROM checkpoints"))).scalars())
        assert told == {10}
        assert await positions(views) == {len(log.rows)}


async def test_only_the_last_two_files_stay(log: Log, views: Views, path: Path) -> None:
    """A rebuild removes what nobody can still be sent to, and nothing else."""
    follow(log, views).catch_up()
    for _ in range(3):
        rebuild(log.read, path, log_id=log.log_id)
    assert sorted(file.name for file in path.parent.glob("views-*.db")) == [
        "views-3.db",
        "views-4.db",
    ]


async def test_a_rebuild_that_was_cut_off_leaves_the_views_alone(
    log: Log, views: Views, path: Path
) -> None:
    """Half a file is never switched to, and the next rebuild begins anew."""
    follow(log, views).catch_up()
    live = rows_of(views.current())

    def read_and_fail(after: int, limit: int) -> Sequence[Row]:
        if after:
            raise OSError("the disk is gone")
        return log.read(after, min(limit, 20))

    with pytest.raises(OSError, match="the disk is gone"):
        rebuild(read_and_fail, path, log_id=log.log_id)
    assert views.current().path.name == "views-1.db"
    rebuild(log.read, path, log_id=log.log_id)
    assert views.current().path.name == "views-2.db"
    assert rows_of(views.current()) == live


async def test_one_rebuild_at_a_time(log: Log, views: Views, path: Path) -> None:
    """A second rebuild is refused while one is under way."""
    with only_one(path), pytest.raises(RebuildingError):
        rebuild(log.read, path, log_id=log.log_id)


async def test_readers_cannot_write(log: Log, views: Views) -> None:
    """Nothing writes a view but its projection."""
    follow(log, views).catch_up()
    async with views.connect() as conn:
        with pytest.raises(Exception, match="readonly"):
            await conn.execute(text("DELETE FROM pledges"))


async def test_a_link_survives_a_restart(log: Log, views: Views, path: Path) -> None:
    """Opening the views again finds the file that the link names."""
    follow(log, views).catch_up()
    rebuild(log.read, path, log_id=log.log_id)
    again = Views(path)
    assert again.current().path.name == "views-2.db"
    assert isinstance(again.current(), ViewsFile)
    await again.close()
