"""Where somebody of a channel's staff stands: which channel they look at, what they may do there.

Everything of this area is per channel. Who has a role in two channels chooses one; who has none in
the channel asked for is refused before anything is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar.connection import ASGIConnection
from litestar.params import QueryParameter
from msgspec import Struct

from app.stores.channels import Channel
from app.stores.people import Role
from app.web.language import gettext, translatable
from app.web.site import RoleNeededError, Site
from app.web.staff.reading import waiting
from app.web.visitors import Visitor
from projections.campaign_pages import CampaignPage

AtLeast = Annotated[int, QueryParameter(ge=0, le=2**62)]
ChannelChoice = Annotated[str, QueryParameter(max_length=64)]
Done = Annotated[str, QueryParameter(max_length=40)]
"""Which deed a page confirms; an unknown one is passed over."""

ALL: Final[tuple[Role, ...]] = ("staff", "treasurer", "auditor")
REVIEWERS: Final[tuple[Role, ...]] = ("staff", "auditor")
AUDITORS: Final[tuple[Role, ...]] = ("auditor",)

TABS: Final[tuple[tuple[str, str, str, tuple[Role, ...]], ...]] = (
    ("desk", "/staff", translatable("Desk"), ALL),
    ("reviews", "/staff/reviews", translatable("Reviews"), REVIEWERS),
    ("campaigns", "/staff/campaigns", translatable("Campaigns"), ALL),
    ("payouts", "/staff/payouts", translatable("Payouts"), ALL),
    ("reports", "/staff/reports", translatable("Reports"), REVIEWERS),
    ("disputes", "/staff/disputes", translatable("Disputes"), ALL),
    ("needs", "/staff/needs", translatable("Help offered"), REVIEWERS),
    ("health", "/staff/health", translatable("Health"), ALL),
    ("people", "/staff/people", translatable("People"), REVIEWERS),
    ("log", "/staff/log", translatable("Log"), AUDITORS),
)
"""The pages of the desk: name, address, words, and who may look."""


class Post(Struct, frozen=True):
    """Somebody at a channel's desk. `channels` are all in which they have a role."""

    visitor: Visitor
    channel: Channel
    channels: tuple[Channel, ...]

    def has(self, *roles: Role) -> bool:
        """Whether they have one of these roles in this channel."""
        return self.visitor.is_in(self.channel.id, *roles)

    @property
    def reviews(self) -> bool:
        """Whether they may act as staff."""
        return self.has("staff")

    @property
    def pays(self) -> bool:
        """Whether they may act as treasurer."""
        return self.has("treasurer")

    @property
    def acts(self) -> bool:
        """Whether they may do more than read."""
        return self.reviews or self.pays

    def actor(self, *roles: Role) -> str:
        """As whom they act: the first of these roles that they have here.

        Raises RoleNeededError.
        """
        for role in roles:
            if self.has(role):
                return f"{role}:{self.visitor.party}"
        raise RoleNeededError

    @property
    def tabs(self) -> list[tuple[str, str, str]]:
        """(name, address, words) of the pages that they may look at."""
        return [
            (name, f"{path}?channel={self.channel.id}", gettext(words))
            for name, path, words, roles in TABS
            if self.has(*roles)
        ]

    def is_own(self, page: CampaignPage) -> bool:
        """Whether they, under any of their ids, are of this campaign's side."""
        return bool(self.visitor.parties & {page.creator, *page.team})


async def channel_post(
    site: Site, connection: ASGIConnection[Any, Any, Any, Any], *roles: Role, channel: str = ""
) -> Post:
    """Who is looking, at the channel asked for, or, of those in which they have such a role, at the
    one where most waits.

    Raises SignInNeededError and RoleNeededError.
    """
    visitor = await site.signed_in(connection)
    mine = frozenset().union(*(visitor.channels_as(role) for role in roles))
    if not mine or (channel and channel not in mine):
        raise RoleNeededError
    known = sorted(await site.platform.stores.channels.all(), key=lambda found: found.name)
    works_in = frozenset().union(*(visitor.channels_as(role) for role in ALL))
    channels = tuple(found for found in known if found.id in works_in)
    chosen = [found for found in channels if found.id in mine and channel in ("", found.id)]
    if not chosen:
        raise RoleNeededError
    return Post(visitor, await _busiest(site, chosen), channels)


async def _busiest(site: Site, channels: list[Channel]) -> Channel:
    """The channel where most waits; the first of equals."""
    if len(channels) == 1:
        return channels[0]
    loads: dict[str, int] = {}
    async with site.platform.views.connect() as connection:
        for found in channels:
            counts = await waiting(connection, found.id)
            loads[found.id] = sum(msgspec.structs.astuple(counts))
    return max(channels, key=lambda found: loads[found.id])


async def campaign_post(
    site: Site,
    connection: ASGIConnection[Any, Any, Any, Any],
    campaign_id: str,
    *roles: Role,
    at_least: int = 0,
) -> tuple[Post, CampaignPage]:
    """Who is looking, at the channel of this campaign, with its page.

    Raises SignInNeededError, RoleNeededError and CampaignUnknown.
    """
    post = await channel_post(site, connection, *roles)
    page = await site.any_campaign(campaign_id, at_least)
    if page.channel != post.channel.id:
        post = await channel_post(site, connection, *roles, channel=page.channel)
    return post, page
