"""The demo's pages of the past."""

from __future__ import annotations

from app.log import SQLiteLog
from app.web.public.past import Past
from tests.demo.conftest import Seeded


async def test_what_events_tell_is_what_the_views_show(seeded: Seeded) -> None:
    """Of every campaign the last moment, made from its events alone, is its page."""
    log = SQLiteLog(seeded.settings.log_path)
    try:
        past, last = Past(log), log.last()[0]
        for page in seeded.pages:
            if page.launched_at is not None:
                found = await past.at_position(page.campaign_id, last)
                assert found is not None
                assert found.page == page
    finally:
        log.close()
