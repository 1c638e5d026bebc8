"""No page reads a whole table to find a row of somebody's."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT id FROM parties WHERE mail = 'a@example.org'", "parties_by_mail"),
        ("DELETE FROM sessions WHERE expires_at <= 1", "sessions_by_end"),
        ("DELETE FROM mail_tokens WHERE expires_at <= 1", "mail_tokens_by_end"),
    ],
)
async def test_an_index_answers(engine: AsyncEngine, query: str, index: str) -> None:
    """What every sign-in and first pledge asks is answered by an index."""
    async with engine.connect() as connection:
        rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
        assert index in " ".join(str(row) for row in rows)
