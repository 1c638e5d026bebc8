"""Where rewards are sent: kept per pledge, written as couriers read it, and forgotten."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.addresses import Address, Addresses
from app.stores.people import People

HERE = Address(
    campaign="c",
    no=1,
    party="p",
    name="李示例",
    phone="13800000000",
    country="CN",
    province="云南省",
    city="大理市",
    district="",
    street="示例路 1 号",
    postal_code="671000",
    given_at=1,
)


async def test_the_last_address_counts(engine: AsyncEngine) -> None:
    """A pledge has one address; another one takes its place."""
    addresses = Addresses(engine)
    p, q = await People(engine).mint_backers(2, at=1)
    here = msgspec.structs.replace(HERE, party=p)
    await addresses.save(here)
    await addresses.save(msgspec.structs.replace(here, street="示例路 2 号", given_at=2))
    await addresses.save(msgspec.structs.replace(HERE, no=2, party=q))
    found = await addresses.get("c", 1)
    assert found is not None
    assert (found.street, found.given_at) == ("示例路 2 号", 2)
    assert set(await addresses.get_many("c", [1, 2, 3])) == {1, 2}
    assert await addresses.get("other", 1) is None


async def test_a_forgotten_party_has_no_address(engine: AsyncEngine) -> None:
    """Only theirs go."""
    addresses = Addresses(engine)
    p, q = await People(engine).mint_backers(2, at=1)
    here = msgspec.structs.replace(HERE, party=p)
    await addresses.save(here)
    await addresses.save(msgspec.structs.replace(HERE, no=2, party=q))
    await addresses.forget(p)
    assert [found.party for found in await addresses.of_parties([p, q])] == [q]


def test_the_order_of_the_country() -> None:
    """In China from the province to the door, elsewhere from the person to the country."""
    assert HERE.lines == ("云南省大理市示例路 1 号", "671000", "李示例 13800000000")
    abroad = msgspec.structs.replace(
        HERE, name="Sample", country="BR", province="SP", city="Campinas", street="Rua 1"
    )
    assert abroad.lines[0] == "Sample"
    assert abroad.lines[-2:] == ("BR", "13800000000")
