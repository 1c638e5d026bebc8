"""Campaigns by API: submit a whole one, and read them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from app.api.access import ApiRequest, needs
from app.api.answers import POSITION_HEADER, ActionOut, action_out
from app.api.bodies import CampaignIn
from app.api.intake import channel_of, creator_of, submission_of
from app.api.problems import Refused
from app.api.reading import CampaignOut, CampaignsOut, read_campaign, read_campaigns
from app.api.repeating import idempotency_key, planned
from app.stores.rows import new_id
from app.wiring import Platform
from domain.commands import ApproveCampaign, LaunchCampaign, ResubmitCampaign, SubmitCampaign
from domain.errors import CampaignUnknown
from domain.state import Campaign, Phase
from domain.terms import Submission

MAX_CAMPAIGN_BYTES: Final = 4 * 2**20
MAX_PAGE: Final = 200


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


@post(
    "/campaigns",
    guards=[needs("campaigns:write")],
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
        channel = await channel_of(platform, data.channel)
        creator = await creator_of(platform, key, data, at)
        if data.launch and key.owner in (creator, *data.team):
            raise Refused("scope_missing", "Nobody approves a campaign of their own.")
        return SubmitCampaign(
            campaign_id=data.campaign_id or new_id(),
            by=key.by,
            command_id=new_id(),
            channel=channel.id,
            submission=await submission_of(platform, key, data, channel, creator, at),
        )

    command = await planned(platform, request, SubmitCampaign, build)
    outcome = await platform.engine.submit_async(command, idempotency_key(request, "submit"))
    phase = "submitted"
    if data.launch:
        for step in (ApproveCampaign, LaunchCampaign):
            outcome = await platform.engine.submit_async(
                step(campaign_id=command.campaign_id, by=key.by, command_id=new_id()),
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


@post(
    "/campaigns/{campaign_id:str}/resubmit",
    guards=[needs("campaigns:write")],
    request_max_body_size=MAX_CAMPAIGN_BYTES,
    status_code=200,
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
        bound, channel_id = await asyncio.to_thread(platform.engine.inspect, campaign_id, _bound)
        channel = await channel_of(platform, channel_id)
        submission = await submission_of(
            platform, request.auth, data, channel, bound.creator, platform.clock()
        )
        return ResubmitCampaign(
            campaign_id=campaign_id,
            by=request.auth.by,
            command_id=new_id(),
            submission=submission,
        )

    command = await planned(platform, request, ResubmitCampaign, build)
    outcome = await platform.engine.submit_async(command, idempotency_key(request, "resubmit"))
    return action_out(campaign_id, outcome)


def _bound(state: Campaign) -> tuple[Submission, str]:
    if state.phase is Phase.NONE:
        raise CampaignUnknown
    return state.bound, state.channel


@get("/campaigns", summary="List campaigns")
async def list_campaigns(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    phase: Annotated[Phase | None, QueryParameter(description="Only this phase.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    at_least: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
) -> Response[CampaignsOut]:
    """List campaigns with their five numbers; `next` is the cursor of the page that follows."""
    found = await read_campaigns(platform, request.auth, phase, limit, cursor, at_least)
    return Response(found)


@get("/campaigns/{campaign_id:str}", summary="Read a campaign")
async def get_campaign(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
) -> Response[CampaignOut]:
    """Read one campaign: its five numbers, its rewards with what is left of them, its texts.

    With `at_least` the answer waits, up to two seconds, until the view has reached that position.
    """
    found = await read_campaign(platform, request.auth, campaign_id, at_least)
    return Response(found, headers={POSITION_HEADER: str(found.position)})
