"""Repeated requests find the plan of the first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.repeats import KeyReusedError, Repeats


def plan(text: bytes) -> Callable[[], Awaitable[bytes]]:
    """A way to make a plan."""

    async def make() -> bytes:
        return text

    return make


async def test_the_first_plan_is_carried_out(engine: AsyncEngine) -> None:
    """The same content under the same key gets the first plan; another key its own."""
    repeats = Repeats(engine)
    assert await repeats.plan("key", b"content", plan(b"first"), at=1) == b"first"
    assert await repeats.plan("key", b"content", plan(b"second"), at=2) == b"first"
    assert await repeats.plan("other", b"content", plan(b"second"), at=3) == b"second"


async def test_other_content_is_refused(engine: AsyncEngine) -> None:
    """A key stands for one request."""
    repeats = Repeats(engine)
    await repeats.plan("key", b"content", plan(b"first"), at=1)
    with pytest.raises(KeyReusedError):
        await repeats.plan("key", b"other", plan(b"second"), at=2)


async def test_two_at_once_agree(engine: AsyncEngine) -> None:
    """Of two first requests at the same time both carry out one plan."""
    repeats = Repeats(engine)
    plans = await asyncio.gather(
        *(repeats.plan("key", b"content", plan(b"%d" % n), at=1) for n in range(8))
    )
    assert len(set(plans)) == 1
