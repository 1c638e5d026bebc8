"""What `tributary simulate` does, from the files to the figures."""

from __future__ import annotations

import time
from pathlib import Path

from app.settings import Settings
from app.simulation.catarse import read_projects
from app.simulation.run import History, Progress, Result, SimulatedClock
from app.wiring import open_platform
from domain.state import Phase
from projections.campaign_pages import CampaignPage, list_pages


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
            pages = await list_pages(views, limit=len(projects))
        events, _ = platform.log.last()
    return _result(pages, history), seconds, events


def _result(pages: list[CampaignPage], history: History) -> Result:
    """Count what the campaign pages show."""
    pledged = {page.campaign_id: _at_its_end(page) for page in pages}
    finished, match_rule, match_source = history.outcomes(
        {page.campaign_id: Phase(page.phase) for page in pages}, pledged
    )
    return Result(
        campaigns=len(pages),
        pledges=history.pledges,
        pledged_minor=sum(pledged.values()),
        finished_aon=finished,
        match_rule=match_rule,
        match_source=match_source,
    )


def _at_its_end(page: CampaignPage) -> int:
    """What was pledged at the deadline, or so far: what is released later was pledged too."""
    closed = page.pledged_at_deadline_minor
    return page.pledged_minor if closed is None else closed
