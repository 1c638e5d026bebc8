"""Streams of live numbers: how many one network address may hold open."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing

import pytest

from app.api.problems import Refused
from app.web.public import live
from app.web.public.live import watches_of
from projections.campaign_pages import get_page
from tests.api.running import Caller, Running


async def test_an_address_has_its_share(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third of two from one address is refused, another address is not; what ended is free."""
    monkeypatch.setattr(live, "MOST_OF_AN_ADDRESS", 2)
    cid = (await running.launched(staff))["campaign_id"]
    async with running.platform.views.connect() as connection:
        page = await get_page(connection, cid)
    assert page is not None
    watches = watches_of(running.platform)
    async with AsyncExitStack() as streams:
        for _ in range(2):
            watches.require_room("127.0.0.1")
            stream = await streams.enter_async_context(aclosing(watches.numbers(page, "127.0.0.1")))
            await anext(stream)
        with pytest.raises(Refused) as refused:
            watches.require_room("127.0.0.1")
        assert refused.value.reason == "rate_limited"
        watches.require_room("192.0.2.7")
        answer = await running.client.get(f"/campaigns/{cid}/live")
        assert answer.status_code == 429
    assert watches.streams == 0
    watches.require_room("127.0.0.1")
