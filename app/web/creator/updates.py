"""Updates to backers: written, looked at, posted once."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.publishing import put_note
from app.stores.rows import new_id
from app.web import markdown
from app.web.creator.access import actor, team_page
from app.web.creator.reading import title_of
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from domain.commands import PostUpdate
from domain.errors import Rejection
from domain.ids import is_id
from projections.campaign_pages import CampaignPage

LONGEST: Final = 50_000
LONGEST_TITLE: Final = 200


@get("/desk/{campaign_id:str}/updates", include_in_schema=False)
async def show_updates(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Everything that was posted, and a form for the next."""
    visitor, page = await team_page(site, request, campaign_id)
    return await _page(site, visitor, page, None)


async def _page(
    site: Site, visitor: Visitor, page: CampaignPage, form: Form | None, fault: str = ""
) -> Response[Any]:
    content = site.platform.stores.content
    texts = await content.get_many({update.text for update in page.updates} - {""})
    given = form or Form([])
    update_id = given.get("update_id", "")
    body = given.get("body", "")
    return site.page(
        "creator/updates.html",
        visitor,
        status_code=422 if fault else 200,
        page=page,
        title=await title_of(site.platform, page),
        updates=[
            (
                update,
                {part: in_language(texts.get(update.text, {}), part) for part in ("title", "body")},
            )
            for update in sorted(page.updates, key=lambda update: -update.at)
        ],
        update_id=update_id if is_id(update_id) else new_id(),
        typed_title=given.get("title", ""),
        typed_body=body,
        preview=markdown.html(body) if body else "",
        fault=fault,
        place="updates",
        section="desk",
    )


@post("/desk/{campaign_id:str}/updates/preview", include_in_schema=False)
async def preview_update(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The update as backers will see it: a part of the page for htmx, else the page."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    if request.headers.get("hx-request") == "true":
        body = form.get("body", "")[:LONGEST]
        return site.page(
            "creator/update_preview.html",
            visitor,
            typed_title=form.get("title", "")[:LONGEST_TITLE],
            preview=markdown.html(body) if body else "",
        )
    return await _page(site, visitor, page, form)


@post("/desk/{campaign_id:str}/updates", include_in_schema=False)
async def post_update(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Post it. The form's id makes it one update however often it is sent; another text under an
    id that was used before is not taken for it.
    """
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    title = form.get("title", "").strip()[:LONGEST_TITLE]
    body = form.get("body", "").replace("\r\n", "\n").strip()
    update_id = form.get("update_id", "")
    if not title or not body:
        return await _page(site, visitor, page, form, gettext("Write a title and a text."))
    if len(body) > LONGEST:
        return await _page(site, visitor, page, form, gettext("The text is too long."))
    if not is_id(update_id):
        update_id = new_id()
    wanted = {"title": title, "body": body}
    known = await _posted(site, campaign_id, update_id)
    if known is not None:
        return await _already(site, visitor, page, known, wanted)
    at = site.platform.clock()
    text = await put_note(site.platform.stores.content, title, body, at=at)
    command = PostUpdate(
        campaign_id=campaign_id,
        by=actor(visitor),
        command_id=new_id(),
        update_id=update_id,
        text=text,
    )
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return await _page(site, visitor, page, form, said(refused))
    # The rules answer a repeated id with its first outcome: what stands there now may be another.
    known = await _posted(site, campaign_id, update_id, outcome.last_position)
    if known is not None and known != wanted:
        return await _already(site, visitor, page, known, wanted)
    return site.redirect(f"/desk/{campaign_id}/updates?at_least={outcome.last_position}")


async def _already(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    known: dict[str, object],
    wanted: dict[str, str],
) -> Response[Any]:
    """Posted before: fine where it says the same, else the new text is kept and offered anew."""
    if known == wanted:
        return site.redirect(f"/desk/{page.campaign_id}/updates")
    said_why = gettext(
        "An update was posted from this form before, with another text. Post this one"
        " as a new one, or leave it."
    )
    return await _page(site, visitor, page, Form(wanted.items()), said_why)


async def _posted(
    site: Site, campaign_id: str, update_id: str, at_least: int = 0
) -> dict[str, object] | None:
    """What was posted under an id, as far as the views know; None where nothing was."""
    page = await site.any_campaign(campaign_id, at_least)
    text = next((each.text for each in page.updates if each.update_id == update_id), None)
    if text is None:
        return None
    return (await site.platform.stores.content.get_many([text])).get(text, {})
