"""Whether the server is alive, and whether it should be sent requests."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from app.audit.last import read_last
from app.wiring import Platform

MOST_LAG: Final = 20_000
"""Events that the views may be behind: about a second at the rate that is measured."""
UNRECORDED_S: Final = 10.0
"""For so long after a turn that could not be recorded no requests are wanted; then one has to come
and try again, as nobody else would.
"""
ANSWER_S: Final = 2.0
"""How long the store may take to answer, in seconds."""

_logger = logging.getLogger(__name__)


class Health(Struct, frozen=True, omit_defaults=True):
    """`position` is the log's last, `lag` by how many events the views are behind it. `mail` says
    why mails wait, `audit` what the last audit found wrong, `tree` why no checkpoint is signed or
    published; each is left out where nothing is.
    """

    status: str
    position: int | None = None
    lag: int | None = None
    mail: str = ""
    audit: str = ""
    tree: str = ""


@get("/health/live", summary="Is the process alive?")
async def live() -> Health:
    """Answer as long as the process does."""
    return Health("live")


@get("/health/ready", summary="Should it be sent requests?")
async def ready(platform: NamedDependency[Platform]) -> Response[Health]:
    """200 where the log can be read and what follows it is close behind, else 503."""
    try:
        async with asyncio.timeout(ANSWER_S):
            position, _ = await asyncio.to_thread(platform.log.last)
    except Exception:
        _logger.exception("the log cannot be read")
        return Response(Health("the log cannot be read"), status_code=503)
    unrecorded_at = platform.meter.unrecorded_at
    if unrecorded_at is not None and time.monotonic() - unrecorded_at < UNRECORDED_S:
        return Response(Health("the log cannot be written", position), status_code=503)
    standing = platform.standing()
    if standing.fork:
        return Response(Health("the log was exchanged", position), status_code=503)
    if standing.views_fault:
        return Response(Health("the views stand still", position), status_code=503)
    if standing.work_fault:
        return Response(Health("the processes stand still", position), status_code=503)
    lag = max(0, position - platform.follower.position)
    if lag > MOST_LAG:
        return Response(Health("the views are behind", position, lag), status_code=503)
    mail = await _mail(platform, standing.mail_fault)
    audit, tree = _audit(platform), standing.tree_fault
    return Response(Health("ready", position, lag, mail, audit, tree))


async def _mail(platform: Platform, fault: str) -> str:
    """Why mails stand still. The site is ready all the same: nobody waits for a mail on a page."""
    if fault:
        return f"mails stand still: {fault}"
    mail = await platform.mail.health()
    if mail.sends or not mail.waiting or platform.settings.demo:
        return ""
    return f"{mail.waiting} mails wait: no SMTP server is set"


def _audit(platform: Platform) -> str:
    """What the last audit found. The site is ready all the same: nothing is mended by hiding it."""
    last = read_last(platform.settings.last_audit_path)
    found = []
    if last.verify is not None and not last.verify.ok:
        found.append(f"the last verification found {last.verify.violations} faults")
    if last.replay is not None and not last.replay.identical:
        found.append("the last replay differed from the views")
    return "; ".join(found)
