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

from app.audit import replay_shares
from app.audit.differences import Difference, count_rows, differences
from app.audit.findings import Finding
from app.audit.live_views import Checkpoint, checkpoints, copy_views
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit, LogPlace, open_for_reading
from app.audit.scratch import ScratchViews
from app.audit.share import workers_for
from projections.journal import UnbalancedEntryError
from projections.pledge_book import FactsDisagreeError
from projections.reading import LogGapError, UnreadableFactError
from projections.runner import BATCH, Follower

LISTED: Final = 1_000
LISTED_PER_TABLE: Final = 100
"""How many differences are kept, so that one table does not hide another; all are counted."""


class Replayed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit replay` found. `differences` are the first hundred of each table, a thousand in
    all; `count` is how many there are, where that is more, `by_table` how many in each table.

    `contradictions` are events that contradict those before them, so that no views can follow; then
    nothing was compared.
    """

    events: int
    identical: bool
    differences: list[Difference]
    count: int = 0
    by_table: dict[str, int] = {}
    contradictions: list[Finding] = []


class Effort(Struct, frozen=True):
    """What a replay took: seconds to make the views anew and to compare them, and how many rows."""

    seconds: float
    tables: int
    rows: int


class _Contradiction(Exception):  # noqa: N818 - what was found
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def replay(
    log_place: LogPlace,
    views_path: Path,
    progress: Progress = unseen,
    workers: int | None = None,
) -> tuple[Replayed, Effort]:
    """Make the views anew in a temporary directory, and compare them with a copy of the live ones.

    Both are as of the position where the copy stands, so that a server may go on meanwhile.
    Several processes tell whether all is identical; what is not is found and named by one, which
    makes them once more. `workers` is how many; by default as many as there are processors, where
    that is worth while. Raises CannotAudit where there is no log, there are no views, or the log
    cannot be followed.
    """
    with (
        closing(AuditLog(log_place)) as log,
        tempfile.TemporaryDirectory(prefix="tributary-audit-") as name,
    ):
        folder = Path(name)
        live = folder / "live.db"
        copy_views(views_path, live)
        began = time.perf_counter()
        with closing(open_for_reading(live)) as views:
            stands = checkpoints(views, log.log_id)
            tables, rows = count_rows(views)
        until = max(checkpoint.position for checkpoint in stands)
        file = ScratchViews(folder / "replayed.db")
        try:
            follower = _follower(log, file, stands)
            processes = min(workers or workers_for(until), until or 1)
            level = {checkpoint.position for checkpoint in stands} == {until}
            if processes > 1 and level and len(stands) == _checkpoint_rows(live):
                place = (log_place, live, until, processes, folder)
                if replay_shares.identical(*place, progress):
                    found = Replayed(events=until, identical=True, differences=[])
                    return found, Effort(time.perf_counter() - began, tables, rows)
            found = _replayed_alone(follower, live, file.path, until, log, progress)
        finally:
            file.close_sync()
        return found, Effort(time.perf_counter() - began, tables, rows)


def _checkpoint_rows(live: Path) -> int:
    with closing(open_for_reading(live)) as views:
        (rows,) = views.execute("SELECT count(*) FROM checkpoints").fetchone()
        return int(rows)


def _follower(log: AuditLog, file: ScratchViews, stands: list[Checkpoint]) -> Follower:
    """A follower of empty views that have the same shape as the live ones."""
    follower = Follower(log.read, file, log_id=log.log_id)
    with closing(open_for_reading(file.path)) as empty:
        fresh = checkpoints(empty, log.log_id)
    if {each[:2] for each in stands} != {each[:2] for each in fresh}:
        raise CannotAudit(
            "The views were written by another version of Tributary: run `tributary rebuild`."
        )
    return follower


def _replayed_alone(
    follower: Follower, live: Path, anew: Path, until: int, log: AuditLog, progress: Progress
) -> Replayed:
    """Fold the log into empty views up to where the live ones stand, and compare them."""
    progress(0, until)
    try:
        events = _follow(follower, until, log, progress)
    except _Contradiction as contradiction:
        return Replayed(
            events=follower.position,
            identical=False,
            differences=[],
            contradictions=[contradiction.finding],
        )
    with closing(open_for_reading(live)) as theirs, closing(open_for_reading(anew)) as ours:
        return _compared(events, differences(theirs, ours))


def _follow(follower: Follower, until: int, log: AuditLog, progress: Progress) -> int:
    """Step to a position; return how many events that were."""
    total, limit = 0, BATCH
    try:
        while follower.position < until:
            try:
                events = follower.step(min(limit, until - follower.position))
            except (FactsDisagreeError, UnbalancedEntryError) as fault:
                if limit == 1:
                    raise _contradiction(log, follower.position + 1, fault) from fault
                limit = max(1, limit // 8)  # nothing of the batch was kept; which event is it?
                continue
            if not events:
                break
            total += events
            progress(follower.position, until)
    except (LogGapError, UnreadableFactError) as fault:
        raise CannotAudit(
            f"The log cannot be followed to its end: {fault}. `audit verify` tells more."
        ) from fault
    return total


def _contradiction(log: AuditLog, position: int, fault: Exception) -> _Contradiction:
    rows = log.read(position - 1, 1)
    stream = rows[0].stream if rows else ""
    return _Contradiction(Finding("replay", position, stream, f"No views can follow: {fault}."))


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


def describe(found: Replayed, effort: Effort) -> Iterator[str]:
    """Say it in lines of text."""
    for contradiction in found.contradictions:
        yield str(contradiction)
    if found.contradictions:
        yield "The views cannot be made anew beyond this event: `audit verify` tells more."
        return
    for difference in found.differences:
        yield str(difference)
    for table, count in found.by_table.items():
        yield f"{table}: {count:,} differences"
    result = "identical" if found.identical else "different"
    yield f"{effort.rows:,} rows of {effort.tables} tables compared: {result}"
