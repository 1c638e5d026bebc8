"""Where rewards are sent: postal addresses, kept per pledge, sealed with their person's key."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.sealed import ADDRESS, Entry, Sealed


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


class _Told(Struct, frozen=True):
    """What of an address is sealed; the rest is where it belongs."""

    name: str
    phone: str
    country: str
    province: str
    city: str
    district: str
    street: str
    postal_code: str


_told = msgspec.json.Decoder(_Told)


class Addresses:
    """The addresses that backers gave."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sealed = Sealed(engine)

    async def save(self, address: Address) -> None:
        """Keep an address, in place of one given before for the same pledge.

        Raises UnknownPartyError for who is none of ours, or was erased.
        """
        told = msgspec.convert(address, _Told, from_attributes=True)
        ref, body = _ref(address.campaign, address.no), msgspec.json.encode(told)
        await self._sealed.put(Entry(address.party, ADDRESS, ref, body, address.given_at))

    async def get(self, campaign: str, no: int) -> Address | None:
        """The address for a pledge."""
        return (await self.get_many(campaign, [no])).get(no)

    async def get_many(self, campaign: str, nos: Collection[int]) -> dict[int, Address]:
        """The addresses for these pledges of a campaign, by number; missing ones are left out."""
        entries = await self._sealed.get_many(ADDRESS, [_ref(campaign, no) for no in nos])
        return {found.no: found for found in map(_address, entries)}

    async def of_parties(self, parties: Iterable[str]) -> list[Address]:
        """Every address that these parties gave: what "my data" shows."""
        return [_address(entry) for entry in await self._sealed.of_parties(parties, ADDRESS)]

    async def forget(self, party: str) -> bool:
        """Throw away every address of a party.

        True when the bytes have left the disk too, False when a reader delays that (see `scrub`).
        """
        return await self._sealed.forget(party, ADDRESS)


def _ref(campaign: str, no: int) -> str:
    return f"{campaign}/{no}"


def _address(entry: Entry) -> Address:
    campaign, _, no = entry.ref.rpartition("/")
    told = msgspec.structs.asdict(_told.decode(entry.body))
    return Address(campaign=campaign, no=int(no), party=entry.party, given_at=entry.at, **told)
