"""What a channel's staff do to a campaign beside its commands: show it first, take something down;
what they did, what help waits, and what changed in a campaign that was handed in again.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, reads, writes
from app.api.bodies import Body
from app.api.everybody import OURS
from app.api.paging import AtLeast, Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.reading import desk_of_campaign, page_of_campaign, told, works_for
from app.api.repeating import Planned, carried_out
from app.api.staff import office_of
from app.stores.api_keys import ApiKey
from app.stores.content import UnknownContentError
from app.stores.rows import new_id
from app.stores.staff_acts import Act
from app.web.public.page_cache import cache_of
from app.web.staff import reading
from app.web.staff.comparing import FactChange, TextChange, changes, hashes
from app.web.staff.reviews import history_of
from app.web.staff.taking_down import LONGEST_REASON, SHORTEST_REASON, find_shown, remove
from app.wiring import Platform
from domain.errors import NotAllowed, OtherChannel, WrongPhase
from domain.ids import party_of
from projections.campaign_pages import CampaignPage

_AREA: Final = "Staff"
_CHANNEL: Final = ("not_found", "other_channel")
_OFFICES: Final = ("staff", "payouts:approve", "events:read")
_ALL: Final = ("offered", "accepted", "declined", "received")

HASH: Final = "^[0-9a-f]{64}$"


async def staffed(platform: Platform, key: ApiKey, campaign_id: str) -> CampaignPage:
    """A campaign of whose channel's staff the key's owner is.

    Raises CampaignUnknown, NotAllowed and OtherChannel.
    """
    page = await page_of_campaign(platform, key, campaign_id)
    if key.role != "staff":
        raise NotAllowed("The channel's staff do this.")
    if not works_for(key, page.channel):
        raise OtherChannel
    return page


# --- Shown first ---------------------------------------------------------------------------------


class FeaturedOut(Struct, frozen=True):
    """Whether the channel shows a campaign first."""

    campaign_id: str
    featured: bool


@writes(
    "/campaigns/{campaign_id:str}/feature",
    "staff",
    notes=Notes(area=_AREA, reasons=(*OURS, "wrong_phase")),
    summary="Show a campaign first",
)
async def feature(
    campaign_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[FeaturedOut]:
    """Show it first on the home page; a campaign that was launched."""
    page = await staffed(platform, request.auth, campaign_id)
    if page.launched_at is None:
        raise WrongPhase("Only a campaign that went live can be featured.")
    return await _featured(platform, request, page, wanted=True)


@writes(
    "/campaigns/{campaign_id:str}/unfeature",
    "staff",
    notes=Notes(area=_AREA, reasons=OURS),
    summary="Show a campaign like any other",
)
async def unfeature(
    campaign_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[FeaturedOut]:
    """Show it first no more; for one that is not shown first nothing changes."""
    page = await staffed(platform, request.auth, campaign_id)
    return await _featured(platform, request, page, wanted=False)


async def _featured(
    platform: Platform, request: ApiRequest, page: CampaignPage, *, wanted: bool
) -> Response[FeaturedOut]:
    by, stores = request.auth.by, platform.stores

    async def act(plan: Planned) -> None:
        if wanted:
            await stores.features.feature(
                page.campaign_id, page.channel, by=party_of(by), at=plan.at
            )
        elif not await stores.features.unfeature(page.campaign_id):
            return
        await stores.staff_acts.note(
            page.channel,
            "campaign_featured" if wanted else "campaign_unfeatured",
            by=by,
            at=plan.at,
            subject=page.campaign_id,
            campaign_id=page.campaign_id,
            act_id=plan.id,
        )

    await carried_out(platform, request, Planned(new_id(), platform.clock()), act)
    return Response(FeaturedOut(page.campaign_id, wanted))


# --- Taken down ----------------------------------------------------------------------------------


class TakeDownIn(Body, frozen=True, kw_only=True):
    """The hash of a text or picture that the campaign's page names, and why it goes."""

    content: Annotated[str, Meta(pattern=HASH)]
    reason: Annotated[str, Meta(min_length=SHORTEST_REASON, max_length=LONGEST_REASON)]


class TakenDownOut(Struct, frozen=True):
    """What was taken down; of a picture all its sizes."""

    campaign_id: str
    content: str
    kind: Literal["text", "picture"]


