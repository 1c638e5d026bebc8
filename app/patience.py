"""Connections to PostgreSQL that do not wait for ever.

A machine that is gone is found out by TCP. A server that stands still while its kernel answers, or
one whose synchronous standby is gone, is not: a commit there may wait for hours. Who waited too
long closes the connection, and the next one leads to whoever leads then. Other connections to the
same server are not given the same time again, until one of them is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen

ANSWER_WITHIN_S: Final = 15.0
AFTER_SILENCE_S: Final = 1.0
"""What a server has that another connection waited for in vain."""
INTERVAL_S: Final = 0.1
"""How often Ctrl-C is looked for, as psycopg does."""

_Place = tuple[bytes, bytes]

_silent: Final[set[_Place]] = set()
"""The servers (host, port) that were last waited for in vain."""


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """Raises psycopg's OperationalError, and closes itself, where the server does not answer a
    statement within `answer_within_s`; None waits for ever.
    """

    answer_within_s: float | None = ANSWER_WITHIN_S

    @contextmanager
    def waiting(self, seconds: float | None) -> Iterator[None]:
        """Wait so long for each statement in the block."""
        usual, self.answer_within_s = self.answer_within_s, seconds
        try:
            yield
        finally:
            self.answer_within_s = usual

    def wait(
        self, gen: PQGen[RV], interval: float = INTERVAL_S, timeout: float | None = None
    ) -> RV:
        """Wait for the server."""
        if timeout is not None or self.answer_within_s is None:
            return super().wait(gen, interval, timeout)
        place = _place(self)
        seconds = _patience(self.answer_within_s, place)
        try:
            answer = super().wait(gen, interval, seconds)
        except psycopg.errors._WaitTimeout as fault:  # noqa: SLF001 - psycopg has no other name
            _silent.add(place)
            self.close()
            raise _unanswered(seconds) from fault
        _silent.discard(place)
        return answer


class PatientAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same for an event loop."""

    answer_within_s: float | None = ANSWER_WITHIN_S

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own
    ) -> RV:
        """Wait for the server."""
        if timeout is not None or self.answer_within_s is None:
            return await super().wait(gen, interval, timeout)
        place = _place(self)
        seconds = _patience(self.answer_within_s, place)
        try:
            answer = await super().wait(gen, interval, seconds)
        except psycopg.errors._WaitTimeout as fault:  # noqa: SLF001 - the same
            _silent.add(place)
            await self.close()
            raise _unanswered(seconds) from fault
        _silent.discard(place)
        return answer


def _place(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> _Place:
    return connection.pgconn.host, connection.pgconn.port


def _patience(usual_s: float, place: _Place) -> float:
    return min(usual_s, AFTER_SILENCE_S) if place in _silent else usual_s


def _unanswered(seconds: float) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"the database has not answered within {seconds:g} s")
