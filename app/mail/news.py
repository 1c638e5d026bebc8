"""News from the log, told in mails.

A follower of its own: it moves its place in the same transaction in which it queues the mails that
a fact leads to, so that none is lost and none is written twice, whenever it is killed and however
many of it run. It never runs ahead of the views, from which it reads whom a fact concerns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.following.tail import require_readable
from app.log import LogRow, decode_row
from app.mail.campaigns import CampaignFacts
from app.mail.kinds import KINDS
from app.mail.letters import Letters, Telling
from app.mail.rules import RULES, Followers, Note, notes_of
from app.stores.follows import Follows
from app.stores.mail_news import MovedByAnotherError, Place, begin_at, move
from app.stores.mails import NewMail, add_mails
from domain.events import AnyEvent, PledgeMade
from projections.reading import Facts, Reading, Tail

FOLLOWED_AT_ONCE: Final = 10_000
"""Events read at once."""

PAGE: Final = 200
"""People of a crowd whose mails are written in one transaction."""

_PREFIX: Final = "campaign:"


class Log(Protocol):
    """What news ask of the log."""

    @property
    def log_id(self) -> str:
        """The log's random id."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows after a position, in order."""

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """The rows of one stream after a version, in order."""

    def last(self) -> tuple[int, int]:
        """The last event's (position, at); (0, 0) for an empty log."""


class Told(Struct, frozen=True):
    """A row of the log with the mails it leads to."""

    position: int
    few: tuple[Telling, ...]
    crowds: tuple[Telling, ...]


class News:
    """Follows the log. `seen` returns how far the views have read it, `clock` ms UTC; `facts` is
    what the followers of a process read it through.
    """

    def __init__(
        self,
        people: AsyncEngine,
        log: Log,
        letters: Letters,
        *,
        seen: Callable[[], int],
        clock: Callable[[], int],
        facts: Facts | None = None,
    ) -> None:
        self._people = people
        self._log = log
        self._facts = facts or Tail(log.read)
        self._letters = letters
        self._follows = Follows(people)
        self._seen = seen
        self._clock = clock
        self._name = f"news/{log.log_id}"

    @property
    def facts(self) -> CampaignFacts:
        """What mails, and the pages about them, say of campaigns."""
        return self._letters.facts

    async def begin(self) -> Place:
        """Where it stands. The first time that is the end of the log: what happened before there
        were mails is no news.
        """
        last, _ = await asyncio.to_thread(self._log.last)
        return await begin_at(self._people, self._name, last)

    async def catch_up(self) -> int:
        """Tell everything that the views have read; return how many mails were new."""
        mails = 0
        while (new := await self.step()) is not None:
            mails += new
        return mails

    async def step(self) -> int | None:
        """Tell the next facts, or the next page of a crowd; return how many mails were new, None
        where nothing was left to tell. Raises UnreadableEvent.
        """
        place = await self.begin()
        seen = self._seen()
        if seen <= place.position:
            return None
        limit = min(FOLLOWED_AT_ONCE, seen - place.position)
        reading = await asyncio.to_thread(self._facts.after, place.position, limit)
        few, crowded = await self._told(reading)
        to = reading.last if crowded is None else crowded.position - 1
        try:
            if to > place.position:
                mails = await self._letters.to_few(few) if few else []
                return await self._keep(mails, place, Place(to))
            if crowded is not None:
                return await self._crowd(place, crowded)
        except MovedByAnotherError:
            return 0
        await asyncio.to_thread(require_readable, self._log, reading)
        return None

    async def _told(self, reading: Reading) -> tuple[list[Telling], Told | None]:
        """What facts lead to, up to the first that concerns many, and that one.

        Of the many pledges few have a backer with an address: only those are told.
        """
        made = {event.backer for event in reading.events if type(event) is PledgeMade}
        known = await self._letters.reachable(made)
        few: list[Telling] = []
        for position, event in zip(reading.positions, reading.events, strict=True):
            if type(event) is PledgeMade:
                if event.backer not in known:
                    continue
            elif type(event) not in RULES:
                continue
            told = _told(position, event)
            if told.crowds:
                return few, told
            few += told.few
        return few, None

    async def _keep(self, mails: Sequence[NewMail], was: Place, to: Place) -> int:
        async with self._people.begin() as connection:
            await move(connection, self._name, was, to)
            return await add_mails(connection, mails, at=self._clock())

    async def _crowd(self, place: Place, told: Told) -> int:
        """The next page of a fact that concerns many. Its stages: first the few, then each crowd
        in its order.
        """
        if place.stage == 0:
            mails = await self._letters.to_few(told.few) if told.few else []
            return await self._keep(mails, place, Place(place.position, 1))
        telling = told.crowds[place.stage - 1]
        mails, last = await self._page(telling, place.after)
        if last is not None:
            to = Place(place.position, place.stage, last)
        elif place.stage < len(told.crowds):
            to = Place(place.position, place.stage + 1)
        else:
            to = Place(told.position)
        return await self._keep(mails, place, to)

    async def _page(self, telling: Telling, after: int) -> tuple[list[NewMail], int | None]:
        """The mails to the next people of a crowd, and the last of them; None at the end."""
        match telling.note.to:
            case Followers():
                follows = await self._follows.page(telling.campaign_id, after=after, limit=PAGE)
                mails = await self._letters.to_followers(telling, follows)
                return mails, follows[-1].number if len(follows) == PAGE else None
            case to:
                facts = self._letters.facts
                campaign = (await facts.keys([telling.campaign_id]))[telling.campaign_id]
                page, last = await facts.page(campaign, to, after=after, limit=PAGE)  # type: ignore[arg-type]  # no crowd but these
                return await self._letters.to_backers(telling, campaign, page), last

    # --- What happened before --------------------------------------------------------------------

    async def tell_campaign(self, campaign_id: str, kinds: Collection[str] = KINDS) -> int:
        """Write the mails of everything that happened to one campaign, as if it were news; return
        how many were new. For a demo whose history was made in a moment.
        """
        rows = await asyncio.to_thread(self._log.read_stream, f"{_PREFIX}{campaign_id}")
        new = 0
        for row in rows:
            told = _told(row.position, decode_row(row))
            few = [telling for telling in told.few if telling.note.kind in kinds]
            new += await self._add(await self._letters.to_few(few)) if few else 0
            for telling in told.crowds:
                if telling.note.kind not in kinds:
                    continue
                last: int | None = 0
                while last is not None:
                    mails, last = await self._page(telling, last)
                    new += await self._add(mails)
        return new

    async def _add(self, mails: Sequence[NewMail]) -> int:
        async with self._people.begin() as connection:
            return await add_mails(connection, mails, at=self._clock())


def _told(position: int, event: AnyEvent) -> Told:
    """What a fact leads to."""
    campaign_id = event.stream.removeprefix(_PREFIX)

    def telling(note: Note) -> Telling:
        return Telling(str(position), campaign_id, note, event.at, event)

    notes = notes_of(event)
    return Told(
        position,
        tuple(telling(note) for note in notes if not note.to_crowd),
        tuple(telling(note) for note in notes if note.to_crowd),
    )
