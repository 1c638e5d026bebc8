"""Each backer's statement: every pledge, and line by line what became of its money.

The first line of a statement, the promise itself, is told by the pledge's own row; lines are
written for what follows. Those from `charged` on sum to what is held of the pledge (rule 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import is_id
from projections.facts import MAX_NO, Fact, pledge_key
from projections.new_pledges import Together
from projections.pledge_book import PledgeBook
from projections.pledges import (
    BY_BACKER,
    BY_ID,
    CAMPAIGNS,
    LEFT,
    PLEDGES,
    Kind,
    PledgeRow,
    found_by,
)
from projections.rows import append_to, table

MOST_LINES: Final = 20_000
"""Lines kept in memory, beyond which they are written at once."""

PROMISES: Final = frozenset(("pledged", "revised", "withdrawn", "dropped", "released"))
"""Kinds of lines about the promise; all others are about money."""


class LineRow(Struct, array_like=True, gc=False):
    """A line of a statement: the `line`-th that the fact at `position` adds to this pledge."""

    pledge: int
    position: int
    line: int
    at: int
    kind: str
    amount_minor: int


LINES: Final = table("ledger_lines", LineRow, ["pledge", "position", "line"])

_append: Final = append_to(LINES)


class BackerLedger:
    """The projection."""

    name: Final = "backer_ledger"
    version: Final = 1
    tables: Final = (LINES,)

    def begin(self, conn: Connection, book: PledgeBook) -> LedgerFold:
        """Begin a batch."""
        return LedgerFold(conn, book)


class LedgerFold:
    """The lines that a batch adds to statements."""

    def __init__(self, conn: Connection, book: PledgeBook) -> None:
        self._conn = conn
        self._lines: list[tuple[int, int, int, int, str, int]] = []
        book.money_moved.append(self._moved)

    def _moved(self, row: PledgeRow, fact: Fact, lines: tuple[tuple[Kind, int], ...]) -> None:
        at = fact.event.at
        for number, (kind, amount_minor) in enumerate(lines):
            self._lines.append((row.key, fact.position, number, at, kind, amount_minor))
        if len(self._lines) > MOST_LINES:
            self.write()

    def fold(self, _facts: Sequence[Fact], _made: Iterable[Together]) -> None:
        """Everything is told by the book of pledges."""

    def write(self) -> None:
        """Write the lines."""
        _append.write(self._conn, sorted(self._lines))
        self._lines.clear()


# --- Reading -------------------------------------------------------------------------------------


class PledgeLine(Struct, frozen=True):
    """A pledge as its backer sees it; amounts in minor units.

    charged = held + paid + fees + what went back of it, less what the creator owes for it.
    `position` is where it was made, `changed_position` where it last changed. `standing`: it
    counts as pledged, for it was not withdrawn, dropped or released.
    """

    campaign_id: str
    no: int
    pledge_id: str
    backer: str
    state: str
    standing: bool
    currency: str
    amount_minor: int
    charged_minor: int
    refunded_minor: int
    lost_minor: int
    fees_minor: int
    paid_minor: int
    held_minor: int
    set_aside_minor: int
    lines: str
    destination: str
    visibility: str
    decline_code: str
    sent: bool
    received: bool
    made_at: int
    charged_at: int | None
    position: int
    changed_position: int


class StatementLine(Struct, frozen=True):
    """A line of a pledge's statement, with what it leaves pledged and held."""

    position: int
    at: int
    kind: str
    amount_minor: int
    pledged_minor: int
    held_minor: int


def _pledges() -> Select[Any]:
    joined = PLEDGES.table.join(CAMPAIGNS.table, CAMPAIGNS.table.c.key == PLEDGES.table.c.campaign)
    columns = (CAMPAIGNS.table.c.campaign_id, CAMPAIGNS.table.c.currency, *PLEDGES.table.c)
    return select(*columns).select_from(joined)


