"""The views made anew in shares of the campaigns, in several processes, and held against the live
ones by SQLite itself.

This tells whether all is identical, at the cost of a look-up for each row. What differs, and where,
is for `app.audit.replay` to name.

A row belongs to one campaign, and so to one share; only the journal has accounts that campaigns
share. Such an account is called by the place of its first line in the whole log: the least of what
the shares call it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.audit.differences import Table, tables_of
from app.audit.processes import Processes, Tell
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit, LogPlace, open_for_reading
from app.audit.scratch import ScratchViews
from domain.codec import decode
from projections.journal import ACCOUNTS, POSTINGS
from projections.reading import Reading
from projections.runner import CHECKPOINTS, Follower

BATCH: Final = 20_000
"""Events of one transaction."""

_ACCOUNTS: Final = ACCOUNTS.table.name
_APART: Final = frozenset((CHECKPOINTS.name, _ACCOUNTS))
"""Tables that are not compared row by row with each share's."""


class ViewShare(Struct, frozen=True):
    """The campaigns whose stream's number leaves `number` when divided by `of`, up to `until`."""

    log: LogPlace
    until: int
    number: int
    of: int
    folder: Path

    @property
    def path(self) -> Path:
        """Its views."""
        return self.folder / f"share-{self.number}.db"


class Beside(Struct, frozen=True):
    """A share beside the live views, and beside the shares after it; `renamed` are its accounts by
    the numbers that the whole log gives them, where those are others.
    """

    own: Path
    others: list[Path]
    live: Path
    renamed: dict[int, int]


def identical(
    log: LogPlace, live: Path, until: int, workers: int, folder: Path, progress: Progress
) -> bool:
    """Whether the live views are what the log gives up to `until`.

    Also False where the log cannot be followed in shares.
    """
    shares = [ViewShare(log, until, number, workers, folder) for number in range(workers)]
    paths = [share.path for share in shares]
    with Processes(workers) as processes:
        events = processes.run(fold, shares, progress, until)
        return sum(events) == until and same_rows(live, paths, processes)


def same_rows(live: Path, paths: Sequence[Path], processes: Processes) -> bool:
    """Whether the live views are what several shares have together."""
    if not _same_tables(live, paths):
        return False
    renamed = _renamed_accounts(live, paths)
    if renamed is None:
        return False
    beside = [
        Beside(path, list(paths[number + 1 :]), live, renamed[number])
        for number, path in enumerate(paths)
    ]
    counted = processes.run(matched, beside, unseen, 0)
    return None not in counted and sum(each or 0 for each in counted) == _rows_of(live)


# --- Folding -------------------------------------------------------------------------------------


class _ShareFacts:
    """Reads the facts of a share; there are gaps between them."""

    def __init__(self, log: AuditLog, share: ViewShare) -> None:
        self._log = log
        self._share = share

    def after(self, position: int, limit: int) -> Reading:
        """Up to `limit` facts after a position."""
        share = self._share
        rows = self._log.facts(position, share.until, share.number, share.of, limit)
        events = [decode(row.tag, row.body) for row in rows]
        return Reading(position, [row.position for row in rows], events)


def fold(share: ViewShare, tell: Tell) -> int:
    """Make a share's views; return how many events it has, -1 where it cannot be followed."""
    file, done = ScratchViews(share.path), 0
    with closing(AuditLog(share.log)) as log:
        try:
            follower = Follower(_ShareFacts(log, share), file, log_id=log.log_id)
            while events := follower.step(BATCH):
                done += events
                tell(done)
        except CannotAudit:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the whole log is followed next, and tells
            return -share.until - 1
        finally:
            file.close_sync()
    return done


# --- Comparing -----------------------------------------------------------------------------------


def _rows_of(live: Path) -> int:
    """How many rows the shares have to have together."""
    with closing(open_for_reading(live)) as views:
        tables = tables_of(views)
        return sum(
            views.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - from the schema
            for name in tables
            if name not in _APART
        )


def _same_tables(live: Path, paths: Sequence[Path]) -> bool:
    with closing(open_for_reading(live)) as views:
        wanted = tables_of(views)
    for path in paths:
        with closing(open_for_reading(path)) as share:
            if tables_of(share) != wanted:
                return False
    return True


