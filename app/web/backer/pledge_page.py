"""One's own pledge: the proof of it, what happens next and when, and where its money is."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Template
from msgspec import Struct

from app.payments.port import ActionRequired
from app.processes.keys import charge_key
from app.transparency.receipts import entries_of
from app.web import dates
from app.web.backer.destinations import place_name
from app.web.backer.names import names_of
from app.web.backer.receipt_card import receipt_card
from app.web.backer.standing import (
    CARD_MATTERS,
    Attempt,
    attempt_of,
    fates,
    may_change,
    may_leave,
    notice,
    shares,
    timeline,
)
from app.web.public.campaign_view import CampaignView, campaign_view
from app.web.site import WAIT_S, PageRequest, Site
from app.web.visitors import Visitor
from domain.state import WON, Campaign, Phase
from projections.backer_ledger import PledgeLine, pledge, pledge_by_id, statement
from projections.pledges import lines_of

SOON_S: Final = 2
LATER_S: Final = 20
"""After how many seconds a page asks again, where news is expected at once, or some time."""


class Item(Struct, frozen=True):
    """A reward that a pledge chose, with the promised price and shipping of one piece."""

    title: str
    quantity: int
    price_minor: int
    shipping_minor: int
    is_shipped: bool


@get("/campaigns/{campaign_id:str}/pledges/id/{pledge_id:str}", include_in_schema=False)
async def find_pledge(
    campaign_id: FromPath[str],
    pledge_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
) -> Response[Any]:
    """From the id that the browser knows to the number that the campaign gave; where the views
    are not there yet, a page that asks again by itself.
    """
    visitor = await site.visitor(request)
    if not visitor.party:
        raise NotFoundException
    ready = await site.platform.follower.wait_for_async(at_least, WAIT_S) if at_least else True
    async with site.platform.views.connect() as connection:
        line = await pledge_by_id(connection, campaign_id, pledge_id)
    if line is None and not ready:
        return site.page("backer/moment.html", visitor, headers={"refresh": "1"}, status_code=503)
    if line is None or line.backer not in visitor.parties:
        raise NotFoundException
    return site.redirect(f"/campaigns/{campaign_id}/pledges/{line.no}?at_least={at_least}")


@get("/campaigns/{campaign_id:str}/pledges/{no:int}", include_in_schema=False)
async def show_pledge(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
) -> Template:
    """The pledge as its backer may see it."""
    visitor = await site.visitor(request)
    platform = site.platform
    page = await site.campaign(campaign_id, at_least)
    line = await own_pledge(site, visitor, campaign_id, no)
    now = platform.clock()
    own_day = "" if not line.standing else dates.moment(line.made_at).date().isoformat()
    view = await campaign_view(platform, page, now=now, own_day=own_day)
    async with platform.views.connect() as connection:
        said = await statement(connection, campaign_id, no)
        sent_back = await fates(connection, campaign_id, no)
    attempt, confirm_url = await asyncio.to_thread(_asked, site, line)
    items, deliveries = items_of(view, line)
    shown = await names_of(platform, [line])
    entries = entries_of(said)
    return site.page(
        "backer/pledge.html",
        visitor,
        headers=_refresh(line, asked=bool(confirm_url)),
        view=view,
        page=page,
        line=line,
        items=items,
        place=place_name(line.destination) if line.destination else "",
        shown_as=shown.get(line.pledge_id, ""),
        statement=said,
        fates=sent_back,
        shares=shares(line, said),
        notice=notice(line, view, attempt, asked=bool(confirm_url)),
        timeline=timeline(line, view, said, attempt, deliveries),
        confirm_url=confirm_url,
        is_new=line.state == "made" and page.phase == Phase.LIVE and not page.suspended,
        may_leave=may_leave(line, view, now),
        may_change=may_change(line, view, now),
        may_change_card=line.state in CARD_MATTERS,
        may_receive=line.sent and not line.received,
        needs_address=_needs_address(line, page.phase, items),
        entries=entries,
        card=await receipt_card(site, line, entries),
        turn=0,
        covered=await asyncio.to_thread(platform.receipts.covered),
        fault=platform.transparency.fault,
    )


async def own_pledge(site: Site, visitor: Visitor, campaign_id: str, no: int) -> PledgeLine:
    """A pledge of the visitor's; another's is as if it were not there."""
    async with site.platform.views.connect() as connection:
        line = await pledge(connection, campaign_id, no)
    if line is None or not visitor.party or line.backer not in visitor.parties:
        raise NotFoundException
    return line


def items_of(view: CampaignView, line: PledgeLine) -> tuple[list[Item], list[int]]:
    """What a pledge chose, and when its rewards are estimated to be sent (ms UTC)."""
    offered = {reward.line.reward_id: reward for reward in view.rewards}
    items, deliveries = [], []
    for chosen in lines_of(line.lines):
        reward = offered.get(chosen.reward_id)
        items.append(
            Item(
                reward.title if reward else "",
                chosen.quantity,
                chosen.price_minor,
                chosen.shipping_minor,
                bool(reward and reward.line.shipping),
            )
        )
        if reward and reward.line.delivery_at:
            deliveries.append(reward.line.delivery_at)
    return items, deliveries


def _needs_address(line: PledgeLine, phase: str, items: list[Item]) -> bool:
    """Whether a parcel is certain and not on its way yet."""
    sent = line.sent or not line.standing or not line.charged_minor
    return phase in WON and not sent and any(item.is_shipped for item in items)


def _asked(site: Site, line: PledgeLine) -> tuple[Attempt, str]:
    """The last try to charge, and where the backer's bank asks for a confirmation of it."""
    platform = site.platform

    def look(state: Campaign) -> tuple[Attempt, int]:
        found = state.pledge(line.no)
        return attempt_of(state, line.no), found.attempt if found else 0

    attempt, number = platform.engine.inspect(line.campaign_id, look)
    if line.state != "action_required":
        return attempt, ""
    key = charge_key(platform.log.log_id, line.campaign_id, line.no, number)
    match platform.provider.look_up(key):
        case ActionRequired(url=url):
            return attempt, url
        case _:
            return attempt, ""


def _refresh(line: PledgeLine, *, asked: bool) -> dict[str, str]:
    """Ask again by itself where news is on its way."""
    match line.state:
        case "collecting":
            return {"refresh": str(SOON_S)}
        case "action_required" if not asked:
            return {"refresh": str(SOON_S)}
        case "unknown" | "refund_requested":
            return {"refresh": str(LATER_S)}
        case _:
            return {}
