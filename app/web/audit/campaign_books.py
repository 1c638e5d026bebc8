"""What a campaign's audit page shows besides its numbers: its part of the log, what is opened."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from app.audit.last import LastAudit
from app.audit.reader import CAMPAIGN
from app.wiring import Platform
from projections.campaign_pages import CampaignPage


class Place(Struct, frozen=True):
    """Where the last verification found something: what should hold there, and the position."""

    kind: str
    position: int | None


class CampaignBooks(Struct, frozen=True):
    """A campaign's part of the log: how many events it has, between which positions.

    `opened` of them, in `batches`, are published in the clear, the last of them of the day of
    `opened_at` (ms UTC; None where none is). `places` is where something was found in it.
    """

    events: int
    first: int
    last: int
    opened: int
    batches: int
    opened_at: int | None
    places: tuple[Place, ...]

    @property
    def waiting(self) -> int:
        """How many of its leaves nobody outside can open yet."""
        return max(0, self.events - self.opened)


async def campaign_books(platform: Platform, page: CampaignPage, last: LastAudit) -> CampaignBooks:
    """The part of the log that is a campaign's, as far as its page has read."""
    return await asyncio.to_thread(_campaign_books, platform, page, last)


def _campaign_books(platform: Platform, page: CampaignPage, last: LastAudit) -> CampaignBooks:
    stream = CAMPAIGN + page.campaign_id
    newest = platform.log.read(page.position - 1, 1)
    opened = platform.openings.of(page.campaign_id)
    at = None
    if opened.entries:
        at = next((row.at for row in platform.log.read(opened.position - 1, 1)), None)
    return CampaignBooks(
        events=newest[0].version if newest and newest[0].stream == stream else 0,
        first=platform.log.position_of(stream, 1) or 0,
        last=page.position,
        opened=opened.entries,
        batches=opened.batch,
        opened_at=at,
        places=tuple(
            Place(place.rule, place.position) for place in last.places if place.stream == stream
        ),
    )
