"""Backers and their payment methods by API."""

from __future__ import annotations

from typing import Final

from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import SAMPLE_ID, Notes, writes
from app.api.bodies import BackerIn, PaymentMethodIn
from app.api.problems import Refused
from app.api.repeating import planned
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


@writes(
    "/backers",
    "backers:write",
    "pledges:import",
    status=201,
    notes=Notes(area="Pledges", reasons=("idempotency_key_reused",), example={"count": 2}),
    summary="Mint backers",
)
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


@writes(
    "/payment-methods",
    "pledges:import",
    status=201,
    notes=Notes(
        area="Pledges",
        reasons=("idempotency_key_reused",),
        example={"backer_id": SAMPLE_ID, "reference": "pm_4242"},
    ),
    summary="Keep a payment method",
)
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


async def require_own_method(platform: Platform, backer: str, method_id: str) -> None:
    """Raise Refused unless the backer has this payment method."""
    if (await platform.stores.methods.parties([method_id])).get(method_id) != backer:
        raise Refused("payment_method_unknown")
