"""Checkouts: what a backer chose, while they are at the bank."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.checkouts import Checkout, Checkouts, CheckoutTakenError
from app.stores.methods import PaymentMethods
from domain.terms import Choice

CHECKOUT = Checkout(
    id="pledge-1",
    pledge_id="pledge-1",
    campaign_id="campaign",
    backer="alice",
    amount_minor=500,
    currency="CNY",
    choices=(Choice("poster", 2),),
    destination="CN",
    hold_id="",
    session="visit-1",
    url="/bank/visit-1",
)


async def test_it_is_kept_for_its_backer(engine: AsyncEngine) -> None:
    """The backer finds it as it was; nobody else finds it at all."""
    checkouts = Checkouts(engine)
    await checkouts.save(CHECKOUT, at=1)
    assert await checkouts.get("pledge-1", party="alice") == CHECKOUT
    assert await checkouts.get("pledge-1", party="bob") is None
    assert await checkouts.get("pledge-2", party="alice") is None


async def test_the_backer_may_choose_again(engine: AsyncEngine) -> None:
    """Until a method was given a later choice replaces the first; another party's never does."""
    checkouts = Checkouts(engine)
    await checkouts.save(CHECKOUT, at=1)
    changed = msgspec.structs.replace(CHECKOUT, amount_minor=900, session="visit-2")
    await checkouts.save(changed, at=2)
    assert await checkouts.get("pledge-1", party="alice") == changed
    with pytest.raises(CheckoutTakenError):
        await checkouts.save(msgspec.structs.replace(CHECKOUT, backer="bob"), at=3)
    await checkouts.give_method(changed, provider="test_bank", reference="card", at=4)
    with pytest.raises(CheckoutTakenError):
        await checkouts.save(CHECKOUT, at=5)


async def test_one_method_however_often_one_comes_back(engine: AsyncEngine) -> None:
    """The first method counts, belongs to the backer, and is told with the checkout."""
    checkouts, methods = Checkouts(engine), PaymentMethods(engine)
    await checkouts.save(CHECKOUT, at=1)
    first = await checkouts.give_method(CHECKOUT, provider="test_bank", reference="one", at=2)
    again = await checkouts.give_method(CHECKOUT, provider="test_bank", reference="two", at=3)
    assert first == again
    kept = (await methods.resolve([first]))[first]
    assert (kept.party, kept.provider, kept.reference) == ("alice", "test_bank", "one")
    found = await checkouts.get("pledge-1", party="alice")
    assert found is not None
    assert found.method == first
