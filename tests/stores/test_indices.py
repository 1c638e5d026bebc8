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
        (
            "SELECT id FROM mails WHERE sent_at IS NULL AND failed_at IS NULL AND due_at <= 1",
            "mails_due",
        ),
        ("UPDATE card_tries SET mail = '' WHERE at < 1 AND person != ''", "card_tries_marked"),
    ],
)
async def test_an_index_answers(engine: AsyncEngine, query: str, index: str) -> None:
    """What every sign-in and first pledge asks is answered by an index."""
    explain = "EXPLAIN QUERY PLAN"
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # An empty table is read whole: of two ways the index is the only other one.
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN"
        rows = await connection.execute(text(f"{explain} {query}"))
        assert index in " ".join(str(row) for row in rows)
