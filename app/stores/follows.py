"""Who follows a campaign: an account, or a mail address that confirmed it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, RowMapping, Table, UniqueConstraint, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.accounts import normal_mail
from app.stores.rows import METADATA, Number, Text, in_parts, new_id, one_row, upsert

FOLLOWS: Final = Table(
    "follows",
    METADATA,
    Column("number", Number, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("campaign", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("confirmed_at", Number),
    # The deadline of which this follower was reminded; 0 before that.
    Column("reminded_of", Number, nullable=False),
    UniqueConstraint("campaign", "party", "address"),
    Index("follows_of_campaign", "campaign", "number"),
    Index("follows_of_party", "party"),
    sqlite_strict=True,
)


class Follow(Struct, frozen=True, kw_only=True):
    """Somebody follows a campaign: `party` is an account, or empty where there is but an address.

    `number` orders them. Nothing is sent before `confirmed_at`.
    """

    number: int
    id: str
    campaign: str
    party: str
    address: str
    language: str
    confirmed_at: int | None


class Follows:
    """All follows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def follow(self, campaign: str, party: str, *, language: str, at: int) -> None:
        """An account follows a campaign; doing it again changes nothing."""
        row = _row(campaign, party, "", language, at) | {"confirmed_at": at}
        async with self._engine.begin() as connection:
            await connection.execute(upsert(FOLLOWS).on_conflict_do_nothing(), row)

    async def ask(self, campaign: str, address: str, *, language: str, at: int) -> Follow:
        """Note that a mail address wants to follow, until a link in a mail confirms it.

        Asking again returns the same.
        """
        address = normal_mail(address)
        row = _row(campaign, "", address, language, at)
        # The same address is written over itself, so that the row is returned that was there.
        kept = upsert(FOLLOWS).on_conflict_do_update(
            index_elements=["campaign", "party", "address"], set_={"address": address}
        )
        async with self._engine.begin() as connection:
            found = (await connection.execute(kept.returning(*FOLLOWS.c), row)).mappings().one()
        return _follow(found)

    async def get(self, follow_id: str) -> Follow | None:
        """One follow."""
        row = await one_row(self._engine, select(FOLLOWS).where(FOLLOWS.c.id == follow_id))
        return None if row is None else _follow(row)

    async def confirm(self, follow_id: str, *, at: int) -> None:
        """The link in the mail was used; using it again changes nothing."""
        this = (FOLLOWS.c.id == follow_id, FOLLOWS.c.confirmed_at.is_(None))
        async with self._engine.begin() as connection:
            await connection.execute(update(FOLLOWS).where(*this).values(confirmed_at=at))

    async def unfollow(self, campaign: str, party: str) -> None:
        """An account follows no more; doing it again changes nothing."""
        this = (FOLLOWS.c.campaign == campaign, FOLLOWS.c.party == party)
        async with self._engine.begin() as connection:
            await connection.execute(delete(FOLLOWS).where(*this))

    async def end(self, follow_id: str) -> None:
        """An address follows no more; doing it again changes nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(FOLLOWS).where(FOLLOWS.c.id == follow_id))

    async def follows(self, campaign: str, party: str) -> bool:
        """Whether an account follows a campaign."""
        query = select(FOLLOWS.c.number).where(
            FOLLOWS.c.campaign == campaign, FOLLOWS.c.party == party
        )
        return bool(party) and await one_row(self._engine, query) is not None

    async def of_party(self, party: str) -> list[str]:
        """The campaigns that an account follows, the newest follow first."""
        query = select(FOLLOWS.c.campaign).where(FOLLOWS.c.party == party)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(FOLLOWS.c.number.desc()))
            return list(rows.scalars())

    async def page(
        self, campaign: str, *, after: int, limit: int, not_reminded_of: int | None = None
    ) -> list[Follow]:
        """The next confirmed follows of a campaign in their order; with a deadline, those that
        were not reminded of it.
        """
        query = select(FOLLOWS).where(
            FOLLOWS.c.campaign == campaign,
            FOLLOWS.c.number > after,
            FOLLOWS.c.confirmed_at.is_not(None),
        )
        if not_reminded_of is not None:
            query = query.where(FOLLOWS.c.reminded_of != not_reminded_of)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(FOLLOWS.c.number).limit(limit))
            return [_follow(row) for row in rows.mappings()]

    async def campaigns(self) -> list[str]:
        """Every campaign that somebody follows."""
        async with self._engine.connect() as connection:
            return list((await connection.execute(select(FOLLOWS.c.campaign).distinct())).scalars())

    async def sweep(self, *, before: int) -> int:
        """Delete what was asked before then and never confirmed."""
        old = (FOLLOWS.c.confirmed_at.is_(None), FOLLOWS.c.created_at < before)
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(FOLLOWS).where(*old))).rowcount

    async def forget(self, parties: Collection[str], address: str = "") -> None:
        """Delete the follows of these people and of this address."""
        async with self._engine.begin() as connection:
            for part in in_parts(sorted(party for party in parties if party)):
                await connection.execute(delete(FOLLOWS).where(FOLLOWS.c.party.in_(part)))
            if address:
                mine = FOLLOWS.c.address == normal_mail(address)
                await connection.execute(delete(FOLLOWS).where(mine))


async def note_reminded(
    connection: AsyncConnection, numbers: Collection[int], deadline_at: int
) -> None:
    """Note in a transaction that is under way which follows were reminded of this deadline."""
    this = FOLLOWS.c.number.in_(sorted(numbers))
    await connection.execute(update(FOLLOWS).where(this).values(reminded_of=deadline_at))


def _row(campaign: str, party: str, address: str, language: str, at: int) -> dict[str, object]:
    return {
        "id": new_id(),
        "campaign": campaign,
        "party": party,
        "address": address,
        "language": language,
        "created_at": at,
        "confirmed_at": None,
        "reminded_of": 0,
    }


def _follow(row: RowMapping) -> Follow:
    return Follow(
        number=row["number"],
        id=row["id"],
        campaign=row["campaign"],
        party=row["party"],
        address=row["address"],
        language=row["language"],
        confirmed_at=row["confirmed_at"],
    )
