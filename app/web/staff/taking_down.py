"""Taking a text or picture of a campaign down, or hiding a question: by a person, with a reason.

The bytes go for good; that something stood there stays in the log, and who took it down and why is
kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Template
from msgspec import Struct

from app.api.reading import Texts, told
from app.stores.content import UnknownContentError
from app.stores.questions import UnknownQuestionError
from app.stores.staff_acts import Act
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.staff.frame import Refusal, carried_out, names_of, staff_page
from app.web.staff.posts import REVIEWERS, Done, Post, campaign_post
from app.web.staff.words import ACTS
from app.wiring import Platform
from domain.ids import party_of
from projections.campaign_pages import CampaignPage

SHORTEST_REASON: Final = 8
"""Characters of a reason: enough that somebody can follow it a year later."""
LONGEST_REASON: Final = 1_000
EXCERPT: Final = 320

_PICTURE: Final = re.compile(r"/pictures/([0-9a-f]{64})")


class Shown(Struct, frozen=True):
    """Something on a campaign's page that can be taken down. `gone`: it was, or never had words."""

    kind: Literal["text", "picture"]
    hash: str
    what: str
    title: str
    excerpt: str
    gone: bool


def shown_on(page: CampaignPage, texts: Texts) -> list[Shown]:
    """Every text and picture that a campaign's page names, each once."""
    named = [
        (page.text, gettext("The campaign's own text"), "story"),
        *((story.before, gettext("An earlier text"), "story") for story in page.story_changes),
        *((reward.text, gettext("A reward"), "description") for reward in page.rewards),
        *((need.text, gettext("Help wanted"), "description") for need in page.needs),
        *((stage.text, gettext("A milestone"), "description") for stage in page.milestones),
        *((update.text, gettext("An update"), "body") for update in page.updates),
        (page.plan, gettext("The plan for less money"), "body"),
    ]
    found: dict[str, Shown] = {}
    for text, what, part in named:
        if text and text not in found:
            found[text] = Shown(
                "text",
                text,
                what,
                told(texts, text, "title"),
                told(texts, text, part)[:EXCERPT],
                text not in texts,
            )
    for picture in pictures_of(page, texts):
        found[picture] = Shown("picture", picture, gettext("A picture"), "", "", gone=False)
    return list(found.values())


def pictures_of(page: CampaignPage, texts: Texts) -> list[str]:
    """The pictures that a campaign's texts name, in whatever language: its covers, also earlier
    ones, and those within them.
    """
    found: dict[str, None] = {}
    for text in (page.text, *texts):
        cover = told(texts, text, "cover")
        if cover:
            found[cover] = None
    for document in texts.values():
        for value in _strings(document):
            found |= dict.fromkeys(_PICTURE.findall(value))
    return list(found)


def _strings(value: object) -> Iterator[str]:
    """Every text in a document, its translations among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)


async def texts_shown(platform: Platform, page: CampaignPage) -> Texts:
    """Every text that `shown_on` names and that still stands."""
    hashes = {page.text, page.plan, *(story.before for story in page.story_changes)}
    for parts in (page.rewards, page.needs, page.milestones, page.updates):
        hashes |= {part.text for part in parts}
    return await platform.stores.content.get_many(hashes - {""})


async def find_shown(platform: Platform, page: CampaignPage, content: str) -> Shown | None:
    """What a campaign's page names by this hash; None where it names no such thing."""
    texts = await texts_shown(platform, page)
    return next((one for one in shown_on(page, texts) if one.hash == content), None)


async def remove(
    platform: Platform,
    page: CampaignPage,
    found: Shown,
    reason: str,
    *,
    by: str,
    at: int,
    act_id: str = "",
) -> None:
    """Take down what a page names, of a picture every size, and note who did it and why.

    Raises UnknownContentError.
    """
    stores = platform.stores
    act: Act = "picture_taken_down" if found.kind == "picture" else "text_taken_down"
    for one in await _with_sizes(platform, found):
        await stores.content.take_down(one, at=at)
    await stores.staff_acts.note(
        page.channel,
        act,
        by=by,
        at=at,
        subject=found.hash,
        campaign_id=page.campaign_id,
        reason=reason,
        act_id=act_id,
    )


@get("/staff/campaigns/{campaign_id:str}/content", include_in_schema=False)
async def show_content(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    done: Done = "",
) -> Template:
    """Everything on a campaign's page that can be taken down, and what was."""
    post_, page = await campaign_post(site, request, campaign_id, *REVIEWERS)
    return await _page(site, post_, page, done=done)


@post("/staff/campaigns/{campaign_id:str}/content/take-down", include_in_schema=False)
async def take_down(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Remove one text or picture of this campaign, with the reason."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    content, reason = form.get("content", ""), form.get("reason", "").strip()
    found = await find_shown(site.platform, page, content)
    if found is None:
        raise NotFoundException
    if fault := _fault(reason):
        return await _page(site, post_, page, refused=Refusal(fault, 422), about=content)
    at, by = site.platform.clock(), post_.actor("staff")
    try:
        await remove(site.platform, page, found, reason, by=by, at=at)
    except UnknownContentError:
        raise NotFoundException from None
    return carried_out(site, f"/staff/campaigns/{campaign_id}/content", "taken_down")


@post("/staff/campaigns/{campaign_id:str}/content/hide", include_in_schema=False)
async def hide_question(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Take a question and its answer from the page, with the reason."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    question, reason = form.get("question", ""), form.get("reason", "").strip()
    if fault := _fault(reason):
        return await _page(site, post_, page, refused=Refusal(fault, 422), about=question)
    at, by = site.platform.clock(), post_.actor("staff")
    try:
        await site.platform.stores.questions.hide(campaign_id, question, reason, by=by, at=at)
    except UnknownQuestionError:
        raise NotFoundException from None
    await site.platform.stores.staff_acts.note(
        post_.channel.id,
        "question_hidden",
        by=by,
        at=at,
        subject=question,
        campaign_id=campaign_id,
        reason=reason,
    )
    return carried_out(site, f"/staff/campaigns/{campaign_id}/content", "hidden")


async def _with_sizes(platform: Platform, found: Shown) -> list[str]:
    """What has to go: of a picture also its smaller copies."""
    sizes = await platform.stores.pictures.get(found.hash) if found.kind == "picture" else None
    copies = {sizes.small, sizes.middle} if sizes is not None else set()
    return [found.hash, *sorted(copies - {"", found.hash})]


def _fault(reason: str) -> str:
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        return gettext("Say why, so that somebody else can follow it: 8 to 1,000 characters.")
    return ""


async def _page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    *,
    done: str = "",
    refused: Refusal | None = None,
    about: str = "",
) -> Template:
    texts = await texts_shown(site.platform, page)
    acts = await site.platform.stores.staff_acts.of_channel(
        post_.channel.id, campaign_id=page.campaign_id
    )
    taken = {act.subject for act in acts if act.act == "picture_taken_down"}
    questions = await site.platform.stores.questions.of_campaign(page.campaign_id, with_hidden=True)
    return await staff_page(
        site,
        post_,
        "content.html",
        "campaigns",
        done=done,
        refused=refused,
        page=page,
        title=told(texts, page.text, "title"),
        shown=[one for one in shown_on(page, texts) if one.hash not in taken],
        questions=questions,
        acts=acts,
        about=about,
        names=await names_of(site, [party_of(act.by) for act in acts]),
        act_words=ACTS,
    )
