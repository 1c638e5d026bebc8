from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.stores.database import open_people_sync
from app.stores.methods import (
    PaymentMethod,
    PaymentMethods,
    UnknownPaymentMethodError,
    resolve_methods,
)


async def test_a_method_is_found_by_our_id(engine: AsyncEngine) -> None:
    """Our random id leads to the provider's own reference; unknown ids are left out."""
    methods = PaymentMethods(engine)
    method = await methods.add(party="b-1", provider="test_bank", reference="pm_1", at=5)
    assert await methods.resolve([method, "unknown"]) == {
        method: PaymentMethod(
            id=method, party="b-1", provider="test_bank", reference="pm_1", created_at=5
        )
    }


async def test_an_old_id_leads_to_the_newest_method(engine: AsyncEngine) -> None:
    """After two replacements each of the three ids gives the last method."""
    methods = PaymentMethods(engine)
    first = await methods.add(party="b-1", provider="test_bank", reference="pm_1", at=5)
    second = await methods.replace(first, party="b-1", provider="test_bank", reference="pm_2", at=6)
    third = await methods.replace(second, party="b-1", provider="test_bank", reference="pm_3", at=7)
    resolved = await methods.resolve([first, second, third])
    assert {asked: method.reference for asked, method in resolved.items()} == {
        first: "pm_3",
        second: "pm_3",
        third: "pm_3",
    }
    assert await methods.resolve([first]) == {first: resolved[third]}


async def test_only_its_owner_replaces_a_method_and_once(engine: AsyncEngine) -> None:
    """Another party's, a replaced and an unknown method are refused, and nothing is kept."""
    methods = PaymentMethods(engine)
    first = await methods.add(party="b-1", provider="test_bank", reference="pm_1", at=5)
    with pytest.raises(UnknownPaymentMethodError):
        await methods.replace(first, party="b-2", provider="test_bank", reference="pm_2", at=6)
    assert (await methods.resolve([first]))[first].reference == "pm_1"
    await methods.replace(first, party="b-1", provider="test_bank", reference="pm_3", at=7)
    for method in (first, "unknown"):
        with pytest.raises(UnknownPaymentMethodError):
            await methods.replace(method, party="b-1", provider="test_bank", reference="pm_4", at=8)
    assert (await methods.resolve([first]))[first].reference == "pm_3"


async def test_a_thread_reads_in_bulk(engine: AsyncEngine, settings: Settings) -> None:
    """The synchronous reading gives the same, for more ids than fit one query."""
    methods = PaymentMethods(engine)
    ids = [
        await methods.add(party=f"b-{n}", provider="test_bank", reference=f"pm_{n}", at=5)
        for n in range(3)
    ]
    engine_sync = open_people_sync(settings)
    try:
        found = resolve_methods(engine_sync, [*ids, *(f"unknown-{n}" for n in range(1200))])
    finally:
        engine_sync.dispose()
    assert found == await methods.resolve(ids)
