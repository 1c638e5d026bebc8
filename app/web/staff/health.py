"""Whether everything that follows the log keeps up, and how payments go.

For programs the same is said by `/health/ready`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.response import Template
from msgspec import Struct

from app.api.health import MOST_LAG
from app.log import decode_row
from app.processes.work import NEVER, Trouble
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import staff_page, titles_of
from app.web.staff.posts import ALL, ChannelChoice, channel_post
from app.web.staff.words import WORK
from app.wiring import Platform
from domain.events import CollectionFailed, PledgeCollected

HOUR_MS: Final = 3_600_000
READ_AT_ONCE: Final = 2_000
MOST_READ: Final = 40_000
"""Facts of the last hour that are looked at for charges and declines."""
ANSWER_S: Final = 2.0
"""How long the provider may take to answer, in seconds."""


class Glance(Struct, frozen=True):
    """The state of everything that follows the log. Faults are empty when all is well.

    `lag` and `work_lag` are facts that the views and the processes are behind.
    """

    position: int
    last_at: int
    lag: int
    work_lag: int
    views_fault: str
    work_fault: str
    troubles: int
    waiting: int

    @property
    def well(self) -> bool:
        """Whether nothing needs a person."""
        fault = self.views_fault or self.work_fault
        return not fault and max(self.lag, self.work_lag) <= MOST_LAG


class Payments(Struct, frozen=True):
    """Charges of the last hour in one channel; `whole` unless there were too many to read."""

    charged: int
    declined: int
    whole: bool

    @property
    def declined_percent(self) -> int:
        """The share of declines, rounded."""
        total = self.charged + self.declined
        return round(100 * self.declined / total) if total else 0


class Queue(Struct, frozen=True):
    """Rows of work of one kind: how many wait, how many did not go through."""

    kind: str
    waiting: int
    troubles: int


class Provider(Struct, frozen=True):
    """Whether the payment provider answers, and within how many milliseconds."""

    name: str
    reachable: bool
    took_ms: int


async def glance(site: Site) -> Glance:
    """How everything stands now."""
    return await asyncio.to_thread(_glance, site.platform)


def _glance(platform: Platform) -> Glance:
    position, last_at = platform.log.last()
    follower, processes, standing = platform.follower, platform.processes, platform.standing()
    return Glance(
        position=position,
        last_at=last_at,
        lag=max(0, position - follower.position),
        work_lag=max(0, position - processes.position),
        views_fault=standing.views_fault,
        work_fault=standing.work_fault,
        troubles=len(processes.troubles()),
        waiting=sum(processes.waiting().values()),
    )


@get("/staff/health", include_in_schema=False)
async def show_health(
    request: PageRequest, site: NamedDependency[Site], channel: ChannelChoice = ""
) -> Template:
    """Followers, work, payments, mails."""
    post = await channel_post(site, request, *ALL, channel=channel)
    platform = site.platform
    troubles = await asyncio.to_thread(platform.processes.troubles)
    async with platform.views.connect() as connection:
        unknown = await reading.unknown_fates(connection, post.channel.id)
        own = await reading.by_ids(
            connection, post.channel.id, {trouble.campaign_id for trouble in troubles}
        )
    payments = await asyncio.to_thread(recent_payments, platform, post.channel.id, platform.clock())
    return await staff_page(
        site,
        post,
        "health.html",
        "health",
        health=await glance(site),
        queues=await asyncio.to_thread(_queues, platform, troubles),
        troubles=[trouble for trouble in troubles if trouble.campaign_id in own],
        elsewhere=sum(trouble.campaign_id not in own for trouble in troubles),
        unknown=unknown,
        titles=await titles_of(site, [*own.values(), *(found for found, _ in unknown)]),
        payments=payments,
        provider=await _provider(platform),
        mails=await platform.stores.mails.waiting(),
        work_words=WORK,
        never=NEVER,
    )


def _queues(platform: Platform, troubles: list[Trouble]) -> list[Queue]:
    counted = {str(kind): number for kind, number in platform.processes.waiting().items()}
    return [
        Queue(kind, counted.get(kind, 0), sum(trouble.kind == kind for trouble in troubles))
        for kind in WORK
    ]


def recent_payments(platform: Platform, channel: str, now: int) -> Payments:
    """Count charges and declines of the last hour, from the end of the log backwards."""
    position, _ = platform.log.last()
    charged = declined = read = 0
    while position > 0 and read < MOST_READ:
        first = max(0, position - READ_AT_ONCE)
        rows = platform.log.read(first, position - first)
        for row in rows:
            if row.at < now - HOUR_MS or row.tag not in _PAYMENTS:
                continue
            event = decode_row(row)
            if event.channel == channel:
                charged += isinstance(event, PledgeCollected)
                declined += isinstance(event, CollectionFailed)
        read += len(rows)
        if not rows or rows[0].at < now - HOUR_MS:
            return Payments(charged, declined, whole=True)
        position = first
    return Payments(charged, declined, whole=position <= 0)


_PAYMENTS: Final = frozenset(("pledge.collected.v1", "collection.failed.v1"))


async def _provider(platform: Platform) -> Provider:
    """Ask the provider about an operation that it cannot know: any answer means it is there."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S):
            await asyncio.to_thread(platform.provider.look_up, "health")
    except Exception:  # noqa: BLE001 - out of reach, however it says so
        return Provider(platform.provider.name, reachable=False, took_ms=0)
    took_ms = round(1000 * (time.monotonic() - began))
    return Provider(platform.provider.name, reachable=True, took_ms=took_ms)
