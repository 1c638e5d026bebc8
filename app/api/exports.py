"""A campaign's backers as its team may know them, in pages and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import select

from app.web.backer.names import names_of
from app.wiring import Platform
from domain.money import EXPONENTS
from projections.facts import MAX_NO, pledge_key
from projections.pledges import CAMPAIGNS, PLEDGES, PledgeRow, lines_of

ROWS_READ: Final = 2_000
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


class BackerLineOut(Struct, frozen=True):
    """A pledge as the campaign's team sees it. `name` is what its backer chose to show."""

    no: int
    name: str | None
    state: str
    amount_minor: int
    charged_minor: int
    fees_minor: int
    paid_minor: int
    held_minor: int
    returned_minor: int
    rewards: dict[str, int]
    destination: str
    made_at: int
    charged_at: int | None
    sent: bool
    received: bool


async def backers_after(
    platform: Platform, campaign_id: str, no: int, limit: int, wanted: tuple[str, str]
) -> list[BackerLineOut]:
    """Up to `limit` pledges after a number, in a state and with a reward where they are named."""
    state, reward = wanted
    found: list[PledgeRow] = []
    async with platform.views.connect() as connection:
        known = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
        campaign: int = (await connection.execute(known)).scalar() or 0
        after, last = pledge_key(campaign, min(no, MAX_NO)), pledge_key(campaign, MAX_NO)
        key = PLEDGES.table.c.key
        while len(found) < limit:
            query = select(PLEDGES.table).where(key > after, key <= last)
            rows = [
                PledgeRow(*row)
                for row in await connection.execute(query.order_by(key).limit(ROWS_READ))
            ]
            found += [row for row in rows if _fits(row, state, reward)]
            if len(rows) < ROWS_READ:
                break
            after = rows[-1].key
    found = found[:limit]
    names = await names_of(platform, found)
    return [_backer_out(row, names.get(row.pledge_id)) for row in found]


def _fits(row: PledgeRow, state: str, reward: str) -> bool:
    if state and row.state != state:
        return False
    return not reward or any(line.reward_id == reward for line in lines_of(row.lines))


def _backer_out(row: PledgeRow, name: str | None) -> BackerLineOut:
    return BackerLineOut(
        no=row.no,
        name=name,
        state=row.state,
        amount_minor=row.amount_minor,
        charged_minor=row.charged_minor,
        fees_minor=row.fees_minor,
        paid_minor=row.paid_minor,
        held_minor=row.held_minor,
        returned_minor=row.returned_minor,
        rewards={line.reward_id: line.quantity for line in lines_of(row.lines)},
        destination=row.destination,
        made_at=row.made_at,
        charged_at=row.charged_at or None,
        sent=bool(row.sent),
        received=bool(row.received),
    )


_AMOUNTS: Final = ("amount", "charged", "fees", "paid", "held", "returned")


def major_text(minor: int, currency: str) -> str:
    """An amount in major units, exactly: `-12.50`."""
    digits = EXPONENTS[currency]
    sign, whole = ("-" if minor < 0 else ""), str(abs(minor)).zfill(digits + 1)
    return f"{sign}{whole[:-digits]}.{whole[-digits:]}" if digits else f"{sign}{whole}"


def _time(at: int | None) -> str:
    if at is None:
        return ""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _rewards(row: BackerLineOut) -> str:
    return " ".join(f"{quantity}x{reward_id}" for reward_id, quantity in row.rewards.items())


def csv_of(rows: Sequence[BackerLineOut], currency: str) -> str:
    """The rows as CSV, amounts in major units."""
    out = io.StringIO()
    lines = csv.writer(out)
    after = ("rewards", "destination", "made", "charged_at", "sent", "received")
    lines.writerow(("pledge", "name", "state", "currency", *_AMOUNTS, *after))
    for row in rows:
        amounts = (major_text(getattr(row, f"{name}_minor"), currency) for name in _AMOUNTS)
        lines.writerow(
            (
                row.no,
                _plain(row.name or ""),
                row.state,
                currency,
                *amounts,
                _rewards(row),
                row.destination,
                _time(row.made_at),
                _time(row.charged_at),
                int(row.sent),
                int(row.received),
            )
        )
    return out.getvalue()


def parquet_of(rows: Sequence[BackerLineOut], currency: str) -> bytes:
    """The rows as Parquet, amounts in minor units."""
    # Large, and few ask: it is loaded when somebody does.
    import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # noqa: PLC0415

    when = pa.timestamp("ms", tz="UTC")
    columns: dict[str, Any] = {
        "pledge": pa.array([row.no for row in rows], pa.int64()),
        "name": pa.array([row.name for row in rows], pa.string()),
        "state": pa.array([row.state for row in rows], pa.string()),
        "currency": pa.array([currency] * len(rows), pa.string()),
        **{
            f"{name}_minor": pa.array([getattr(row, f"{name}_minor") for row in rows], pa.int64())
            for name in _AMOUNTS
        },
        "rewards": pa.array([_rewards(row) for row in rows], pa.string()),
        "destination": pa.array([row.destination for row in rows], pa.string()),
        "made_at": pa.array([row.made_at for row in rows], when),
        "charged_at": pa.array([row.charged_at for row in rows], when),
        "sent": pa.array([row.sent for row in rows], pa.bool_()),
        "received": pa.array([row.received for row in rows], pa.bool_()),
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()
