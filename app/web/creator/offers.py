"""Rewards after the launch, and offers of help."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.publishing import Wording, put_wording
from app.stores.rows import new_id
from app.web.creator.access import actor, team_page
from app.web.creator.checklist import reward_faults
from app.web.creator.drafting import (
    DraftBody,
    DraftFee,
    DraftReward,
    reward_of,
    typed_again,
    whole,
)
from app.web.creator.reading import title_of
from app.web.dates import moment
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from domain.commands import (
    AcceptNeed,
    AddReward,
    ChangeReward,
    ChangeRewardStock,
    Command,
    DeclineNeed,
    ReceiveNeed,
)
from domain.errors import Rejection
from domain.ids import is_id
from projections.campaign_pages import CampaignPage, RewardLine


@get("/desk/{campaign_id:str}/rewards", include_in_schema=False)
async def show_rewards(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Rewards with their stock, and what was offered in kind."""
    visitor, page = await team_page(site, request, campaign_id)
    chosen = str(request.query_params.get("change", ""))[:64]
    line = next((reward for reward in page.rewards if reward.reward_id == chosen), None)
    texts = await _texts(site, page)
    form = _as_typed(line, texts, page.currency) if line and not line.claimed else None
    return await _page(site, visitor, page, form or DraftReward(id=new_id()))


async def _texts(site: Site, page: CampaignPage) -> dict[str, dict[str, object]]:
    hashes = {reward.text for reward in page.rewards} | {need.text for need in page.needs}
    return await site.platform.stores.content.get_many(hashes - {""})


def _as_typed(line: RewardLine, texts: dict[str, dict[str, object]], currency: str) -> DraftReward:
    """A reward as it would have been typed, to be changed."""
    text = texts.get(line.text, {})
    return DraftReward(
        id=line.reward_id,
        title=str(text.get("title", "")),
        description=str(text.get("description", "")),
        price=typed_again(line.price_minor, currency),
        limit="" if line.limit is None else str(line.limit),
        delivery=f"{moment(line.delivery_at):%Y-%m}" if line.delivery_at else "",
        add_on=line.add_on,
        shipping=[
            DraftFee(region=fee.region, fee=typed_again(fee.fee_minor, currency))
            for fee in line.shipping
        ],
    )


async def _page(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    form: DraftReward,
    *,
    faults: tuple[str, ...] = (),
    stock_fault: str = "",
) -> Response[Any]:
    texts = {
        text_hash: {part: in_language(text, part) for part in ("title", "description")}
        for text_hash, text in (await _texts(site, page)).items()
    }
    known = {reward.reward_id for reward in page.rewards}
    form.shipping = [*form.shipping, DraftFee(), DraftFee()]
    return site.page(
        "creator/rewards.html",
        visitor,
        status_code=422 if faults or stock_fault else 200,
        page=page,
        title=await title_of(site.platform, page),
        texts=texts,
        form=form,
        changes=form.id in known,
        faults=faults,
        stock_fault=stock_fault,
        place="rewards",
        section="desk",
    )


def _typed(form: Form) -> DraftReward:
    reward_id = form.get("reward_id", "")
    return DraftReward(
        id=reward_id if is_id(reward_id) else new_id(),
        title=form.get("title", "").strip()[:200],
        description=form.get("description", "").strip()[:5000],
        price=form.get("price", "").strip()[:40],
        limit=form.get("limit", "").strip()[:20],
        delivery=form.get("delivery", "").strip()[:10],
        add_on="add_on" in form,
        shipping=[
            DraftFee(region=region.strip().upper()[:6], fee=fee.strip()[:40])
            for region, fee in zip(form.all("region"), form.all("fee"), strict=False)
            if region.strip() or fee.strip()
        ][:40],
    )


@post("/desk/{campaign_id:str}/rewards", include_in_schema=False)
async def save_reward(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Add a reward, or change one that nobody has chosen yet."""
    visitor, page = await team_page(site, request, campaign_id)
    typed = _typed(await site.form(request, visitor))
    body = DraftBody(currency=page.currency)
    faults = tuple(fault() for fault in reward_faults(typed, body))
    if faults:
        return await _page(site, visitor, page, typed, faults=faults)
    wording = Wording(typed.title, typed.description)
    text = await put_wording(site.platform.stores.content, wording, at=site.platform.clock())
    bare = reward_of(typed, page.currency)
    reward = type(bare)(
        reward_id=bare.reward_id,
        price_minor=bare.price_minor,
        limit=bare.limit,
        delivery_at=bare.delivery_at,
        shipping=bare.shipping,
        add_on=bare.add_on,
        text=text,
    )
    known = any(line.reward_id == reward.reward_id for line in page.rewards)
    command = (ChangeReward if known else AddReward)(
        campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), reward=reward
    )
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return await _page(site, visitor, page, typed, faults=(said(refused),))
    return site.redirect(f"/desk/{campaign_id}/rewards?at_least={outcome.last_position}")


@post("/desk/{campaign_id:str}/stock", include_in_schema=False)
async def change_stock(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Set how many pieces there are in all; an empty field takes the limit away."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    typed = form.get("limit", "").strip()
    limit = whole(typed) if typed else None
    fresh = DraftReward(id=new_id())
    if typed and not limit:
        fault = gettext("Write how many there are, or leave it empty for no end.")
        return await _page(site, visitor, page, fresh, stock_fault=fault)
    command = ChangeRewardStock(
        campaign_id=campaign_id,
        by=actor(visitor),
        command_id=new_id(),
        reward_id=form.get("reward_id", "")[:64],
        limit=limit,
    )
    return await _carry_out(site, visitor, page, command)


@post("/desk/{campaign_id:str}/needs", include_in_schema=False)
async def decide_need(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Accept or decline an offer of help, or say that it arrived."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    what, _, offer_id = form.get("do", "").partition(":")
    kinds: dict[str, type[AcceptNeed | DeclineNeed | ReceiveNeed]] = {
        "accept": AcceptNeed,
        "decline": DeclineNeed,
        "receive": ReceiveNeed,
    }
    kind = kinds.get(what)
    if kind is None:
        return site.redirect(f"/desk/{campaign_id}/rewards#needs")
    command = kind(
        campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), offer_id=offer_id[:64]
    )
    return await _carry_out(site, visitor, page, command, "#needs")


async def _carry_out(
    site: Site, visitor: Visitor, page: CampaignPage, command: Command, anchor: str = ""
) -> Response[Any]:
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        fresh = DraftReward(id=new_id())
        return await _page(site, visitor, page, fresh, stock_fault=said(refused))
    back = f"/desk/{page.campaign_id}/rewards?at_least={outcome.last_position}"
    return site.redirect(f"{back}{anchor}")
