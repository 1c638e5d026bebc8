"""Cards that were tried on the payment page: against people who test stolen cards by the hundred.

Who tried is kept as marks (keyed hashes of person, mail, client address and card), and those only
for two days; after that a row says nothing but that a card was taken or declined.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Table, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.alone import Alone
from app.stores.rows import METADATA, Number, Text

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
KEPT_MS: Final = 2 * DAY_MS
MOST_DECLINES: Final = 3
MOST_CARDS: Final = 3
SAMPLE: Final = 50
"""How many of a campaign's last tries tell whether cards are being tested on it."""
ALARM_PERCENT: Final = 30

CARD_TRIES: Final = Table(
    "card_tries",
    METADATA,
    Column("no", Number, primary_key=True),
    Column("campaign", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("mail", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("declined", Number, nullable=False),
    Column("at", Number, nullable=False),
    Index("card_tries_by_campaign", "campaign", "no"),
    Index("card_tries_by_at", "at"),
    # Few rows have marks: the rest is never looked at again to let go of any.
    Index(
        "card_tries_marked",
        "at",
        sqlite_where=text("person != ''"),
        postgresql_where=text("person != ''"),
    ),
    sqlite_strict=True,
)


class CardTry(Struct, frozen=True, kw_only=True):
    """A card that was tried for a campaign at `at` (ms UTC), by whom and from where, as marks.

    An empty mark is not known and matches nobody.
    """

    campaign: str
    person: str
    mail: str
    address: str
    card: str = ""
    declined: bool = False
    at: int


class CardTries:
    """The cards that were tried lately."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._alone = Alone(engine, "cards")

    @asynccontextmanager
    async def alone(self, *marks: str) -> AsyncIterator[None]:
        """Be the only one who tries a card for any of these marks, from the look at what was tried
        before until the try is noted: a hundred tries at the same moment are tries one after
        another.
        """
        async with AsyncExitStack() as held:
            # In one order, so that two who share several marks never wait for each other.
            for mark in sorted({mark for mark in marks if mark}):
                await held.enter_async_context(self._alone.under(mark))
            yield

    async def note(self, tried: CardTry) -> None:
        """Keep a try, and let go of the marks of old ones."""
        row = {name: getattr(tried, name) for name in tried.__struct_fields__}
        row["declined"] = int(tried.declined)
        columns = CARD_TRIES.c
        old = (columns.at < tried.at - KEPT_MS) & text("person != ''")
        async with self._engine.begin() as connection:
            await connection.execute(
                update(CARD_TRIES).where(old).values(person="", mail="", address="", card="")
            )
            await connection.execute(insert(CARD_TRIES), row)

    async def is_closed(self, *, person: str, mail: str, address: str, at: int) -> bool:
        """Whether these have tried enough: three declines of the mail or the address within an
        hour, or three cards of the person within a day.
        """
        columns = CARD_TRIES.c
        recent = (columns.at > at - HOUR_MS) & (columns.declined == 1)
        declines = [
            select(func.count()).where(recent, column == mark)
            for column, mark in ((columns.mail, mail), (columns.address, address))
            if mark
        ]
        cards = select(func.count(columns.card.distinct())).where(
            columns.person == person, columns.card != "", columns.at > at - DAY_MS
        )
        async with self._engine.connect() as connection:
            for query in declines:
                if (await connection.execute(query)).scalar_one() >= MOST_DECLINES:
                    return True
            if not person:
                return False
            return bool((await connection.execute(cards)).scalar_one() >= MOST_CARDS)

    async def is_tested(self, campaign: str) -> bool:
        """Whether more than 30 % of the campaign's last 50 tries were declined."""
        last = (
            select(CARD_TRIES.c.declined)
            .where(CARD_TRIES.c.campaign == campaign)
            .order_by(CARD_TRIES.c.no.desc())
            .limit(SAMPLE)
            .subquery()
        )
        query = select(func.count(), func.sum(last.c.declined))
        async with self._engine.connect() as connection:
            count, declined = (await connection.execute(query)).one()
        return int(count) >= SAMPLE and int(declined or 0) * 100 > ALARM_PERCENT * int(count)

    async def forget(self, person: str, mail: str) -> None:
        """Take the marks of a person away."""
        columns = CARD_TRIES.c
        mine = or_(
            (columns.person == person) & (columns.person != ""),
            (columns.mail == mail) & (columns.mail != ""),
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                update(CARD_TRIES).where(mine).values(person="", mail="", address="", card="")
            )
