"""Campaigns by API: submit a whole one, and read them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct
from sqlalchemy import Select, or_, select

from app.api.access import OFFICES, ApiRequest
from app.api.addresses import Notes, reads, writes
from app.api.answers import POSITION_HEADER, ActionOut, action_out
from app.api.bodies import CampaignIn
from app.api.intake import channel_of, creator_of, submission_of
from app.api.paging import (
    AtLeast,
    Cursor,
    Limit,
    cursor_of,
    key_of,
    listed,
    page_of,
)
from app.api.problems import Refused
from app.api.reading import CampaignOut, CampaignsOut, line_out, read_campaign, wait_for_views
from app.api.repeating import idempotency_key, planned
from app.stores.api_keys import ApiKey
from app.stores.rows import new_id
from app.wiring import Platform
from domain.commands import ApproveCampaign, LaunchCampaign, ResubmitCampaign, SubmitCampaign
from domain.errors import CampaignUnknown, NotAllowed, OtherChannel
from domain.state import Campaign, Phase
from domain.terms import Submission
from projections.page_fold import MEMBERS, PAGES, PageRow

MAX_CAMPAIGN_BYTES: Final = 4 * 2**20

EXAMPLE: Final = {
    "title": "Film nights under the viaduct",
    "blurb": "Twelve evenings, one white wall.",
    "model": "all_or_nothing",
    "currency": "CNY",
    "goal_minor": 8_000_000,
    "deadline_at": 1_900_000_000_000,
    "rewards": [{"title": "Poster", "price_minor": 12_000}],
}


class SubmittedOut(Struct, frozen=True):
    """A campaign that was handed in, with the ids that were made for its parts, in their order."""

    campaign_id: str
    creator_id: str
    channel: str
    phase: str
    position: int
    reward_ids: tuple[str, ...]
    need_ids: tuple[str, ...]
    milestone_ids: tuple[str, ...]


@writes(
    "/campaigns",
    "campaigns:write",
    status=201,
    notes=Notes(area="Creators", command=True, example=EXAMPLE),
    request_max_body_size=MAX_CAMPAIGN_BYTES,
    summary="Submit a campaign",
)
async def submit_campaign(
    data: JSONBody[CampaignIn], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[SubmittedOut]:
    """Submit a whole campaign with its rewards, needs, milestones and texts.

    With a staff key and `"launch": true` it is approved and launched, too; the one who approves is
    never of the creator's team. With an `Idempotency-Key` a repetition finds the same campaign.
    """
    key = request.auth
    if data.launch and (key.role != "staff" or "staff" not in key.scopes):
        raise Refused("scope_missing", "Only a staff key approves and launches.")

    async def build() -> SubmitCampaign:
        at = platform.clock()
        channel = await channel_of(platform, data.channel or _own_channel(key))
        if key.role == "staff" and key.channel not in ("", channel.id):
            raise OtherChannel
        creator = await creator_of(platform, key, data, at)
        if data.launch and key.owner in (creator, *data.team):
            raise Refused("scope_missing", "Nobody approves a campaign of their own.")
        return SubmitCampaign(
            campaign_id=data.campaign_id or new_id(),
            by=key.by,
            command_id=new_id(),
            acting_in=key.channel,
            channel=channel.id,
            submission=await submission_of(platform, key, data, channel, creator, at),
        )

    command = await planned(platform, request, SubmitCampaign, build)
    outcome = await platform.engine.submit_async(command, idempotency_key(request, "submit"))
    phase = "submitted"
    if data.launch:
        for step in (ApproveCampaign, LaunchCampaign):
            outcome = await platform.engine.submit_async(
                step(
                    campaign_id=command.campaign_id,
                    by=key.by,
                    command_id=new_id(),
                    acting_in=key.channel,
                ),
                idempotency_key(request, step.__name__),
            )
        phase = "live"
    position = outcome.last_position
    submitted = command.submission
    return Response(
        SubmittedOut(
            command.campaign_id,
            submitted.creator,
            command.channel,
            phase,
            position,
            tuple(reward.reward_id for reward in submitted.rewards),
            tuple(need.need_id for need in submitted.needs),
            tuple(milestone.milestone_id for milestone in submitted.milestones),
        ),
        status_code=201,
        headers={POSITION_HEADER: str(position)},
    )


@writes(
    "/campaigns/{campaign_id:str}/resubmit",
    "campaigns:write",
    notes=Notes(area="Creators", command=True, example=EXAMPLE),
    request_max_body_size=MAX_CAMPAIGN_BYTES,
    summary="Hand in a returned campaign again",
)
async def resubmit_campaign(
    campaign_id: FromPath[str],
    data: JSONBody[CampaignIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[ActionOut]:
    """Hand in a campaign that was sent back, in full; it keeps its creator and its channel."""

    async def build() -> ResubmitCampaign:
        look = partial(_bound, request.auth)
        bound, channel_id = await asyncio.to_thread(platform.engine.inspect, campaign_id, look)
        channel = await channel_of(platform, channel_id)
        submission = await submission_of(
            platform, request.auth, data, channel, bound.creator, platform.clock()
        )
        return ResubmitCampaign(
            campaign_id=campaign_id,
            by=request.auth.by,
            command_id=new_id(),
            acting_in=request.auth.channel,
            submission=submission,
        )

    command = await planned(platform, request, ResubmitCampaign, build)
    outcome = await platform.engine.submit_async(command, idempotency_key(request, "resubmit"))
    return action_out(campaign_id, outcome)


def _own_channel(key: ApiKey) -> str:
    """Staff of a channel submit to it where they name none."""
    return key.channel if key.role == "staff" else ""


def _bound(key: ApiKey, state: Campaign) -> tuple[Submission, str]:
    """What was handed in, for those who may hand it in again."""
    if state.phase is Phase.NONE:
        raise CampaignUnknown
    if key.role == "staff":
        if key.channel not in ("", state.channel):
            raise OtherChannel
    elif not state.is_team(key.owner):
        raise NotAllowed("This is for the campaign's creator and team to do.")
    return state.bound, state.channel


@reads("/campaigns", area="Campaigns", summary="List campaigns", reasons=("views_behind",))
async def list_campaigns(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    phase: Annotated[Phase | None, QueryParameter(description="Only this phase.")] = None,
    channel: Annotated[str, QueryParameter(max_length=128, description="Only this one's.")] = "",
    creator: Annotated[str, QueryParameter(max_length=128, description="Only this one's.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[CampaignsOut]:
    """List campaigns with their five numbers, the one submitted last first.

    Those that were launched; for a channel's staff, treasurers and auditors, and for its own
    team, others too.
    """
    await wait_for_views(platform, at_least)
    key = key_of(cursor, "campaigns", int)
    async with platform.views.connect() as connection:
        query = _listed(request.auth, phase, channel, creator)
        if key is not None:
            query = query.where(PAGES.c.campaign < key[0])
        newest = query.order_by(PAGES.c.campaign.desc()).limit(limit + 1)
        rows = [PageRow(*found) for found in await connection.execute(newest)]
    shown, following = page_of(
        request, rows, limit, lambda row: cursor_of("campaigns", row.campaign)
    )
    texts = await platform.stores.content.get_many({row.text for row in shown} - {""})
    return listed(CampaignsOut(tuple(line_out(row, texts) for row in shown), following), following)


def _listed(key: ApiKey, phase: Phase | None, channel: str, creator: str) -> Select[Any]:
    """The campaigns that a key may see, as `may_see` says."""
    pages = PAGES.c
    query = select(PAGES)
    if key.role in OFFICES:
        if key.channel:
            query = query.where(or_(pages.launched_at.is_not(None), pages.channel == key.channel))
    elif key.role == "creator":
        mine = select(MEMBERS.c.campaign).where(MEMBERS.c.party == key.owner)
        query = query.where(or_(pages.launched_at.is_not(None), pages.campaign.in_(mine)))
    else:
        query = query.where(pages.launched_at.is_not(None))
    for column, wanted in (
        (pages.phase, "" if phase is None else str(phase)),
        (pages.channel, channel),
        (pages.creator, creator),
    ):
        if wanted:
            query = query.where(column == wanted)
    return query


@reads(
    "/campaigns/{campaign_id:str}",
    area="Campaigns",
    summary="Read a campaign",
    reasons=("campaign_unknown", "views_behind"),
    headers={POSITION_HEADER: "Where in the log the campaign last changed."},
)
async def get_campaign(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[CampaignOut]:
    """One campaign with its five numbers, rewards, needs, milestones, updates and terms."""
    found = await read_campaign(platform, request.auth, campaign_id, at_least)
    return Response(found, headers={POSITION_HEADER: str(found.position)})
