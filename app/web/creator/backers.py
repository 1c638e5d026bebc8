"""The backers of a campaign: filtered, page by page, and as files."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import File, Stream

from app.web.creator.access import team_page
from app.web.creator.exports import backer_columns, csv_of, parquet_of
from app.web.creator.reading import (
    DELIVERY,
    PAGE_ROWS,
    STATES,
    Filter,
    backer_lines,
    count_where,
    countries,
    pledges_where,
    reward_titles,
    title_of,
)
from app.web.site import PageRequest, Site
from projections.facts import MAX_NO

Short = Annotated[str, QueryParameter(max_length=64)]
Number = Annotated[int, QueryParameter(ge=0, le=MAX_NO)]

NOT_KEPT = ResponseHeader(name="cache-control", value="no-store")


def asked(request: PageRequest) -> Filter:
    """The filter that an address names; what is no choice of ours is passed over."""
    query = request.query_params

    def one(name: str, longest: int = 64) -> str:
        return str(query.get(name, ""))[:longest].strip()

    state, delivery = one("state"), one("delivery")
    return Filter(
        state=state if state in STATES else "",
        reward=one("reward"),
        country=one("country").upper(),
        delivery=delivery if delivery in DELIVERY else "",
        name=one("name", 80),
    )


@get("/desk/{campaign_id:str}/backers", include_in_schema=False)
async def show_backers(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    before: Number = 0,
    after: Number = 0,
) -> Response[Any]:
    """A page of backers, the newest first."""
    visitor, page = await team_page(site, request, campaign_id)
    platform = site.platform
    wanted = asked(request)
    rows = await pledges_where(
        platform, campaign_id, wanted, before=before, after=after or None, limit=PAGE_ROWS + 1
    )
    more = len(rows) > PAGE_ROWS
    rows = rows[:PAGE_ROWS]
    if after:
        rows.reverse()
    count, amount_minor = await count_where(platform, campaign_id, wanted)
    has_newer = bool(before) or (bool(after) and more)
    has_older = more if not after else True

    def address(**place: int) -> str:
        return f"/desk/{campaign_id}/backers?{urlencode(wanted.query | place)}"

    return site.page(
        "creator/backers.html",
        visitor,
        page=page,
        title=await title_of(platform, page),
        lines=await backer_lines(platform, page, rows),
        titles=await reward_titles(platform, page),
        countries=await countries(platform, campaign_id),
        wanted=wanted,
        count=count,
        amount_minor=amount_minor,
        newer=address(after=rows[0].no) if rows and has_newer else "",
        older=address(before=rows[-1].no) if rows and has_older else "",
        query=urlencode(wanted.query),
        place="backers",
        section="desk",
    )


@get("/desk/{campaign_id:str}/export.csv", include_in_schema=False, response_headers=[NOT_KEPT])
async def export_csv(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Stream:
    """All backers that the filter finds, as CSV, written while it is read."""
    _, page = await team_page(site, request, campaign_id)
    columns = await backer_columns(site.platform, page)
    return Stream(
        csv_of(site.platform, page, asked(request), columns),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="backers.csv"'},
    )


@get("/desk/{campaign_id:str}/export.parquet", include_in_schema=False, response_headers=[NOT_KEPT])
async def export_parquet(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> File:
    """The same as Parquet."""
    _, page = await team_page(site, request, campaign_id)
    columns = await backer_columns(site.platform, page)
    made = await parquet_of(site.platform, page, asked(request), columns)
    return File(
        made.path,
        filename="backers.parquet",
        media_type="application/vnd.apache.parquet",
        background=made.removal,
    )
