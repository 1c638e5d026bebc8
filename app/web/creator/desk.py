"""The creator's desk: all campaigns of a person, and one campaign at a glance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from app.stores.drafts import Draft
from app.web.confluence import Confluence, confluence
from app.web.cover import Cover, cover
from app.web.creator.access import team_page
from app.web.creator.deeds import Deed, told_deeds
from app.web.creator.drafting import DraftBody, body_of
from app.web.creator.nextstep import NextStep, Waiting, next_step, waiting_for
from app.web.creator.outlook import Outlook, Trying, outlook, trying_again
from app.web.creator.reading import (
    BackerLine,
    Filter,
    backer_lines,
    pledges_where,
    reward_titles,
    title_of,
)
from app.web.creator.similar import Chart, chart, similar_to
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from app.wiring import Platform
from domain.state import Phase
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage, DayLine, campaigns_of
from projections.creator_desk import Desk, desk
from projections.facts import day_of, iso_day

SOLD_DAYS: Final = 30
PROBLEMS_SHOWN: Final = 20
DEEDS_SHOWN: Final = 8
_REVIEWED: Final = frozenset((Phase.SUBMITTED, Phase.RETURNED, Phase.APPROVED))
_CLOSED: Final = frozenset(
    (Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)
)
_HUNDRED: Final = 100


class OwnCampaign(Struct, frozen=True):
    """A campaign on the list of one's own."""

    page: CampaignPage
    title: str
    picture: str
    cover: Cover
    percent: int
    path: str


class Sold(Struct, frozen=True):
    """How a reward sold; `bars` are (x, y, height) of its pieces by day on a field of 180 by 32.

    An empty `reward_id` stands for what was given without a reward.
    """

    reward_id: str
    title: str
    pledges: int
    pieces: int
    amount_minor: int
    left: int | None
    bars: tuple[tuple[float, float, float], ...]


class Problem(Struct, frozen=True):
    """A pledge whose money has not come, and when it is tried again."""

    line: BackerLine
    trying: Trying | None


class DeskView(Struct, frozen=True, kw_only=True):
    """Everything that the desk shows at a glance."""

    page: CampaignPage
    title: str
    percent: int
    step: NextStep
    waiting: list[Waiting]
    today: DayLine
    river: Confluence
    chart: Chart
    sold: list[Sold]
    problems: list[Problem]
    problem_count: int
    deeds: list[Deed]
    states: list[tuple[str, int, int]]
    outlook: Outlook


# --- All of them ---------------------------------------------------------------------------------


