"""Counts requests, around everything else that an application does."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from app.metrics.meter import Meter

_ROUTES: Final = (
    ("/api/", "api"),
    ("/static/", "static"),
    ("/health/", "health"),
    ("/metrics", "metrics"),
    ("/webhooks/", "webhook"),
    ("/test-bank", "bank"),
)


def route_of(method: str, path: str) -> str:
    """The class of a route: a few words, never an address, so that what is counted stays small."""
    for prefix, route in _ROUTES:
        if path.startswith(prefix):
            if route == "api" and method == "POST" and "/pledges" in path:
                return "api_pledge"
            return route
    return "stream" if path.endswith("/live") else "page"


def counted(application: Any, meter: Meter) -> Any:  # noqa: ANN401 - ASGI has no types of its own
    """The same application, whose answers are counted by route and status."""

    async def counting(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - the same
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        status = 0

        async def sending(message: Any) -> None:  # noqa: ANN401 - the same
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        meter.in_flight += 1
        try:
            await application(scope, receive, sending)
        finally:
            meter.in_flight -= 1
            # 499, as web servers write it: whoever asked was gone before there was an answer.
            meter.requests[route_of(scope["method"], scope["path"]), status or 499] += 1

    return counting


def count_refused(meter: Meter, method: str, address: str) -> None:
    """Count what was turned away before it came to the application."""
    route = route_of(method, address.partition("?")[0])
    meter.requests[route, HTTPStatus.SERVICE_UNAVAILABLE] += 1
