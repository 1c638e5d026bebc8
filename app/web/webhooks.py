"""Where the payment provider tells us its news."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from app.api.problems import Refused
from app.payments.port import InvalidNotification
from app.wiring import Platform

MAX_NEWS_BYTES = 65_536


@post(
    "/webhooks/test-bank",
    include_in_schema=False,
    request_max_body_size=MAX_NEWS_BYTES,
    status_code=204,
)
async def hear_test_bank(
    request: Request[Any, Any, Any], platform: NamedDependency[Platform]
) -> Response[None]:
    """Record signed news and acknowledge it once its facts are in the log.

    News that is not signed by the provider is refused; news that cannot be recorded now is not
    acknowledged, so that the provider sends it again.
    """
    body = await request.body()
    headers = dict(request.headers.items())
    try:
        await asyncio.to_thread(platform.processes.receive, headers, body)
    except InvalidNotification as fault:
        raise Refused("signature_invalid") from fault
    return Response(None, status_code=204)
