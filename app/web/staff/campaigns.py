"""The channel's campaigns: find one, look at its money and deeds, suspend, resume, call off."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import (
    Refusal,
    carried_out,
    identity,
    names_of,
    obstacle,
    refusal,
    staff_page,
    titles_as_written,
    titles_of,
)
from app.web.staff.posts import ALL, AtLeast, ChannelChoice, Done, Post, campaign_post, channel_post
from app.web.staff.words import (
    CANCEL_CAUSES,
    DISPUTE_STATES,
    FACTS,
    MODELS,
    PAYOUT_STATES,
    PHASES,
    REFUND_CAUSES,
    SUSPEND_CAUSES,
    options,
)
from domain.commands import CancelCampaign, ResumeCampaign, SuspendCampaign, VerifyPayoutAccount
from domain.errors import Rejection
from domain.ids import is_id, party_of
from domain.state import Campaign
from projections.campaign_pages import CampaignPage
from projections.creator_desk import Desk, desk

PAGE: Final = 50
SEARCHED: Final = 2_000
"""Campaigns, the newest first, whose titles are looked through."""
DEEDS_SHOWN: Final = 60

Words = Annotated[str, QueryParameter(name="q", max_length=100)]
State = Annotated[str, QueryParameter(name="state", max_length=20)]
Before = Annotated[int, QueryParameter(ge=0, le=2**62)]


@get("/staff/campaigns", include_in_schema=False)
async def show_campaigns(
    request: PageRequest,
    site: NamedDependency[Site],
    channel: ChannelChoice = "",
    words: Words = "",
    stage: State = "",
    before: Before = 0,
) -> Template:
    """The channel's campaigns by state, or those whose title, creator or id has some words."""
    post_ = await channel_post(site, request, *ALL, channel=channel)
    state = stage if stage in {*PHASES, "suspended"} else ""
    sought = " ".join(words.split()).casefold()
    async with site.platform.views.connect() as connection:
        phases = await reading.phases(connection, post_.channel.id)
        found = await reading.campaigns(
            connection,
            post_.channel.id,
            state=state,
            before=before,
            limit=SEARCHED if sought else PAGE + 1,
        )
    titles = await titles_of(site, found)
    names = await names_of(site, [one.creator for one in found])
    if sought:
        written = await titles_as_written(site, found)
        found = [
            one
            for one in found
            if sought in titles[one.campaign_id].casefold()
            or sought in written[one.campaign_id].casefold()
            or sought in names.names.get(one.creator, "").casefold()
            or one.campaign_id.startswith(sought)
        ]
    shown = found[:PAGE]
    return await staff_page(
        site,
        post_,
        "campaigns.html",
        "campaigns",
        found=shown,
        more=shown[-1].campaign if len(found) > PAGE else 0,
        earlier=bool(before),
        titles=titles,
        names=names,
        phases=phases,
        states=PHASES,
        state=state,
        sought=words.strip(),
    )


@get("/staff/campaigns/{campaign_id:str}", include_in_schema=False)
async def show_campaign(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
    done: Done = "",
) -> Template:
    """One campaign: its five numbers, what can be done with it, and who did what."""
    post_, page = await campaign_post(site, request, campaign_id, *ALL, at_least=at_least)
    return await _page(site, post_, page, done=done)


