"""Campaigns as programs read them, from the views and the content store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from app.api.access import OFFICES
from app.api.problems import Refused
from app.stores.api_keys import ApiKey
from app.wiring import Platform
from domain.errors import CampaignUnknown, NotAllowed, OtherChannel
from domain.terms import ShippingFee, Terms
from projections.campaign_pages import CampaignPage, RewardLine, get_page
from projections.page_fold import PageRow

WAIT_S: Final = 2.0
"""How long a GET with `at_least` waits for the views, in seconds."""


class FiguresOut(Struct, frozen=True):
    """The five honest numbers with the fees beside them, in minor units.

    charged + owed (+ written off) = held + paid + fees + returned.
    """

    pledged_minor: int
    pledged_at_deadline_minor: int | None
    charged_minor: int
    held_minor: int
    paid_minor: int
    returned_minor: int
    fees_minor: int
    owed_minor: int
    written_off_minor: int
    on_the_way_minor: int


class RewardOut(Struct, frozen=True):
    """A reward; `left` counts neither claimed nor held pieces, and is absent without a limit."""

    reward_id: str
    title: str
    description: str
    price_minor: int
    limit: int | None
    left: int | None
    claimed: int
    delivery_at: int | None
    add_on: bool
    shipping: tuple[ShippingFee, ...]


class NeedOut(Struct, frozen=True):
    """Help that is wanted besides money, and how much of it was accepted."""

    need_id: str
    title: str
    description: str
    quantity: int
    accepted: int


class MilestoneOut(Struct, frozen=True):
    """A stage of the work, and the share of the money in basis points that follows it."""

    milestone_id: str
    title: str
    description: str
    share_bps: int


class UpdateOut(Struct, frozen=True):
    """News from the creator."""

    update_id: str
    at: int
    title: str
    body: str


class CampaignLineOut(Struct, frozen=True):
    """A campaign in a list. `position` is where it last changed."""

    campaign_id: str
    channel: str
    creator_id: str
    title: str
    blurb: str
    category: str
    cover: str
    phase: str
    suspended: bool
    model: str
    currency: str
    goal_minor: int
    launched_at: int | None
    deadline_at: int
    pledges: int
    backers: int
    figures: FiguresOut
    position: int


class CampaignOut(Struct, frozen=True):
    """A campaign. Its texts are empty where they were taken down. `position` is where it last
    changed. `translations` are its texts in other languages.
    """

    campaign_id: str
    channel: str
    creator_id: str
    title: str
    blurb: str
    story: str
    risks: str
    category: str
    language: str
    cover: str
    translations: dict[str, dict[str, str]]
    phase: str
    suspended: bool
    model: str
    currency: str
    goal_minor: int
    launched_at: int | None
    deadline_at: int
    pledges: int
    backers: int
    figures: FiguresOut
    sent: int
    received: int
    rewards: tuple[RewardOut, ...]
    needs: tuple[NeedOut, ...]
    milestones: tuple[MilestoneOut, ...]
    updates: tuple[UpdateOut, ...]
    late_open: bool
    terms: Terms
    position: int


class CampaignsOut(Struct, frozen=True):
    """A page of campaigns; `next` is the address of the following page, null on the last."""

    campaigns: tuple[CampaignLineOut, ...]
    next: str | None


Texts = dict[str, dict[str, object]]


async def wait_for_views(platform: Platform, at_least: int) -> None:
    """Wait until the views have reached a position, a bounded time. Raises Refused."""
    if at_least <= platform.follower.position:
        return
    last, _ = await asyncio.to_thread(platform.log.last)
    if at_least > last:
        raise Refused("request_invalid", f"at_least: The log ends at position {last}.")
    if not await platform.follower.wait_for_async(at_least, WAIT_S):
        raise Refused("views_behind")


def works_for(key: ApiKey, channel: str) -> bool:
    """Whether a key speaks for this channel: as its staff, treasurer or auditor."""
    return key.role in OFFICES and key.channel in ("", channel)


def is_of_team(key: ApiKey, page: CampaignPage) -> bool:
    """Whether a key's owner stands on the creator's side, in that role."""
    return key.role == "creator" and key.owner in (page.creator, *page.team)


def may_see(key: ApiKey, page: CampaignPage) -> bool:
    """Before its launch a campaign is its own side's and its channel's to see."""
    return page.launched_at is not None or works_for(key, page.channel) or is_of_team(key, page)


async def page_of_campaign(
    platform: Platform, key: ApiKey, campaign_id: str, at_least: int = 0
) -> CampaignPage:
    """One campaign that this key may see. Raises CampaignUnknown and Refused."""
    await wait_for_views(platform, at_least)
    async with platform.views.connect() as connection:
        page = await get_page(connection, campaign_id)
    if page is None or not may_see(key, page):
        raise CampaignUnknown
    return page


async def desk_of_campaign(
    platform: Platform, key: ApiKey, campaign_id: str, at_least: int = 0
) -> CampaignPage:
    """One campaign on whose creator's side, or for whose channel, this key speaks.

    Raises CampaignUnknown, NotAllowed, OtherChannel and Refused.
    """
    page = await page_of_campaign(platform, key, campaign_id, at_least)
    if works_for(key, page.channel) or is_of_team(key, page):
        return page
    if key.role in OFFICES:
        raise OtherChannel
    raise NotAllowed("This is for the campaign's team and its channel.")


async def read_campaign(
    platform: Platform, key: ApiKey, campaign_id: str, at_least: int
) -> CampaignOut:
    """One campaign with its texts. Raises CampaignUnknown and Refused."""
    page = await page_of_campaign(platform, key, campaign_id, at_least)
    return campaign_out(page, await texts_of(platform, [page]))


async def texts_of(platform: Platform, pages: Sequence[CampaignPage]) -> Texts:
    """Every text that these campaigns name, by hash."""
    hashes = {text for page in pages for text in (page.text, page.plan)}
    for page in pages:
        hashes |= {reward.text for reward in page.rewards}
        hashes |= {need.text for need in page.needs}
        hashes |= {milestone.text for milestone in page.milestones}
        hashes |= {update.text for update in page.updates}
    return await platform.stores.content.get_many(hashes - {""})


def told(texts: Texts, text_hash: str, part: str) -> str:
    """A part of a text; empty where there is none, or it was taken down."""
    value: Any = texts.get(text_hash, {}).get(part, "")
    return value if isinstance(value, str) else ""


def campaign_out(page: CampaignPage, texts: Texts) -> CampaignOut:
    """A campaign as programs read it."""
    return CampaignOut(
        campaign_id=page.campaign_id,
        channel=page.channel,
        creator_id=page.creator,
        title=told(texts, page.text, "title"),
        blurb=told(texts, page.text, "blurb"),
        story=told(texts, page.text, "story"),
        risks=told(texts, page.text, "risks"),
        category=told(texts, page.text, "category"),
        language=told(texts, page.text, "language"),
        cover=told(texts, page.text, "cover"),
        translations=_translations(texts.get(page.text, {})),
        phase=page.phase,
        suspended=page.suspended,
        model=page.model,
        currency=page.currency,
        goal_minor=page.goal_minor,
        launched_at=page.launched_at,
        deadline_at=page.deadline_at,
        pledges=page.pledges,
        backers=page.backers,
        figures=figures_of(page),
        sent=page.sent,
        received=page.received,
        rewards=tuple(_reward_out(reward, texts) for reward in page.rewards),
        needs=tuple(
            NeedOut(
                need.need_id,
                told(texts, need.text, "title"),
                told(texts, need.text, "description"),
                need.quantity,
                need.accepted,
            )
            for need in page.needs
        ),
        milestones=tuple(
            MilestoneOut(
                milestone.milestone_id,
                told(texts, milestone.text, "title"),
                told(texts, milestone.text, "description"),
                milestone.share_bps,
            )
            for milestone in page.milestones
        ),
        updates=updates_of(page, texts),
        late_open=page.late_open,
        terms=page.terms,
        position=page.position,
    )


def updates_of(page: CampaignPage, texts: Texts) -> tuple[UpdateOut, ...]:
    """A campaign's news, the oldest first."""
    return tuple(
        UpdateOut(
            update.update_id,
            update.at,
            told(texts, update.text, "title"),
            told(texts, update.text, "body"),
        )
        for update in page.updates
    )


