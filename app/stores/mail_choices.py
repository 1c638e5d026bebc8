"""Which mails a person does not want. Without a row they get all kinds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Column, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, in_parts, upsert

MAIL_CHOICES: Final = Table(
    "mail_choices",
    METADATA,
    Column("party", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("off_at", Number, nullable=False),
    sqlite_strict=True,
)


class MailChoices:
    """The choices of all people, by their account's id, or their party's where they have none."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def turn_off(self, party: str, kind: str, *, at: int) -> None:
        """Send this person no more mails of a kind; doing it again changes nothing."""
        row = {"party": party, "kind": kind, "off_at": at}
        async with self._engine.begin() as connection:
            await connection.execute(upsert(MAIL_CHOICES).on_conflict_do_nothing(), row)

    async def turn_on(self, party: str, kind: str) -> None:
        """Send them again; doing it again changes nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(MAIL_CHOICES).where(
                    MAIL_CHOICES.c.party == party, MAIL_CHOICES.c.kind == kind
                )
            )

    async def off(self, party: str) -> frozenset[str]:
        """The kinds that a person turned off."""
        return frozenset(kind for _, kind in await self.off_of([party]))

    async def off_of(self, parties: Collection[str]) -> set[tuple[str, str]]:
        """(party, kind) of everything that these people turned off."""
        found: set[tuple[str, str]] = set()
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(parties))):
                query = select(MAIL_CHOICES.c.party, MAIL_CHOICES.c.kind)
                rows = await connection.execute(query.where(MAIL_CHOICES.c.party.in_(part)))
                found.update((row.party, row.kind) for row in rows)
        return found

    async def forget(self, parties: Collection[str]) -> None:
        """Delete the choices of these people."""
        async with self._engine.begin() as connection:
            for part in in_parts(sorted(parties)):
                await connection.execute(delete(MAIL_CHOICES).where(MAIL_CHOICES.c.party.in_(part)))
