"""Mails that wait to be sent, and those that were.

A mail is written once for each `dedupe_key`, whoever writes it how often. Who sends leases rows
first, so that two processes do not send the same one. What a mail says, and to whom, is removed a
while after it went out; that it went out stays.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    Column,
    Index,
    RowMapping,
    Table,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.rows import METADATA, Number, Text, in_parts, new_id, one_row, scrub, upsert

MAILS: Final = Table(
    "mails",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("party", Text, nullable=False),
    Column("address", Text),
    Column("language", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subject", Text),
    Column("text", Text),
    Column("html", Text),
    Column("off_path", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("due_at", Number, nullable=False),
    Column("attempts", Number, nullable=False),
    Column("leased_by", Text, nullable=False),
    Column("lease_until", Number, nullable=False),
    Column("sent_at", Number),
    Column("failed_at", Number),
    Column("last_error", Text, nullable=False),
    # In the order in which they were written, which times of one millisecond do not tell.
    Column("written", Number, nullable=False, server_default="0"),
    sqlite_strict=True,
)

_WAITS: Final = MAILS.c.sent_at.is_(None) & MAILS.c.failed_at.is_(None)
Index("mails_due", MAILS.c.due_at, sqlite_where=_WAITS, postgresql_where=_WAITS)
Index("mails_by_party", MAILS.c.party)
Index("mails_by_time", MAILS.c.created_at)

ROWS_PER_INSERT: Final = 1_000


class NewMail(Struct, frozen=True, kw_only=True):
    """A mail as it was rendered. `off_path` is where one click ends mails of its kind; empty where
    the kind cannot be turned off. `html` is empty where there is only text.
    """

    dedupe_key: str
    party: str
    address: str
    language: str
    name: str
    subject: str
    text: str
    html: str = ""
    off_path: str = ""


class KeptMail(Struct, frozen=True, kw_only=True):
    """A mail as it stands; times ms UTC. Address, subject and text are empty once removed."""

    id: str
    party: str
    address: str
    language: str
    name: str
    subject: str
    text: str
    html: str
    off_path: str
    created_at: int
    due_at: int
    attempts: int
    sent_at: int | None
    failed_at: int | None
    last_error: str


class Waiting(Struct, frozen=True):
    """How many mails wait, and since when (ms UTC) the oldest is due; None where none waits."""

    number: int
    oldest_due_at: int | None


class Mails:
    """The mails of this platform."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # --- Writing ---------------------------------------------------------------------------------

    async def add(self, mails: Sequence[NewMail], *, at: int) -> int:
        """Keep mails to be sent at once; return how many were new."""
        async with self._engine.begin() as connection:
            return await add_mails(connection, mails, at=at)

    # --- Reading ---------------------------------------------------------------------------------

    async def newest(self, limit: int = 100, offset: int = 0) -> list[KeptMail]:
        """The mails that still hold what they say, the newest first."""
        query = select(MAILS).where(MAILS.c.text.is_not(None))
        newest = query.order_by(MAILS.c.created_at.desc(), MAILS.c.written.desc())
        ordered = newest.limit(limit).offset(offset)
        async with self._engine.connect() as connection:
            return [_mail(row) for row in (await connection.execute(ordered)).mappings()]

    async def get(self, mail_id: str) -> KeptMail | None:
        """One mail."""
        row = await one_row(self._engine, select(MAILS).where(MAILS.c.id == mail_id))
        return None if row is None else _mail(row)

    async def waiting(self) -> Waiting:
        """What is to be sent and was not yet."""
        query = select(func.count(), func.min(MAILS.c.due_at)).where(_WAITS)
        async with self._engine.connect() as connection:
            number, oldest = (await connection.execute(query)).one()
        return Waiting(number, oldest)

    # --- Sending ---------------------------------------------------------------------------------

    async def lease(self, owner: str, *, now: int, until: int, limit: int) -> list[KeptMail]:
        """Take mails that are due; until then they belong to this owner alone."""
        due = (
            select(MAILS.c.id)
            .where(_WAITS, MAILS.c.due_at <= now, MAILS.c.lease_until <= now)
            .order_by(MAILS.c.due_at, MAILS.c.written)
            .limit(limit)
            # What another sender is taking at this moment is stepped over; SQLite has one writer.
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = (
            update(MAILS)
            .where(MAILS.c.id.in_(select(due.c.id)))
            .values(leased_by=owner, lease_until=until, attempts=MAILS.c.attempts + 1)
            .returning(*MAILS.c)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(taken)).mappings().all()
        return [_mail(row) for row in sorted(rows, key=lambda row: (row["due_at"], row["written"]))]

    async def sent(self, mail_id: str, owner: str, *, at: int) -> None:
        """The mail went out."""
        await self._settle(mail_id, owner, sent_at=at, last_error="")

    async def failed(self, mail_id: str, owner: str, *, at: int, error: str) -> None:
        """The mail will never go out. `error` names no address."""
        await self._settle(mail_id, owner, failed_at=at, last_error=error)

    async def later(self, mail_id: str, owner: str, *, due_at: int, error: str) -> None:
        """Try again then. `error` names no address."""
        await self._settle(mail_id, owner, due_at=due_at, last_error=error)

    async def _settle(self, mail_id: str, owner: str, **values: object) -> None:
        """Write what became of a leased mail; nothing where another took it over meanwhile."""
        mine = (MAILS.c.id == mail_id, MAILS.c.leased_by == owner, _WAITS)
        async with self._engine.begin() as connection:
            await connection.execute(
                update(MAILS).where(*mine).values(leased_by="", lease_until=0, **values)
            )

    # --- Removing --------------------------------------------------------------------------------

    async def sweep(self, *, before: int) -> int:
        """Remove what mails say that went out, or never will, before then, and to whom."""
        ended = func.coalesce(MAILS.c.sent_at, MAILS.c.failed_at, MAILS.c.created_at)
        async with self._engine.begin() as connection:
            swept = await connection.execute(
                update(MAILS)
                .where(MAILS.c.text.is_not(None), MAILS.c.created_at < before, ended < before)
                .values(
                    address=None,
                    subject=None,
                    text=None,
                    html=None,
                    failed_at=func.coalesce(
                        MAILS.c.failed_at, case((MAILS.c.sent_at.is_(None), before))
                    ),
                )
            )
        return swept.rowcount

    async def forget(self, parties: Collection[str], address: str = "") -> bool:
        """Delete every mail to these parties, and to this address.

        True when the deleted bytes have left the disk too (see `scrub`).
        """
        async with self._engine.begin() as connection:
            for part in in_parts(sorted(parties)):
                await connection.execute(
                    delete(MAILS).where(MAILS.c.party.in_(part), MAILS.c.party != "")
                )
            if address:
                await connection.execute(
                    delete(MAILS).where(MAILS.c.address == address.strip().lower())
                )
        return await scrub(self._engine)


async def add_mails(connection: AsyncConnection, mails: Sequence[NewMail], *, at: int) -> int:
    """Keep mails in a transaction that is under way; return how many were new."""
    # In one order of the keys: two who write the same mails never wait for each other.
    rows = sorted((_row(mail, at) for mail in mails), key=itemgetter("dedupe_key"))
    statement = upsert(MAILS).on_conflict_do_nothing(index_elements=["dedupe_key"])
    counted = statement.execution_options(preserve_rowcount=True)
    new = 0
    for start in range(0, len(rows), ROWS_PER_INSERT):
        part = rows[start : start + ROWS_PER_INSERT]
        new += (await connection.execute(counted, part)).rowcount
    return new


_written: Final = itertools.count(time.time_ns())
"""Rises from start to start, and within a process with each mail."""


def _row(mail: NewMail, at: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "dedupe_key": mail.dedupe_key,
        "party": mail.party,
        "address": mail.address,
        "language": mail.language,
        "name": mail.name,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "off_path": mail.off_path,
        "created_at": at,
        "due_at": at,
        "attempts": 0,
        "leased_by": "",
        "lease_until": 0,
        "sent_at": None,
        "failed_at": None,
        "last_error": "",
        "written": next(_written),
    }


def _mail(row: RowMapping) -> KeptMail:
    return KeptMail(
        id=row["id"],
        party=row["party"],
        address=row["address"] or "",
        language=row["language"],
        name=row["name"],
        subject=row["subject"] or "",
        text=row["text"] or "",
        html=row["html"] or "",
        off_path=row["off_path"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        attempts=row["attempts"],
        sent_at=row["sent_at"],
        failed_at=row["failed_at"],
        last_error=row["last_error"],
    )