def line_out(row: PageRow, texts: Texts) -> CampaignLineOut:
    """A campaign as a list has it."""
    return CampaignLineOut(
        campaign_id=row.campaign_id,
        channel=row.channel,
        creator_id=row.creator,
        title=told(texts, row.text, "title"),
        blurb=told(texts, row.text, "blurb"),
        category=told(texts, row.text, "category"),
        cover=told(texts, row.text, "cover"),
        phase=row.phase,
        suspended=bool(row.suspended),
        model=row.model,
        currency=row.currency,
        goal_minor=row.goal_minor,
        launched_at=row.launched_at,
        deadline_at=row.deadline_at,
        pledges=row.pledges,
        backers=row.backers,
        figures=figures_of(row),
        position=row.position,
    )


def figures_of(page: CampaignPage | PageRow) -> FiguresOut:
    """The five honest numbers."""
    return FiguresOut(
        pledged_minor=page.pledged_minor,
        pledged_at_deadline_minor=page.pledged_at_deadline_minor,
        charged_minor=page.charged_minor,
        held_minor=page.held_minor,
        paid_minor=page.paid_minor,
        returned_minor=page.returned_minor,
        fees_minor=page.fees_minor,
        owed_minor=page.owed_minor,
        written_off_minor=page.written_off_minor,
        on_the_way_minor=page.on_the_way_minor,
    )


def _translations(document: dict[str, object]) -> dict[str, dict[str, str]]:
    """The texts in other languages, where they are such."""
    found = document.get("translations")
    if not isinstance(found, dict):
        return {}
    return {
        str(language): {str(part): str(text) for part, text in texts.items()}
        for language, texts in found.items()
        if isinstance(texts, dict)
    }


def _reward_out(reward: RewardLine, texts: Texts) -> RewardOut:
    left = None
    if reward.limit is not None:
        left = max(0, reward.limit - reward.claimed - reward.held)
    return RewardOut(
        reward_id=reward.reward_id,
        title=told(texts, reward.text, "title"),
        description=told(texts, reward.text, "description"),
        price_minor=reward.price_minor,
        limit=reward.limit,
        left=left,
        claimed=reward.claimed,
        delivery_at=reward.delivery_at,
        add_on=reward.add_on,
        shipping=tuple(reward.shipping),
    )
