"""The views made anew from the log, and compared with the live ones row by row."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.audit.differences import Difference, differences, tables_of
from app.audit.live_views import checkpoints, copy_views
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit
from projections.pledge_book import FactsDisagreeError
from projections.runner import Follower, LogGapError, UnreadableFactError
from projections.views import ViewsFile

LISTED: Final = 1_000
"""How many differences are kept; the others are counted."""


class Replayed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit replay` found. `differences` are the first thousand; `count` is how many there
    are, where that is more.
    """

    events: int
    identical: bool
    differences: list[Difference]
    count: int = 0


class Effort(Struct, frozen=True):
    """What a replay took."""

    tables: int
    rows: int
    replay_s: float
    compare_s: float


def replay(
    log_path: Path, views_path: Path, progress: Progress = unseen
) -> tuple[Replayed, Effort]:
    """Make the views anew in a temporary directory, and compare them with a copy of the live ones.

    Both are as of the position where the copy stands, so that a server may go on meanwhile.
    Raises CannotAudit where there is no log, there are no views, or either cannot be followed.
    """
    with (
        closing(AuditLog(log_path)) as log,
        tempfile.TemporaryDirectory(prefix="tributary-audit-") as folder,
    ):
        live, anew = Path(folder, "live.db"), ViewsFile(Path(folder, "replayed.db"))
        copy_views(views_path, live)
        began = time.perf_counter()
        try:
            events = _follow(log, live, anew, progress)
        finally:
            anew.close_sync()
        replayed = time.perf_counter()
        found, tables, rows = _compare(live, anew.path)
        compared = time.perf_counter()
    listed = list(islice(found, LISTED))
    return (
        Replayed(
            events=events,
            identical=not found,
            differences=listed,
            count=len(found) if len(found) > LISTED else 0,
        ),
        Effort(tables, rows, replayed - began, compared - replayed),
    )
