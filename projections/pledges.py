"""One row per pledge: what was promised, where its money is. What all other views lean on.

Beside it lie what a later fact about a pledge must remember: campaigns, refunds, disputes,
payouts and each pledge's share of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, Table, UniqueConstraint, func, literal, select

from domain.state import Status
from domain.terms import Line
from projections.facts import MAX_NO
from projections.rows import Shape, as_json, table

VERSION: Final = 2
"""Raise it with every change of these tables or of what is written into them."""

LEFT: Final = frozenset((Status.WITHDRAWN, Status.DROPPED, Status.RELEASED))
"""Pledges that are not counted in *pledged* any more."""

NO_LINES: Final = "[]"

SEGMENT_BITS: Final = 17
"""Bits of a position within its segment of the look-ups by id: 131,072 events."""

Kind = Literal[
    "pledged",
    "revised",
    "withdrawn",
    "dropped",
    "released",
    "charged",
    "fees",
    "fees_reversed",
    "paid",
    "paid_back",
    "refunded",
    "dispute_lost",
    "owed_by_creator",
]
"""What a line of a backer's statement says. The lines up to `released` sum to what is pledged,
those from `charged` on to what is held of it."""


class CampaignRow(Struct, array_like=True, gc=False):
    """What views call a campaign (`key`), and the terms by which its fees are counted.

    `charging` is 1 while success is certain: what is collected then bears its fees at once.
    """

    key: int
    campaign_id: str
    channel: str
    creator: str
    currency: str
    platform_fee_bps: int
    processing_fee_bps: int
    charging: int = 0


class PledgeRow(Struct, array_like=True, gc=False):
    """A pledge as it stands; amounts in minor units, times ms UTC, 0 for "not yet".

    The words are those of `domain.state.Pledge` and `Funds`. `position` is where it was made,
    `changed_position` where it last changed. `lines` is JSON.
    """

    key: int
    campaign: int
    no: int
    position: int
    pledge_id: str
    backer: str
    status: str
    amount_minor: int
    made_minor: int
    lines: str
    destination: str
    visibility: str
    made_at: int
    changed_position: int
    claims_stock: int = 1
    attempt: int = 0
    decline_code: str = ""
    sent: int = 0
    received: int = 0
    charged_minor: int = 0
    charged_at: int = 0
    fees_charged: int = 0
    platform_fee_minor: int = 0
    processing_fee_minor: int = 0
    platform_reversed_minor: int = 0
    processing_reversed_minor: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    lost_minor: int = 0
    drawn_minor: int = 0
    pending_minor: int = 0
    pending_platform_minor: int = 0
    pending_processing_minor: int = 0
    disputed_minor: int = 0
    set_aside_minor: int = 0

    @property
    def fees_minor(self) -> int:
        """Fees charged and not reversed."""
        charged = self.platform_fee_minor + self.processing_fee_minor
        return charged - self.platform_reversed_minor - self.processing_reversed_minor

    @property
    def held_minor(self) -> int:
        """What of this pledge is still held for the campaign (rule 6)."""
        return self.charged_minor - self.fees_minor - self.paid_minor - self.drawn_minor

    @property
    def available_minor(self) -> int:
        """The part of it that nothing else has a claim on."""
        return self.held_minor - self.set_aside_minor

    @property
    def returned_minor(self) -> int:
        """Refunds sent and disputes lost."""
        return self.refunded_minor + self.lost_minor

    @property
    def all_returned(self) -> bool:
        """Whether everything that was charged has gone back."""
        return 0 < self.charged_minor <= self.returned_minor

    @property
    def state(self) -> str:
        """Its state in the words of the rule book, as `domain.returning.display_state` tells it."""
        if not self.charged_minor:
            return self.status
        if self.disputed_minor:
            return "disputed"
        if self.pending_minor:
            return "refund_requested"
        if self.all_returned:
            return "refunded"
        return "partly_refunded" if self.refunded_minor else "collected"

    @property
    def to_deliver(self) -> bool:
        """Whether the creator has still to send its rewards."""
        owed = self.status == Status.COLLECTED and self.lines != NO_LINES
        return owed and not self.sent and not self.all_returned


class Standing(Struct, frozen=True, gc=False):
    """What other views count of a pledge. They add what it is and take away what it was."""

    state: str
    amount_minor: int
    charged_minor: int
    counted: bool
    claims_stock: int
    lines: str
    to_deliver: bool


def standing(row: PledgeRow) -> Standing:
    """How a pledge stands now."""
    status, amount_minor, charged_minor = row.status, row.amount_minor, row.charged_minor
    claims, lines = row.claims_stock, row.lines
    if not charged_minor:  # by far the most often asked
        counted, nothing_to_send = status not in LEFT, False
        return Standing(status, amount_minor, 0, counted, claims, lines, nothing_to_send)
    return Standing(
        row.state, amount_minor, charged_minor, status not in LEFT, claims, lines, row.to_deliver
    )


class RefundRow(Struct, array_like=True, gc=False):
    """A refund; state is requested, sent or failed. `by` asked for it."""

    pledge: int
    refund_id: str
    position: int
    at: int
    by: str
    cause: str
    amount_minor: int
    from_held_minor: int
    platform_fee_minor: int
    processing_fee_minor: int
    receivable_minor: int
    state: str = "requested"
    ended_at: int = 0
    code: str = ""

    @property
    def no(self) -> int:
        """The pledge's number in its campaign."""
        return self.pledge & MAX_NO


