"""What a campaign's page shows: the view's numbers, joined with texts and names, laid out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from app.web import dates
from app.web.confluence import BranchName, Confluence, confluence
from app.web.cover import Cover, cover
from app.web.curve import Curve, curve
from app.web.delta import Way, delta
from app.web.language import current, direction, known
from app.wiring import Platform
from domain.money import EXPONENTS
from domain.state import Phase
from domain.terms import Reward, Terms
from projections.campaign_pages import CampaignPage, NeedLine, RewardLine

CLOSED: Final = frozenset(
    (Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)
)
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
    """Help that is wanted, how much of it was accepted, and how much is offered and undecided."""

    need_id: str
    title: str
    description: str
    quantity: int
    accepted: int
    offered: int


class StageView(Struct, frozen=True):
    """A milestone and its share of the money, in basis points."""

    milestone_id: str
    title: str
    description: str
    share_bps: int


class UpdateView(Struct, frozen=True):
    """News from the creator."""

    update_id: str
    at: int
    title: str
    body: str


class CampaignView(Struct, frozen=True):
    """A campaign on its own page. `lang` is what HTML should say of its texts, empty where they
    are in the page's language; `picture` is the hash of its cover, empty where it has none.
    """

    page: CampaignPage
    title: str
    blurb: str
    story: str
    risks: str
    lang: str
    picture: str
    has_text: bool
    creator: str
    percent: int
    terms: Terms
    cover: Cover
    river: Confluence
    curve: Curve
    curve_ends_at: int
    ways: tuple[Way, ...]
    rewards: tuple[RewardView, ...]
    needs: tuple[NeedView, ...]
    stages: tuple[StageView, ...]
    plan: str
    updates: tuple[UpdateView, ...]
    days: tuple[tuple[str, int, int, int], ...]

    @property
    def takes_pledges(self) -> bool:
        """Whether the pledge button leads anywhere, as far as the view knows."""
        page = self.page
        return not page.suspended and (page.phase == Phase.LIVE or page.late_open)


Texts = dict[str, dict[str, object]]
"""Documents by their hash."""


def named_in(page: CampaignPage) -> frozenset[str]:
    """The hashes of all texts that a page names."""
    hashes = {
        *(page.text, page.plan),
        *(reward.text for reward in page.rewards),
        *(need.text for need in page.needs),
        *(stage.text for stage in page.milestones),
        *(update.text for update in page.updates),
    }
    return frozenset(hashes - {""})


async def texts_of(platform: Platform, page: CampaignPage) -> Texts:
    """Every text that a page names, by hash; what was taken down is left out."""
    return await platform.stores.content.get_many(named_in(page))


async def campaign_view(
    platform: Platform, page: CampaignPage, *, now: int, own_day: str = ""
) -> CampaignView:
    """Everything the page shows. `own_day` is the day on which the reader pledged."""
    texts = await texts_of(platform, page)
    names = await platform.stores.people.names([page.creator])
    return compose(page, texts, names.get(page.creator, ""), now=now, own_day=own_day)


def compose(
    page: CampaignPage, texts: Texts, creator: str, *, now: int, own_day: str = ""
) -> CampaignView:
    """Lay a page out with its texts, by hash."""
    document = texts.get(page.text, {})
    return CampaignView(
        page=page,
        title=in_language(document, "title"),
        blurb=in_language(document, "blurb"),
        story=in_language(document, "story"),
        risks=in_language(document, "risks"),
        lang=language_of(document),
        picture=_text(document, "cover"),
        has_text=bool(document),
        creator=creator,
        percent=percent(page),
        terms=page.terms,
        cover=cover(page.campaign_id, _text(document, "category")),
        river=_river(page, own_day=own_day),
        curve=_curve(page, now),
        curve_ends_at=curve_ends_at(page),
        ways=delta(where(page)),
        rewards=tuple(_reward(reward, texts) for reward in page.rewards),
        needs=tuple(_need(need, texts) for need in page.needs),
        stages=tuple(
            StageView(
                stage.milestone_id,
                in_language(texts.get(stage.text, {}), "title"),
                in_language(texts.get(stage.text, {}), "description"),
                stage.share_bps,
            )
            for stage in page.milestones
        ),
        plan=in_language(texts.get(page.plan, {}), "body"),
        updates=tuple(
            UpdateView(
                update.update_id,
                update.at,
                in_language(texts.get(update.text, {}), "title"),
                in_language(texts.get(update.text, {}), "body"),
            )
            for update in sorted(page.updates, key=lambda update: -update.at)
        ),
        days=_with_totals(page),
    )


def in_language(document: Mapping[str, object], part: str) -> str:
    """A part of a text in the page's language where it was translated, else as it was written."""
    return _text(_translation(document), part) or _text(document, part)


def language_of(document: Mapping[str, object]) -> str:
    """What `lang` HTML should say of a text; empty where it is in the page's language."""
    written = known(_text(document, "language")) if not _translation(document) else None
    return direction(written) if written else ""


def _translation(document: Mapping[str, object]) -> Mapping[str, object]:
    translations = document.get("translations")
    found = translations.get(current()) if isinstance(translations, dict) else None
    return found if isinstance(found, dict) else {}


def _text(document: Mapping[str, object], part: str) -> str:
    value = document.get(part, "")
    return value if isinstance(value, str) else ""


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


def _river(page: CampaignPage, *, own_day: str) -> Confluence:
    closed = page.phase in CLOSED
    return confluence(
        [(day.day, day.pledged_minor) for day in page.days],
        page.goal_minor,
        split=dict(where(page)) if closed else None,
        own_day=own_day,
    )


def _curve(page: CampaignPage, now: int) -> Curve:
    def iso(at: int) -> str:
        return dates.moment(at).date().isoformat()

    end = page.deadline_at if page.phase in CLOSED else now
    return curve(
        [(day.day, day.pledged_minor) for day in page.days if day.pledged_minor],
        page.goal_minor,
        first=iso(page.launched_at or now),
        last=iso(page.deadline_at),
        today=iso(min(now, max(end, 0))),
        unit_minor=10 ** EXPONENTS.get(page.currency, 0),
    )


def curve_ends_at(page: CampaignPage) -> int:
    """Where the curve ends: at the deadline, or at the day of the last change after it; ms UTC."""
    changed = [day.day for day in page.days if day.pledged_minor][-1:]
    days = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in changed]
    return max([page.deadline_at, *(int(day.timestamp() * 1000) for day in days)])


def _with_totals(page: CampaignPage) -> tuple[tuple[str, int, int, int], ...]:
    """(day, change, total after it, charged) for the table beneath the curve."""
    total_minor, rows = 0, []
    for day in page.days:
        total_minor += day.pledged_minor
        rows.append((day.day, day.pledged_minor, total_minor, day.charged_minor))
    return tuple(rows)


def _reward(line: RewardLine, texts: Texts) -> RewardView:
    left = None if line.limit is None else max(0, line.limit - line.claimed - line.held)
    document = texts.get(line.text, {})
    return RewardView(
        line, in_language(document, "title"), in_language(document, "description"), left
    )


def _need(need: NeedLine, texts: Texts) -> NeedView:
    document = texts.get(need.text, {})
    return NeedView(
        need.need_id,
        in_language(document, "title"),
        in_language(document, "description"),
        need.quantity,
        need.accepted,
        sum(offer.quantity for offer in need.offers if offer.state == "offered"),
    )