@get("/desk", include_in_schema=False)
async def show_desks(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """My campaigns and my drafts."""
    visitor = await site.signed_in(request)
    campaigns = await _own(site.platform, visitor.party)
    drafts = await _drafts(site.platform, visitor, {own.page.campaign_id for own in campaigns})
    return site.page(
        "creator/desks.html", visitor, campaigns=campaigns, drafts=drafts, section="desk"
    )


async def _own(platform: Platform, party: str) -> list[OwnCampaign]:
    async with platform.views.connect() as connection:
        pages = await campaigns_of(connection, party)
    texts = await platform.stores.content.get_many({page.text for page in pages} - {""})
    found = []
    for page in pages:
        document = texts.get(page.text, {})
        path = f"/drafts/{page.campaign_id}" if page.phase in _REVIEWED else ""
        found.append(
            OwnCampaign(
                page,
                in_language(document, "title"),
                str(document.get("cover", "")),
                cover(page.campaign_id),
                page.pledged_minor * _HUNDRED // page.goal_minor,
                path or f"/desk/{page.campaign_id}",
            )
        )
    return found


async def _drafts(
    platform: Platform, visitor: Visitor, handed_in: set[str]
) -> list[tuple[Draft, DraftBody]]:
    drafts = await platform.stores.drafts.of_creator(visitor.party)
    return [(draft, body_of(draft.body)) for draft in drafts if draft.id not in handed_in]


# --- One of them ---------------------------------------------------------------------------------


@get("/desk/{campaign_id:str}", include_in_schema=False)
async def show_desk(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    still: Annotated[str, QueryParameter(max_length=8)] = "",
) -> Response[Any]:
    """One campaign at a glance; with `still` its figures do not move by themselves."""
    visitor, page = await team_page(site, request, campaign_id)
    if page.launched_at is None and page.phase in _REVIEWED:
        return site.redirect(f"/drafts/{campaign_id}")
    view = await _view(site.platform, page)
    return site.page(
        "creator/desk.html",
        visitor,
        view=view,
        page=page,
        place="desk",
        section="desk",
        still=bool(still),
    )


@get("/desk/{campaign_id:str}/live", include_in_schema=False)
async def show_live(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The figures alone, for a page that asks every few seconds."""
    visitor, page = await team_page(site, request, campaign_id)
    today = _today(page, site.platform.clock())
    return site.page("creator/desk_live.html", visitor, page=page, today=today)


@get("/desk/{campaign_id:str}/deeds", include_in_schema=False)
async def show_deeds(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Who did what and when, from the log."""
    visitor, page = await team_page(site, request, campaign_id)
    found = await read_desk(site.platform, campaign_id, 500)
    deeds = await told_deeds(site.platform, found.deeds, frozenset(page.team), page.currency)
    return site.page(
        "creator/deeds.html",
        visitor,
        page=page,
        title=await title_of(site.platform, page),
        deeds=deeds,
        place="deeds",
        section="desk",
    )


async def read_desk(platform: Platform, campaign_id: str, limit: int = 100) -> Desk:
    """A campaign's desk; the campaign is known."""
    async with platform.views.connect() as connection:
        found = await desk(connection, campaign_id, limit)
    assert found is not None, "a campaign that has a page has a desk"
    return found


async def _view(platform: Platform, page: CampaignPage) -> DeskView:
    now = platform.clock()
    found = await read_desk(platform, page.campaign_id)
    ahead = await outlook(platform, page.campaign_id, now)
    questions = await platform.stores.questions.unanswered(page.campaign_id)
    problems, count = await _problems(platform, page, found)
    titles = await reward_titles(platform, page)
    deeds = found.deeds[:DEEDS_SHOWN]
    waiting = waiting_for(page, found, ahead, questions=questions, problems=count)
    return DeskView(
        page=page,
        title=await title_of(platform, page),
        percent=page.pledged_minor * _HUNDRED // page.goal_minor,
        step=next_step(page, found, ahead, questions=questions, now=now),
        waiting=waiting,
        today=_today(page, now),
        river=_river(page),
        chart=chart(page, await similar_to(platform, page, now), now),
        sold=_sold(page, found, titles, now),
        problems=problems,
        problem_count=count,
        deeds=await told_deeds(platform, deeds, frozenset(page.team), page.currency),
        states=[(row.state, row.pledges, row.amount_minor) for row in found.states],
        outlook=ahead,
    )


def _today(page: CampaignPage, now: int) -> DayLine:
    today = iso_day(day_of(now))
    return next((day for day in page.days if day.day == today), DayLine(today, 0, 0, 0))


def _river(page: CampaignPage) -> Confluence:
    split: dict[Any, int] = {
        "held": page.held_minor,
        "paid": page.paid_minor,
        "fees": page.fees_minor,
        "returned": page.returned_minor,
    }
    return confluence(
        [(day.day, day.pledged_minor) for day in page.days],
        page.goal_minor,
        split=split if page.phase in _CLOSED else None,
    )


async def _problems(
    platform: Platform, page: CampaignPage, found: Desk
) -> tuple[list[Problem], int]:
    """The first pledges whose money has not come, and how many there are."""
    wanted = ("failed", "action_required", "unknown")
    count = sum(row.pledges for row in found.states if row.state in wanted)
    if not count:
        return [], 0
    rows = []
    for state in wanted:
        more = await pledges_where(
            platform, page.campaign_id, Filter(state=state), limit=PROBLEMS_SHOWN
        )
        rows += more
    lines = await backer_lines(platform, page, rows[:PROBLEMS_SHOWN])
    trying = await trying_again(platform, page.campaign_id, [line.row.no for line in lines])
    return [Problem(line, trying.get(line.row.no)) for line in lines], count


def _sold(page: CampaignPage, found: Desk, titles: dict[str, str], now: int) -> list[Sold]:
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    for row in found.rewards:
        rows[row.reward_id].append(row)
    stock = {
        reward.reward_id: None
        if reward.limit is None
        else max(0, reward.limit - reward.claimed - reward.held)
        for reward in page.rewards
    }
    last = min(now, max(page.deadline_at, 0)) // DAY_MS if page.phase in _CLOSED else day_of(now)
    order = [reward.reward_id for reward in page.rewards]
    order += [reward_id for reward_id in rows if reward_id not in order]
    return [
        Sold(
            reward_id,
            titles.get(reward_id, ""),
            sum(row.pledges for row in rows[reward_id]),
            sum(row.pieces for row in rows[reward_id]),
            sum(row.amount_minor for row in rows[reward_id]),
            stock.get(reward_id),
            _bars({row.day: row.pledges for row in rows[reward_id]}, last),
        )
        for reward_id in order
    ]


def _bars(days: dict[int, int], last: int) -> tuple[tuple[float, float, float], ...]:
    """Bars of the last SOLD_DAYS days."""
    counts: Sequence[int] = [
        max(0, days.get(day, 0)) for day in range(last - SOLD_DAYS + 1, last + 1)
    ]
    peak = max(1, *counts)
    return tuple(
        (index * 6.0, round(32 - 30 * count / peak, 1), round(30 * count / peak, 1))
        for index, count in enumerate(counts)
        if count
    )
