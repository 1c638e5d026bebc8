"""Run the platform behind a web server, for real or as a demo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from app.asgi import create_app
from app.demo.clock import DemoClock
from app.demo.driver import drive
from app.demo.plans import CHANNELS, channel_plan
from app.demo.seed import Seeder
from app.engine import clock_ms
from app.settings import Settings
from app.wiring import Platform, open_platform
from domain.terms import DAY_MS

GRACE_S = 10
"""How long answers under way may take once the server is told to stop, in seconds."""


async def serve(settings: Settings) -> None:
    """Serve until told to stop."""
    async with open_platform(settings) as platform:
        await serve_platform(platform)


async def serve_demo(settings: Settings, say: Callable[[str], None]) -> None:
    """Fill an empty platform with sample campaigns, serve it, and keep pledging to it."""
    clock = DemoClock()
    async with open_platform(settings, clock=clock) as platform:
        if platform.log.last()[0]:
            say(f"The campaigns in {settings.data_dir} are served as they are.")
        else:
            say("Making three years of sample campaigns: half a minute …")
            channels = [channel_plan(name) for name in CHANNELS]
            await Seeder(platform, clock, channels, clock_ms()).run()
        clock.now = 0
        say(_welcome(settings, await _demo_keys(platform)))
        driver = asyncio.create_task(drive(platform))
        try:
            await serve_platform(platform)
        finally:
            driver.cancel()
            with suppress(asyncio.CancelledError):
                await driver


class _Server(uvicorn.Server):
    """Tells the platform at once when it is told to stop."""

    def __init__(self, config: uvicorn.Config, platform: Platform) -> None:
        super().__init__(config)
        self._platform = platform

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._platform.stopping = True
        super().handle_exit(sig, frame)


async def serve_platform(platform: Platform) -> None:
    """Serve an open platform, and run what is behind it, until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        create_app(platform),
        host=platform.settings.host,
        port=platform.settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        loop="uvloop",
        http="httptools",
    )
    platform.start()
    try:
        await _Server(config, platform).serve()
    finally:
        await platform.stop()


async def _demo_keys(platform: Platform) -> str:
    """A key for the API that is shown and works for a day; the demo has nothing to protect."""
    at = clock_ms()
    party = await platform.stores.people.add_person("staff", at=at)
    token, _ = await platform.stores.keys.create(
        role="staff",
        owner=party,
        scopes=("backers:write", "campaigns:write", "events:read", "pledges:import", "staff"),
        at=at,
        expires_at=at + DAY_MS,
    )
    return token


def _welcome(settings: Settings, token: str) -> str:
    url = settings.public_url
    return f"""
Tributary is at {url}   (demo: no real money)

  1. {url}/                 36 campaigns in two channels; one closes in four minutes, at 96 %
  2. Open it, choose "A roof evening for eight" and pledge with the card that declines later:
     the river shows your own strand, {url}/me your pledges and a statement that adds up.
  3. {url}/demo             close it now; then {url}/outbox: the mail leads to the fix.
  4. {url}/demo/as/creator  a creator's desk: quote a refund, ask for a payout;
     {url}/demo/as/treasurer approves it. The whole site in Chinese: {url}/?lang=zh
  5. curl -H 'Authorization: Bearer {token}' \\
          '{url}/api/v1/events?after=0&limit=3'      ({url}/api describes the rest)
  6. In another terminal: .venv/bin/tributary audit replay; .venv/bin/tributary audit verify

Ctrl-C ends it; the data stay in {settings.data_dir} (delete the directory to begin anew).
"""
