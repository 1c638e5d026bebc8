"""Build views anew from the log, beside the ones that are read meanwhile, and switch to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from projections.reading import Facts, Row
from projections.runner import CHECKPOINTS, PROJECTIONS, Follower, Projection, stands_at
from projections.views import ViewsFile, linked, number_of, numbered, only_one, point


def rebuild(
    read: Callable[[int, int], Sequence[Row]] | Facts,
    path: Path,
    *,
    log_id: str,
    projections: Sequence[Projection] = PROJECTIONS,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Rebuild the views behind the link at `path`; return the new file.

    Readers and the follower of a running server go over to it by themselves. Nobody sees the views
    go back: at the switch the new file has read at least as much as the old one. The old file
    stays for those who have it open, until the next rebuild. Raises RebuildingError where another
    rebuild is under way, and what a follower raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with only_one(path):
        old = linked(path) if path.is_symlink() else None
        kept = {0} if old is None else {number_of(path, old.path)}
        fresh = ViewsFile(numbered(path, max(kept) + 1))
        fresh.remove()  # what a rebuild that was cut off left behind
        follower = Follower(read, fresh, log_id=log_id, projections=projections)
        follower.catch_up(progress=progress)
        fresh.settle()
        if old is None:
            point(path, fresh.path)
        else:
            _switch(path, old, follower, fresh, log_id)
            old.close_sync()
        fresh.close_sync()
        for number in range(1, max(kept)):
            ViewsFile(numbered(path, number)).remove()
    return fresh.path


def _switch(path: Path, old: ViewsFile, follower: Follower, fresh: ViewsFile, log_id: str) -> None:
    """While the old file's lock is held its follower stands still, and finds the link changed."""
    with old.writer.begin() as conn:
        CHECKPOINTS.create(conn, checkfirst=True)  # a file that nobody has written to yet
        least = stands_at(conn, log_id)
        follower.catch_up()
        assert follower.position >= least, "the log is shorter than what the views have read"
        point(path, fresh.path)
