"""Finding campaigns by words, and following them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import HttpMethod, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from sqlalchemy import select

from app.api.access import ApiRequest
from app.api.addresses import Notes, address, reads
from app.api.everybody import SEEN
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, next_link
from app.api.reading import CampaignLineOut, line_out, page_of_campaign
from app.search import Order, State, Wanted
from app.wiring import Platform
from projections.page_fold import PAGES, PageRow

LAST: Final = 100_000
"""Nobody reads a search further than this."""

Narrow = Annotated[str, QueryParameter(max_length=128, description="Only these.")]


class FoundOut(Struct, frozen=True):
    """A page of campaigns in the order asked for, and how many there are on all pages."""

    campaigns: tuple[CampaignLineOut, ...]
    total: int
    next: str | None


class FollowsOut(Struct, frozen=True):
    """The campaigns that the key's owner follows, the newest follow first."""

    campaign_ids: tuple[str, ...]
    next: str | None


@reads("/search", area="Campaigns", summary="Search campaigns")
async def search_campaigns(  # noqa: PLR0913, PLR0917 - a query has many parameters, by name
    request: ApiRequest,
    platform: NamedDependency[Platform],
    q: Annotated[
        str, QueryParameter(max_length=200, description="Words of title, blurb, story, creator.")
    ] = "",
    in_state: Annotated[
        State | None,
        QueryParameter(name="state", description="Live, ended well, or ended otherwise."),
    ] = None,
    category: Narrow = "",
    channel: Narrow = "",
    creator: Narrow = "",
    language: Narrow = "",
    order: Annotated[
        Order | None, QueryParameter(description="By default the best match, else the featured.")
    ] = None,
    limit: Limit = 24,
    cursor: Cursor = "",
) -> Response[FoundOut]:
    """Campaigns that were launched, by words and narrowed as the site's own search is.

    A cursor counts places here, for an order by rank has no fixed ones: where nothing may be
    missed, list the campaigns instead.
    """
    after = key_of(cursor, "search", int)
    offset = min(max(after[0], 0), LAST) if after else 0
    wanted = Wanted(
        query=q.replace("\0", " "),
        state=in_state or "",
        category=category,
        channel=channel,
        creator=creator,
        language=language,
        order=order or ("best" if q.strip() else "featured"),
        limit=limit,
        offset=offset,
    )
    await asyncio.to_thread(platform.search.ready)
    found = await asyncio.to_thread(platform.search.index.find, wanted)
    async with platform.views.connect() as connection:
        query = select(PAGES).where(PAGES.c.campaign_id.in_(found.ids))
        rows = {row.campaign_id: row for row in map(_row, await connection.execute(query))}
    texts = await platform.stores.content.get_many({row.text for row in rows.values()} - {""})
    shown = tuple(line_out(rows[known], texts) for known in found.ids if known in rows)
    end = offset + limit
    following = next_link(request, cursor_of("search", end)) if end < found.total else None
    return listed(FoundOut(shown, found.total, following), following)


def _row(found: Any) -> PageRow:  # noqa: ANN401 - a row of the views
    return PageRow(*found)


@reads("/me/follows", area="Account", summary="List what I follow")
async def list_follows(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[FollowsOut]:
    """The campaigns that the key's owner follows, the newest follow first."""
    after = key_of(cursor, "follows", str)
    found = await platform.stores.follows.of_party(request.auth.owner)
    # Where the last one shown is followed no more there is nothing to go on from.
    first = found.index(after[0]) + 1 if after and after[0] in found else 0
    rest = found[first:]
    shown = tuple(rest[:limit])
    more = len(rest) > limit
    following = next_link(request, cursor_of("follows", shown[-1])) if more else None
    return listed(FollowsOut(shown, following), following)


@address(
    "/campaigns/{campaign_id:str}/follow",
    (HttpMethod.PUT,),
    Notes(area="Account", reasons=SEEN),
    summary="Follow a campaign",
    status=204,
)
async def follow(
    campaign_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> None:
    """Get a mail when something happens; doing it again changes nothing."""
    await page_of_campaign(platform, request.auth, campaign_id)
    owner, stores = request.auth.owner, platform.stores
    account = await stores.accounts.get(owner)
    language = account.language if account else "en"
    await stores.follows.follow(campaign_id, owner, language=language, at=platform.clock())


@address(
    "/campaigns/{campaign_id:str}/follow",
    (HttpMethod.DELETE,),
    Notes(area="Account", reasons=SEEN),
    summary="Follow a campaign no more",
    status=204,
)
async def unfollow(
    campaign_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> None:
    """Doing it again changes nothing."""
    await page_of_campaign(platform, request.auth, campaign_id)
    await platform.stores.follows.unfollow(campaign_id, request.auth.owner)


HANDLERS: Final[tuple[Any, ...]] = (search_campaigns, list_follows, follow, unfollow)
