"""Views of a log, in a directory that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from projections.rows import METADATA
from projections.runner import CHECKPOINTS, Follower
from projections.views import ViewsFile
from tests.projections.history import Log

Everything = dict[str, list[tuple[Any, ...]]]


def rows_of(file: ViewsFile) -> Everything:
    """Every row of every table but the checkpoints, in the order of its key."""
    found: Everything = {}
    with file.reader_sync.connect() as conn:
        for table in METADATA.sorted_tables:
            if table is not CHECKPOINTS:
                ordered = table.select().order_by(*table.primary_key.columns)
                found[table.name] = [tuple(row) for row in conn.execute(ordered)]
    return found


@contextmanager
def views_of(log: Log, batch: int = 25) -> Iterator[ViewsFile]:
    """The views of a whole log, read in batches of a size."""
    with TemporaryDirectory() as directory:
        file = ViewsFile(Path(directory) / "views.db")
        follower = Follower(log.read, file, log_id=log.log_id)
        while follower.step(batch):
            pass
        try:
            yield file
        finally:
            file.close_sync()


def everything(log: Log, batch: int) -> Everything:
    """Every row of a log's views, read in batches of a size."""
    with views_of(log, batch) as file:
        return rows_of(file)
