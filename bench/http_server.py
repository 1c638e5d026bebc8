"""The server that `bench.http_rate` and `bench.overload` ask: ours, and beside it an empty one.

    .venv/bin/python -m bench.http_server DATA_DIR [--campaigns N] [--database-url URL]

One web process as `tributary serve` runs it, with its bounds and with its follower beside it as a
process of its own. Below `/empty` the same process answers with a bare Litestar application, with
the same keys and the same body, whose handlers do nothing; everything else is Tributary. Prints one
line of JSON once it listens, and ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import multiprocessing
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop
from jinja2 import DictLoader, Environment
from litestar import Litestar, Router, get, post
from litestar.params import JSONBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig

from app.api.access import bearer_keys
from app.api.answers import PledgeOut
from app.api.bodies import PledgeIn, StrictRequest
from app.asgi import create_app
from app.engine import clock_ms
from app.serving.server import follow
from app.settings import load_settings
from app.stores.database import migrate_stores
from app.web.connections import server_limits
from app.wiring import Platform, open_platform
from domain import commands as c
from domain.terms import DAY_MS, Reward, Submission, Terms

STAFF: Final = f"staff:{uuid.uuid4()}"
BACKERS: Final = 1_000


def _id() -> str:
    return str(uuid.uuid4())


async def open_campaigns(platform: Platform, count: int) -> list[str]:
    """Live campaigns with a story and rewards."""
    at = clock_ms()
    content = platform.stores.content
    creator = await platform.stores.people.add_person("creator", display_name="Sample team", at=at)
    story = "## Why\n\n" + "\n\n".join(["A paragraph of **some** forty words. " * 6] * 12)
    text = await content.put(
        {"title": "A sample campaign", "blurb": "For a measurement.", "story": story}, at=at
    )
    reward = await content.put({"title": "A poster", "description": "Rolled."}, at=at)
    channel = _id()
    ids = [_id() for _ in range(count)]
    for campaign_id in ids:
        submission = Submission(
            creator=creator,
            model="all_or_nothing",
            currency="CNY",
            goal_minor=8_000_000,
            deadline_at=at + 30 * DAY_MS,
            terms=Terms(),
            text=text,
            rewards=tuple(
                Reward(reward_id=_id(), price_minor=12_000, limit=500, text=reward)
                for _ in range(6)
            ),
        )
        who: dict[str, Any] = {"campaign_id": campaign_id}
        for command in (
            c.SubmitCampaign(
                **who,
                by=f"creator:{creator}",
                command_id=_id(),
                channel=channel,
                submission=submission,
            ),
            c.ApproveCampaign(**who, by=STAFF, command_id=_id()),
            c.LaunchCampaign(**who, by=f"creator:{creator}", command_id=_id()),
        ):
            await platform.engine.submit_async(command)
    return ids


def empty(platform: Platform) -> Litestar:
    """An application whose handlers do nothing: a pledge is read and dropped, a page is empty."""
    jinja = Environment(loader=DictLoader({"empty.html": ""}), autoescape=True)

    @post("/pledges")
    async def pledge(data: JSONBody[PledgeIn]) -> PledgeOut:
        return PledgeOut(data.pledge_id, 1, 1, "")

    @get("/page")
    async def page() -> Template:
        return Template("empty.html")

    keys = bearer_keys(platform.stores.keys, platform.stores.accounts, platform.clock)
    return Litestar(
        [
            Router(
                "/empty", route_handlers=[pledge], middleware=[keys], request_class=StrictRequest
            ),
            Router("/empty", route_handlers=[page]),
        ],
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(jinja)),
        openapi_config=None,
        logging_config=None,
    )


def beside(ours: Any, bare: Any) -> Any:  # noqa: ANN401 - ASGI applications
    """Both in one: what is below `/empty` is for the bare one."""

    async def both(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - the same
        if scope["type"] == "http" and scope["path"].startswith("/empty/"):
            await bare(scope, receive, send)
        else:
            await ours(scope, receive, send)

    return both


async def run(data_dir: Path, campaigns: int, database_url: str) -> None:
    """Serve until the standard input ends."""
    environment = {"TRIBUTARY_API_RATE": "0"}
    if database_url:
        environment["TRIBUTARY_DATABASE_URL"] = database_url
    settings = load_settings(environment, data_dir=data_dir)
    if database_url:
        migrate_stores(settings)
    async with open_platform(settings) as platform:
        ids = await open_campaigns(platform, campaigns)
        party = await platform.stores.people.add_person("staff", at=clock_ms())
        token, _ = await platform.stores.keys.create(role="staff", owner=party, at=clock_ms())
        backers = await platform.stores.people.mint_backers(BACKERS, at=clock_ms())
        platform.follower.catch_up()
    following = multiprocessing.get_context("spawn").Process(target=follow, args=(settings,))
    following.start()
    async with open_platform(settings, role="web", process="web") as platform:
        platform.start()
        application = create_app(platform)
        both = beside(application, empty(platform))
        both.state = application.state  # where a connection finds whether there is too much to do
        config = uvicorn.Config(
            both,
            port=0,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            loop="uvloop",
            **server_limits(),
        )
        server = uvicorn.Server(config)
        gc.collect()
        gc.freeze()  # as the parent of `tributary serve` does for its children
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        said = {"port": port, "pids": [os.getpid()], "token": token, "campaigns": ids}
        said["beside"] = [following.pid]
        print(json.dumps(said | {"backers": backers}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving
        await platform.stop()
    following.terminate()
    following.join()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--database-url", default="")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(given.data_dir, given.campaigns, given.database_url))


if __name__ == "__main__":
    main()
