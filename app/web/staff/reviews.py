"""The review: what waits, what was handed in and what changed in it, approve or return."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template
from msgspec import Struct

from app.api.reading import Texts, told
from app.log import decode_row
from app.web.language import gettext
from app.web.markdown import html
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.comparing import Changes, changes, described, facts, hashes
from app.web.staff.frame import (
    Names,
    Refusal,
    carried_out,
    foretell,
    identity,
    names_of,
    obstacle,
    refusal,
    staff_page,
    titles_of,
)
from app.web.staff.posts import (
    REVIEWERS,
    AtLeast,
    ChannelChoice,
    Done,
    Post,
    campaign_post,
    channel_post,
)
from app.web.staff.words import MODELS
from app.wiring import Platform
from domain import events as e
from domain.commands import ApproveCampaign, ReturnCampaign
from domain.errors import NotAllowed, Rejection
from domain.ids import party_of
from domain.state import Phase
from domain.terms import Submission
from projections.campaign_pages import CampaignPage

LONGEST_REMARK: Final = 4_000
_EVENTS_PAGE: Final = 200
_REVIEWED: Final = frozenset(
    (
        "campaign.submitted.v1",
        "campaign.resubmitted.v1",
        "campaign.returned.v1",
        "campaign.approved.v1",
        "campaign.launched.v1",
    )
)
ADVICE: Final = "The creator's team does not approve its own campaign."
"""What the rules say to who would approve their own; told also of ids that joined an account."""


class Handed(Struct, frozen=True):
    """Something that was handed in, when and by whom."""

    at: int
    by: str
    submission: Submission


class Remark(Struct, frozen=True):
    """Why a campaign was returned; empty where the text was taken down."""

    at: int
    by: str
    body: str


class History(Struct, frozen=True):
    """A campaign's reviews: everything handed in and every return, in their order."""

    handed: tuple[Handed, ...]
    returned: tuple[e.CampaignReturned, ...]


class PartShown(Struct, frozen=True):
    """A reward, need or milestone as it was handed in, in words."""

    title: str
    description: str
    promise: str


def history_of(platform: Platform, campaign_id: str) -> History:
    """Read a campaign's reviews from its stream, up to its launch."""
    handed: list[Handed] = []
    returned: list[e.CampaignReturned] = []
    version = 0
    while rows := platform.log.read_stream(f"campaign:{campaign_id}", version, _EVENTS_PAGE):
        for row in rows:
            if row.tag not in _REVIEWED:
                continue
            match decode_row(row):
                case e.CampaignSubmitted() | e.CampaignResubmitted() as event:
                    handed.append(Handed(event.at, event.by, event.submission))
                case e.CampaignReturned() as event:
                    returned.append(event)
                case e.CampaignLaunched():
                    return History(tuple(handed), tuple(returned))
                case _:
                    pass
        version = rows[-1].version
    return History(tuple(handed), tuple(returned))


@get("/staff/reviews", include_in_schema=False)
async def show_reviews(
    request: PageRequest,
    site: NamedDependency[Site],
    channel: ChannelChoice = "",
) -> Template:
    """What waits for review, the longest waiting first, and what was decided before its launch."""
    post_ = await channel_post(site, request, *REVIEWERS, channel=channel)
    async with site.platform.views.connect() as connection:
        queue = await reading.queue(connection, post_.channel.id)
        early = [
            found
            for phase in (Phase.RETURNED, Phase.APPROVED)
            for found in await reading.campaigns(connection, post_.channel.id, state=phase)
        ]
    both = [*queue, *early]
    return await staff_page(
        site,
        post_,
        "reviews.html",
        "reviews",
        queue=queue,
        early=early,
        titles=await titles_of(site, both),
        names=await names_of(site, [found.creator for found in both]),
        models=MODELS,
    )


@get("/staff/reviews/{campaign_id:str}", include_in_schema=False)
async def show_review(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
    done: Done = "",
) -> Template:
    """Everything that was handed in, what changed since the last time, earlier remarks."""
    post_, page = await campaign_post(site, request, campaign_id, *REVIEWERS, at_least=at_least)
    return await _page(site, post_, page, done=done)


