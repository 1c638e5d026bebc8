"""How much CPU a campaign's page costs, beside an empty template, in one run.

Each page is asked for by an ASGI call within this process: no network, no server. `rendered` is
the page made anew each time (as for a signed-in backer), `kept` the page that visitors without a
session get while nothing changes, `unchanged` the answer to a browser that has it already.

    python -m bench.page_rate [--quick] [--json FILE] [--pledges 500] [--requests 300]

In the measured path: the whole application with its middleware, sessions, security headers, the
view's queries, the template and the language. Not in it: the server and the network, for which see
`http_rate`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment
from litestar import Litestar, get
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from litestar.testing import RequestFactory

from app.asgi import create_app
from app.settings import load_settings
from app.web.public.page_cache import cache_of
from app.wiring import Platform, open_platform
from bench.campaigns import pledges, require_done
from bench.http_server import open_campaigns
from bench.results import RUNS, Result, arguments, publish


async def _campaign(platform: Platform, count: int) -> str:
    """A live campaign with a story, rewards and so many pledges."""
    (campaign_id,) = await open_campaigns(platform, 1)
    require_done(await platform.engine.submit_many_async(pledges([campaign_id], count)))
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


async def _costs(count: int, requests: int) -> tuple[dict[str, float], int]:
    """CPU milliseconds of each kind of request, and the page's size in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({}, data_dir=Path(folder))
        async with open_platform(settings) as platform:
            campaign_id = await _campaign(platform, count)
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
                ("an empty template", empty),
                ("rendered anew", rendered),
                ("kept for visitors", kept),
                ("unchanged, a browser has it", unchanged),
            ):
                for _ in range(20):
                    await once()
                began = time.process_time()
                for _ in range(requests):
                    await once()
                costs[name] = (time.process_time() - began) / requests * 1000
    return costs, len(body)


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure each kind of request."""
    runs, requests = (1, 10) if asked.quick else (RUNS, asked.requests)
    found = [asyncio.run(_costs(asked.pledges, requests)) for _ in range(runs)]
    size = found[0][1]
    for name in found[0][0]:
        cost = tuple(costs[name] for costs, _ in found)
        times = statistics.median(costs[name] / costs["an empty template"] for costs, _ in found)
        yield Result(
            name=f"a campaign's page, {name}" if name != "an empty template" else name,
            unit="ms CPU",
            runs=cost,
            ratio=f"{times:,.1f} times an empty template" if times != 1 else "",
            note=f"{asked.pledges:,} pledges, {size:,} bytes" if name == "rendered anew" else "",
        )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--pledges", type=int, default=500)
    parser.add_argument("--requests", type=int, default=300)
    asked = parser.parse_args()
    publish(measure(asked), asked, "page_rate")


if __name__ == "__main__":
    main()
