"""The test bank's double-entry books: which accounts a movement touches, and whether all adds up.

Every line of the statement carries its whole entry, one column per account, and the table refuses
a line whose columns do not sum to zero. An amount is positive where the account's owner has more
afterwards.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple, assert_never

import msgspec

from app.payments.port import LineKind


class Entry(NamedTuple):
    """What one movement does to each account; sums to zero.

    `card_holders` and `outside` (other banks) are where money comes from and goes to; `clearing` is
    what the bank owes the merchant, `disputed` what it keeps back until a dispute is decided,
    `bank_fees` what it has earned.
    """

    card_holders: int = 0
    outside: int = 0
    clearing: int = 0
    disputed: int = 0
    bank_fees: int = 0


class BooksBroken(Exception):  # noqa: N818 - a finding, not a failure of the check
    """The bank's books contradict themselves. The message names the first contradiction."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the statement says of one currency, in minor units.

    `disputed_minor` is what is kept back by open disputes; `clearing_minor` the merchant's balance.
    """

    currency: str
    collected_minor: int
    fees_minor: int
    refunded_minor: int
    paid_out_minor: int
    pay_outs_returned_minor: int
    transferred_in_minor: int
    disputed_minor: int
    dispute_lost_minor: int
    dispute_fees_minor: int
    clearing_minor: int


def entry(kind: LineKind, amount_minor: int, fee_minor: int) -> Entry:
    """The double entry of one movement."""
    a, f = amount_minor, fee_minor
    match kind:
        case "collected":
            return Entry(card_holders=-a, clearing=a - f, bank_fees=f)
        case "refunded":
            return Entry(clearing=-a, card_holders=a)
        case "paid_out":
            return Entry(clearing=-a, outside=a)
        case "pay_out_returned" | "transferred_in":
            return Entry(outside=-a, clearing=a)
        case "dispute_opened":
            return Entry(clearing=-a, disputed=a)
        case "dispute_won":
            return Entry(disputed=-a, clearing=a)
        case "dispute_lost":
            return Entry(disputed=-a, card_holders=a, clearing=-f, bank_fees=f)
        case _:
            assert_never(kind)


def totals(connection: sqlite3.Connection, up_to: int) -> dict[str, Totals]:
    """The statement's totals by currency, over the lines up to and including number `up_to`."""
    sums: dict[str, dict[str, tuple[int, int]]] = {}
    for currency, kind, amount, fee in connection.execute(
        "SELECT currency, kind, sum(amount_minor), sum(fee_minor) FROM line "
        "WHERE no <= ? GROUP BY currency, kind",
        (up_to,),
    ):
        sums.setdefault(currency, {})[kind] = (amount, fee)
    return {currency: _totals(currency, by_kind) for currency, by_kind in sorted(sums.items())}


def _totals(currency: str, by_kind: dict[str, tuple[int, int]]) -> Totals:
    def of(kind: LineKind) -> tuple[int, int]:
        return by_kind.get(kind, (0, 0))

    collected, fees = of("collected")
    refunded, _ = of("refunded")
    paid_out, _ = of("paid_out")
    returned, _ = of("pay_out_returned")
    transferred_in, _ = of("transferred_in")
    opened, _ = of("dispute_opened")
    won, _ = of("dispute_won")
    lost, dispute_fees = of("dispute_lost")
    return Totals(
        currency=currency,
        collected_minor=collected,
        fees_minor=fees,
        refunded_minor=refunded,
        paid_out_minor=paid_out,
        pay_outs_returned_minor=returned,
        transferred_in_minor=transferred_in,
        disputed_minor=opened - won - lost,
        dispute_lost_minor=lost,
        dispute_fees_minor=dispute_fees,
        clearing_minor=collected - fees - refunded - paid_out + returned + transferred_in
        - opened + won - dispute_fees,
    )  # fmt: skip


_OF_AN_OPERATION = "('collected', 'refunded', 'paid_out', 'transferred_in')"
_RETURNED = (
    "coalesce((SELECT sum(r.amount_minor) FROM operation r WHERE r.subject = c.key "
    "AND r.kind = 'refund' AND r.state IN ('succeeded', 'pending')), 0) + "
    "coalesce((SELECT sum(d.amount_minor) FROM dispute d WHERE d.operation = c.no "
    "AND d.state <> 'won'), 0)"
)

_CONTRADICTIONS: tuple[tuple[str, str], ...] = (
    (
        "an entry does not sum to zero",
        "SELECT no FROM line WHERE card_holders + outside + clearing + disputed + bank_fees <> 0",
    ),
    (
        "the lines are not numbered from 1 without a gap",
        "SELECT min(no), max(no), count(*) FROM line HAVING min(no) <> 1 OR max(no) <> count(*)",
    ),
    (
        "an operation succeeded without its line, or has a line it should not have",
        (
            "SELECT o.key, o.state, count(l.no) FROM operation o LEFT JOIN line l "  # noqa: S608 - ours
            f"ON l.operation = o.no AND l.kind IN {_OF_AN_OPERATION} "
            "GROUP BY o.no HAVING count(l.no) <> (o.state = 'succeeded')"
        ),
    ),
    (
        "an operation's line has another amount, fee or currency",
        (
            "SELECT o.key FROM operation o JOIN line l ON l.operation = o.no "  # noqa: S608 - ours
            f"WHERE l.kind IN {_OF_AN_OPERATION} AND (l.amount_minor, l.fee_minor, l.currency) "
            "<> (o.amount_minor, o.fee_minor, o.currency)"
        ),
    ),
    (
        "what went back of a collect is not what its refunds and disputes say",
        (
            "SELECT c.key, c.amount_minor, c.returned_minor FROM operation c "  # noqa: S608 - ours
            f"WHERE c.kind = 'collect' AND c.returned_minor <> {_RETURNED}"
        ),
    ),
    (
        "more went back than was collected",
        (
            "SELECT key, amount_minor, returned_minor FROM operation "
            "WHERE returned_minor > 0 AND (kind <> 'collect' OR state <> 'succeeded' "
            "OR returned_minor > amount_minor)"
        ),
    ),
)


def check_books(connection: sqlite3.Connection) -> None:
    """Raise BooksBroken unless every entry, line, operation and total agrees with the others."""
    for what, query in _CONTRADICTIONS:
        found = connection.execute(query).fetchone()
        if found is not None:
            raise BooksBroken(f"{what}: {found}")
    (last,) = connection.execute("SELECT coalesce(max(no), 0) FROM line").fetchone()
    expected = totals(connection, last)
    for currency, *sums in connection.execute(
        "SELECT currency, sum(card_holders), sum(outside), sum(clearing), sum(disputed), "
        "sum(bank_fees) FROM line GROUP BY currency"
    ):
        balance, said = Entry(*sums), expected[currency]
        if sum(balance) != 0:
            raise BooksBroken(f"the books of {currency} do not sum to zero: {balance}")
        kept = (balance.clearing, balance.disputed, balance.bank_fees)
        if kept != (
            said.clearing_minor,
            said.disputed_minor,
            said.fees_minor + said.dispute_fees_minor,
        ):
            raise BooksBroken(f"the books of {currency} and the statement differ: {balance} {said}")
