"""Every posting as one row, for spreadsheets and databases. `docs/exports.md` has the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from app.audit.export.contents import Contents
from app.audit.export.entries import Entry
from app.audit.export.wording import day_text, decimal_text, time_text
from projections.facts import day_of

ROW_GROUP: Final = 100_000
"""Postings of one group of a Parquet file, at least: as many are in memory at a time."""


class Row(Struct, gc=False):
    """A posting with all that it belongs to.

    `line` is its place in the entry, from 1. `minor` and `amount` are one number, debits positive.
    """

    position: int
    line: int
    at: str
    day: str
    event: str
    campaign: str
    pledge: int | None
    id: str
    account: str
    currency: str
    minor: int
    amount: str


COLUMNS: Final = Row.__struct_fields__


def _rows(entries: Iterable[Entry]) -> Iterator[Row]:
    for position, at, tag, campaign, no, own_id, lines in entries:
        moment, day = time_text(at), day_text(at)
        for line, (account, minor, currency) in enumerate(lines, 1):
            yield Row(
                position=position,
                line=line,
                at=moment,
                day=day,
                event=tag,
                campaign=campaign,
                pledge=no,
                id=own_id,
                account=account,
                currency=currency,
                minor=minor,
                amount=decimal_text(minor, currency),
            )


def write_csv(contents: Contents, to: BinaryIO) -> None:
    """Comma-separated values as in RFC 4180, but for plain line ends; the first line has names."""
    text = io.TextIOWrapper(to, "ascii", newline="")
    try:
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        for batch in contents.batches:
            lines.writerows(map(astuple, _rows(batch.entries)))
    finally:
        text.detach()  # the file below is not ours to close


def write_ndjson(contents: Contents, to: BinaryIO) -> None:
    """One JSON object a line."""
    encoder = msgspec.json.Encoder()
    to.writelines(encoder.encode_lines(_rows(batch.entries)) for batch in contents.batches)


# --- Parquet -------------------------------------------------------------------------------------


def write_parquet(contents: Contents, to: BinaryIO) -> None:
    """Apache Parquet, compressed by Zstandard; each column with its type."""
    import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415 - no other form needs it
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # noqa: PLC0415 - the same

    of_few = pa.dictionary(pa.int32(), pa.string())
    types: dict[str, Any] = {
        "position": pa.int64(),
        "line": pa.int32(),
        "at": pa.timestamp("ms", tz="UTC"),
        "day": pa.date32(),
        "event": of_few,
        "campaign": of_few,
        "pledge": pa.int64(),
        "id": pa.string(),
        "account": of_few,
        "currency": of_few,
        "minor": pa.int64(),
        "amount": pa.string(),
    }
    about = {"log": contents.log_id, "position": str(contents.until)}
    schema = pa.schema(list(types.items()), metadata=about)
    with pq.ParquetWriter(to, schema, compression="zstd") as file:
        for entries in _groups(contents):
            columns = map(pa.array, _columns(entries), types.values())
            file.write_batch(pa.record_batch(list(columns), schema=schema))


def _groups(contents: Contents) -> Iterator[list[Entry]]:
    """The entries in groups that are large enough, and the last one."""
    group: list[Entry] = []
    postings = 0
    for batch in contents.batches:
        group += batch.entries
        postings += sum(len(entry.lines) for entry in batch.entries)
        if postings >= ROW_GROUP:
            yield group
            group, postings = [], 0
    yield group


def _columns(entries: list[Entry]) -> Iterator[list[Any]]:
    """Column by column, in their order."""
    own = [(entry, line) for entry in entries for line in entry.lines]
    yield [entry.position for entry, _ in own]
    yield [line for entry in entries for line in range(1, len(entry.lines) + 1)]
    yield [entry.at for entry, _ in own]
    yield [day_of(entry.at) for entry, _ in own]
    yield [entry.tag for entry, _ in own]
    yield [entry.campaign for entry, _ in own]
    yield [entry.no for entry, _ in own]
    yield [entry.id for entry, _ in own]
    yield [line.account for _, line in own]
    yield [line.currency for _, line in own]
    yield [line.amount_minor for _, line in own]
    yield [decimal_text(line.amount_minor, line.currency) for _, line in own]
