"""A draft as its page will be, for whoever has the link that its creator passes on."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.publishing import Wording
from app.stores.drafts import Draft, UnknownDraftError
from app.web.backer.destinations import place_name
from app.web.public.campaign_view import Texts, compose
from app.web.public.numbers import numbers_of
from app.web.public.payouts import stage_lines
from app.web.public.whole import Reader, TrackRecord, WholePage, channel_name
from app.web.site import PageRequest, Site
from domain.state import Phase
from domain.terms import DAY_MS, Submission
from projections.campaign_pages import CampaignPage, MilestoneLine, NeedLine, RewardLine

_A_MONTH = 30


@get("/preview/{draft_id:str}/{mark:str}", include_in_schema=False)
async def show_preview(
    draft_id: FromPath[str],
    mark: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The page of a draft, with nothing to press. Another mark than ours finds nothing."""
    visitor = await site.visitor(request)
    if not site.visitors.is_signed("preview", draft_id, mark):
        raise NotFoundException
    try:
        draft = await site.platform.stores.drafts.get(draft_id)
        page, texts = await _drafted(site, draft)
    except (UnknownDraftError, msgspec.ValidationError) as fault:
        raise NotFoundException from fault
    at = site.platform.clock()
    names = await site.platform.stores.people.names([draft.creator])
    view = compose(page, texts, names.get(draft.creator, ""), now=at)
    whole = WholePage(
        view=view,
        numbers=numbers_of(page),
        payouts=(),
        stages=stage_lines((), view.stages),
        record=TrackRecord((), 0, 0, 0, 0, 0, 0),
        questions=(),
        questions_in_all=0,
        channel=await channel_name(site, draft.channel),
        at=at,
        draft=True,
    )
    response = site.page(
        "public/campaign.html",
        visitor if visitor.party else None,
        headers={"x-robots-tag": "noindex", "referrer-policy": "no-referrer"},
        whole=whole,
        view=view,
        page=page,
        reader=Reader(),
        public_url=site.platform.settings.public_url,
        new_ids=[],
        place_name=place_name,
        section="create",
    )
    response.headers["cache-control"] = "no-store"
    return response


async def _drafted(site: Site, draft: Draft) -> tuple[CampaignPage, Texts]:
    """The page that a draft would have, and its texts under names of their own."""
    from app.web.creator.drafting import (  # noqa: PLC0415 - the creator's pages import this area
        bare_submission,
        body_of,
        manuscript,
    )

    body = body_of(draft.body)
    channel = await site.platform.stores.channels.get(draft.channel)
    bare = bare_submission(body, channel, draft.creator, first_time_creator=False)
    words = manuscript(body)
    texts: Texts = {"document": words.document}
    for kind, told in (
        ("reward", words.rewards),
        ("need", words.needs),
        ("milestone", words.milestones),
    ):
        texts |= {f"{kind} {place}": _document(wording) for place, wording in enumerate(told)}
    return _page(draft, bare, site.platform.clock()), texts


def _document(wording: Wording) -> dict[str, object]:
    return {"title": wording.title, "description": wording.description}


def _page(draft: Draft, bare: Submission, at: int) -> CampaignPage:
    return CampaignPage(
        campaign_id=draft.id,
        channel=draft.channel,
        creator=draft.creator,
        phase=Phase.LIVE.value,
        suspended=False,
        late_open=False,
        model=bare.model,
        currency=bare.currency,
        goal_minor=max(1, bare.goal_minor),
        deadline_at=bare.deadline_at if bare.deadline_at > at else at + _A_MONTH * DAY_MS,
        launched_at=None,
        text="document",
        plan="",
        terms=bare.terms,
        **dict.fromkeys(
            (
                *("pledged_minor", "pledges", "backers", "charged_minor", "held_minor"),
                *("on_the_way_minor", "paid_minor", "returned_minor", "fees_minor"),
                *("owed_minor", "written_off_minor", "disputed_minor", "suspense_minor"),
                *("sent", "received", "position"),
            ),
            0,
        ),
        pledged_at_deadline_minor=None,
        rewards=tuple(
            RewardLine(
                reward_id=reward.reward_id,
                price_minor=reward.price_minor,
                limit=reward.limit,
                claimed=0,
                held=0,
                delivery_at=reward.delivery_at,
                add_on=reward.add_on,
                text=f"reward {place}",
                shipping=tuple(fee for fee in reward.shipping if fee.fee_minor >= 0),
            )
            for place, reward in enumerate(bare.rewards)
        ),
        needs=tuple(
            NeedLine(need.need_id, max(1, need.quantity), f"need {place}", 0, ())
            for place, need in enumerate(bare.needs)
        ),
        updates=(),
        milestones=tuple(
            MilestoneLine(stage.milestone_id, stage.share_bps, f"milestone {place}")
            for place, stage in enumerate(bare.milestones)
        ),
        team=(draft.creator,),
        story_changes=(),
        days=(),
    )
