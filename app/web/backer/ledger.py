"""A backer's own pages: their pledges with a statement that adds up, and one pledge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Template
from msgspec import Struct

from app.api.reading import told
from app.payments.port import ActionRequired
from app.processes.keys import charge_key
from app.stores.checkouts import Checkout
from app.stores.rows import new_id
from app.web import dates
from app.web.backer.pledging import open_payment_page
from app.web.public.campaign_view import campaign_view
from app.web.site import WAIT_S, PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import WithdrawPledge
from domain.state import Campaign, Phase
from projections.backer_ledger import (
    PledgeLine,
    pledge,
    pledge_by_id,
    pledges_of,
    statement,
)
from projections.campaign_pages import get_page

WITHDRAWABLE: Final = frozenset(("made", "failed", "action_required", "collected"))
"""States in which leaving may be possible; the rules decide."""

CARD_MATTERS: Final = frozenset(("made", "failed", "action_required"))
"""States in which another payment method can be given."""


class Entry(Struct, frozen=True):
    """A pledge in a statement, with its campaign's title."""

    line: PledgeLine
    title: str


class Total(Struct, frozen=True):
    """What a backer's pledges come to in one currency, in minor units."""

    currency: str
    pledged_minor: int
    charged_minor: int
    paid_minor: int
    fees_minor: int
    returned_minor: int
    held_minor: int


@get(["/me", "/backers/me"], include_in_schema=False)
async def show_ledger(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Every pledge of this browser's backer, and what became of the money."""
    visitor = await site.visitor(request)
    lines: Sequence[PledgeLine] = ()
    if visitor.party:
        async with site.platform.views.connect() as connection:
            lines = await pledges_of(connection, visitor.party)
    entries = await _entries(site, lines)
    return site.page("backer/ledger.html", visitor, entries=entries, totals=totals(lines))


def totals(lines: Sequence[PledgeLine]) -> tuple[Total, ...]:
    """Add pledges up by currency. What was left, dropped or not charged is no pledge any more."""
    found = []
    for currency in sorted({line.currency for line in lines}):
        mine = [line for line in lines if line.currency == currency]
        standing = [line for line in mine if line.standing]
        found.append(
            Total(
                currency,
                sum(line.amount_minor for line in standing),
                sum(line.charged_minor for line in mine),
                sum(line.paid_minor for line in mine),
                sum(line.fees_minor for line in mine),
                sum(line.refunded_minor + line.lost_minor for line in mine),
                sum(line.held_minor for line in mine),
            )
        )
    return tuple(found)


async def _entries(site: Site, lines: Sequence[PledgeLine]) -> list[Entry]:
    texts: dict[str, str] = {}
    async with site.platform.views.connect() as connection:
        for campaign_id in {line.campaign_id for line in lines}:
            page = await get_page(connection, campaign_id)
            texts[campaign_id] = page.text if page else ""
    known = await site.platform.stores.content.get_many(set(texts.values()) - {""})
    return [Entry(line, told(known, texts[line.campaign_id], "title")) for line in lines]


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
    if line is None or line.backer != visitor.party:
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
    """One's own pledge: what was promised, what will be charged and when, where the money is."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id, at_least)
    line = await _own(site, visitor, campaign_id, no)
    own_day = "" if not line.standing else dates.moment(line.made_at).date().isoformat()
    view = await campaign_view(site.platform, page, now=site.platform.clock(), own_day=own_day)
    async with site.platform.views.connect() as connection:
        said = await statement(connection, campaign_id, no)
    confirm_url = ""
    if line.state == "action_required":
        confirm_url = await asyncio.to_thread(_confirm_url, site, campaign_id, no)
    return site.page(
        "backer/pledge.html",
        visitor,
        view=view,
        page=page,
        line=line,
        statement=said,
        confirm_url=confirm_url,
        may_leave=_may_leave(line, page.phase, page.deadline_at, site.platform.clock()),
        may_change_card=line.state in CARD_MATTERS,
    )


async def _own(site: Site, visitor: Visitor, campaign_id: str, no: int) -> PledgeLine:
    """A pledge of the visitor's; another's is as if it were not there."""
    async with site.platform.views.connect() as connection:
        line = await pledge(connection, campaign_id, no)
    if line is None or not visitor.party or line.backer != visitor.party:
        raise NotFoundException
    return line


def _may_leave(line: PledgeLine, phase: str, deadline_at: int, now: int) -> bool:
    if line.state == "made":
        return phase == Phase.LIVE and now < deadline_at
    return line.state in WITHDRAWABLE


def _confirm_url(site: Site, campaign_id: str, no: int) -> str:
    """Where the backer's bank asks for a confirmation; empty where it does not any more."""

    def attempt_of(state: Campaign) -> int:
        found = state.pledge(no)
        return found.attempt if found else 0

    platform = site.platform
    attempt = platform.engine.inspect(campaign_id, attempt_of)
    key = charge_key(platform.log.log_id, campaign_id, no, attempt)
    match platform.provider.look_up(key):
        case ActionRequired(url=url):
            return url
        case _:
            return ""


@post("/campaigns/{campaign_id:str}/pledges/{no:int}/withdraw", include_in_schema=False)
async def withdraw(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Redirect:
    """Leave; what was charged within the withdrawal period goes back."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await _own(site, visitor, campaign_id, no)
    outcome = await site.platform.engine.submit_async(
        WithdrawPledge(
            campaign_id=campaign_id,
            by=f"backer:{visitor.party}",
            command_id=new_id(),
            pledge_id=line.pledge_id,
        )
    )
    position = outcome.last_position
    return site.redirect(f"/campaigns/{campaign_id}/pledges/{no}?at_least={position}")


@post("/campaigns/{campaign_id:str}/pledges/{no:int}/card", include_in_schema=False)
async def change_card(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Redirect:
    """Give another payment method, on the provider's page."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await _own(site, visitor, campaign_id, no)
    checkout = Checkout(
        id=new_id(),
        pledge_id=line.pledge_id,
        campaign_id=campaign_id,
        backer=visitor.party,
        amount_minor=line.amount_minor,
        currency=line.currency,
        choices=(),
        destination="",
        hold_id="",
        session="",
        url="",
        replaces=True,
    )
    description = site.text("backer/another_card.txt", line=line)
    return site.redirect(await open_payment_page(site, checkout, description))
