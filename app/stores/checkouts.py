"""Checkouts: what a backer chose, kept while they are on the provider's payment page.

The log knows nothing of a checkout: it learns of the pledge when the backer comes back with a
payment method. A checkout that leads to a pledge has the pledge's id for its own.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Column, LargeBinary, RowMapping, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.methods import PAYMENT_METHODS, PaymentMethod
from app.stores.rows import METADATA, Number, Text, new_id, one_row, upsert
from domain.events import Visibility
from domain.terms import Choice

CHECKOUTS: Final = Table(
    "checkouts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("method", Text),
    sqlite_strict=True,
)


class Checkout(Struct, frozen=True, kw_only=True):
    """What will be pledged, and the visit to the payment page (`session`, `url`) in between.

    `amount_minor` is in minor units. `method` is the id of the payment method once one was given.
    With `replaces` the backer is giving another method for a pledge that stands. `hold_until` is
    when the hold on limited rewards runs out (ms UTC), `mail_mark` and `address_mark` stand for who
    is paying and from where, and `shown_as` is the name that the names list may show. `confirmed`:
    the backer proved their mail address for it.
    """

    id: str
    pledge_id: str
    campaign_id: str
    backer: str
    amount_minor: int
    currency: str
    choices: tuple[Choice, ...]
    destination: str
    hold_id: str
    session: str
    url: str
    replaces: bool = False
    visibility: Visibility = "hidden"
    shown_as: str = ""
    hold_until: int = 0
    mail_mark: str = ""
    address_mark: str = ""
    confirmed: bool = False
    method: str = ""


class CheckoutTakenError(Exception):
    """Another party's checkout, or one that has its payment method, has this id."""


class Checkouts:
    """The checkouts under way."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, checkout: Checkout, *, at: int) -> None:
        """Keep a checkout, or replace the same backer's earlier one of this id.

        Raises CheckoutTakenError.
        """
        row = {
            "id": checkout.id,
            "party": checkout.backer,
            "body": msgspec.json.encode(checkout),
            "created_at": at,
        }
        statement = upsert(CHECKOUTS).values(row)
        mine = (CHECKOUTS.c.party == checkout.backer) & CHECKOUTS.c.method.is_(None)
        async with self._engine.begin() as connection:
            saved = await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["id"], set_=row, where=mine
                ).returning(CHECKOUTS.c.id)
            )
            if saved.one_or_none() is None:
                raise CheckoutTakenError(checkout.id)

    async def get(self, checkout_id: str, *, party: str) -> Checkout | None:
        """Return a party's checkout; None where it has none of this id."""
        query = select(CHECKOUTS.c.body, CHECKOUTS.c.method).where(
            CHECKOUTS.c.id == checkout_id, CHECKOUTS.c.party == party
        )
        row = await one_row(self._engine, query)
        return None if row is None else _read(row)

    async def by_id(self, checkout_id: str) -> Checkout | None:
        """Return anybody's checkout, for the provider's page, which knows no party of ours."""
        query = select(CHECKOUTS.c.body, CHECKOUTS.c.method).where(CHECKOUTS.c.id == checkout_id)
        row = await one_row(self._engine, query)
        return None if row is None else _read(row)

    async def give_method(
        self, checkout: Checkout, *, provider: str, reference: str, at: int, card_mark: str = ""
    ) -> str:
        """Keep the provider's payment method for a checkout, and return our id of it.

        Coming back twice keeps one method: the first.
        """
        method = PaymentMethod(
            id=new_id(),
            party=checkout.backer,
            provider=provider,
            reference=reference,
            created_at=at,
            card_mark=card_mark,
        )
        this = CHECKOUTS.c.id == checkout.id
        async with self._engine.begin() as connection:
            given = await connection.execute(
                update(CHECKOUTS).where(this, CHECKOUTS.c.method.is_(None)).values(method=method.id)
            )
            if given.rowcount == 1:
                await connection.execute(insert(PAYMENT_METHODS), msgspec.structs.asdict(method))
                return method.id
            row = await one_row(connection, select(CHECKOUTS.c.method).where(this))
        assert row is not None, "a checkout that was read is never deleted"
        return str(row["method"])


def _read(row: RowMapping) -> Checkout:
    checkout = msgspec.json.decode(row["body"], type=Checkout)
    return msgspec.structs.replace(checkout, method=row["method"] or "")
