"""The tables of what was opened; they lie in the transparency store's database."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, MetaData, Table

from app.stores.rows import Number, Text


def openings_tables(metadata: MetaData) -> tuple[Table, Table]:
    """The tables of batches and of how far the openings of a log have come.

    `openings` holds each batch as it is served, compressed, with what the next one goes on from
    (`standing`, JSON). `up_to` counts the entries that are opened with it: in a campaign that is
    its stream's version. `opened` says up to which position all that was due is opened; `waiting`
    names the platform's own streams that moved and are not opened (JSON).
    """
    openings = Table(
        "openings",
        metadata,
        Column("campaign", Text, primary_key=True),
        Column("batch", Number, primary_key=True),
        Column("up_to", Number, nullable=False),
        Column("position", Number, nullable=False),
        Column("entries", Number, nullable=False),
        Column("published_at", Number, nullable=False),
        Column("standing", Text, nullable=False),
        Column("data", LargeBinary, nullable=False),
        # What is listed is read from this alone, not from between the batches.
        Index("openings_listed", "campaign", "batch", "up_to", "position"),
        sqlite_strict=True,
    )
    opened = Table(
        "opened",
        metadata,
        Column("log_id", Text, primary_key=True),
        Column("position", Number, nullable=False),
        Column("waiting", Text, nullable=False),
        sqlite_strict=True,
    )
    return openings, opened
