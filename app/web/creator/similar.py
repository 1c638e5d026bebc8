"""How a campaign stands beside similar ones: the same channel, the same money, a goal of the same
size. Seen by how much of its time is over, so that short and long campaigns can be compared.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct
from sqlalchemy import select

from app.wiring import Platform
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage
from projections.page_fold import DAYS, PAGES

STEPS: Final = 20
"""The time from launch to deadline is cut into so many stretches."""
FEWEST: Final = 3
"""Fewer campaigns than these are not called "similar campaigns"."""
MOST: Final = 200
GOAL_FACTOR: Final = 3
KEEP_MS: Final = 10 * 60_000
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 704, 16, 220
_HEADROOM: Final = 1.08
_LEAST_TOP: Final = 1.1
_PERCENT: Final = 100
_EPOCH: Final = date(1970, 1, 1).toordinal()

Step = tuple[float, float, float]
"""(lower quartile, median, upper quartile) of pledged / goal at one moment."""


class Similar(Struct, frozen=True):
    """The middle half of similar campaigns at each of STEPS + 1 moments."""

    count: int
    steps: tuple[Step, ...]


class Line(Struct, frozen=True):
    """A level line of the grid, in percent of the goal."""

    y: float
    percent: int


class Chart(Struct, frozen=True):
    """The funding curve on a field of 720 by 260. `table` has (percent of time, own percent of the
    goal or None, lower quartile, median, upper quartile).
    """

    line: str
    band: str
    median: str
    goal_y: float
    grid: tuple[Line, ...]
    count: int
    elapsed: int
    table: tuple[tuple[int, int | None, int, int, int], ...]


_kept: dict[str, tuple[int, Similar]] = {}


async def similar_to(platform: Platform, page: CampaignPage, now: int) -> Similar:
    """The middle half of campaigns like this one; kept for ten minutes."""
    kept = _kept.get(page.campaign_id)
    if kept is not None and now < kept[0] + KEEP_MS:
        return kept[1]
    found = await _read(platform, page, now)
    if len(_kept) > MOST:
        _kept.clear()
    _kept[page.campaign_id] = now, found
    return found


async def _read(platform: Platform, page: CampaignPage, now: int) -> Similar:
    p = PAGES.c
    wanted = select(p.campaign, p.goal_minor, p.launched_at, p.deadline_at).where(
        p.channel == page.channel,
        p.currency == page.currency,
        p.goal_minor.between(page.goal_minor // GOAL_FACTOR, page.goal_minor * GOAL_FACTOR),
        p.launched_at.is_not(None),
        p.deadline_at <= now,
        p.campaign_id != page.campaign_id,
    )
    async with platform.views.connect() as connection:
        others = (await connection.execute(wanted.order_by(p.campaign.desc()).limit(MOST))).all()
        if len(others) < FEWEST:
            return Similar(len(others), ())
        days: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        rows = await connection.execute(
            select(DAYS.c.campaign, DAYS.c.day, DAYS.c.pledged_minor)
            .where(DAYS.c.campaign.in_([other.campaign for other in others]))
            .order_by(DAYS.c.campaign, DAYS.c.day)
        )
        for row in rows:
            days[row.campaign].append((row.day, row.pledged_minor))
    courses = [
        course(days[other.campaign], other.goal_minor, other.launched_at, other.deadline_at)
        for other in others
    ]
    return Similar(len(others), tuple(map(middle_half, zip(*courses, strict=True))))


def course(
    days: Sequence[tuple[int, int]], goal_minor: int, launched_at: int, deadline_at: int
) -> list[float]:
    """Pledged / goal at each of STEPS + 1 moments from launch to deadline.

    `days` are (UTC day, change); what a day brought counts from its end.
    """
    span = max(1, deadline_at - launched_at)
    found = []
    for step in range(STEPS + 1):
        moment = launched_at + span * step // STEPS
        pledged = sum(change for day, change in days if (day + 1) * DAY_MS <= moment + DAY_MS - 1)
        found.append(0.0 if step == 0 else pledged / goal_minor)
    return found


def middle_half(values: Sequence[float]) -> Step:
    """(lower quartile, median, upper quartile)."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, median, upper


def chart(page: CampaignPage, similar: Similar, now: int) -> Chart:
    """Lay out this campaign's line over the middle half of similar ones."""
    launched_at = page.launched_at or now
    span = max(1, page.deadline_at - launched_at)
    elapsed = min(1.0, max(0.0, (now - launched_at) / span))
    own = _own(page, launched_at, span, elapsed)
    peaks = [share for _, share in own] + [upper for _, _, upper in similar.steps]
    top = max(_LEAST_TOP, *peaks) * _HEADROOM if peaks else _LEAST_TOP

    def x(part: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * part, 1)

    def y(share: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * max(0.0, share) / top, 1)

    line = f"M{x(0)},{_BOTTOM}" + "".join(f" H{x(part)} V{y(share)}" for part, share in own)
    parts = [step / STEPS for step in range(STEPS + 1)]
    marks = list(zip(parts, similar.steps, strict=True)) if similar.steps else []
    upper = " ".join(f"{x(part)},{y(step[2])}" for part, step in marks)
    lower = " ".join(f"{x(part)},{y(step[0])}" for part, step in reversed(marks))
    table = tuple(
        (
            round(part * _PERCENT),
            round(_share_at(own, part) * _PERCENT) if part <= elapsed else None,
            *(round(share * _PERCENT) for share in step),
        )
        for part, step in marks[::4]
    )
    every = 50 if top < 3 else _PERCENT * max(1, round(top / 4))  # noqa: PLR2004 - lines by eye
    return Chart(
        line=f"{line} H{x(elapsed)}",
        band=f"M{upper} L{lower} Z" if marks else "",
        median="M" + " ".join(f"{x(part)},{y(step[1])}" for part, step in marks) if marks else "",
        goal_y=y(1),
        grid=tuple(Line(y(p / _PERCENT), p) for p in range(0, int(top * _PERCENT) + 1, every)),
        count=similar.count,
        elapsed=round(elapsed * _PERCENT),
        table=table,  # type: ignore[arg-type]  # a star in a tuple hides its length
    )


def _own(
    page: CampaignPage, launched_at: int, span: int, elapsed: float
) -> list[tuple[float, float]]:
    """(part of the time, pledged / goal) after each day that changed it."""
    total_minor, found = 0, []
    first = launched_at // DAY_MS
    for day in page.days:
        total_minor += day.pledged_minor
        number = date.fromisoformat(day.day).toordinal() - _EPOCH
        part = (number - first) * DAY_MS / span
        found.append((min(elapsed, max(0.0, part)), total_minor / page.goal_minor))
    return found


def _share_at(own: Sequence[tuple[float, float]], part: float) -> float:
    return next((share for at, share in reversed(own) if at <= part), 0.0)
