"""Who may open a desk or a draft: the campaign's creator and the creator's team."""

from __future__ import annotations

from litestar.exceptions import NotFoundException

from app.stores.drafts import Draft, UnknownDraftError
from app.web.creator.drafting import DraftBody, body_from, body_of
from app.web.site import PageRequest, RoleNeededError, Site
from app.web.visitors import Visitor
from projections.campaign_pages import CampaignPage, get_page

_LONGEST = 18
"""Digits of a position in an address."""


async def team_page(
    site: Site, request: PageRequest, campaign_id: str
) -> tuple[Visitor, CampaignPage]:
    """The visitor and a campaign on whose side they are.

    With `?at_least=` it waits until the views are there: who did something sees it done.
    Raises SignInNeededError, CampaignUnknown and RoleNeededError.
    """
    visitor = await site.signed_in(request)
    asked = str(request.query_params.get("at_least", ""))[:_LONGEST]
    at_least = int(asked) if asked.isascii() and asked.isdecimal() else 0
    page = await site.any_campaign(campaign_id, at_least)
    if visitor.party not in page.team:
        raise RoleNeededError
    return visitor, page


def actor(visitor: Visitor) -> str:
    """As whom a member of the team acts."""
    return f"creator:{visitor.party}"


async def own_draft(
    site: Site, request: PageRequest, draft_id: str
) -> tuple[Visitor, Draft, DraftBody]:
    """The visitor and a draft of theirs, or one on whose team they are.

    Raises SignInNeededError, and NotFoundException for what is not theirs: that there is a draft
    is nobody else's business.
    """
    visitor = await site.signed_in(request)
    try:
        draft = await site.platform.stores.drafts.get(draft_id)
    except UnknownDraftError:
        draft = await _handed_in_without(site, visitor, draft_id)
    body = body_of(draft.body)
    if visitor.party != draft.creator and visitor.party not in body.team:
        raise NotFoundException
    return visitor, draft, body


async def _handed_in_without(site: Site, visitor: Visitor, campaign_id: str) -> Draft:
    """A draft for a campaign that a program handed in, made of what was handed in.

    Raises NotFoundException where the visitor is not of its team, or it is past all drafting.
    """
    platform = site.platform
    async with platform.views.connect() as connection:
        page = await get_page(connection, campaign_id)
    if page is None or visitor.party not in page.team:
        raise NotFoundException
    hashes = {page.text}
    hashes |= {reward.text for reward in page.rewards} | {need.text for need in page.needs}
    hashes |= {stage.text for stage in page.milestones}
    texts = await platform.stores.content.get_many(hashes - {""})
    return await platform.stores.drafts.create(
        channel=page.channel,
        creator=page.creator,
        body=body_from(page, texts).stored(),
        at=platform.clock(),
        draft_id=campaign_id,
    )
