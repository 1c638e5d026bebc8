"""The demo's past, made once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import Struct

from app.demo.clock import DemoClock
from app.demo.plans import CHANNELS, channel_plan
from app.demo.seed import Seeder
from app.engine import clock_ms
from app.settings import Settings, load_settings
from app.wiring import open_platform
from projections.campaign_pages import CampaignPage, get_page


class Seeded(Struct, frozen=True):
    """A demo that was made: its settings, when it begins, and its pages in the plans' order."""

    settings: Settings
    start_at: int
    pages: list[CampaignPage]

    def page_of(self, team: str) -> CampaignPage:
        """The campaign of the team whose name begins so."""
        plans = [plan for name in CHANNELS for plan in channel_plan(name).plans]
        (place,) = [n for n, plan in enumerate(plans) if plan.team.startswith(team)]
        return self.pages[place]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Three years of sample campaigns."""
    folder: Path = tmp_path_factory.mktemp("demo")
    return asyncio.run(_seed(load_settings({}, data_dir=folder, demo=True)))


async def _seed(settings: Settings) -> Seeded:
    clock, start_at = DemoClock(), clock_ms()
    async with open_platform(settings, clock=clock) as platform:
        channels = [channel_plan(name) for name in CHANNELS]
        made = await Seeder(platform, clock, channels, start_at).run()
        async with platform.views.connect() as connection:
            found = [await get_page(connection, campaign_id) for campaign_id in made]
    return Seeded(settings, start_at, [page for page in found if page is not None])
