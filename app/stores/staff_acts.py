"""What a channel's staff did beside the log, and why: texts taken down, questions hidden, reports
settled, roles given and taken.

The log holds no free text and nothing about people's roles, so these acts are kept here; nothing
is ever changed or removed in this table.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct
from sqlalchemy import Column, Index, Table, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, new_id, upsert

Act = Literal[
    "report_settled",
    "text_taken_down",
    "picture_taken_down",
    "question_hidden",
    "campaign_featured",
    "campaign_unfeatured",
    "role_given",
    "role_taken",
]
ACTS: Final[tuple[Act, ...]] = get_args(Act)

STAFF_ACTS: Final = Table(
    "staff_acts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Number, nullable=False),
    Index("staff_acts_by_channel", "channel", "at"),
    Index("staff_acts_by_campaign", "campaign_id", "at"),
    sqlite_strict=True,
)

REASON_CHARACTERS: Final = 2_000
MOST_SHOWN: Final = 200


class StaffAct(Struct, frozen=True, kw_only=True):
    """One act. `by` is `role:party id`; `subject` what it was done to: a content hash, a
    question's or report's id, or `party role`. `campaign_id` is empty where it is about none.
    """

    id: str
    channel: str
    campaign_id: str
    by: str
    act: Act
    subject: str
    reason: str
    at: int


class StaffActs:
    """The acts of every channel's staff."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(
        self,
        channel: str,
        act: Act,
        *,
        by: str,
        at: int,
        subject: str,
        campaign_id: str = "",
        reason: str = "",
        act_id: str = "",
    ) -> None:
        """Note what was done; with an `act_id` once under that."""
        row = {
            "id": act_id or new_id(),
            "channel": channel,
            "campaign_id": campaign_id,
            "by": by,
            "act": act,
            "subject": subject,
            "reason": reason[:REASON_CHARACTERS],
            "at": at,
        }
        async with self._engine.begin() as connection:
            await connection.execute(upsert(STAFF_ACTS).on_conflict_do_nothing(), row)

    async def of_channel(
        self,
        channel: str,
        *,
        campaign_id: str = "",
        limit: int = MOST_SHOWN,
        after: tuple[int, str] | None = None,
    ) -> list[StaffAct]:
        """A channel's acts, or those about one of its campaigns, the newest first.

        `after` is the time and id of the act to go on after.
        """
        query = select(STAFF_ACTS).where(STAFF_ACTS.c.channel == channel)
        if campaign_id:
            query = query.where(STAFF_ACTS.c.campaign_id == campaign_id)
        if after is not None:
            acts, (at, act_id) = STAFF_ACTS.c, after
            query = query.where(or_(acts.at < at, and_(acts.at == at, acts.id > act_id)))
        newest = query.order_by(STAFF_ACTS.c.at.desc(), STAFF_ACTS.c.id).limit(limit)
        async with self._engine.connect() as connection:
            return [StaffAct(**row) for row in (await connection.execute(newest)).mappings()]
