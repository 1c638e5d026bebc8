"""How a process that does not follow knows how far the views are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.following.views_watch import ViewsWatch
from projections.rebuild import rebuild
from projections.views import Views
from tests.api.running import Caller, Running


@pytest.fixture
def watch(running: Running) -> Iterator[ViewsWatch]:
    """A watch of the views that the running platform's follower writes."""
    platform = running.platform
    found = ViewsWatch(Views(platform.settings.views_path), platform.log.log_id)
    yield found
    found.close()


async def test_it_stands_where_the_follower_does(
    running: Running, staff: Caller, watch: ViewsWatch
) -> None:
    """Every batch of the follower shows, and no other process's log does."""
    assert watch.position == 0
    await running.launched(staff)
    follower = running.platform.follower
    assert watch.look() == watch.position == follower.position > 0
    other = ViewsWatch(Views(running.platform.settings.views_path), "another log")
    assert other.look() == 0
    other.close()


async def test_whoever_waits_is_woken(running: Running, staff: Caller, watch: ViewsWatch) -> None:
    """Those whose position has come go on, each at its own; the others wait on."""
    await running.launched(staff)
    stands = running.platform.follower.position
    first = asyncio.create_task(watch.wait_for_async(stands + 1, 60))
    later = asyncio.create_task(watch.wait_for_async(stands + 10_000, 60))
    await asyncio.sleep(0)
    assert not first.done()
    await running.launched(staff)
    assert await first
    assert not later.done()
    later.cancel()


async def test_waiting_ends(running: Running, staff: Caller, watch: ViewsWatch) -> None:
    """Who waited long enough is told that it did not come; threads are told the same."""
    await running.launched(staff)
    beyond = running.platform.follower.position + 1
    assert not await watch.wait_for_async(beyond, 0.02)
    assert not watch.wait_for(beyond, 0.0)
    assert watch.wait_for(beyond - 1, 0.0)
    assert await watch.wait_for_async(beyond - 1, 0.0)


async def test_rebuilt_views_are_found(running: Running, staff: Caller, watch: ViewsWatch) -> None:
    """Views that were made anew in another file are watched from then on."""
    await running.launched(staff)
    before = watch.look()
    platform = running.platform
    rebuild(platform.log.read, platform.settings.views_path, log_id=platform.log.log_id)
    await running.launched(staff)
    assert watch.look() == platform.follower.position > before


async def test_it_does_not_follow(watch: ViewsWatch) -> None:
    """Asked to step it refuses: two would write the same views."""
    with pytest.raises(RuntimeError, match="does not follow"):
        watch.step()


async def test_without_views_it_stands_at_nothing(running: Running) -> None:
    """A directory in which nobody has followed yet has views of position 0."""
    views = Views(running.platform.settings.data_dir / "none" / "views.db")
    watch = ViewsWatch(views, running.platform.log.log_id)
    assert watch.look() == 0
    watch.close()
    await views.close()
