"""Attempts: counted for a day, without telling who tried."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.attempts import KEPT_MS, Attempts


async def test_attempts_are_counted_by_subject_and_time(engine: AsyncEngine) -> None:
    """Another subject's do not count, nor those at or before the time."""
    attempts = Attempts(engine, b"s" * 32)
    for at in (1, 2, 3):
        await attempts.note("a@example.org", at)
    await attempts.note("b@example.org", 3)
    assert await attempts.count("a@example.org", 0) == 3
    assert await attempts.count("a@example.org", 1) == 2
    assert await attempts.count("a@example.org", 3) == 0
    await attempts.forget("a@example.org")
    assert await attempts.count("a@example.org", 0) == 0
    assert await attempts.count("b@example.org", 0) == 1


async def test_no_subject_is_written_down(
    engine: AsyncEngine, on_disk: Callable[[], bytes]
) -> None:
    """Only keyed hashes are kept: with another key nothing is found."""
    await Attempts(engine, b"s" * 32).note("a@example.org", 1)
    assert b"a@example.org" not in on_disk()
    assert await Attempts(engine, b"t" * 32).count("a@example.org", 0) == 0


async def test_attempts_are_forgotten_after_a_day(engine: AsyncEngine) -> None:
    """The next attempt of anybody takes old ones away."""
    attempts = Attempts(engine, b"s" * 32)
    await attempts.note("a@example.org", 1)
    await attempts.note("b@example.org", 1 + KEPT_MS)
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*) FROM attempts")
        assert rows.scalar() == 1
