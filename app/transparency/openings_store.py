"""What was opened, kept for ever: batches as they are served, and how far openings have come.

It lies in the transparency store's database. Nothing here is ever changed: a batch that was
published is what it was, to the byte.
"""

from __future__ import annotations

import gzip
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from app.stores.rows import upsert
from app.transparency.openings import Batch, Index, Listed, encode
from app.transparency.public_part import Totals
from app.transparency.store import OPENED, OPENINGS

_LEVEL: Final = 6


class AlreadyOpenedError(Exception):
    """Somebody else published this batch meanwhile."""


class Standing(Struct):
    """What the next batch of a campaign goes on from: its numbers, its currency once it is known,
    and whether it had ended.
    """

    totals: Totals = msgspec.field(default_factory=Totals)
    currency: str = ""
    ended: bool = False


class Opened(Struct, frozen=True):
    """How much of a campaign is opened: the last batch, how many entries, up to which position."""

    batch: int = 0
    entries: int = 0
    position: int = 0
    standing: Standing = msgspec.field(default_factory=Standing)


class Passed(Struct, frozen=True):
    """Up to which position all that was due is opened, and the platform's own streams that moved
    and are not.
    """

    position: int = 0
    waiting: tuple[str, ...] = ()


_standings: Final = msgspec.json.Decoder(Standing)
_waiting: Final = msgspec.json.Decoder(tuple[str, ...])


class OpeningsStore:
    """The batches in their tables. Any thread may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- Reading ---------------------------------------------------------------------------------

    def of(self, campaign: str) -> Opened:
        """How much of this campaign is opened."""
        rows = OPENINGS.c
        query = (
            select(rows.batch, rows.up_to, rows.position, rows.standing)
            .where(rows.campaign == campaign)
            .order_by(rows.batch.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return Opened()
        batch, entries, position, standing = row
        return Opened(batch, entries, position, _standings.decode(standing))

    def batch(self, campaign: str, batch: int) -> bytes | None:
        """A batch as it is served, in gzip's format; None where there is none."""
        rows = OPENINGS.c
        query = select(rows.data).where(rows.campaign == campaign, rows.batch == batch)
        with self._engine.connect() as connection:
            data: bytes | None = connection.execute(query).scalar()
        return data

    def index(self, log_id: str) -> Index:
        """Everything that is opened, by campaign."""
        rows = OPENINGS.c
        # Each grows from batch to batch, so that the largest are the last batch's.
        query = (
            select(
                rows.campaign, func.max(rows.batch), func.max(rows.up_to), func.max(rows.position)
            )
            .group_by(rows.campaign)
            .order_by(rows.campaign)
        )
        # First how far all is opened: what is listed may be more, never less.
        position = self.passed(log_id).position
        with self._engine.connect() as connection:
            return Index(position, [Listed(*row) for row in connection.execute(query)])

    def passed(self, log_id: str) -> Passed:
        """How far the openings of this log have come."""
        rows = OPENED.c
        query = select(rows.position, rows.waiting).where(rows.log_id == log_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return Passed() if row is None else Passed(row[0], _waiting.decode(row[1]))

    # --- Writing ---------------------------------------------------------------------------------

    def add(self, batch: Batch, standing: Standing, at: int) -> None:
        """Keep a batch, published at `at` (ms UTC). Raises AlreadyOpenedError."""
        row = {
            "campaign": batch.campaign,
            "batch": batch.batch,
            "up_to": batch.after_version + len(batch.openings),
            "position": batch.up_to_position,
            "entries": len(batch.openings),
            "published_at": at,
            "standing": msgspec.json.encode(standing).decode(),
            # Without the time, so that the same batch is the same bytes.
            "data": gzip.compress(encode(batch), _LEVEL, mtime=0),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(OPENINGS.insert().values(row))
        except IntegrityError as fault:
            raise AlreadyOpenedError(f"{batch.campaign}, batch {batch.batch}") from fault

    def keep_passed(self, log_id: str, passed: Passed) -> None:
        """Note how far the openings have come."""
        now = {
            "position": passed.position,
            "waiting": msgspec.json.encode(passed.waiting).decode(),
        }
        statement = (
            upsert(OPENED)
            .values(log_id=log_id, **now)
            .on_conflict_do_update(index_elements=["log_id"], set_=now)
        )
        with self._engine.begin() as connection:
            connection.execute(statement)
