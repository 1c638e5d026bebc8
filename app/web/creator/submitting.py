"""Handing a draft in, again after a return, and going live."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.publishing import require_fit, with_texts
from app.stores.drafts import Draft, StaleDraftError
from app.stores.rows import new_id
from app.web.creator.access import actor, own_draft, team_page
from app.web.creator.drafting import DraftBody, bare_submission, manuscript
from app.web.creator.editor import Fault, draft_page, handed_in, is_first_time, look
from app.web.language import gettext
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import LaunchCampaign, ResubmitCampaign, SubmitCampaign
from domain.errors import Rejection
from domain.state import Phase


@get("/drafts/{draft_id:str}/submit", include_in_schema=False)
async def show_submit(
    draft_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Everything that is about to be agreed to, on one page, before it is handed in."""
    visitor, draft, body = await own_draft(site, request, draft_id)
    editing = await look(site, draft, body)
    if not editing.editable or editing.open_items:
        return site.redirect(f"/drafts/{draft_id}#checklist")
    first = await is_first_time(site.platform, draft.creator)
    bare = bare_submission(body, editing.channel, draft.creator, first_time_creator=first)
    return site.page(
        "creator/submit.html",
        visitor,
        editing=editing,
        draft=draft,
        body=body,
        submission=bare,
        section="create",
    )


@post("/drafts/{draft_id:str}/submit", include_in_schema=False)
async def submit_draft(
    draft_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Hand it in, with all its texts; the draft's id is the campaign's."""
    visitor, draft, body = await own_draft(site, request, draft_id)
    form = await site.form(request, visitor)
    if form.get("revision") != str(draft.revision):
        fault = Fault("checklist", gettext("It was changed meanwhile: look through it again."))
        return await draft_page(site, visitor, draft, body, fault=fault, status_code=409)
    if (await look(site, draft, body)).open_items:
        return site.redirect(f"/drafts/{draft_id}#checklist")
    try:
        await _hand_in(site, visitor, draft, body)
    except Rejection as refused:
        fault = Fault("checklist", said(refused))
        return await draft_page(site, visitor, draft, body, fault=fault, status_code=422)
    return site.redirect(f"/drafts/{draft_id}")


async def _hand_in(site: Site, visitor: Visitor, draft: Draft, body: DraftBody) -> None:
    """Raises Rejection."""
    platform = site.platform
    at = platform.clock()
    channel = await platform.stores.channels.get(draft.channel)
    first = await is_first_time(platform, draft.creator)
    bare = bare_submission(body, channel, draft.creator, first_time_creator=first)
    require_fit(bare, channel, at)
    submission = await with_texts(platform.stores.content, bare, manuscript(body), at=at)
    page = await handed_in(platform, draft.id)
    if page is not None and page.phase == Phase.RETURNED:
        outcome = await site.submit(
            ResubmitCampaign(
                campaign_id=draft.id,
                by=actor(visitor),
                command_id=new_id(),
                submission=submission,
            )
        )
    else:
        # Whoever of the team presses the button: the campaign is its creator's to hand in.
        outcome = await site.submit(
            SubmitCampaign(
                campaign_id=draft.id,
                by=f"creator:{draft.creator}",
                command_id=new_id(),
                channel=draft.channel,
                submission=submission,
            )
        )
    # It was handed in as it was read; what was typed since then stays in the draft.
    with suppress(StaleDraftError):
        await platform.stores.drafts.mark_submitted(draft.id, revision=draft.revision, at=at)
    await platform.follower.wait_for_async(outcome.last_position, 2.0)


@post("/desk/{campaign_id:str}/launch", include_in_schema=False)
async def launch(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Go live now."""
    visitor, page = await team_page(site, request, campaign_id)
    await site.form(request, visitor)
    command = LaunchCampaign(campaign_id=campaign_id, by=actor(visitor), command_id=new_id())
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return site.page(
            "creator/refused.html",
            visitor,
            status_code=409,
            page=page,
            said=said(refused),
            back=f"/drafts/{campaign_id}",
        )
    return site.redirect(f"/desk/{campaign_id}?at_least={outcome.last_position}")