class DisputeRow(Struct, array_like=True, gc=False):
    """A chargeback; state is open, won or lost."""

    pledge: int
    dispute_id: str
    position: int
    at: int
    amount_minor: int
    set_aside_minor: int
    state: str = "open"
    ended_at: int = 0
    fee_minor: int = 0

    @property
    def no(self) -> int:
        """The pledge's number in its campaign."""
        return self.pledge & MAX_NO


class PayoutRow(Struct, array_like=True, gc=False):
    """A payout; state is requested, refused, approved, sent, failed or returned.

    `position` is where it was requested, `approved_position` where its shares were fixed.
    """

    campaign: int
    payout_id: str
    position: int
    at: int
    by: str
    account_id: str
    milestone_id: str
    numerator: int
    denominator: int
    from_no: int
    to_no: int
    state: str = "requested"
    decided_at: int = 0
    decided_by: str = ""
    approved_position: int = 0
    amount_minor: int = 0
    debt_minor: int = 0
    ended_at: int = 0
    code: str = ""


class ShareRow(Struct, array_like=True, gc=False):
    """What a payout took of a pledge, so that exactly this can be given back."""

    payout: int
    pledge: int
    amount_minor: int


class FoundRow(Struct, array_like=True, gc=False):
    """Where to find a pledge by a random id: the id's first 32 bits, and the pledge's key.

    An index on the ids themselves is three times as large, and as it is written row by row, five
    times as slow. Whoever looks compares the whole id, so bits in common mislead nobody.

    `segment` is the stretch of the log in which the pledge was made. Random ids go all over a
    table, and a table of millions of rows would have a page written for nearly each of them. So
    only the last segment is written to, which is small, and whoever looks asks every segment.
    """

    segment: int
    bits: int
    pledge: int


CAMPAIGNS: Final = Shape("campaigns", CampaignRow, ["key"], UniqueConstraint("campaign_id"))
PLEDGES: Final = Shape("pledges", PledgeRow, ["key"])
REFUNDS: Final = Shape("refunds", RefundRow, ["pledge", "refund_id"])
DISPUTES: Final = Shape("disputes", DisputeRow, ["pledge", "dispute_id"])
PAYOUTS: Final = Shape("payouts", PayoutRow, ["campaign", "payout_id"])
SHARES: Final = table("payout_shares", ShareRow, ["payout", "pledge"])
BY_BACKER: Final = table("pledges_by_backer", FoundRow, ["segment", "bits", "pledge"])
BY_ID: Final = table("pledges_by_id", FoundRow, ["segment", "bits", "pledge"])

TABLES: Final = (
    CAMPAIGNS.table,
    PLEDGES.table,
    REFUNDS.table,
    DISPUTES.table,
    PAYOUTS.table,
    SHARES,
    BY_BACKER,
    BY_ID,
)


def bits_of(random_id: str) -> int:
    """The first 32 bits of a UUID."""
    return int(random_id[:8], 16)


def found_by(ids: Table, wanted: Iterable[str]) -> Select[tuple[int]]:
    """Keys of the pledges that one of these ids may lead to, in `BY_BACKER` or `BY_ID`."""
    last = select(func.max(ids.c.segment)).scalar_subquery()
    segments = select(literal(0).label("number")).cte("segments", recursive=True)
    number = segments.c.number
    segments = segments.union_all(select(number + 1).where(number < last))
    return select(ids.c.pledge).where(
        ids.c.segment.in_(select(segments.c.number)),
        ids.c.bits.in_([bits_of(each) for each in wanted]),
    )


def campaign_keys(conn: Connection, streams: Iterable[str]) -> dict[str, int]:
    """The keys of campaigns by their streams. Raises KeyError for one never submitted."""
    ids = {stream.removeprefix("campaign:"): stream for stream in streams}
    if not ids:
        return {}
    found = dict(_key_pairs.decode(conn.exec_driver_sql(_KEYS, (as_json(list(ids)),)).scalar_one()))
    return {stream: found[campaign_id] for campaign_id, stream in ids.items()}


_KEYS: Final = """
    SELECT json_group_array(json_array(campaign_id, key)) FROM campaigns
    WHERE campaign_id IN (SELECT value FROM json_each(?))"""
_key_pairs: Final = msgspec.json.Decoder(list[tuple[str, int]])
_lines: Final = msgspec.json.Decoder(tuple[Line, ...])


@lru_cache(maxsize=4096)
def lines_of(lines: str) -> tuple[Line, ...]:
    """The rewards that a row's `lines` names."""
    return _lines.decode(lines)