@writes(
    "/campaigns/{campaign_id:str}/take-down",
    "staff",
    notes=Notes(
        area=_AREA,
        reasons=(*OURS, "not_found"),
        example={"content": "0" * 64, "reason": "It shows somebody's home address."},
    ),
    summary="Take a text or picture down",
)
async def take_down(
    campaign_id: FromPath[str],
    data: JSONBody[TakeDownIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[TakenDownOut]:
    """Remove its bytes for good. That something stood there stays in the log; who took it down and
    why stands among the staff's acts.
    """
    key = request.auth
    page = await staffed(platform, key, campaign_id)
    reason = data.reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Refused("body_invalid", "reason: Say why, so that somebody else can follow it.")
    found = await find_shown(platform, page, data.content)
    if found is None:
        raise Refused("not_found", "The campaign's page names no such text or picture.")

    async def act(plan: Planned) -> None:
        try:
            await remove(platform, page, found, reason, by=key.by, at=plan.at, act_id=plan.id)
        except UnknownContentError as fault:
            raise Refused("not_found", "There is no such text or picture.") from fault
        cache_of(platform).forget(campaign_id)

    await carried_out(platform, request, Planned(new_id(), platform.clock()), act)
    return Response(TakenDownOut(campaign_id, data.content, found.kind))


# --- What was done -------------------------------------------------------------------------------


class ActOut(Struct, frozen=True):
    """Something that a channel's staff did beside the log. `subject` is what it was done to: a
    content's hash, the id of a question, report or campaign, or `party role`.
    """

    act_id: str
    act: Act
    by: str
    at: int
    subject: str
    campaign_id: str | None
    reason: str


class ActsOut(Struct, frozen=True):
    """A page of acts, the newest first."""

    acts: tuple[ActOut, ...]
    next: str | None


@reads(
    "/channels/{channel_id:str}/acts",
    "staff",
    "events:read",
    area=_AREA,
    summary="Read what staff did",
    reasons=_CHANNEL,
)
async def list_acts(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[ActsOut]:
    """Reports settled, texts taken down, questions hidden, roles given and taken, with the reasons,
    the newest first. What changed campaigns or money stands in the log.
    """
    await office_of(platform, request.auth, channel_id)
    after: Any = key_of(cursor, "acts", int, str)
    found = await platform.stores.staff_acts.of_channel(channel_id, limit=limit + 1, after=after)
    shown, following = page_of(request, found, limit, lambda act: cursor_of("acts", act.at, act.id))
    said = tuple(
        ActOut(a.id, a.act, a.by, a.at, a.subject, a.campaign_id or None, a.reason) for a in shown
    )
    return listed(ActsOut(said, following), following)


# --- Help that waits -----------------------------------------------------------------------------


class OfferedOut(Struct, frozen=True):
    """Help that was offered to a campaign: so much of the `wanted` of a need."""

    offer_id: str
    campaign_id: str
    need: str
    quantity: int
    wanted: int
    state: str
    position: int


class OfferedListOut(Struct, frozen=True):
    """A page of offers, the newest first."""

    offers: tuple[OfferedOut, ...]
    next: str | None


@reads(
    "/channels/{channel_id:str}/needs",
    "staff",
    "events:read",
    area=_AREA,
    summary="List offered help",
    reasons=_CHANNEL,
)
async def list_offered(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    in_state: Annotated[
        Literal["", "offered", "accepted", "declined", "received"],
        QueryParameter(name="state", description="Only offers in this state; `offered` waits."),
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[OfferedListOut]:
    """Help in kind that was offered to a channel's campaigns, the newest first."""
    await office_of(platform, request.auth, channel_id)
    key = key_of(cursor, "needs", int)
    states = (in_state,) if in_state else _ALL
    before = key[0] if key else None
    async with platform.views.connect() as connection:
        found = await reading.offers(connection, channel_id, states, before=before, limit=limit + 1)
    shown, following = page_of(
        request, found, limit, lambda offer: cursor_of("needs", offer.position)
    )
    texts = await platform.stores.content.get_many({offer.need_text for offer in shown} - {""})
    said = tuple(
        OfferedOut(
            offer.offer_id,
            offer.campaign.campaign_id,
            told(texts, offer.need_text, "title"),
            offer.quantity,
            offer.wanted,
            offer.state,
            offer.position,
        )
        for offer in shown
    )
    return listed(OfferedListOut(said, following), following)


# --- Handed in again -----------------------------------------------------------------------------


class RemarkOut(Struct, frozen=True):
    """Why it was sent back; empty where the text was taken down."""

    at: int
    by: str
    body: str


class ReviewOut(Struct, frozen=True):
    """What changed between the last two submissions; nothing where it was handed in once.

    The pieces of a text are `same`, `gone` or `new`; `skipped` stands for lines that did not
    change. Facts are in words; empty where there was or is none.
    """

    campaign_id: str
    phase: str
    times: int
    handed_at: int
    handed_by: str
    texts: tuple[TextChange, ...]
    facts: tuple[FactChange, ...]
    remarks: tuple[RemarkOut, ...]


@reads(
    "/campaigns/{campaign_id:str}/review",
    *_OFFICES,
    "campaigns:read",
    "campaigns:write",
    area=_AREA,
    summary="Read what changed since the last submission",
    reasons=OURS,
)
async def get_review(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[ReviewOut]:
    """Texts word by word and facts side by side, with the remarks of every return, the latest
    first; for the campaign's team and its channel, in the language that the request accepts.
    """
    page = await desk_of_campaign(platform, request.auth, campaign_id, at_least)
    history = await asyncio.to_thread(history_of, platform, campaign_id)
    last = history.handed[-2:]
    wanted = {found for handed in last for found in hashes(handed.submission)}
    remarks = {event.text for event in history.returned} - {""}
    texts = await platform.stores.content.get_many(wanted | remarks)
    team = {party for handed in last for party in handed.submission.team}
    names = await platform.stores.people.names(team)

    def name_of(party: str) -> str:
        return names.get(party) or party

    newest = history.handed[-1]
    found = None
    if len(last) > 1:
        before, after = (handed.submission for handed in last)
        found = await asyncio.to_thread(changes, before, after, texts, name_of)
    return Response(
        ReviewOut(
            campaign_id,
            page.phase,
            len(history.handed),
            newest.at,
            newest.by,
            found.texts if found else (),
            found.facts if found else (),
            tuple(
                RemarkOut(event.at, event.by, told(texts, event.text, "body"))
                for event in reversed(history.returned)
            ),
        )
    )


HANDLERS: Final[tuple[Any, ...]] = (
    feature,
    unfeature,
    take_down,
    list_acts,
    list_offered,
    get_review,
)
