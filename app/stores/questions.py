"""What backers ask a campaign's creator in public, and what the creator's side answers.

A question is text of a person: it lives here, never in the log. A hidden one is shown to nobody
but those who may hide; it is as if it had never been there, and the reason is kept.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, new_id, one_row, writing

QUESTIONS: Final = Table(
    "questions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("campaign_id", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("asked_at", Number, nullable=False),
    Column("answer", Text, nullable=False, server_default=""),
    Column("answered_by", Text, nullable=False, server_default=""),
    Column("answered_at", Number),
    Column("hidden_at", Number),
    Column("hidden_by", Text, nullable=False, server_default=""),
    Column("hidden_reason", Text, nullable=False, server_default=""),
    Index("questions_by_campaign", "campaign_id", "asked_at"),
    sqlite_strict=True,
)

LONGEST: Final = 4_000
"""Characters of a question and of an answer."""

MOST_SHOWN: Final = 100

DAY_MS: Final = 86_400_000
MOST_A_DAY: Final = 5
"""Questions that one person may ask about one campaign within a day."""


class UnknownQuestionError(LookupError):
    """The campaign has no such question."""


class TooManyQuestionsError(Exception):
    """The person asked as much as one may within a day; after `wait_ms` one may again."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"one may ask again in {wait_ms} ms")
        self.wait_ms = wait_ms


class Question(Struct, frozen=True, kw_only=True):
    """A question; `answer` is empty while there is none. Times are ms UTC."""

    id: str
    campaign_id: str
    party: str
    body: str
    asked_at: int
    answer: str
    answered_by: str
    answered_at: int | None
    hidden_at: int | None
    hidden_by: str
    hidden_reason: str


class Questions:
    """The questions of every campaign."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ask(
        self, campaign_id: str, party: str, body: str, *, at: int, question_id: str = ""
    ) -> Question:
        """Keep a question. Whoever calls has made sure that the party backs the campaign.

        With a `question_id` it is kept once under that. Raises TooManyQuestionsError.
        """
        row = {
            "id": question_id or new_id(),
            "campaign_id": campaign_id,
            "party": party,
            "body": body[:LONGEST],
            "asked_at": at,
        }
        q = QUESTIONS.c
        recent = select(q.asked_at).where(
            q.campaign_id == campaign_id, q.party == party, q.asked_at > at - DAY_MS
        )
        last = recent.order_by(q.asked_at.desc()).offset(MOST_A_DAY - 1).limit(1)
        same = select(q.id).where(q.id == row["id"])
        subject = f"questions of {party} about {campaign_id}"
        async with writing(self._engine, subject) as connection:
            if (await connection.execute(same)).scalar() is None:
                first_at: int | None = (await connection.execute(last)).scalar()
                if first_at is not None:
                    raise TooManyQuestionsError(first_at + DAY_MS - at)
                await connection.execute(insert(QUESTIONS), row)
        return await self.get(campaign_id, str(row["id"]))

    async def get(self, campaign_id: str, question_id: str) -> Question:
        """One question, hidden or not. Raises UnknownQuestionError."""
        query = select(QUESTIONS).where(
            QUESTIONS.c.id == question_id, QUESTIONS.c.campaign_id == campaign_id
        )
        row = await one_row(self._engine, query)
        if row is None:
            raise UnknownQuestionError(question_id)
        return Question(**row)

    async def of_campaign(
        self, campaign_id: str, *, with_hidden: bool = False, limit: int = MOST_SHOWN
    ) -> list[Question]:
        """A campaign's questions, the newest first."""
        query = select(QUESTIONS).where(QUESTIONS.c.campaign_id == campaign_id)
        if not with_hidden:
            query = query.where(QUESTIONS.c.hidden_at.is_(None))
        newest = query.order_by(QUESTIONS.c.asked_at.desc(), QUESTIONS.c.id).limit(limit)
        async with self._engine.connect() as connection:
            return [Question(**row) for row in (await connection.execute(newest)).mappings()]

    async def unanswered(self, campaign_id: str) -> int:
        """How many questions wait for an answer."""
        q = QUESTIONS.c
        query = select(func.count()).where(
            q.campaign_id == campaign_id, q.answered_at.is_(None), q.hidden_at.is_(None)
        )
        async with self._engine.connect() as connection:
            count: int = (await connection.execute(query)).scalar_one()
        return count

    async def answer(
        self, campaign_id: str, question_id: str, answer: str, *, by: str, at: int
    ) -> Question:
        """Answer a question, or answer it otherwise. Raises UnknownQuestionError."""
        await self._change(
            campaign_id,
            question_id,
            {"answer": answer[:LONGEST], "answered_by": by, "answered_at": at},
        )
        return await self.get(campaign_id, question_id)

    async def hide(
        self, campaign_id: str, question_id: str, reason: str, *, by: str, at: int
    ) -> None:
        """Take a question and its answer from the page. Raises UnknownQuestionError."""
        await self._change(
            campaign_id,
            question_id,
            {"hidden_at": at, "hidden_by": by, "hidden_reason": reason[:LONGEST]},
        )

    async def _change(self, campaign_id: str, question_id: str, values: dict[str, object]) -> None:
        this = (QUESTIONS.c.id == question_id) & (QUESTIONS.c.campaign_id == campaign_id)
        async with self._engine.begin() as connection:
            changed = await connection.execute(update(QUESTIONS).where(this).values(values))
        if changed.rowcount != 1:
            raise UnknownQuestionError(question_id)
