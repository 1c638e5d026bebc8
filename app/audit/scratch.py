"""Views that are made to be compared and thrown away: nothing of them has to outlive a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event

from projections.views import ViewsFile


class ScratchViews(ViewsFile):
    """A file of views that is never waited for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        event.listen(self.writer, "connect", _prepare)


def _prepare(connection: Any, _entry: object) -> None:  # noqa: ANN401 - a driver's own
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = MEMORY")
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()
