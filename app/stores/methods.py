"""Payment methods: what a provider calls a backer's way to pay, under a random id of ours.

Events hold only our id. The reference is the provider's token: no card data ever comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Column, Engine, Index, Table, TextClause, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, new_id, packed, phrased

PAYMENT_METHODS: Final = Table(
    "payment_methods",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("replaced_by", Text),
    Column("card_mark", Text, nullable=False, server_default=""),
    Index("payment_methods_by_party", "party"),
    Index("payment_methods_by_card", "card_mark"),
    sqlite_strict=True,
)


_PARTIES: Final = phrased("""
    SELECT {pack} id, party {packed} FROM payment_methods
    WHERE id IN (SELECT value FROM {strings})""")
# Who replaces a method is its party, and a replacement is newer than what it replaces: each chain
# ends, with the method to charge.
_RESOLVE: Final = phrased("""
    WITH RECURSIVE chain (asked, id) AS (
        SELECT id, id FROM payment_methods WHERE id IN (SELECT value FROM {strings})
        UNION ALL
        SELECT chain.asked, replaced.replaced_by
        FROM chain JOIN payment_methods AS replaced ON replaced.id = chain.id
        WHERE replaced.replaced_by IS NOT NULL)
    SELECT {pack} chain.asked, last.id, last.party, last.provider, last.reference, last.created_at,
        last.card_mark {packed}
    FROM chain JOIN payment_methods AS last ON last.id = chain.id
    WHERE last.replaced_by IS NULL""")
_pairs: Final = msgspec.json.Decoder(list[tuple[str, str]])
_resolved: Final = msgspec.json.Decoder(list[tuple[str, str, str, str, str, int, str]])


ASKED_TOGETHER: Final = 100
"""Who asks for more ids than these has a query of their own."""


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
        self._turn = asyncio.Lock()
        self._asked: set[str] = set()
        self._next: asyncio.Task[dict[str, str]] | None = None

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
        """Return by each id whose method it is; unknown ids are left out.

        Who replaces a method is its party, so what it was replaced by need not be looked up. Of a
        busy server's single pledges each asks for one id: while one query is under way, the others
        wait and share the next.
        """
        wanted = set(method_ids)
        if len(wanted) > ASKED_TOGETHER:
            return await self._parties(wanted)
        self._asked |= wanted
        if self._next is None:
            self._next = asyncio.create_task(self._ask_next())
        found = await asyncio.shield(self._next)  # others wait for it, too
        return {method_id: found[method_id] for method_id in wanted if method_id in found}

    async def _ask_next(self) -> dict[str, str]:
        async with self._turn:
            asked, self._asked, self._next = self._asked, set(), None
            return await self._parties(asked)

    async def _parties(self, method_ids: set[str]) -> dict[str, str]:
        statement, values = _asked(_PARTIES, self._engine.dialect.name, method_ids)
        async with self._engine.connect() as connection:
            found = await connection.execute(statement, values)
            return dict(_pairs.decode(found.scalar_one()))

    async def resolve(self, method_ids: Iterable[str]) -> dict[str, PaymentMethod]:
        """Return by each id the method to charge now, in one query; unknown ids are left out."""
        statement, values = _asked(_RESOLVE, self._engine.dialect.name, method_ids)
        async with self._engine.connect() as connection:
            return _methods((await connection.execute(statement, values)).scalar_one())


def resolve_methods(engine: Engine, method_ids: Iterable[str]) -> dict[str, PaymentMethod]:
    """Do as `PaymentMethods.resolve`, for a process that runs in a thread."""
    statement, values = _asked(_RESOLVE, engine.dialect.name, method_ids)
    with engine.connect() as connection:
        return _methods(connection.execute(statement, values).scalar_one())


def _asked(
    statements: Mapping[str, TextClause], dialect: str, method_ids: Iterable[str]
) -> tuple[TextClause, dict[str, str]]:
    return statements[dialect], {"packed": packed(set(method_ids))}


def _methods(found: str) -> dict[str, PaymentMethod]:
    return {
        asked: PaymentMethod(
            id=method_id,
            party=party,
            provider=provider,
            reference=reference,
            created_at=created_at,
            card_mark=card_mark,
        )
        for asked, method_id, party, provider, reference, created_at, card_mark in _resolved.decode(
            found
        )
    }
