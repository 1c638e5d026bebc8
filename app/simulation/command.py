"""What `tributary simulate` does, from the files to the figures."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import Settings
from app.simulation.catarse import read_projects
from app.simulation.run import History, Progress, Result, SimulatedClock
from app.wiring import open_platform
from domain.state import Phase
from projections.campaign_pages import PAGES


async def simulate_catarse(
    settings: Settings, folder: Path, progress: Progress
) -> tuple[Result, float, int]:
    """Run the history in `folder`; return what came of it, the seconds and the events.

    Raises DataError and LogNotEmptyError.
    """
    projects = read_projects(folder)
    clock = SimulatedClock()
    async with open_platform(settings, clock=clock) as platform:
        history = History(platform, clock, projects)
        began = time.perf_counter()
        await history.run(progress)
        platform.follower.catch_up()
        seconds = time.perf_counter() - began
        async with platform.views.connect() as views:
            result = await _result(views, history)
        events, _ = platform.log.last()
    return result, seconds, events