def _line(found: Sequence[Any]) -> PledgeLine:
    campaign_id, currency = found[:2]
    row = PledgeRow(*found[2:])
    return PledgeLine(
        campaign_id=campaign_id,
        no=row.no,
        pledge_id=row.pledge_id,
        backer=row.backer,
        state=row.state,
        standing=row.status not in LEFT,
        currency=currency,
        amount_minor=row.amount_minor,
        charged_minor=row.charged_minor,
        refunded_minor=row.refunded_minor,
        lost_minor=row.lost_minor,
        fees_minor=row.fees_minor,
        paid_minor=row.paid_minor,
        held_minor=row.held_minor,
        set_aside_minor=row.set_aside_minor,
        lines=row.lines,
        destination=row.destination,
        visibility=row.visibility,
        decline_code=row.decline_code,
        sent=bool(row.sent),
        received=bool(row.received),
        made_at=row.made_at,
        charged_at=row.charged_at or None,
        position=row.position,
        changed_position=row.changed_position,
    )


async def pledges_of(
    conn: AsyncConnection, backer: str, limit: int = 1000, offset: int = 0
) -> list[PledgeLine]:
    """A backer's pledges over all campaigns, the newest first."""
    if not is_id(backer):
        return []
    pledges = PLEDGES.table.c
    mine = found_by(BY_BACKER, [backer])
    wanted = _pledges().where(pledges.key.in_(mine), pledges.backer == backer)
    newest = wanted.order_by(pledges.position.desc()).limit(limit).offset(offset)
    return [_line(found) for found in await conn.execute(newest)]


async def pledge(conn: AsyncConnection, campaign_id: str, no: int) -> PledgeLine | None:
    """A campaign's pledge by its number."""
    key = await _key(conn, campaign_id, no)
    if key is None:
        return None
    found = (await conn.execute(_pledges().where(PLEDGES.table.c.key == key))).first()
    return None if found is None else _line(found)


async def pledge_by_id(
    conn: AsyncConnection, campaign_id: str, pledge_id: str
) -> PledgeLine | None:
    """A campaign's pledge by the id that its client made."""
    if not is_id(pledge_id):
        return None
    candidates = found_by(BY_ID, [pledge_id])
    wanted = _pledges().where(
        PLEDGES.table.c.key.in_(candidates),
        PLEDGES.table.c.pledge_id == pledge_id,
        CAMPAIGNS.table.c.campaign_id == campaign_id,
    )
    found = (await conn.execute(wanted)).first()
    return None if found is None else _line(found)


async def statement(conn: AsyncConnection, campaign_id: str, no: int) -> list[StatementLine]:
    """What became of a pledge, line by line; empty where there is none.

    Each line says what it leaves pledged and held, so that a reader can add it up.
    """
    key = await _key(conn, campaign_id, no)
    if key is None:
        return []
    pledges = PLEDGES.table.c
    made = select(pledges.position, pledges.made_at, pledges.made_minor)
    first = (await conn.execute(made.where(pledges.key == key))).first()
    if first is None:
        return []
    columns = LINES.c.position, LINES.c.at, LINES.c.kind, LINES.c.amount_minor
    ordered = select(*columns).where(LINES.c.pledge == key)
    later = await conn.execute(ordered.order_by(LINES.c.position, LINES.c.line))
    said: list[StatementLine] = []
    pledged_minor = held_minor = 0
    for position, at, kind, amount_minor in [
        (first.position, first.made_at, "pledged", first.made_minor),
        *later,
    ]:
        if kind in PROMISES:
            pledged_minor += amount_minor
        else:
            held_minor += amount_minor
        said.append(StatementLine(position, at, kind, amount_minor, pledged_minor, held_minor))
    return said


async def _key(conn: AsyncConnection, campaign_id: str, no: int) -> int | None:
    campaigns = CAMPAIGNS.table.c
    wanted = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
    campaign = (await conn.execute(wanted)).scalar()
    if campaign is None or not 1 <= no <= MAX_NO:
        return None
    return pledge_key(campaign, no)
