"""Names that pledges show: the name or pen name that a backer wrote for one pledge.

The log says of a pledge only how its backer wants to be shown; what they wrote lies here, beside
the log, and goes when the person is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Column, Index, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Text, in_parts, upsert

SHOWN_NAMES: Final = Table(
    "shown_names",
    METADATA,
    Column("pledge_id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("name", Text, nullable=False),
    Index("shown_names_by_party", "party"),
    sqlite_strict=True,
)

LONGEST: Final = 80
"""The longest name that a list shows, in characters."""


class ShownNames:
    """What was written for each pledge."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def keep(self, pledge_id: str, *, party: str, name: str) -> None:
        """Show this pledge under a name; an empty one takes it away."""
        row = {"pledge_id": pledge_id, "party": party, "name": " ".join(name.split())[:LONGEST]}
        async with self._engine.begin() as connection:
            if not row["name"]:
                await connection.execute(
                    delete(SHOWN_NAMES).where(SHOWN_NAMES.c.pledge_id == pledge_id)
                )
                return
            statement = upsert(SHOWN_NAMES).values(row)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["pledge_id"], set_=row)
            )

    async def of(self, pledge_ids: Iterable[str]) -> dict[str, str]:
        """The names by pledge; a pledge without one is left out."""
        found: dict[str, str] = {}
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(pledge_ids))):
                query = select(SHOWN_NAMES.c.pledge_id, SHOWN_NAMES.c.name)
                rows = await connection.execute(query.where(SHOWN_NAMES.c.pledge_id.in_(part)))
                found.update((row.pledge_id, row.name) for row in rows)
        return found

    async def called(self, text: str, limit: int) -> list[str]:
        """Up to so many pledges that show a name which holds a text."""
        query = select(SHOWN_NAMES.c.pledge_id).where(
            SHOWN_NAMES.c.name.icontains(text, autoescape=True)
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query.limit(limit))).scalars())

    async def forget(self, parties: Collection[str]) -> None:
        """Erase everything that these parties wrote."""
        async with self._engine.begin() as connection:
            for part in in_parts(sorted(parties)):
                await connection.execute(delete(SHOWN_NAMES).where(SHOWN_NAMES.c.party.in_(part)))
