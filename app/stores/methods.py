"""Payment methods: what a provider calls a backer's way to pay, under a random id of ours.

Events hold only our id. The reference is the provider's token: no card data ever comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, in_parts, new_id

PAYMENT_METHODS: Final = Table(
    "payment_methods",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("replaced_by", Text),
    Column("card_mark", Text, nullable=False, server_default=""),
    Index("payment_methods_by_party", "party"),
    Index("payment_methods_by_card", "card_mark"),
    sqlite_strict=True,
)


# One row with all of them: each row of a batch's thousands would cost as much as its pledge.
_PARTIES: Final = """
    SELECT json_group_array(json_array(id, party)) FROM payment_methods
    WHERE id IN (SELECT value FROM json_each(?))"""
_pairs: Final = msgspec.json.Decoder(list[tuple[str, str]])


class UnknownPaymentMethodError(LookupError):
    """No such payment method of this party, or it was replaced before."""


class PaymentMethod(Struct, frozen=True, kw_only=True):
    """A backer's way to pay. `reference` means something to `provider` only.

    `card_mark` is equal for the same card and leads to nothing else; empty where it is not known.
    """

    id: str
    party: str
    provider: str
    reference: str
    created_at: int
    replaced_by: str | None = None
    card_mark: str = ""


class PaymentMethods:
    """The payment methods of all backers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, *, party: str, provider: str, reference: str, at: int, card_mark: str = ""
    ) -> str:
        """Keep a payment method, and return the id under which events may name it."""
        method = PaymentMethod(
            id=new_id(),
            party=party,
            provider=provider,
            reference=reference,
            created_at=at,
            card_mark=card_mark,
        )
        async with self._engine.begin() as connection:
            await connection.execute(insert(PAYMENT_METHODS), msgspec.structs.asdict(method))
        return method.id

    async def add_many(
        self, references: Sequence[tuple[str, str]], *, provider: str, at: int
    ) -> list[str]:
        """Keep payment methods of (party, reference), and return their ids in the same order."""
        methods = [
            PaymentMethod(
                id=new_id(), party=party, provider=provider, reference=reference, created_at=at
            )
            for party, reference in references
        ]
        if methods:
            async with self._engine.begin() as connection:
                rows = [msgspec.structs.asdict(method) for method in methods]
                await connection.execute(insert(PAYMENT_METHODS), rows)
        return [method.id for method in methods]

    async def replace(
        self, method_id: str, *, party: str, provider: str, reference: str, at: int
    ) -> str:
        """Put another method in the place of one of this party's, and return the new id.

        From now on `resolve` of the old id gives the new method. Raises
        UnknownPaymentMethodError.
        """
        method = PaymentMethod(
            id=new_id(), party=party, provider=provider, reference=reference, created_at=at
        )
        async with self._engine.begin() as connection:
            replaced = await connection.execute(
                update(PAYMENT_METHODS)
                .where(
                    PAYMENT_METHODS.c.id == method_id,
                    PAYMENT_METHODS.c.party == party,
                    PAYMENT_METHODS.c.replaced_by.is_(None),
                )
                .values(replaced_by=method.id)
            )
            if replaced.rowcount != 1:
                raise UnknownPaymentMethodError(method_id)
            await connection.execute(insert(PAYMENT_METHODS), msgspec.structs.asdict(method))
        return method.id

    async def parties_with(self, card_mark: str) -> frozenset[str]:
        """Everybody who has given this card; nobody for a card that is not known."""
        if not card_mark:
            return frozenset()
        query = select(PAYMENT_METHODS.c.party).where(PAYMENT_METHODS.c.card_mark == card_mark)
        async with self._engine.connect() as connection:
            return frozenset((await connection.execute(query.distinct())).scalars())

    async def parties(self, method_ids: Iterable[str]) -> dict[str, str]:
        """Return by each id whose method it is, in one query; unknown ids are left out.

        Who replaces a method is its party, so what it was replaced by need not be looked up.
        """
        wanted = msgspec.json.encode(list(set(method_ids))).decode()
        async with self._engine.connect() as connection:
            found = await connection.exec_driver_sql(_PARTIES, (wanted,))
            return dict(_pairs.decode(found.scalar_one()))

    async def resolve(self, method_ids: Iterable[str]) -> dict[str, PaymentMethod]:
        """Return by each id the method to charge now; unknown ids are left out."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(_resolve, set(method_ids))


def resolve_methods(engine: Engine, method_ids: Iterable[str]) -> dict[str, PaymentMethod]:
    """Do as `PaymentMethods.resolve`, for a process that runs in a thread."""
    with engine.connect() as connection:
        return _resolve(connection, set(method_ids))


def _resolve(connection: Connection, method_ids: set[str]) -> dict[str, PaymentMethod]:
    known = _read(connection, method_ids)
    # A replacement is always newer than what it replaces, so each chain ends.
    while missing := {m.replaced_by for m in known.values() if m.replaced_by} - known.keys():
        known |= _read(connection, missing)
    return {
        method_id: _last(known, known[method_id]) for method_id in method_ids if method_id in known
    }


def _read(connection: Connection, method_ids: set[str]) -> dict[str, PaymentMethod]:
    found = {}
    for part in in_parts(sorted(method_ids)):
        query = select(PAYMENT_METHODS).where(PAYMENT_METHODS.c.id.in_(part))
        for row in connection.execute(query):
            found[row.id] = PaymentMethod(**row._asdict())
    return found


def _last(known: dict[str, PaymentMethod], method: PaymentMethod) -> PaymentMethod:
    while method.replaced_by is not None:
        method = known[method.replaced_by]
    return method
