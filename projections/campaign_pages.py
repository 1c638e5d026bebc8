"""What a campaign's page shows: the five honest numbers, rewards, needs, progress, news.

`page_fold` has the tables and how facts change them. Everything of a page is read by one query.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.terms import ShippingFee, Terms
from projections.facts import iso_day
from projections.page_fold import (
    DAYS,
    MEMBERS,
    MILESTONES,
    NEEDS,
    OFFERS,
    PAGES,
    REWARDS,
    STORIES,
    UPDATES,
    CampaignPages,
    DayRow,
    MemberRow,
    MilestoneRow,
    NeedRow,
    OfferRow,
    PageRow,
    RewardRow,
    StoryRow,
    UpdateRow,
)
from projections.pledges import CAMPAIGNS

__all__ = [
    "PAGES",
    "CampaignPage",
    "CampaignPages",
    "DayLine",
    "MilestoneLine",
    "NeedLine",
    "OfferLine",
    "RewardLine",
    "StoryLine",
    "UpdateLine",
    "campaigns_of",
    "get_page",
    "list_pages",
]


class RewardLine(Struct, frozen=True):
    """A reward with its stock."""

    reward_id: str
    price_minor: int
    limit: int | None
    claimed: int
    held: int
    delivery_at: int | None
    add_on: bool
    text: str
    shipping: tuple[ShippingFee, ...]


class OfferLine(Struct, frozen=True):
    """Help that was offered."""

    offer_id: str
    party: str
    quantity: int
    state: str


class NeedLine(Struct, frozen=True):
    """A need, its offers, and how much was accepted or has arrived."""

    need_id: str
    quantity: int
    text: str
    accepted: int
    offers: tuple[OfferLine, ...]


class MilestoneLine(Struct, frozen=True):
    """A stage of the work and the share of the money, in basis points, that follows it."""

    milestone_id: str
    share_bps: int
    text: str


class StoryLine(Struct, frozen=True):
    """A change of the campaign's texts: the salted hashes of those before and after it."""

    position: int
    at: int
    before: str
    after: str


class UpdateLine(Struct, frozen=True):
    """News; `text` is its salted hash."""

    update_id: str
    at: int
    text: str


class DayLine(Struct, frozen=True):
    """A UTC day (`2026-05-03`): by how much it changed what is pledged, what was charged on it."""

    day: str
    pledged_minor: int
    pledges: int
    charged_minor: int


class CampaignPage(Struct, frozen=True, kw_only=True):
    """A campaign as its page shows it; amounts in minor units, times ms UTC.

    charged + owed + written off = held + paid + fees + returned. `launched_at` and
    `pledged_at_deadline_minor` are None before that. `team` are the parties of the creator's side,
    the creator among them; `terms` those that are bound, or were last submitted. `position` is
    where it last changed.
    """

    campaign_id: str
    channel: str
    creator: str
    phase: str
    suspended: bool
    late_open: bool
    model: str
    currency: str
    goal_minor: int
    deadline_at: int
    launched_at: int | None
    text: str
    plan: str
    terms: Terms
    pledged_minor: int
    pledges: int
    backers: int
    pledged_at_deadline_minor: int | None
    charged_minor: int
    held_minor: int
    on_the_way_minor: int
    paid_minor: int
    returned_minor: int
    fees_minor: int
    owed_minor: int
    written_off_minor: int
    disputed_minor: int
    suspense_minor: int
    sent: int
    received: int
    rewards: tuple[RewardLine, ...]
    needs: tuple[NeedLine, ...]
    updates: tuple[UpdateLine, ...]
    milestones: tuple[MilestoneLine, ...]
    team: tuple[str, ...]
    story_changes: tuple[StoryLine, ...]
    days: tuple[DayLine, ...]
    position: int


_rewards: Final = msgspec.json.Decoder(list[RewardRow])
_needs: Final = msgspec.json.Decoder(list[NeedRow])
_offers: Final = msgspec.json.Decoder(list[OfferRow])
_updates: Final = msgspec.json.Decoder(list[UpdateRow])
_days: Final = msgspec.json.Decoder(list[DayRow])
_milestones: Final = msgspec.json.Decoder(list[MilestoneRow])
_members: Final = msgspec.json.Decoder(list[MemberRow])
_stories: Final = msgspec.json.Decoder(list[StoryRow])
_terms: Final = msgspec.json.Decoder(Terms)
_shipping: Final = msgspec.json.Decoder(tuple[ShippingFee, ...])

_ACCEPTED: Final = ("accepted", "received")
_WIDTH: Final = len(PAGES.columns)


async def get_page(conn: AsyncConnection, campaign_id: str) -> CampaignPage | None:
    """A campaign's page; None for an unknown campaign."""
    known = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
    wanted = _WHOLE.where(PAGES.c.campaign == known.scalar_subquery())
    found = (await conn.execute(wanted)).first()
    return None if found is None else _page(found)


