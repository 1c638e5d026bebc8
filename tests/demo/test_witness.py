"""The demo's witness cosigns its checkpoints, and stands back where others were named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from app.demo.clock import DemoClock
from app.demo.witness import NAME, witnessed
from app.settings import WitnessAddress, load_settings
from app.transparency.checkpoint import open_checkpoint
from app.transparency.note import VerifierKey
from app.wiring import open_platform
from tests.audit.world import World


async def test_it_cosigns(tmp_path: Path) -> None:
    """What is published bears its signature; it keeps its key, and goes on where it was."""
    settings = load_settings({}, data_dir=tmp_path, demo=True)
    world = World(tmp_path)
    world.launch()
    keys = set()
    for size in (3, 6):
        with witnessed(settings) as asking:
            (witness,) = asking.witnesses
            keys.add(witness.vkey)
            assert asking.witness_quorum == 1
            async with open_platform(asking, clock=DemoClock()) as platform:
                platform.follower.catch_up()
                await asyncio.to_thread(platform.transparency.catch_up)
                published = platform.transparency.published()
                assert published is not None
                key = platform.transparency.log_key
                opened = open_checkpoint(
                    published.note, key, [VerifierKey.parse(witness.vkey)], quorum=1
                )
                assert opened.checkpoint.size == size
                assert opened.witnessed[0].key.name == NAME
        world.launch()
    assert len(keys) == 1
    world.close()


def test_named_witnesses_are_kept(tmp_path: Path) -> None:
    """Who names their own gets those and no other."""
    named = WitnessAddress(vkey="x+00000000+AA==", url="http://127.0.0.1:1")
    settings = load_settings({}, data_dir=tmp_path, demo=True)
    settings = msgspec.structs.replace(settings, witnesses=(named,))
    with witnessed(settings) as asking:
        assert asking is settings
    assert not (tmp_path / NAME).exists()
