"""What others read of the log, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from app.transparency.checkpoint import open_checkpoint
from app.transparency.leaf import parse_leaf
from app.transparency.merkle import leaf_hash, root_of
from app.transparency.note import VerifierKey
from app.transparency.store import SignedCheckpoint
from app.transparency.tiles import tile_path, unbundle
from tests.api.running import Caller, Running, clock, running, staff

__all__ = ["clock", "running", "staff"]


async def get(running: Running, path: str) -> httpx.Response:
    """Read something below /log/, as a stranger."""
    return await running.client.get(f"/log/{path}")


async def test_anybody_recomputes_the_root(running: Running, staff: Caller) -> None:
    """From the leaves that are served to the root that is signed, with nothing but the key."""
    await running.launched(staff)
    running.platform.transparency.catch_up()
    key = VerifierKey.parse((await get(running, "key")).text.strip())
    assert key == running.platform.transparency.log_key
    answer = await get(running, "checkpoint")
    checkpoint = open_checkpoint(answer.text, key).checkpoint
    assert checkpoint.origin == "tributary.test/log"
    assert checkpoint.size == running.platform.log.last()[0] > 2
    bundle = await get(running, tile_path("entries", 0, checkpoint.size))
    leaves = unbundle(bundle.content)
    assert [parse_leaf(leaf).position for leaf in leaves] == [*range(1, checkpoint.size + 1)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert root_of(hashes) == checkpoint.root
    tile = await get(running, tile_path(0, 0, checkpoint.size))
    assert tile.content == b"".join(hashes)
    part = await get(running, tile_path(0, 0, 2))
    assert part.content == b"".join(hashes[:2])


async def test_it_is_open_to_every_origin_and_kept_as_long_as_it_lasts(
    running: Running, staff: Caller
) -> None:
    """Tiles for ever, the checkpoint not at all, what is not there neither."""
    await running.launched(staff)
    running.platform.transparency.catch_up()
    for path, kind, age in (
        ("checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("key", "text/plain; charset=utf-8", "no-cache"),
        ("tile/0/000.p/1", "application/octet-stream", "immutable"),
        ("tile/entries/000.p/1", "application/octet-stream", "immutable"),
        ("tile/0/001", "text/plain; charset=utf-8", "no-store"),
    ):
        answer = await get(running, path)
        assert answer.headers["content-type"] == kind
        assert age in answer.headers["cache-control"]
        assert answer.headers["access-control-allow-origin"] == "*"
        head = await running.client.head(f"/log/{path}")
        assert head.status_code == answer.status_code
        assert not head.content


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001.p/1",
        "tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/0",
        "tile/0/x000/000.p/1",
        "tile/1/000.p/1",
        "tile/64/000",
        "tile/entries/001.p/1",
        "tile/",
        "tile/-1/000.p/1",
    ],
)
async def test_what_is_not_published_is_not_there(
    running: Running, staff: Caller, path: str
) -> None:
    """No other spelling, no tile beyond the tree."""
    await running.launched(staff)
    running.platform.transparency.catch_up()
    assert (await get(running, path)).status_code == 404


async def test_nothing_is_given_before_it_is_published(running: Running, staff: Caller) -> None:
    """Leaves that are made and signed, but that the witnesses have not seen, are not served."""
    await running.launched(staff)
    log = running.platform.transparency
    log.catch_up()
    size = log.store.size
    await running.launched(staff)
    log._follower.catch_up()
    larger = log.store.size
    root = log.store.root_at(larger)
    log.store.add_checkpoint(SignedCheckpoint(larger, root, 1, "not published"))
    assert (await get(running, f"tile/0/000.p/{size}")).status_code == 200
    assert (await get(running, f"tile/0/000.p/{size + 1}")).status_code == 404
    assert (await get(running, f"tile/entries/000.p/{larger}")).status_code == 404


async def test_before_the_first_checkpoint_nothing_is_there(running: Running) -> None:
    """And it says so in words."""
    answer = await get(running, "checkpoint")
    assert (answer.status_code, answer.text) == (404, "No checkpoint has been published yet.\n")
    assert (await get(running, "tile/0/000.p/1")).status_code == 404
