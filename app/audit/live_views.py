"""The read models as they stand, read without a hand on them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from app.audit.explain import Shown
from app.audit.reader import CannotAudit, open_for_reading
from projections.campaign_pages import PAGES
from projections.runner import CHECKPOINTS

_STANDS: Final = f"SELECT projection, version, position FROM {CHECKPOINTS.name} WHERE log = ?"  # noqa: S608


class Checkpoint(NamedTuple):
    """How far a projection has read the log, and which shape its tables have."""

    projection: str
    version: int
    position: int


def copy_views(path: Path, to: Path) -> None:
    """Copy the live views as they are at one moment; their writers do not wait.

    Raises CannotAudit where there are none.
    """
    with closing(open_for_reading(path)) as live, closing(sqlite3.connect(to)) as copy:
        live.backup(copy)


def checkpoints(views: sqlite3.Connection, log_id: str) -> list[Checkpoint]:
    """How far the views of a file have read this log; raises CannotAudit where they never did."""
    try:
        found = [Checkpoint(*row) for row in views.execute(_STANDS, (log_id,))]
    except sqlite3.OperationalError as fault:
        raise CannotAudit(f"The views cannot be read: {fault}.") from fault
    if not found:
        raise CannotAudit("The views were not made from this log.")
    return found


def shown_number(path: Path, log_id: str, campaign_id: str, number: str) -> Shown | None:
    """What the campaign's page shows of a number now; None where there is no page of it."""
    with closing(open_for_reading(path)) as views:
        views.execute("BEGIN")  # both answers are of one moment
        position = min(checkpoint.position for checkpoint in checkpoints(views, log_id))
        query = f"SELECT {number}_minor FROM {PAGES.name} WHERE campaign_id = ?"  # noqa: S608
        found = views.execute(query, (campaign_id,)).fetchone()
    return None if found is None else Shown(found[0], position)