@post("/staff/campaigns/{campaign_id:str}/suspend", include_in_schema=False)
async def suspend(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Stop pledges, charges and payouts, for a cause from the list."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    cause = form.get("cause", "")
    if cause not in SUSPEND_CAUSES:
        fault = gettext("Choose why it is suspended.")
        return await _page(site, post_, page, refused=Refusal(fault, 422), errors={"cause": fault})
    by = post_.actor("staff")
    try:
        outcome = await site.submit(
            SuspendCampaign(**identity(post_, campaign_id, by), cause=cause)
        )
    except Rejection as rejected:
        return await _page(site, post_, page, refused=refusal(rejected))
    return carried_out(site, f"/staff/campaigns/{campaign_id}", "suspended", outcome)


@post("/staff/campaigns/{campaign_id:str}/resume", include_in_schema=False)
async def resume(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Lift the suspension."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    await site.form(request, post_.visitor)
    try:
        outcome = await site.submit(
            ResumeCampaign(**identity(post_, campaign_id, post_.actor("staff")))
        )
    except Rejection as rejected:
        return await _page(site, post_, page, refused=refusal(rejected))
    return carried_out(site, f"/staff/campaigns/{campaign_id}", "resumed", outcome)


@get("/staff/campaigns/{campaign_id:str}/cancel", include_in_schema=False)
async def show_cancel(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Template:
    """What would happen to the money, before anybody calls the campaign off."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    return await _cancel_page(site, post_, page)


@post("/staff/campaigns/{campaign_id:str}/cancel", include_in_schema=False)
async def cancel(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Call it off, by somebody who chose a cause and typed the title."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    typed = {"cause": form.get("cause", ""), "typed": form.get("typed", "").strip()}
    errors = {}
    if typed["cause"] not in CANCEL_CAUSES:
        errors["cause"] = gettext("Choose why it is called off.")
    if _plain(typed["typed"]) != _plain(await _to_type(site, page)):
        errors["typed"] = gettext("This is not what is asked for. Type it exactly as it stands.")
    if errors:
        refused = Refusal(next(iter(errors.values())), 422)
        return await _cancel_page(site, post_, page, typed=typed, refused=refused, errors=errors)
    by = post_.actor("staff")
    try:
        outcome = await site.submit(
            CancelCampaign(**identity(post_, campaign_id, by), cause=typed["cause"])
        )
    except Rejection as rejected:
        return await _cancel_page(site, post_, page, typed=typed, refused=refusal(rejected))
    return carried_out(site, f"/staff/campaigns/{campaign_id}", "cancelled", outcome)


@post("/staff/campaigns/{campaign_id:str}/account", include_in_schema=False)
async def verify_account(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Record that an account was verified as the creator's."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    site.require_step_up(post_.visitor)
    account = form.get("account", "").strip().lower()
    if not is_id(account):
        fault = gettext("Write the account's id as the provider gave it: 36 characters.")
        return await _page(
            site, post_, page, refused=Refusal(fault, 422), errors={"account": fault}, typed=account
        )
    by = post_.actor("staff")
    try:
        outcome = await site.submit(
            VerifyPayoutAccount(**identity(post_, campaign_id, by), account_id=account)
        )
    except Rejection as rejected:
        return await _page(site, post_, page, refused=refusal(rejected), typed=account)
    return carried_out(site, f"/staff/campaigns/{campaign_id}", "account", outcome)


@post("/staff/campaigns/{campaign_id:str}/feature", include_in_schema=False)
async def feature(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Show it first on the home page, or show it there no more."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    wanted = form.get("featured") == "yes"
    features = site.platform.stores.features
    if wanted and page.launched_at is None:
        fault = gettext("Only a campaign that went live can be featured.")
        return await _page(site, post_, page, refused=Refusal(fault, 409))
    at, by = site.platform.clock(), post_.actor("staff")
    if wanted:
        await features.feature(campaign_id, post_.channel.id, by=party_of(by), at=at)
    else:
        await features.unfeature(campaign_id)
    await site.platform.stores.staff_acts.note(
        post_.channel.id,
        "campaign_featured" if wanted else "campaign_unfeatured",
        by=by,
        at=at,
        subject=campaign_id,
        campaign_id=campaign_id,
    )
    deed = "featured" if wanted else "unfeatured"
    return carried_out(site, f"/staff/campaigns/{campaign_id}", deed)


# --- The pages -----------------------------------------------------------------------------------


async def is_featured(site: Site, page: CampaignPage) -> bool:
    """Whether a campaign is among those that its channel shows first."""
    picked = await site.platform.stores.features.of(page.channel)
    return any(feature.campaign_id == page.campaign_id for feature in picked)


async def _title(site: Site, page: CampaignPage) -> str:
    texts = await site.platform.stores.content.get_many([page.text])
    return in_language(texts.get(page.text, {}), "title")


async def _page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    *,
    done: str = "",
    refused: Refusal | None = None,
    errors: dict[str, str] | None = None,
    typed: str = "",
) -> Template:
    async with site.platform.views.connect() as connection:
        found = await desk(connection, page.campaign_id, DEEDS_SHOWN)
    assert found is not None, "a campaign with a page has a desk"
    by = post_.actor("staff") if post_.reviews else ""
    about = identity(post_, page.campaign_id, by)
    may = {}
    if by:
        may = {
            "suspend": await obstacle(site, SuspendCampaign(**about, cause="report")),
            "resume": await obstacle(site, ResumeCampaign(**about)),
            "cancel": await obstacle(site, CancelCampaign(**about, cause="legal")),
        }
    account = await _account(site, page.campaign_id)
    return await staff_page(
        site,
        post_,
        "campaign.html",
        "campaigns",
        done=done,
        refused=refused,
        page=page,
        title=await _title(site, page),
        desk=found,
        names=await names_of(site, _parties(page, found)),
        acts=await site.platform.stores.staff_acts.of_channel(
            post_.channel.id, campaign_id=page.campaign_id, limit=DEEDS_SHOWN
        ),
        may=may,
        errors=errors or {},
        typed_account=typed,
        account=account,
        featured=await is_featured(site, page),
        causes=options(SUSPEND_CAUSES),
        fact_words=FACTS,
        phase_words=PHASES,
        payout_words=PAYOUT_STATES,
        dispute_words=DISPUTE_STATES,
        refund_words=REFUND_CAUSES,
        model_words=MODELS,
    )


def _parties(page: CampaignPage, found: Desk) -> set[str]:
    parties = {page.creator, *page.team}
    parties |= {party_of(deed.by) for deed in found.deeds}
    return parties | {party_of(row.by) for row in found.payouts}


async def _account(site: Site, campaign_id: str) -> tuple[str, int]:
    """(account id, usable from, ms UTC); the id is empty where none was verified."""

    def look(state: Campaign) -> tuple[str, int]:
        return state.account_id, state.account_usable_at

    return await asyncio.to_thread(site.platform.engine.inspect, campaign_id, look)


async def _to_type(site: Site, page: CampaignPage) -> str:
    """What has to be typed to call it off: the title, or what stands for it."""
    return await _title(site, page) or page.campaign_id[:8]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


async def _cancel_page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    *,
    typed: dict[str, str] | None = None,
    refused: Refusal | None = None,
    errors: dict[str, str] | None = None,
) -> Template:
    about = identity(post_, page.campaign_id, post_.actor("staff"))
    return await staff_page(
        site,
        post_,
        "cancel.html",
        "campaigns",
        refused=refused,
        page=page,
        title=await _title(site, page),
        to_type=await _to_type(site, page),
        hindered=await obstacle(site, CancelCampaign(**about, cause="legal")),
        promised_minor=await _promised(site, page.campaign_id),
        causes=options(CANCEL_CAUSES),
        typed=typed or {"cause": "", "typed": ""},
        errors=errors or {},
    )


async def _promised(site: Site, campaign_id: str) -> tuple[int, int]:
    """(minor units, pledges) that are promised and not charged: they would be released."""
    async with site.platform.views.connect() as connection:
        found = await desk(connection, campaign_id, 1)
    at_rest = (
        [row for row in found.states if row.state in ("made", "failed", "action_required")]
        if found
        else []
    )
    return sum(row.amount_minor for row in at_rest), sum(row.pledges for row in at_rest)
