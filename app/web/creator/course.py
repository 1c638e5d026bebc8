"""The course of a campaign: its story after the launch, its dates, its plan, and its end."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.publishing import put_note
from app.stores.rows import new_id
from app.web.creator.access import actor, team_page
from app.web.creator.drafting import LONGEST_BLURB, LONGEST_STORY, end_of_day
from app.web.creator.editor import MAX_DRAFT_BYTES
from app.web.creator.outlook import outlook
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from domain.commands import (
    CancelCampaign,
    ChangeStory,
    CloseLatePledges,
    Command,
    ExtendDeadline,
    OpenLatePledges,
    UpdatePlan,
)
from domain.errors import Rejection
from projections.campaign_pages import CampaignPage

WORDS: Final = ("title", "blurb", "story", "risks")
_LONGEST: Final = {"title": 200, "blurb": LONGEST_BLURB}


@get("/desk/{campaign_id:str}/course", include_in_schema=False)
async def show_course(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Story, deadline, late pledges, plan and the end."""
    visitor, page = await team_page(site, request, campaign_id)
    return await _page(site, visitor, page)


async def _page(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    fault: tuple[str, str] = ("", ""),
    form: Form | None = None,
) -> Response[Any]:
    platform = site.platform
    texts = await platform.stores.content.get_many({page.text, page.plan} - {""})
    document = texts.get(page.text, {})
    given = form or Form([])
    return site.page(
        "creator/course.html",
        visitor,
        status_code=422 if fault[0] else 200,
        page=page,
        title=in_language(document, "title"),
        story={part: given.get(part, str(document.get(part, ""))) for part in WORDS},
        plan=texts.get(page.plan, {}),
        typed_plan=given.get("body", ""),
        ahead=await outlook(platform, page.campaign_id, platform.clock()),
        fault=fault,
        place="course",
        section="desk",
    )


async def _carry_out(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    command: Command,
    place: str,
    form: Form,
) -> Response[Any]:
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return await _page(site, visitor, page, (place, said(refused)), form)
    return site.redirect(
        f"/desk/{page.campaign_id}/course?at_least={outcome.last_position}#{place}"
    )


@post(
    "/desk/{campaign_id:str}/course/story",
    include_in_schema=False,
    request_max_body_size=MAX_DRAFT_BYTES,
)
async def change_story(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Other words for what was promised, in sight of everybody. What is not on the form (cover,
    category, translations) stays as it was.
    """
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    content = site.platform.stores.content
    before = (await content.get_many({page.text} - {""})).get(page.text, {})
    told = {
        part: form.get(part, "").replace("\r\n", "\n").strip()[: _LONGEST.get(part, LONGEST_STORY)]
        for part in WORDS
    }
    if not told["title"] or not told["story"]:
        fault = ("story", gettext("A title and a story have to stay."))
        return await _page(site, visitor, page, fault, form)
    if all(told[part] == str(before.get(part, "")) for part in WORDS):
        fault = ("story", gettext("Nothing is different from what stands there."))
        return await _page(site, visitor, page, fault, form)
    text = await content.put({**before, **told}, at=site.platform.clock())
    command = ChangeStory(
        campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), text=text
    )
    return await _carry_out(site, visitor, page, command, "story", form)


@post("/desk/{campaign_id:str}/course/deadline", include_in_schema=False)
async def extend_deadline(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Move the deadline, once, later."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    deadline_at = end_of_day(form.get("deadline", ""))
    if deadline_at is None:
        fault = ("deadline", gettext("Write the day as 2026-03-12."))
        return await _page(site, visitor, page, fault, form)
    command = ExtendDeadline(
        campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), deadline_at=deadline_at
    )
    return await _carry_out(site, visitor, page, command, "deadline", form)


@post("/desk/{campaign_id:str}/course/late", include_in_schema=False)
async def set_late_pledges(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Take late pledges, or take no more."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    kind = OpenLatePledges if form.get("do") == "open" else CloseLatePledges
    command = kind(campaign_id=campaign_id, by=actor(visitor), command_id=new_id())
    return await _carry_out(site, visitor, page, command, "late", form)


@post("/desk/{campaign_id:str}/course/plan", include_in_schema=False)
async def publish_plan(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Say what is done with less money than the goal."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    body = form.get("body", "").replace("\r\n", "\n").strip()[:LONGEST_STORY]
    if not body:
        fault = ("plan", gettext("Write what you do with the money that came."))
        return await _page(site, visitor, page, fault, form)
    text = await put_note(site.platform.stores.content, "", body, at=site.platform.clock())
    command = UpdatePlan(campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), text=text)
    return await _carry_out(site, visitor, page, command, "plan", form)


@post("/desk/{campaign_id:str}/course/cancel", include_in_schema=False)
async def cancel(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Call it off, after its title was typed: it cannot be undone."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    texts = await site.platform.stores.content.get_many({page.text} - {""})
    document = texts.get(page.text, {})
    titles = {_plain(in_language(document, "title")), _plain(str(document.get("title", "")))}
    if _plain(form.get("confirm", "")) not in titles:
        fault = ("cancel", gettext("Type the campaign's title exactly, to be sure."))
        return await _page(site, visitor, page, fault, form)
    command = CancelCampaign(
        campaign_id=campaign_id, by=actor(visitor), command_id=new_id(), cause="creator"
    )
    return await _carry_out(site, visitor, page, command, "cancel", form)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
