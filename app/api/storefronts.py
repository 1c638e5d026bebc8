"""Channels, creators, categories, and the names of those who want to be seen."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import func, select

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.everybody import SEEN
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.reading import page_of_campaign
from app.stores.channels import Channel, UnknownChannelError
from app.stores.people import UnknownPartyError
from app.web.backer.destinations import alphabetical
from app.web.backer.names import names_list
from app.web.categories import CATEGORIES
from app.wiring import Platform
from domain.terms import Terms
from projections.page_fold import PAGES

_AREA: Final = "Channels"


class ChannelOut(Struct, frozen=True):
    """A channel with the terms it proposes. The first language and currency are offered first."""

    channel_id: str
    name: str
    languages: tuple[str, ...]
    currencies: tuple[str, ...]
    terms: Terms


class ChannelsOut(Struct, frozen=True):
    """A page of channels, by their ids."""

    channels: tuple[ChannelOut, ...]
    next: str | None


class CreatorOut(Struct, frozen=True):
    """A creator with what became of the campaigns that were launched, by phase."""

    creator_id: str
    name: str
    launched: int
    phases: dict[str, int]
    sent: int
    received: int


class CategoriesOut(Struct, frozen=True):
    """The categories' slugs."""

    categories: tuple[str, ...]
    next: str | None = None


class NamesOut(Struct, frozen=True):
    """The names of a day that began at `day_at`; none before there are five."""

    day_at: int
    names: tuple[str, ...]
    next: str | None


@reads("/channels", area=_AREA, summary="List channels")
async def list_channels(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ChannelsOut]:
    """Every channel of this log."""
    after = key_of(cursor, "channels", str)
    found = await platform.stores.channels.all()
    rest = [channel for channel in found if after is None or channel.id > after[0]]
    shown, following = page_of(
        request, rest, limit, lambda channel: cursor_of("channels", channel.id)
    )
    return listed(ChannelsOut(tuple(map(_channel_out, shown)), following), following)


@reads("/channels/{channel_id:str}", area=_AREA, summary="Read a channel", reasons=("not_found",))
async def get_channel(
    channel_id: FromPath[str], platform: NamedDependency[Platform]
) -> Response[ChannelOut]:
    """A channel, its languages, currencies and terms."""
    try:
        return Response(_channel_out(await platform.stores.channels.get(channel_id)))
    except UnknownChannelError as fault:
        raise Refused("not_found", "There is no such channel.") from fault


def _channel_out(channel: Channel) -> ChannelOut:
    return ChannelOut(
        channel.id, channel.name, channel.languages, channel.currencies, channel.terms
    )


@reads("/creators/{creator_id:str}", area=_AREA, summary="Read a creator", reasons=("not_found",))
async def get_creator(
    creator_id: FromPath[str], platform: NamedDependency[Platform]
) -> Response[CreatorOut]:
    """A creator who launched something, with the track record."""
    pages = PAGES.c
    query = (
        select(pages.phase, func.count(), func.sum(pages.sent), func.sum(pages.received))
        .where(pages.creator == creator_id, pages.launched_at.is_not(None))
        .group_by(pages.phase)
    )
    async with platform.views.connect() as connection:
        rows = (await connection.execute(query)).all()
    try:
        party = await platform.stores.people.get(creator_id)
    except UnknownPartyError:
        party = None
    if not rows or party is None:
        raise Refused("not_found", "Nobody with this id launched a campaign.")
    phases = {phase: count for phase, count, _, _ in rows}
    return Response(
        CreatorOut(
            creator_id,
            party.display_name,
            sum(phases.values()),
            phases,
            sum(row[2] for row in rows),
            sum(row[3] for row in rows),
        )
    )


@reads("/categories", area=_AREA, summary="List categories")
async def list_categories() -> Response[CategoriesOut]:
    """What a campaign's `category` may be."""
    return Response(CategoriesOut(tuple(CATEGORIES)))


@reads(
    "/campaigns/{campaign_id:str}/names",
    area="Campaigns",
    summary="Read the names list",
    reasons=SEEN,
)
async def list_names(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[NamesOut]:
    """The backers who want to be seen, by the alphabet, without amounts or times; made anew every
    midnight, from five names on.
    """
    after = key_of(cursor, "names", str)
    await page_of_campaign(platform, request.auth, campaign_id)
    found = await names_list(platform, campaign_id)
    last = None if after is None else _letters(after[0])
    rest = [name for name in found.names if last is None or _letters(name) > last]
    shown, following = page_of(request, rest, limit, lambda name: cursor_of("names", name))
    # Equal names stay together: the next page begins after them.
    more = rest[len(shown) :]
    same = [name for name in more if shown and name == shown[-1]] if following else []
    return listed(NamesOut(found.day_at, (*shown, *same), following), following)


def _letters(name: str) -> tuple[Any, str]:
    return alphabetical(name), name


HANDLERS: Final[tuple[Any, ...]] = (
    list_channels,
    get_channel,
    get_creator,
    list_categories,
    list_names,
)
