"""What `tributary rebuild` does."""

from __future__ import annotations

import time

from app.following.tail import tail_of
from app.log.opening import open_log
from app.settings import Settings
from projections.rebuild import rebuild


def rebuild_views(settings: Settings) -> tuple[int, float]:
    """Build the views anew beside the live ones and switch; return the events and the seconds."""
    log = open_log(settings.database_url, settings.log_path)
    try:
        began = time.perf_counter()
        rebuild(tail_of(log), settings.views_path, log_id=log.log_id)
        return log.last()[0], time.perf_counter() - began
    finally:
        log.close()
