"""Backers and their payment methods by API."""

from __future__ import annotations

from typing import Final

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.api.access import ApiRequest, needs
from app.api.bodies import BackerIn, PaymentMethodIn
from app.api.problems import Refused
from app.api.repeating import planned
from app.stores.api_keys import ApiKey
from app.stores.people import UnknownPartyError
from app.wiring import Platform

_ONE: Final = BackerIn()


class BackerOut(Struct, frozen=True):
    """A backer that was minted: a random id and nothing else. `backer_ids` are all of a request."""

    backer_id: str
    backer_ids: tuple[str, ...]


class PaymentMethodOut(Struct, frozen=True):
    """The id under which pledges name the method."""

    payment_method: str


@post("/backers", guards=[needs("backers:write", "pledges:import")], summary="Mint backers")
async def mint_backer(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    *,
    data: JSONBody[BackerIn] = _ONE,
) -> BackerOut:
    """Mint a backer (or `count` of them): the log knows people by such ids only."""

    async def mint() -> BackerOut:
        minted = await platform.stores.people.mint_backers(data.count, at=platform.clock())
        return BackerOut(minted[0], tuple(minted))

    return await planned(platform, request, BackerOut, mint)


@post("/payment-methods", guards=[needs("pledges:import")], summary="Keep a payment method")
async def keep_payment_method(
    data: JSONBody[PaymentMethodIn], request: ApiRequest, platform: NamedDependency[Platform]
) -> PaymentMethodOut:
    """Keep what the provider calls a backer's way to pay, and get the id that pledges name.

    The provider itself took the card, on its own pages: nothing of a card comes here.
    """
    provider = data.provider or platform.provider.name
    if provider != platform.provider.name:
        raise Refused("body_invalid", f"The provider here is {platform.provider.name}.")
    try:
        await platform.stores.people.get(data.backer_id)
    except UnknownPartyError as fault:
        raise Refused("body_invalid", "There is no such backer.") from fault

    async def keep() -> PaymentMethodOut:
        return PaymentMethodOut(
            await platform.stores.methods.add(
                party=data.backer_id,
                provider=provider,
                reference=data.reference,
                at=platform.clock(),
            )
        )

    return await planned(platform, request, PaymentMethodOut, keep)


async def require_own_method(platform: Platform, key: ApiKey, method_id: str) -> None:
    """Raise Refused unless the method is the key's owner's, or the key may name anybody's."""
    if "pledges:import" in key.scopes:
        return
    known = await platform.stores.methods.resolve([method_id])
    if method_id not in known or known[method_id].party != key.owner:
        raise Refused("payment_method_unknown")
