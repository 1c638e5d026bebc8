"""How much CPU a campaign's page costs, beside an empty template, in one run.

Each page is asked for by an ASGI call within this process: no network, no server. `rendered` is
the page made anew each time (as for a signed-in backer), `kept` the page that visitors without a
session get while nothing changes, `unchanged` the answer to a browser that has it already.

    .venv/bin/python -m bench.page_rate [--pledges 500] [--requests 300]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment
from litestar import Litestar, get
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from litestar.testing import RequestFactory

from app.asgi import create_app
from app.engine import clock_ms
from app.settings import load_settings
from app.web.public.page_cache import cache_of
from app.wiring import Platform, open_platform
from domain import commands as c
from domain.terms import DAY_MS, Reward, Submission, Terms

STAFF = f"staff:{uuid.uuid4()}"


def _id() -> str:
    return str(uuid.uuid4())


async def _campaign(platform: Platform, pledges: int) -> str:
    """A live campaign with a story, rewards and so many pledges."""
    at, campaign_id = clock_ms(), _id()
    content = platform.stores.content
    creator = await platform.stores.people.add_person("creator", display_name="Sample team", at=at)
    story = "## Why\n\n" + "\n\n".join(["A paragraph of **some** forty words. " * 6] * 12)
    text = await content.put(
        {"title": "A sample campaign", "blurb": "For a measurement.", "story": story}, at=at
    )
    reward = await content.put({"title": "A poster", "description": "Rolled."}, at=at)
    submission = Submission(
        creator=creator,
        model="all_or_nothing",
        currency="CNY",
        goal_minor=8_000_000,
        deadline_at=at + 30 * DAY_MS,
        terms=Terms(),
        text=text,
        rewards=tuple(
            Reward(reward_id=_id(), price_minor=12_000, limit=500, text=reward) for _ in range(6)
        ),
    )
    who: dict[str, Any] = {"campaign_id": campaign_id}
    for command in (
        c.SubmitCampaign(
            **who, by=f"creator:{creator}", command_id=_id(), channel=_id(), submission=submission
        ),
        c.ApproveCampaign(**who, by=STAFF, command_id=_id()),
        c.LaunchCampaign(**who, by=f"creator:{creator}", command_id=_id()),
    ):
        await platform.engine.submit_async(command)
    backers = await platform.stores.people.mint_backers(pledges, at=at)

    async def give(backer: str) -> None:
        await platform.engine.submit_async(
            c.MakePledge(
                **who,
                by=f"backer:{backer}",
                command_id=(pledge_id := _id()),
                pledge_id=pledge_id,
                backer=backer,
                amount_minor=10_000,
                currency="CNY",
                payment_method=_id(),
            )
        )

    await asyncio.gather(*map(give, backers))
    platform.follower.catch_up()
    return campaign_id


async def _ask(app: Any, path: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:  # noqa: ANN401 - an ASGI application
    """Ask an application for a path; returns its status, body and headers."""
    scope: Any = RequestFactory(app).get(path, headers=headers).scope
    status, body, found = 0, b"", {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
            found.update({k.decode(): v.decode() for k, v in message["headers"]})
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    if status not in {200, 304}:
        raise RuntimeError(f"{path} answered {status}")
    return status, body, found


def _empty() -> Litestar:
    """An application whose one page is an empty template."""
    jinja = Environment(loader=DictLoader({"empty.html": ""}), autoescape=True)

    @get("/")
    async def page() -> Template:
        return Template("empty.html")

    return Litestar(
        [page],
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(jinja)),
        logging_config=None,
    )


async def _measure(pledges: int, requests: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({}, data_dir=Path(folder))
        async with open_platform(settings) as platform:
            campaign_id = await _campaign(platform, pledges)
            app = create_app(platform)
            path = f"/campaigns/{campaign_id}"
            cache = cache_of(platform)
            _, body, headers = await _ask(app, path, {})
            etag = {"if-none-match": headers["etag"]}

            async def rendered() -> None:
                cache.forget(campaign_id)
                await _ask(app, path, {})

            async def kept() -> None:
                await _ask(app, path, {})

            async def unchanged() -> None:
                await _ask(app, path, etag)

            bare = _empty()

            async def empty() -> None:
                await _ask(bare, "/", {})

            costs = {}
            for name, once in (
                ("empty", empty),
                ("rendered", rendered),
                ("kept", kept),
                ("unchanged", unchanged),
            ):
                for _ in range(20):
                    await once()
                began = time.process_time()
                for _ in range(requests):
                    await once()
                costs[name] = (time.process_time() - began) / requests * 1000
    return {
        "pledges": pledges,
        "bytes": len(body),
        "cpu_ms": {name: round(cost, 3) for name, cost in costs.items()},
        "times_an_empty_template": {
            name: round(cost / costs["empty"], 1) for name, cost in costs.items()
        },
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pledges", type=int, default=500)
    parser.add_argument("--requests", type=int, default=300)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(_measure(given.pledges, given.requests)), indent=2))


if __name__ == "__main__":
    main()
