"""Backers as files. Whoever shows no name has none here either; an address stands only beside what
is sent by post. At no time are more than a thousand pledges in memory.
"""

from __future__ import annotations

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]  # it has no stubs
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it has no stubs
from litestar.background_tasks import BackgroundTask
from msgspec import Struct

from app.web.creator.reading import (
    BackerLine,
    Filter,
    backer_lines,
    every_pledge,
    reward_titles,
    told_rewards,
)
from app.web.dates import moment
from app.web.language import gettext
from app.web.money import major
from app.wiring import Platform
from projections.campaign_pages import CampaignPage

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

ADDRESS: Final = (
    *("address_name", "phone", "country", "province", "city", "district", "street"),
    "postal_code",
)

SCHEMA: Final = pa.schema(
    [
        ("no", pa.int64()),
        ("name", pa.string()),
        ("state", pa.string()),
        ("made_at", pa.timestamp("ms", tz="UTC")),
        ("charged_at", pa.timestamp("ms", tz="UTC")),
        ("currency", pa.string()),
        ("amount_minor", pa.int64()),
        ("charged_minor", pa.int64()),
        ("fees_minor", pa.int64()),
        ("paid_to_creator_minor", pa.int64()),
        ("returned_minor", pa.int64()),
        ("held_minor", pa.int64()),
        ("rewards", pa.string()),
        ("destination", pa.string()),
        ("sent", pa.bool_()),
        ("received", pa.bool_()),
        *((field, pa.string()) for field in ADDRESS),
    ]
)
"""The columns of the export; amounts in minor units, so that they add up exactly.

charged = fees + paid to the creator + returned + held, but for what the creator owes.
"""


class Made(Struct, frozen=True):
    """A file that was made for one answer, and what takes it away afterwards."""

    path: Path
    removal: BackgroundTask


async def backer_columns(platform: Platform, page: CampaignPage) -> dict[str, str]:
    """The titles of rewards, read once for a whole export."""
    return await reward_titles(platform, page)


async def records(
    platform: Platform, page: CampaignPage, wanted: Filter, titles: dict[str, str]
) -> AsyncIterator[list[dict[str, Any]]]:
    """The rows of an export, a thousand at a time."""
    async for rows in every_pledge(platform, page.campaign_id, wanted):
        lines = await backer_lines(platform, page, rows)
        sent = [line.row.no for line in lines if line.sends]
        addresses = await platform.stores.addresses.get_many(page.campaign_id, sent)
        found = []
        for line in lines:
            record = _record(page, line, titles)
            address = addresses.get(line.row.no)
            for field in ADDRESS:
                own = "name" if field == "address_name" else field
                record[field] = getattr(address, own) if address is not None else ""
            found.append(record)
        yield found


def _record(page: CampaignPage, line: BackerLine, titles: dict[str, str]) -> dict[str, Any]:
    row = line.row
    return {
        "no": row.no,
        "name": line.name or gettext("No name"),
        "state": row.state,
        "made_at": moment(row.made_at),
        "charged_at": moment(row.charged_at) if row.charged_at else None,
        "currency": page.currency,
        "amount_minor": row.amount_minor,
        "charged_minor": row.charged_minor,
        "fees_minor": row.fees_minor,
        "paid_to_creator_minor": row.paid_minor,
        "returned_minor": row.returned_minor,
        "held_minor": row.held_minor,
        "rewards": told_rewards(line, titles),
        "destination": row.destination,
        "sent": bool(row.sent),
        "received": bool(row.received),
    }


async def csv_of(
    platform: Platform, page: CampaignPage, wanted: Filter, titles: dict[str, str]
) -> AsyncIterator[bytes]:
    """CSV in UTF-8 with a mark, so that spreadsheets read Chinese; amounts in major units."""
    amounts = [name for name in SCHEMA.names if name.endswith("_minor")]
    header = [name.removesuffix("_minor") for name in SCHEMA.names]
    yield b"\xef\xbb\xbf" + csv_lines([header])
    async for part in records(platform, page, wanted, titles):
        for record in part:
            for name in amounts:
                record[name] = major(record[name], page.currency)
            for name in ("made_at", "charged_at"):
                record[name] = record[name].isoformat() if record[name] else ""
            for name in ("sent", "received"):
                record[name] = "yes" if record[name] else ""
        yield csv_lines([[record[name] for name in SCHEMA.names] for record in part])


def csv_lines(rows: list[list[Any]]) -> bytes:
    """Rows as CSV. A text that a spreadsheet would run as a formula is disarmed."""
    kept = io.StringIO()
    csv.writer(kept).writerows([[_safe(value) for value in row] for row in rows])
    return kept.getvalue().encode()


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


async def parquet_of(
    platform: Platform, page: CampaignPage, wanted: Filter, titles: dict[str, str]
) -> Made:
    """A Parquet file, written to the disk a thousand rows at a time."""
    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as kept:
        path = Path(kept.name)
    try:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            async for part in records(platform, page, wanted, titles):
                table = pa.Table.from_pylist(part, schema=SCHEMA)
                await asyncio.to_thread(writer.write_table, table)
    except BaseException:
        await _remove(path)
        raise
    return Made(path, BackgroundTask(_remove, path))


async def _remove(path: Path) -> None:
    await asyncio.to_thread(path.unlink, missing_ok=True)