_ALL_ACCOUNTS: Final = """
    SELECT name, currency, min(number), min(campaign), max(campaign), sum(balance_minor)
    FROM ({shares}) GROUP BY name, currency
    ORDER BY name, currency"""
_LIVE_ACCOUNTS: Final = f"""
    SELECT name, currency, number, campaign, campaign, balance_minor FROM live.{_ACCOUNTS}
    ORDER BY name, currency"""  # noqa: S608 - a name of ours


def _renamed_accounts(live: Path, paths: Sequence[Path]) -> list[dict[int, int]] | None:
    """For each share the accounts that the whole log calls by another number, and that number;
    None where the accounts are not the live views'.
    """
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute("ATTACH ? AS live", (str(live),))
        for number, path in enumerate(paths):
            store.execute(f"ATTACH ? AS share{number}", (str(path),))
        schemas = [f"share{number}" for number in range(len(paths))]
        union = " UNION ALL ".join(f"SELECT * FROM {schema}.{_ACCOUNTS}" for schema in schemas)  # noqa: S608 - names of ours
        merged = store.execute(_ALL_ACCOUNTS.format(shares=union))
        for ours, theirs in zip_longest(merged, store.execute(_LIVE_ACCOUNTS)):
            if ours != theirs:
                return None
        return [
            dict(
                store.execute(
                    f"SELECT s.number, l.number FROM {schema}.{_ACCOUNTS} s"  # noqa: S608 - the same
                    f" JOIN live.{_ACCOUNTS} l ON l.name = s.name AND l.currency = s.currency"
                    " WHERE l.number <> s.number"
                )
            )
            for schema in schemas
        ]


def matched(beside: Beside, tell: Tell) -> int | None:
    """How many rows of a share are as the live views have them, but for those that a later share
    has as well; None where one is not.
    """
    count = 0
    with closing(sqlite3.connect(beside.own, isolation_level=None)) as store:
        store.execute("PRAGMA cache_size = -65536")
        store.execute("ATTACH ? AS live", (str(beside.live),))
        for number, path in enumerate(beside.others):
            store.execute(f"ATTACH ? AS other{number}", (str(path),))
        store.execute("CREATE TEMP TABLE renamed (number INTEGER PRIMARY KEY, as_live INTEGER)")
        store.executemany("INSERT INTO renamed VALUES (?, ?)", beside.renamed.items())
        for name, table in tables_of(store).items():
            if name in _APART:
                continue
            (rows,) = store.execute(f'SELECT count(*) FROM main."{name}"').fetchone()  # noqa: S608 - from the schema
            (same,) = store.execute(_matching(table)).fetchone()
            if rows != same:
                return None
            count += rows
            tell(count)
            if beside.others and rows:
                (again,) = store.execute(_repeated(table, len(beside.others))).fetchone()
                count -= again
    return count


def _matching(table: Table) -> str:
    """Counts a share's rows that the live views have as they are."""
    key = " AND ".join(f'theirs."{name}" = own."{name}"' for name in table.key)
    others = [name for name in table.columns if name not in table.key]
    same = "".join(f' AND theirs."{name}" IS {_own(table, name)}' for name in others)
    return (
        f'SELECT count(*) FROM main."{table.name}" own'  # noqa: S608 - from the schema
        f' CROSS JOIN live."{table.name}" theirs ON {key}{same}'
    )


def _own(table: Table, name: str) -> str:
    if table.name == POSTINGS.name and name == POSTINGS.c.account.name:
        return (
            'coalesce((SELECT as_live FROM temp.renamed r WHERE r.number = own."account"),'
            ' own."account")'
        )
    return f'own."{name}"'


def _repeated(table: Table, others: int) -> str:
    """Counts a share's rows whose key a later share has, too."""
    there = " OR ".join(
        f'EXISTS (SELECT 1 FROM other{number}."{table.name}" o WHERE '  # noqa: S608 - the same
        + " AND ".join(f'o."{name}" = own."{name}"' for name in table.key)
        + ")"
        for number in range(others)
    )
    return f'SELECT count(*) FROM main."{table.name}" own WHERE {there}'  # noqa: S608 - the same
