"""One question for all who ask it at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Answers that are under way, by what was asked. For one event loop.

    A cache whose entry has just expired would otherwise send every request that is under way to the
    database for the same row.
    """

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Future[V]] = {}

    async def ask(self, key: K, question: Callable[[], Awaitable[V]]) -> V:
        """Return the answer of whoever asked first and has none yet, or ask. Raises as the question
        does. Who stops waiting does not keep the others from the answer.
        """
        answer = self._under_way.get(key)
        if answer is None:
            answer = self._under_way[key] = asyncio.ensure_future(question())
            answer.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(answer)