async def list_pages(
    conn: AsyncConnection, phase: str | None = None, limit: int = 50, offset: int = 0
) -> list[CampaignPage]:
    """Pages of campaigns, the one submitted last first; of one phase, or of all."""
    wanted = _WHOLE if phase is None else _WHOLE.where(PAGES.c.phase == str(phase))
    newest = wanted.order_by(PAGES.c.campaign.desc()).limit(limit).offset(offset)
    return [_page(found) for found in await conn.execute(newest)]


async def campaigns_of(conn: AsyncConnection, party: str) -> list[CampaignPage]:
    """Pages of the campaigns on whose creator's side a party is, the one submitted last first."""
    mine = select(MEMBERS.c.campaign).where(MEMBERS.c.party == party)
    wanted = _WHOLE.where(PAGES.c.campaign.in_(mine)).order_by(PAGES.c.campaign.desc())
    return [_page(found) for found in await conn.execute(wanted)]


def _packed(parts: Table) -> Any:  # noqa: ANN401 - SQLAlchemy's scalar subquery of text
    packed = select(func.json_group_array(func.json_array(*parts.columns)))
    return packed.where(parts.c.campaign == PAGES.c.campaign).scalar_subquery()


_PARTS: Final = (REWARDS, NEEDS, OFFERS, UPDATES, DAYS, MILESTONES, MEMBERS, STORIES)

_WHOLE: Final[Select[Any]] = select(*PAGES.columns, *(_packed(parts) for parts in _PARTS))


def _page(found: Row[Any]) -> CampaignPage:
    row = PageRow(*found[:_WIDTH])
    rewards, needs, offers, updates, days, milestones, members, stories = found[_WIDTH:]
    return CampaignPage(
        campaign_id=row.campaign_id,
        channel=row.channel,
        creator=row.creator,
        phase=row.phase,
        suspended=bool(row.suspended),
        late_open=bool(row.late_open),
        model=row.model,
        currency=row.currency,
        goal_minor=row.goal_minor,
        deadline_at=row.deadline_at,
        launched_at=row.launched_at,
        text=row.text,
        plan=row.plan,
        terms=_terms.decode(row.terms),
        pledged_minor=row.pledged_minor,
        pledges=row.pledges,
        backers=row.backers,
        pledged_at_deadline_minor=row.pledged_at_deadline_minor,
        charged_minor=row.charged_minor,
        held_minor=row.held_minor,
        on_the_way_minor=row.on_the_way_minor,
        paid_minor=row.paid_minor,
        returned_minor=row.returned_minor,
        fees_minor=row.fees_minor,
        owed_minor=row.owed_minor,
        written_off_minor=row.written_off_minor,
        disputed_minor=row.disputed_minor,
        suspense_minor=row.suspense_minor,
        sent=row.sent,
        received=row.received,
        rewards=_reward_lines(_rewards.decode(rewards)),
        needs=_need_lines(_needs.decode(needs), _offers.decode(offers)),
        updates=tuple(
            UpdateLine(update.update_id, update.at, update.text)
            for update in sorted(_updates.decode(updates), key=lambda update: update.position)
        ),
        milestones=tuple(
            MilestoneLine(stage.milestone_id, stage.share_bps, stage.text)
            for stage in sorted(_milestones.decode(milestones), key=lambda stage: stage.place)
        ),
        team=tuple(sorted(member.party for member in _members.decode(members))),
        story_changes=tuple(
            StoryLine(change.position, change.at, change.before, change.after)
            for change in sorted(_stories.decode(stories), key=lambda change: change.position)
        ),
        days=tuple(
            DayLine(iso_day(day.day), day.pledged_minor, day.pledges, day.charged_minor)
            for day in sorted(_days.decode(days), key=lambda day: day.day)
        ),
        position=row.position,
    )


def _reward_lines(rows: list[RewardRow]) -> tuple[RewardLine, ...]:
    return tuple(
        RewardLine(
            reward_id=row.reward_id,
            price_minor=row.price_minor,
            limit=row.stock_limit,
            claimed=row.claimed,
            held=row.held,
            delivery_at=row.delivery_at,
            add_on=bool(row.add_on),
            text=row.text,
            shipping=_shipping.decode(row.shipping),
        )
        for row in sorted(rows, key=lambda row: row.place)
    )


def _need_lines(rows: list[NeedRow], offers: list[OfferRow]) -> tuple[NeedLine, ...]:
    lines = []
    for need in sorted(rows, key=lambda row: row.place):
        own = sorted(
            (offer for offer in offers if offer.need_id == need.need_id),
            key=lambda offer: offer.position,
        )
        accepted = sum(offer.quantity for offer in own if offer.state in _ACCEPTED)
        said = tuple(OfferLine(o.offer_id, o.party, o.quantity, o.state) for o in own)
        lines.append(NeedLine(need.need_id, need.quantity, need.text, accepted, said))
    return tuple(lines)
