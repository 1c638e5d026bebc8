"""Refunds: who would bear what is said before the click, and then it is asked for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, get_args

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.stores.rows import new_id
from app.web.creator.access import actor, team_page
from app.web.creator.desk import read_desk
from app.web.creator.reading import BackerLine, backer_lines, pledges_where, title_of
from app.web.creator.reading import Filter as Wanted
from app.web.language import gettext
from app.web.money import major, parse_amount
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import RequestRefund
from domain.errors import PledgeUnknown, Rejection
from domain.events import RefundCause
from domain.ids import is_id
from domain.money import is_amount
from domain.returning import RefundQuote, quote
from domain.rules import pledge_numbered
from domain.state import Campaign, Phase
from projections.campaign_pages import CampaignPage

CAUSES: tuple[RefundCause, ...] = ("goodwill", "not_delivered")
"""Why the creator's side sends money back; the other causes are not theirs to name."""

assert set(CAUSES) <= set(get_args(RefundCause)), "the rules know every cause that is offered"


@get("/desk/{campaign_id:str}/refunds", include_in_schema=False)
async def show_refunds(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Refunds and chargebacks, the newest first."""
    visitor, page = await team_page(site, request, campaign_id)
    return site.page(
        "creator/refunds.html",
        visitor,
        page=page,
        title=await title_of(site.platform, page),
        desk=await read_desk(site.platform, campaign_id, 200),
        place="refunds",
        section="desk",
    )


@get("/desk/{campaign_id:str}/refunds/find", include_in_schema=False)
async def find_refund(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    no: Annotated[str, QueryParameter(max_length=12)] = "",
) -> Response[Any]:
    """From a number that was typed to the quote for that pledge."""
    await team_page(site, request, campaign_id)
    number = no.strip().lstrip("#")
    if number.isdecimal() and number.isascii():
        return site.redirect(f"/desk/{campaign_id}/refunds/{int(number)}")
    return site.redirect(f"/desk/{campaign_id}/refunds")


@get("/desk/{campaign_id:str}/refunds/{no:int}", include_in_schema=False)
async def show_quote(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
    amount: Annotated[str, QueryParameter(max_length=30)] = "",
) -> Response[Any]:
    """Who would bear a refund of this amount, or of all that can go back."""
    visitor, page = await team_page(site, request, campaign_id)
    return await _quote_page(site, visitor, page, no, typed=amount)


async def _line(site: Site, page: CampaignPage, no: int) -> BackerLine:
    rows = await pledges_where(site.platform, page.campaign_id, Wanted(), before=no + 1, limit=1)
    if not rows or rows[0].no != no:
        raise PledgeUnknown
    (line,) = await backer_lines(site.platform, page, rows)
    return line


async def _quote_page(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    no: int,
    *,
    typed: str = "",
    fault: str = "",
    refund_id: str = "",
) -> Response[Any]:
    line = await _line(site, page, no)
    amount_minor = parse_amount(typed, page.currency) if typed else 0
    if amount_minor is None or (typed and not is_amount(amount_minor)):
        fault, amount_minor = fault or gettext("Write the amount in figures."), 0
    quoted: RefundQuote | None = None
    most_minor = 0
    try:
        most = await _ask(site, page.campaign_id, no, 0)
        most_minor = most.amount_minor
        quoted = most if not amount_minor else await _ask(site, page.campaign_id, no, amount_minor)
    except Rejection as refused:
        fault = fault or said(refused)
    if page.phase == Phase.LIVE:
        # Else a goal could be reached with money that was given back.
        quoted = None
        fault = gettext("While the campaign is live it is the backer who withdraws.")
    return site.page(
        "creator/refund.html",
        visitor,
        status_code=422 if fault and typed else 200,
        page=page,
        title=await title_of(site.platform, page),
        line=line,
        quoted=quoted,
        most_minor=most_minor,
        typed=typed or (major(most_minor, page.currency) if most_minor else ""),
        fault=fault,
        causes=CAUSES,
        refund_id=refund_id or new_id(),
        refunds=[
            refund
            for refund in (await read_desk(site.platform, page.campaign_id, 1000)).refunds
            if refund.no == no
        ],
        place="refunds",
        section="desk",
    )


async def _ask(site: Site, campaign_id: str, no: int, amount_minor: int) -> RefundQuote:
    """Raises Rejection."""

    def look(state: Campaign) -> RefundQuote:
        return quote(state, pledge_numbered(state, no), amount_minor)

    return await asyncio.to_thread(site.platform.engine.inspect, campaign_id, look)


@post("/desk/{campaign_id:str}/refunds/{no:int}", include_in_schema=False)
async def request_refund(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Ask for it: exactly what was quoted, or nothing. Sending the form again asks once."""
    visitor, page = await team_page(site, request, campaign_id)
    form = await site.form(request, visitor)
    typed, refund_id = form.get("amount", "").strip(), form.get("refund_id", "")
    amount_minor = parse_amount(typed, page.currency) or 0
    asked = form.get("cause")
    cause: RefundCause = next((known for known in CAUSES if known == asked), "goodwill")
    if not is_amount(amount_minor) or not is_id(refund_id):
        return await _quote_page(
            site, visitor, page, no, typed=typed, fault=gettext("Write the amount in figures.")
        )
    try:
        quoted = await _ask(site, campaign_id, no, amount_minor)
        seen = form.get("seen", "")
        if seen and seen != _seal(quoted) and not await _known(site, campaign_id, refund_id):
            return await _quote_page(
                site,
                visitor,
                page,
                no,
                typed=typed,
                fault=gettext("Who bears it has changed meanwhile: look at it again."),
            )
    except Rejection:
        pass  # The rules decide below, and know a refund that was asked for before.
    try:
        outcome = await site.submit(
            RequestRefund(
                campaign_id=campaign_id,
                by=actor(visitor),
                command_id=new_id(),
                no=no,
                refund_id=refund_id,
                amount_minor=amount_minor,
                cause=cause,
            )
        )
    except Rejection as refused:
        return await _quote_page(site, visitor, page, no, typed=typed, fault=said(refused))
    return site.redirect(f"/desk/{campaign_id}/refunds?at_least={outcome.last_position}")


def _seal(quoted: RefundQuote) -> str:
    return "-".join(
        str(part)
        for part in (
            quoted.amount_minor,
            quoted.from_held_minor,
            quoted.platform_fee_reversed_minor,
            quoted.processing_fee_reversed_minor,
            quoted.receivable_minor,
        )
    )


async def _known(site: Site, campaign_id: str, refund_id: str) -> bool:
    return await asyncio.to_thread(
        site.platform.engine.inspect, campaign_id, lambda state: refund_id in state.refunds
    )
