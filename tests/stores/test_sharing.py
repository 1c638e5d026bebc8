"""Many who ask the same at the same moment share one answer."""

from __future__ import annotations

import asyncio

import pytest

from app.stores.sharing import Shared


class Slow:
    """A question that is answered when the test says so; `asked` counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> int:
        """Answer with how often it was asked."""
        self.asked += 1
        await self.may_answer.wait()
        return self.asked


async def test_those_who_ask_together_share_the_answer() -> None:
    """Others, and those who come later, ask anew."""
    shared, slow = Shared[str, int](), Slow()
    together = [asyncio.create_task(shared.ask("a", slow)) for _ in range(5)]
    await asyncio.sleep(0)
    other = asyncio.create_task(shared.ask("b", slow))
    await asyncio.sleep(0.01)
    assert slow.asked == 2
    slow.may_answer.set()
    assert await asyncio.gather(*together, other) == [2] * 6
    assert await shared.ask("a", slow) == 3


async def test_who_leaves_does_not_take_the_answer_along() -> None:
    """A client that hangs up while it waits is no matter of the others."""
    shared, slow = Shared[str, int](), Slow()
    first, second = (asyncio.create_task(shared.ask("a", slow)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    slow.may_answer.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failed_question_is_asked_again() -> None:
    """Each who waits is told, the next one tries."""
    shared = Shared[str, int]()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError("gone")

    answers = await asyncio.gather(
        shared.ask("a", fail), shared.ask("a", fail), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [LookupError] * 2
    slow = Slow()
    slow.may_answer.set()
    assert await shared.ask("a", slow) == 1