@post("/staff/reviews/{campaign_id:str}/approve", include_in_schema=False)
async def approve(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Approve exactly what was handed in."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    await site.form(request, post_.visitor)
    try:
        if post_.is_own(page):
            raise NotAllowed(ADVICE)
        command = ApproveCampaign(**identity(post_, campaign_id, post_.actor("staff")))
        outcome = await site.submit(command)
    except Rejection as rejected:
        return await _page(site, post_, page, refused=refusal(rejected))
    return carried_out(site, f"/staff/campaigns/{campaign_id}", "approved", outcome)


@post("/staff/reviews/{campaign_id:str}/return", include_in_schema=False)
async def send_back(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Return it with remarks, which only the creator's side and staff read."""
    post_, page = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    title, body = form.get("title", "").strip(), form.get("body", "").strip()
    if not body or len(body) > LONGEST_REMARK:
        said = gettext("Say what should change, in at most %(most)s characters.")
        fault = said % {"most": f"{LONGEST_REMARK:,}"}
        typed = {"title": title, "body": body}
        return await _page(site, post_, page, refused=Refusal(fault, 422), typed=typed, error=fault)
    by = post_.actor("staff")
    probe = ReturnCampaign(**identity(post_, campaign_id, by), text="")
    try:
        ahead = await foretell(site, probe)
        if isinstance(ahead, Rejection):
            raise ahead
        text = await site.platform.stores.content.put(
            {"title": title[:200], "body": body}, at=site.platform.clock()
        )
        outcome = await site.submit(ReturnCampaign(**identity(post_, campaign_id, by), text=text))
    except Rejection as rejected:
        typed = {"title": title, "body": body}
        return await _page(site, post_, page, refused=refusal(rejected), typed=typed)
    return carried_out(site, f"/staff/reviews/{campaign_id}", "returned", outcome)


async def _page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    *,
    done: str = "",
    refused: Refusal | None = None,
    typed: dict[str, str] | None = None,
    error: str = "",
) -> Template:
    platform = site.platform
    history = await asyncio.to_thread(history_of, platform, page.campaign_id)
    newest = history.handed[-1]
    wanted = {found for handed in history.handed[-2:] for found in hashes(handed.submission)}
    remarks = {event.text for event in history.returned} - {""}
    texts = await platform.stores.content.get_many(wanted | remarks)
    parties = {newest.submission.creator, *newest.submission.team}
    parties |= {party_of(found.by) for found in history.handed}
    parties |= {party_of(found.by) for found in history.returned}
    if len(history.handed) > 1:
        parties |= set(history.handed[-2].submission.team)
    names = await names_of(site, parties)
    async with platform.views.connect() as connection:
        record = await reading.record(connection, page.creator, page.campaign_id)
        others = await reading.of_creator(connection, page.creator)
    # Of other channels only what everybody may see.
    others = [
        found
        for found in others
        if found.campaign_id != page.campaign_id
        and (found.launched_at is not None or found.channel == post_.channel.id)
    ]
    return await staff_page(
        site,
        post_,
        "review.html",
        "reviews",
        done=done,
        refused=refused,
        page=page,
        title=told(texts, newest.submission.text, "title"),
        handed=newest,
        times=len(history.handed),
        submission=newest.submission,
        blurb=told(texts, newest.submission.text, "blurb"),
        story=html(told(texts, newest.submission.text, "story")),
        risks=html(told(texts, newest.submission.text, "risks")),
        rewards=_shown(newest.submission.rewards, texts, page.currency),
        needs=_shown(newest.submission.needs, texts, page.currency),
        milestones=_shown(newest.submission.milestones, texts, page.currency),
        facts=facts(newest.submission, names.of),
        changes=await asyncio.to_thread(_since, history, texts, names),
        remarks=[
            Remark(event.at, event.by, told(texts, event.text, "body"))
            for event in reversed(history.returned)
        ],
        record=record,
        others=others,
        titles=await titles_of(site, others),
        names=names,
        hindered=await _hindered(site, post_, page),
        typed=typed or {"title": "", "body": ""},
        error=error,
    )


def _shown(parts: Any, texts: Texts, currency: str) -> list[PartShown]:  # noqa: ANN401 - of any kind
    return [
        PartShown(
            told(texts, part.text, "title"),
            told(texts, part.text, "description"),
            described(part, currency),
        )
        for part in parts
    ]


def _since(history: History, texts: Texts, names: Names) -> Changes | None:
    """What changed since the last time; None the first time."""
    if len(history.handed) == 1:
        return None
    before, after = history.handed[-2:]
    return changes(before.submission, after.submission, texts, names.of)


async def _hindered(site: Site, post_: Post, page: CampaignPage) -> str:
    """Why this person cannot approve it now; empty where they can, or only read."""
    if not post_.reviews:
        return ""
    if post_.is_own(page):
        return refusal(NotAllowed(ADVICE)).said
    by = post_.actor("staff")
    return await obstacle(site, ApproveCampaign(**identity(post_, page.campaign_id, by)))
