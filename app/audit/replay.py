"""The views made anew from the log, and compared with the live ones row by row."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.audit.differences import Difference, count_rows, differences
from app.audit.live_views import checkpoints, copy_views
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit, open_for_reading
from projections.pledge_book import FactsDisagreeError
from projections.runner import Follower, LogGapError, UnreadableFactError
from projections.views import ViewsFile

LISTED: Final = 1_000
LISTED_PER_TABLE: Final = 100
"""How many differences are kept, so that one table does not hide another; all are counted."""


class Replayed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit replay` found. `differences` are the first hundred of each table, a thousand in
    all; `count` is how many there are, where that is more, `by_table` how many in each table.
    """

    events: int
    identical: bool
    differences: list[Difference]
    count: int = 0
    by_table: dict[str, int] = {}


class Effort(Struct, frozen=True):
    """What a replay took: seconds to make the views anew, and rows to compare them."""

    seconds: float
    tables: int
    rows: int


def replay(
    log_path: Path, views_path: Path, progress: Progress = unseen
) -> tuple[Replayed, Effort]:
    """Make the views anew in a temporary directory, and compare them with a copy of the live ones.

    Both are as of the position where the copy stands, so that a server may go on meanwhile.
    Raises CannotAudit where there is no log, there are no views, or they cannot be followed.
    """
    with (
        closing(AuditLog(log_path)) as log,
        tempfile.TemporaryDirectory(prefix="tributary-audit-") as folder,
    ):
        live, anew = Path(folder, "live.db"), Path(folder, "replayed.db")
        copy_views(views_path, live)
        began = time.perf_counter()
        events = _follow(log, live, anew, progress)
        seconds = time.perf_counter() - began
        with closing(open_for_reading(live)) as theirs, closing(open_for_reading(anew)) as ours:
            tables, rows = count_rows(ours)
            found = _compared(events, differences(theirs, ours))
    return found, Effort(seconds, tables, rows)


def _compared(events: int, found: Iterator[Difference]) -> Replayed:
    listed: list[Difference] = []
    by_table: Counter[str] = Counter()
    for difference in found:
        by_table[difference.table] += 1
        if by_table[difference.table] <= LISTED_PER_TABLE and len(listed) < LISTED:
            listed.append(difference)
    count = by_table.total()
    return Replayed(
        events=events,
        identical=not count,
        differences=listed,
        count=count if count > len(listed) else 0,
        by_table=dict(by_table),
    )


def _follow(log: AuditLog, live: Path, anew: Path, progress: Progress) -> int:
    """Fold the log into empty views up to where the live ones stand; return how many events."""
    with closing(open_for_reading(live)) as views:
        stands = checkpoints(views, log.log_id)
    until = max(checkpoint.position for checkpoint in stands)
    progress(0, until)
    file = ViewsFile(anew)
    try:
        follower = Follower(log.read, file, log_id=log.log_id)
        with closing(open_for_reading(anew)) as empty:
            fresh = checkpoints(empty, log.log_id)
        if {each[:2] for each in stands} != {each[:2] for each in fresh}:
            raise CannotAudit(
                "The views were written by another version of Tributary: run `tributary rebuild`."
            )
        return follower.catch_up(until, lambda position: progress(position, until))
    except (LogGapError, UnreadableFactError, FactsDisagreeError) as fault:
        raise CannotAudit(
            f"The log cannot be followed to its end: {fault}. `audit verify` tells more."
        ) from fault
    finally:
        file.close_sync()


def describe(found: Replayed, effort: Effort) -> Iterator[str]:
    """Say it in lines of text."""
    for difference in found.differences:
        yield str(difference)
    for table, count in found.by_table.items():
        yield f"{table}: {count:,} differences"
    result = "identical" if found.identical else "different"
    yield f"{effort.rows:,} rows of {effort.tables} tables compared: {result}"
