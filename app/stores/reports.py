"""What people report of campaigns. A report is read by the channel's staff and never acts alone."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from msgspec import Struct
from sqlalchemy import Column, Index, Select, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, new_id, writing

Reason = Literal["untrue", "forbidden", "not_theirs", "hateful", "personal_data", "other"]
"""What a report says is wrong: an untrue statement, forbidden goods, somebody else's work or
name, hatred, somebody's personal data, something else."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

REPORTS: Final = Table(
    "reports",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("campaign_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("mail", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Number, nullable=False),
    Column("resolved_at", Number),
    Column("resolved_by", Text, nullable=False, server_default=""),
    Column("outcome", Text, nullable=False, server_default=""),
    Index("reports_by_channel", "channel", "at"),
    Index("reports_by_source", "source", "at"),
    sqlite_strict=True,
)

LONGEST: Final = 4_000
MOST_SHOWN: Final = 200
HOUR_MS: Final = 3_600_000
MOST_AN_HOUR: Final = 5
"""Reports that one source (a person, else a browser's session) may send within an hour."""

MOST_AN_HOUR_OF_ONE: Final = 60
"""Reports of one campaign within an hour, from whomever: further ones would tell nothing new."""


class UnknownReportError(LookupError):
    """There is no open report of this id."""


class TooManyReportsError(Exception):
    """More reports came than anybody could mean; after `wait_ms` another one is taken."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"another report is taken in {wait_ms} ms")
        self.wait_ms = wait_ms


class Report(Struct, frozen=True, kw_only=True):
    """A report. `party` is who sent it signed in, else `mail` is where to answer. Times ms UTC."""

    id: str
    campaign_id: str
    channel: str
    reason: str
    body: str
    party: str
    mail: str
    source: str
    at: int
    resolved_at: int | None
    resolved_by: str
    outcome: str


class Reports:
    """The reports of every channel."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def send(  # noqa: PLR0913 - a report with all that is known of it
        self,
        *,
        campaign_id: str,
        channel: str,
        reason: Reason,
        body: str,
        source: str,
        at: int,
        party: str = "",
        mail: str = "",
        report_id: str = "",
    ) -> str:
        """Keep a report and return its id; with a `report_id` it is kept once under that.

        Raises TooManyReportsError.
        """
        row = {
            "id": report_id or new_id(),
            "campaign_id": campaign_id,
            "channel": channel,
            "reason": reason,
            "body": body[:LONGEST],
            "party": party,
            "mail": mail,
            "source": source,
            "at": at,
        }
        recent = select(REPORTS.c.at).where(REPORTS.c.at > at - HOUR_MS)
        recent = recent.order_by(REPORTS.c.at.desc())
        bounds = (
            (recent.where(REPORTS.c.source == source), MOST_AN_HOUR),
            (recent.where(REPORTS.c.campaign_id == campaign_id), MOST_AN_HOUR_OF_ONE),
        )
        same = select(REPORTS.c.id).where(REPORTS.c.id == row["id"])
        subjects = (f"reports from {source}", f"reports of {campaign_id}")
        async with writing(self._engine, *subjects) as connection:
            if (await connection.execute(same)).scalar() is not None:
                return str(row["id"])
            lasts = [
                (await connection.execute(found.offset(most - 1).limit(1))).scalar()
                for found, most in bounds
            ]
            waits = [last + HOUR_MS - at for last in lasts if last is not None]
            if waits:
                raise TooManyReportsError(max(waits))
            await connection.execute(insert(REPORTS), row)
        return str(row["id"])

    async def open(self, channel: str, limit: int = MOST_SHOWN) -> list[Report]:
        """A channel's reports that nobody has resolved, the oldest first."""
        query = select(REPORTS).where(REPORTS.c.channel == channel, REPORTS.c.resolved_at.is_(None))
        return await self._all(query.order_by(REPORTS.c.at, REPORTS.c.id).limit(limit))

    async def resolved(self, channel: str, limit: int = MOST_SHOWN) -> list[Report]:
        """A channel's reports that were resolved, the latest first."""
        query = select(REPORTS).where(
            REPORTS.c.channel == channel, REPORTS.c.resolved_at.is_not(None)
        )
        return await self._all(query.order_by(REPORTS.c.resolved_at.desc()).limit(limit))

    async def resolve(self, report_id: str, *, by: str, outcome: str, at: int) -> None:
        """Note who settled a report, and how. Raises UnknownReportError."""
        this = (REPORTS.c.id == report_id) & REPORTS.c.resolved_at.is_(None)
        values = {"resolved_at": at, "resolved_by": by, "outcome": outcome[:LONGEST]}
        async with self._engine.begin() as connection:
            changed = await connection.execute(update(REPORTS).where(this).values(values))
        if changed.rowcount != 1:
            raise UnknownReportError(report_id)

    async def get(self, report_id: str) -> Report:
        """One report. Raises UnknownReportError."""
        found = await self._all(select(REPORTS).where(REPORTS.c.id == report_id))
        if not found:
            raise UnknownReportError(report_id)
        return found[0]

    async def _all(self, query: Select[Any]) -> list[Report]:
        async with self._engine.connect() as connection:
            return [Report(**row) for row in (await connection.execute(query)).mappings()]
