"""What a campaign's page shows: the view's numbers, joined with texts and names, laid out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from app.api.reading import Texts, texts_of, told
from app.log import decode_row
from app.web import dates
from app.web.confluence import BranchName, Confluence, confluence
from app.web.cover import Cover, cover
from app.web.curve import Curve, curve
from app.web.delta import Way, delta
from app.wiring import Platform
from domain import events as e
from domain.money import EXPONENTS
from domain.state import Phase
from domain.terms import Reward, Terms
from projections.campaign_pages import CampaignPage, RewardLine

CLOSED: Final = frozenset(
    (Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)
)
_SMALL_STREAMS: Final = 9
_SMALL_STROKE: Final = 7.0
_EVENTS_PAGE: Final = 64
_HUNDRED: Final = 100


class RewardView(Struct, frozen=True):
    """A reward as it is offered; `left` is None where there is no limit."""

    line: RewardLine
    title: str
    description: str
    left: int | None

    @property
    def sold_out(self) -> bool:
        """Whether nobody can choose it now."""
        return self.left == 0

    def shipping_minor(self, destination: str) -> int | None:
        """What sending one piece there costs; None where it is not sent."""
        line = self.line
        reward = Reward(
            reward_id=line.reward_id, price_minor=line.price_minor, shipping=tuple(line.shipping)
        )
        return reward.shipping_minor(destination)


class NeedView(Struct, frozen=True):
    """Help that is wanted, and how much of it was accepted."""

    title: str
    description: str
    quantity: int
    accepted: int


class UpdateView(Struct, frozen=True):
    """News from the creator."""

    at: int
    title: str
    body: str


class Card(Struct, frozen=True):
    """A campaign on a list."""

    page: CampaignPage
    title: str
    blurb: str
    creator: str
    percent: int
    cover: Cover
    river: Confluence


class CampaignView(Struct, frozen=True):
    """A campaign on its own page."""

    page: CampaignPage
    title: str
    blurb: str
    story: str
    risks: str
    creator: str
    percent: int
    terms: Terms
    cover: Cover
    river: Confluence
    curve: Curve
    ways: tuple[Way, ...]
    rewards: tuple[RewardView, ...]
    needs: tuple[NeedView, ...]
    plan: str
    updates: tuple[UpdateView, ...]
    days: tuple[tuple[str, int, int, int], ...]

    @property
    def takes_pledges(self) -> bool:
        """Whether the pledge button leads anywhere, as far as the view knows."""
        page = self.page
        return not page.suspended and (page.phase == Phase.LIVE or page.late_open)


async def card(platform: Platform, pages: Sequence[CampaignPage]) -> list[Card]:
    """The campaigns of a list, in its order."""
    texts = await platform.stores.content.get_many({page.text for page in pages} - {""})
    names = await platform.stores.people.names(page.creator for page in pages)
    return [
        Card(
            page=page,
            title=told(texts, page.text, "title"),
            blurb=told(texts, page.text, "blurb"),
            creator=names.get(page.creator, ""),
            percent=percent(page),
            cover=cover(page.campaign_id),
            river=_river(page, most=_SMALL_STREAMS, least_stroke=_SMALL_STROKE),
        )
        for page in pages
    ]


async def campaign_view(
    platform: Platform, page: CampaignPage, *, now: int, own_day: str = ""
) -> CampaignView:
    """Everything the page shows. `own_day` is the day on which the reader pledged."""
    texts = await texts_of(platform, [page])
    names = await platform.stores.people.names([page.creator])
    return CampaignView(
        page=page,
        title=told(texts, page.text, "title"),
        blurb=told(texts, page.text, "blurb"),
        story=told(texts, page.text, "story"),
        risks=told(texts, page.text, "risks"),
        creator=names.get(page.creator, ""),
        percent=percent(page),
        terms=await terms_of(platform, page.campaign_id),
        cover=cover(page.campaign_id),
        river=_river(page, own_day=own_day),
        curve=_curve(page, now),
        ways=delta(where(page)),
        rewards=tuple(_reward(reward, texts) for reward in page.rewards),
        needs=tuple(
            NeedView(
                told(texts, need.text, "title"),
                told(texts, need.text, "description"),
                need.quantity,
                need.accepted,
            )
            for need in page.needs
        ),
        plan=told(texts, page.plan, "body"),
        updates=tuple(
            UpdateView(
                update.at, told(texts, update.text, "title"), told(texts, update.text, "body")
            )
            for update in sorted(page.updates, key=lambda update: -update.at)
        ),
        days=_with_totals(page),
    )


def percent(page: CampaignPage) -> int:
    """How much of the goal is pledged, rounded down: 100 is not said before it is true."""
    return page.pledged_minor * _HUNDRED // page.goal_minor


def where(page: CampaignPage) -> tuple[tuple[BranchName, int], ...]:
    """The four places where charged money is."""
    return (
        ("held", page.held_minor),
        ("paid", page.paid_minor),
        ("fees", page.fees_minor),
        ("returned", page.returned_minor),
    )


def _river(
    page: CampaignPage, *, own_day: str = "", most: int = 24, least_stroke: float = 1.5
) -> Confluence:
    closed = page.phase in CLOSED
    return confluence(
        [(day.day, day.pledged_minor) for day in page.days],
        page.goal_minor,
        split=dict(where(page)) if closed else None,
        own_day=own_day,
        most=most,
        least_stroke=least_stroke,
    )


def _curve(page: CampaignPage, now: int) -> Curve:
    def iso(at: int) -> str:
        return dates.moment(at).date().isoformat()

    end = page.deadline_at if page.phase in CLOSED else now
    return curve(
        [(day.day, day.pledged_minor) for day in page.days],
        page.goal_minor,
        first=iso(page.launched_at or now),
        last=iso(page.deadline_at),
        today=iso(min(now, max(end, 0))),
        unit_minor=10 ** EXPONENTS.get(page.currency, 0),
    )


def _with_totals(page: CampaignPage) -> tuple[tuple[str, int, int, int], ...]:
    """(day, change, total after it, charged) for the table beneath the curve."""
    total_minor, rows = 0, []
    for day in page.days:
        total_minor += day.pledged_minor
        rows.append((day.day, day.pledged_minor, total_minor, day.charged_minor))
    return tuple(rows)


def _reward(line: RewardLine, texts: Texts) -> RewardView:
    left = None if line.limit is None else max(0, line.limit - line.claimed - line.held)
    return RewardView(
        line, told(texts, line.text, "title"), told(texts, line.text, "description"), left
    )


async def terms_of(platform: Platform, campaign_id: str) -> Terms:
    """The terms a campaign was launched with, or those it was last submitted with.

    Read from the first events of its stream, which never change: no view needs to copy them.
    """
    return await asyncio.to_thread(_terms_of, platform, campaign_id)


def _terms_of(platform: Platform, campaign_id: str) -> Terms:
    terms, version = Terms(), 0
    while rows := platform.log.read_stream(f"campaign:{campaign_id}", version, _EVENTS_PAGE):
        for row in rows:
            match decode_row(row):
                case e.CampaignLaunched() as event:
                    return event.terms
                case e.CampaignSubmitted() | e.CampaignResubmitted() as event:
                    terms = event.submission.terms
                case _:
                    pass
        version = rows[-1].version
    return terms
