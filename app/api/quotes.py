"""Refund quotes: who would pay what, before anything moves."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.wiring import Platform
from domain.errors import CampaignUnknown, NotAllowed, OtherChannel
from domain.money import MAX_AMOUNT_MINOR
from domain.returning import RefundQuote, quote
from domain.rules import pledge_numbered
from domain.state import Campaign, Phase


@reads(
    "/campaigns/{campaign_id:str}/refund-quote",
    "campaigns:read",
    "campaigns:write",
    area="Creators",
    reasons=(
        *("campaign_unknown", "pledge_unknown", "not_allowed", "other_channel"),
        *("refund_too_large", "amount_invalid", "dispute_open", "not_collected"),
    ),
    summary="Ask who would pay a refund",
)
async def refund_quote(
    campaign_id: FromPath[str],
    no: Annotated[int, QueryParameter(ge=1, le=2**53)],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    amount_minor: Annotated[int, QueryParameter(ge=0, le=MAX_AMOUNT_MINOR)] = 0,
) -> RefundQuote:
    """Split a refund of pledge `no` over who bears it; without an amount, of all that can go back.

    For the campaign's team and the channel's staff, as the refund is. Nothing is recorded: the
    refund itself is asked for with the command `refunds`.
    """
    key = request.auth

    def look(state: Campaign) -> RefundQuote:
        if state.phase is Phase.NONE:
            raise CampaignUnknown
        if key.role == "staff":
            if key.channel not in ("", state.channel):
                raise OtherChannel
        elif not state.is_team(key.owner):
            raise NotAllowed("A refund is quoted to the campaign's team and to staff.")
        return quote(state, pledge_numbered(state, no), amount_minor)

    return await asyncio.to_thread(platform.engine.inspect, campaign_id, look)
