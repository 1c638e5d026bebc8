"""Where a pledge's rewards are sent: given by the backer after success, outside the log.

An address is kept for one pledge and seen by that campaign's team alone. It is thrown away when
its backer is erased, and can be changed until the creator has sent the parcel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, RowMapping, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, in_parts, one_row, scrub, upsert

ADDRESSES: Final = Table(
    "addresses",
    METADATA,
    Column("campaign", Text, primary_key=True),
    Column("no", Number, primary_key=True),
    Column("party", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("province", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("district", Text, nullable=False),
    Column("street", Text, nullable=False),
    Column("postal_code", Text, nullable=False),
    Column("given_at", Number, nullable=False),
    Index("addresses_by_party", "party"),
    sqlite_strict=True,
)


class Address(Struct, frozen=True, kw_only=True):
    """A postal address for pledge `no` of a campaign; `country` is an ISO 3166 code.

    `given_at` is ms UTC.
    """

    campaign: str
    no: int
    party: str
    name: str
    phone: str
    country: str
    province: str
    city: str
    district: str
    street: str
    postal_code: str
    given_at: int

    @property
    def lines(self) -> tuple[str, ...]:
        """The address as it is written on a parcel.

        In Chinese order, from the province to the door, then the person with their phone number;
        elsewhere from the person to the country.
        """
        if self.country == "CN":
            place = f"{self.province}{self.city}{self.district}{self.street}"
            parts: tuple[str, ...] = (place, self.postal_code, f"{self.name} {self.phone}")
        else:
            town = " ".join(part for part in (self.postal_code, self.city) if part)
            parts = (
                self.name,
                self.street,
                self.district,
                town,
                self.province,
                self.country,
                self.phone,
            )
        return tuple(part.strip() for part in parts if part.strip())


class Addresses:
    """The addresses that backers gave."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, address: Address) -> None:
        """Keep an address, in place of one given before for the same pledge."""
        row = {column.name: getattr(address, column.name) for column in ADDRESSES.columns}
        statement = upsert(ADDRESSES).values(row)
        async with self._engine.begin() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["campaign", "no"], set_=row)
            )

    async def get(self, campaign: str, no: int) -> Address | None:
        """The address for a pledge."""
        this = (ADDRESSES.c.campaign == campaign, ADDRESSES.c.no == no)
        row = await one_row(self._engine, select(ADDRESSES).where(*this))
        return None if row is None else _address(row)

    async def get_many(self, campaign: str, nos: Collection[int]) -> dict[int, Address]:
        """The addresses for these pledges of a campaign, by number; missing ones are left out."""
        found: dict[int, Address] = {}
        async with self._engine.connect() as connection:
            for part in in_parts([str(no) for no in sorted(set(nos))]):
                rows = await connection.execute(
                    select(ADDRESSES).where(
                        ADDRESSES.c.campaign == campaign, ADDRESSES.c.no.in_(map(int, part))
                    )
                )
                found.update((row["no"], _address(row)) for row in rows.mappings())
        return found

    async def of_parties(self, parties: Iterable[str]) -> list[Address]:
        """Every address that these parties gave: what "my data" shows."""
        found: list[Address] = []
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(parties))):
                rows = await connection.execute(
                    select(ADDRESSES).where(ADDRESSES.c.party.in_(part))
                )
                found.extend(_address(row) for row in rows.mappings())
        return found

    async def forget(self, party: str) -> bool:
        """Throw away every address of a party.

        True when the bytes have left the disk too, False when a reader delays that (see `scrub`).
        """
        async with self._engine.begin() as connection:
            await connection.execute(delete(ADDRESSES).where(ADDRESSES.c.party == party))
        return await scrub(self._engine)


def _address(row: RowMapping) -> Address:
    return Address(**row)
