from __future__ import annotations

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.channels import Channel, Channels, UnknownChannelError
from domain.terms import Terms

MAIN = Channel(
    id="main",
    name="Main Street",
    languages=("en", "zh"),
    currencies=("JPY", "EUR"),
    terms=Terms(platform_fee_bps=300, retry_after_days=(2, 4)),
)


async def test_a_channel_comes_back_as_saved(engine: AsyncEngine) -> None:
    """Name, languages, currencies and every term are kept, in their order."""
    channels = Channels(engine)
    await channels.save(MAIN, at=1)
    assert await channels.get("main") == MAIN


async def test_saving_again_replaces(engine: AsyncEngine) -> None:
    """A channel saved under a known id takes the old one's place; others stay."""
    channels = Channels(engine)
    other = msgspec.structs.replace(MAIN, id="art", name="Art")
    renamed = msgspec.structs.replace(MAIN, name="High Street", currencies=("BRL",))
    for channel in (MAIN, other, renamed):
        await channels.save(channel, at=1)
    assert await channels.all() == [other, renamed]


async def test_an_unknown_channel_is_said_to_be(engine: AsyncEngine) -> None:
    """No channel is made up for an id that was never saved."""
    with pytest.raises(UnknownChannelError):
        await Channels(engine).get("main")
