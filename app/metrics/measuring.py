"""What the stores say at this moment, for `/metrics`: positions, lags, what does not add up."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from sqlalchemy import func, select

from app.audit.last import read_last
from app.metrics.meter import Facts, Lag, Report, Standing
from app.stores.mail_news import MAIL_NEWS
from app.wiring import Platform
from projections.desk_fold import DISCREPANCIES
from projections.journal import ACCOUNTS

MOST_TROUBLES: Final = 1_000
"""More rows of work in trouble than this are not counted further."""

SUMMED_S: Final = 10.0
"""How often the accounts are summed at most: with many campaigns they are many."""


class Measuring:
    """Asks the stores of one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._summed_at = -SUMMED_S
        self._sums: dict[str, int] = {}

    async def facts(self, reports: list[Report]) -> Facts:
        """Everything that is not counted by a process."""
        platform = self._platform
        position, last_at = await asyncio.to_thread(platform.log.last)
        standing = platform.standing()
        tree = await asyncio.to_thread(platform.transparency.standing)
        positions = {
            "views": platform.follower.position,
            "search": await asyncio.to_thread(platform.search.index.position),
            "processes": await asyncio.to_thread(lambda: platform.processes.position),
            "mail": await self._mail_position(position),
            "snapshots": _snapshots(reports, standing),
            "tree": tree.size,
        }
        troubles = await asyncio.to_thread(platform.processes.troubles, MOST_TROUBLES)
        work = await asyncio.to_thread(platform.processes.waiting)
        mails = await platform.stores.mails.waiting()
        return Facts(
            position=position,
            last_at=last_at,
            lags={
                name: await asyncio.to_thread(self._lag, stands, position)
                for name, stands in positions.items()
            },
            faults={
                "views": bool(standing.views_fault),
                "processes": bool(standing.work_fault),
                "mail": bool(standing.mail_fault),
                "log": bool(standing.fork),
                "tree": bool(standing.tree_fault),
            },
            imbalance_minor=await self._imbalance(),
            discrepancies=await self._discrepancies(),
            troubles=len(troubles),
            work={str(kind): number for kind, number in work.items()},
            mails_waiting=mails.number,
            checkpoint_size=tree.published,
            checkpoint_at=tree.published_at,
            audit=read_last(platform.settings.last_audit_path),
        )

    def _lag(self, stands: int, position: int) -> Lag:
        if stands >= position:
            return Lag(0, 0.0)
        rows = self._platform.log.read(stands, 1)
        waited_ms = self._platform.clock() - rows[0].at if rows else 0
        return Lag(position - stands, max(0.0, waited_ms / 1000))

    async def _mail_position(self, last: int) -> int:
        """Where the news stand; before they have begun there is nothing to tell."""
        wanted = select(MAIL_NEWS.c.position).where(
            MAIL_NEWS.c.name == f"news/{self._platform.log.log_id}"
        )
        async with self._platform.people.connect() as connection:
            found = (await connection.execute(wanted)).scalar()
        return last if found is None else int(found)

    async def _imbalance(self) -> dict[str, int]:
        """The sum of all accounts by currency: 0 in books that are in order."""
        if time.monotonic() - self._summed_at >= SUMMED_S:
            accounts = ACCOUNTS.table.c
            wanted = select(accounts.currency, func.sum(accounts.balance_minor))
            async with self._platform.views.connect() as connection:
                rows = await connection.execute(wanted.group_by(accounts.currency))
                self._sums = {currency: int(amount) for currency, amount in rows}
            self._summed_at = time.monotonic()
        return self._sums

    async def _discrepancies(self) -> int:
        wanted = select(func.count()).where(DISCREPANCIES.table.c.resolution == "")
        async with self._platform.views.connect() as connection:
            return int((await connection.execute(wanted)).scalar_one())


def _snapshots(reports: list[Report], standing: Standing) -> int:
    told = [report.standing.snapshots for report in reports if report.standing is not None]
    return max(told, default=standing.snapshots)
