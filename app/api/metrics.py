"""The metrics, as Prometheus reads them."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from litestar import Response, Router, get
from litestar.di import NamedDependency

from app.api.access import ApiRequest, bearer_keys, needs
from app.api.problems import Refused
from app.metrics.measuring import Measuring
from app.metrics.meter import CONTENT_TYPE, exposition, read_reports
from app.wiring import Platform

_measuring: Final[WeakKeyDictionary[Platform, Measuring]] = WeakKeyDictionary()


@get("/", guards=[needs("events:read")], include_in_schema=False)
async def show_metrics(request: ApiRequest, platform: NamedDependency[Platform]) -> Response[bytes]:
    """Everything that is counted on this machine, for a key that reads the whole log.

    Raises Refused for a key of one channel: what is counted is of all of them.
    """
    if request.auth.channel:
        raise Refused("scope_missing", "This takes a key for all channels.")
    own = platform.report()
    reports = read_reports(platform.settings.data_dir)
    others = [report for report in reports if report.process != own.process]
    measuring = _measuring.setdefault(platform, Measuring(platform))
    told = sorted([own, *others], key=lambda report: report.process)
    return Response(
        exposition(told, await measuring.facts(told)),
        headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"},
    )


def metrics_router(platform: Platform) -> Router:
    """`/metrics`, which answers to keys."""
    keys = bearer_keys(platform.stores.keys, platform.stores.accounts, platform.clock)
    return Router("/metrics", route_handlers=[show_metrics], middleware=[keys])
