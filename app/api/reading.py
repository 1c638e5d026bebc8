"""Campaigns as programs read them, from the views and the content store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from app.api.problems import Refused
from app.stores.api_keys import ApiKey
from app.wiring import Platform
from domain.errors import CampaignUnknown
from domain.state import Phase
from domain.terms import ShippingFee
from projections.campaign_pages import CampaignPage, RewardLine, get_page, list_pages

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


class UpdateOut(Struct, frozen=True):
    """News from the creator."""

    update_id: str
    at: int
    title: str
    body: str


class CampaignOut(Struct, frozen=True):
    """A campaign. Its texts are empty where they were taken down. `position` is how far the view
    had read the log when this campaign last changed.
    """

    campaign_id: str
    channel: str
    creator_id: str
    title: str
    blurb: str
    story: str
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
    updates: tuple[UpdateOut, ...]
    position: int


class CampaignsOut(Struct, frozen=True):
    """A page of campaigns; `next` is the cursor of the following page, absent on the last."""

    campaigns: tuple[CampaignOut, ...]
    next: int | None


Texts = dict[str, dict[str, object]]


async def wait_for_views(platform: Platform, at_least: int) -> None:
    """Wait until the views have reached a position, a bounded time. Raises Refused."""
    if at_least and not await platform.follower.wait_for_async(at_least, WAIT_S):
        raise Refused("views_behind")


def may_see(key: ApiKey, page: CampaignPage) -> bool:
    """Before its launch a campaign is its creator's and the staff's to see."""
    return page.launched_at is not None or key.role == "staff" or key.owner == page.creator


async def read_campaign(
    platform: Platform, key: ApiKey, campaign_id: str, at_least: int
) -> CampaignOut:
    """One campaign with its texts. Raises CampaignUnknown and Refused."""
    await wait_for_views(platform, at_least)
    async with platform.views.connect() as connection:
        page = await get_page(connection, campaign_id)
    if page is None or not may_see(key, page):
        raise CampaignUnknown
    return campaign_out(page, await texts_of(platform, [page]))


async def read_campaigns(
    platform: Platform, key: ApiKey, phase: Phase | None, limit: int, cursor: int, at_least: int
) -> CampaignsOut:
    """A page of campaigns with their texts. Raises Refused."""
    await wait_for_views(platform, at_least)
    async with platform.views.connect() as connection:
        pages = await list_pages(connection, phase=phase, limit=limit + 1, offset=cursor)
    shown = [page for page in pages[:limit] if may_see(key, page)]
    texts = await texts_of(platform, shown)
    following = cursor + limit if len(pages) > limit else None
    return CampaignsOut(tuple(campaign_out(page, texts) for page in shown), following)


async def texts_of(platform: Platform, pages: Sequence[CampaignPage]) -> Texts:
    """Every text that these campaigns name, by hash."""
    hashes = {text for page in pages for text in (page.text, page.plan)}
    for page in pages:
        hashes |= {reward.text for reward in page.rewards}
        hashes |= {need.text for need in page.needs}
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
        phase=page.phase,
        suspended=page.suspended,
        model=page.model,
        currency=page.currency,
        goal_minor=page.goal_minor,
        launched_at=page.launched_at,
        deadline_at=page.deadline_at,
        pledges=page.pledges,
        backers=page.backers,
        figures=FiguresOut(
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
        ),
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
        updates=tuple(
            UpdateOut(
                update.update_id,
                update.at,
                told(texts, update.text, "title"),
                told(texts, update.text, "body"),
            )
            for update in page.updates
        ),
        position=page.position,
    )


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
