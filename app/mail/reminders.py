"""The one reminder that no fact causes: 48 hours before its deadline, to a campaign's followers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from app.mail.campaigns import Card
from app.mail.letters import Letters
from app.mail.news import PAGE
from app.stores.follows import Follows, note_reminded
from app.stores.mails import add_mails
from domain.state import Phase
from domain.terms import DAY_MS

BEFORE_MS: Final = 2 * DAY_MS
AFTER_LAUNCH_MS: Final = DAY_MS
"""A campaign that was launched less than this before the reminder is due needs none."""

CAMPAIGNS_AT_ONCE: Final = 200


class Reminders:
    """Reminds followers. `clock` returns ms UTC."""

    def __init__(self, people: AsyncEngine, letters: Letters, clock: Callable[[], int]) -> None:
        self._people = people
        self._letters = letters
        self._follows = Follows(people)
        self._clock = clock

    async def step(self) -> int:
        """Write every reminder that is due; return how many mails were new.

        Each page of followers is noted in the transaction that keeps its mails.
        """
        followed = await self._follows.campaigns()
        new = 0
        for start in range(0, len(followed), CAMPAIGNS_AT_ONCE):
            cards = await self._letters.facts.cards(followed[start : start + CAMPAIGNS_AT_ONCE])
            for own in cards.values():
                if self._is_due(own[""]):
                    new += await self._remind(own[""])
        return new

    def _is_due(self, card: Card) -> bool:
        remind_at = card.deadline_at - BEFORE_MS
        launched = card.phase == Phase.LIVE and card.launched_at is not None
        if not launched or not remind_at <= self._clock() < card.deadline_at:
            return False
        return (card.launched_at or 0) + AFTER_LAUNCH_MS <= remind_at

    async def _remind(self, card: Card) -> int:
        new = after = 0
        while True:
            follows = await self._follows.page(
                card.id, after=after, limit=PAGE, not_reminded_of=card.deadline_at
            )
            if not follows:
                return new
            after = follows[-1].number
            mails = await self._letters.reminders(card, follows, self._clock())
            async with self._people.begin() as connection:
                await note_reminded(
                    connection, [follow.number for follow in follows], card.deadline_at
                )
                new += await add_mails(connection, mails, at=self._clock())
