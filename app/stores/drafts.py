"""Campaign drafts: editable rows outside the log.

A draft's id becomes its campaign's id. The stream begins when the draft is submitted, with
everything that was submitted; later edits count only when it is handed in again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Column, Index, LargeBinary, RowMapping, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.rows import METADATA, Number, Text, new_id, one_row

DRAFTS: Final = Table(
    "drafts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("revision", Number, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("updated_at", Number, nullable=False),
    Column("submitted_at", Number),
    Index("drafts_by_creator", "creator", "updated_at"),
    sqlite_strict=True,
)


class UnknownDraftError(LookupError):
    """No draft has this id."""


class StaleDraftError(Exception):
    """The draft was changed since it was read; `revision` is the present one."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the draft was changed meanwhile: its revision is now {revision}")
        self.revision = revision


class Draft(Struct, frozen=True, kw_only=True):
    """A draft as it stands. `revision` (from 1) rises with every change."""

    id: str
    channel: str
    creator: str
    body: dict[str, object]
    revision: int
    created_at: int
    updated_at: int
    submitted_at: int | None


class Drafts:
    """The drafts of all channels."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(
        self,
        *,
        channel: str,
        creator: str,
        body: Mapping[str, object],
        at: int,
        draft_id: str = "",
    ) -> Draft:
        """Begin a draft. With `draft_id` under that, which no draft has: one that was planned, or
        that of a campaign which was handed in without one.
        """
        draft = Draft(
            id=draft_id or new_id(),
            channel=channel,
            creator=creator,
            body=dict(body),
            revision=1,
            created_at=at,
            updated_at=at,
            submitted_at=None,
        )
        row = msgspec.structs.asdict(draft) | {"body": msgspec.json.encode(draft.body)}
        async with self._engine.begin() as connection:
            await connection.execute(insert(DRAFTS), row)
        return draft

    async def get(self, draft_id: str) -> Draft:
        """Return one draft. Raises UnknownDraftError."""
        return await _read(self._engine, draft_id)

    async def of_creator(self, creator: str) -> list[Draft]:
        """Return a creator's drafts, the last touched first."""
        query = select(DRAFTS).where(DRAFTS.c.creator == creator)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(DRAFTS.c.updated_at.desc(), DRAFTS.c.id))
            return [_draft(row) for row in rows.mappings()]

    async def edit(
        self, draft_id: str, *, revision: int, body: Mapping[str, object], at: int
    ) -> Draft:
        """Replace the body of the draft as it was at `revision`.

        Raises UnknownDraftError and StaleDraftError.
        """
        return await self._change(
            draft_id, revision, {"body": msgspec.json.encode(body), "updated_at": at}
        )

    async def mark_submitted(self, draft_id: str, *, revision: int, at: int) -> Draft:
        """Note that the draft as it was at `revision` was handed in.

        Raises UnknownDraftError and StaleDraftError.
        """
        return await self._change(draft_id, revision, {"submitted_at": at, "updated_at": at})

    async def _change(self, draft_id: str, revision: int, values: dict[str, object]) -> Draft:
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                update(DRAFTS)
                .where(DRAFTS.c.id == draft_id, DRAFTS.c.revision == revision)
                .values(**values, revision=revision + 1)
            )
            draft = await _read(connection, draft_id)
            if changed.rowcount != 1:
                raise StaleDraftError(draft.revision)
            return draft

    async def delete(self, draft_id: str, *, revision: int) -> None:
        """Throw the draft away. Raises UnknownDraftError and StaleDraftError."""
        async with self._engine.begin() as connection:
            gone = await connection.execute(
                delete(DRAFTS).where(DRAFTS.c.id == draft_id, DRAFTS.c.revision == revision)
            )
            if gone.rowcount != 1:
                raise StaleDraftError((await _read(connection, draft_id)).revision)


async def _read(source: AsyncEngine | AsyncConnection, draft_id: str) -> Draft:
    row = await one_row(source, select(DRAFTS).where(DRAFTS.c.id == draft_id))
    if row is None:
        raise UnknownDraftError(draft_id)
    return _draft(row)


def _draft(row: RowMapping) -> Draft:
    body = msgspec.json.decode(row["body"], type=dict[str, object])
    return Draft(**{**row, "body": body})
