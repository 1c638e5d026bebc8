"""Mending a failed payment from the link in a mail: it works without signing in, for that alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter

from app.mail.links import Links
from app.stores.rows import new_id
from app.web.backer.abuse import mark, require_stranger_by_card
from app.web.backer.changing import another_card
from app.web.backer.pledge_page import items_of
from app.web.backer.standing import CARD_MATTERS, Attempt, attempt_of, may_leave, notice
from app.web.public.campaign_view import campaign_view
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import ReplacePaymentMethod, WithdrawPledge
from domain.errors import Rejection
from domain.state import Campaign
from projections.backer_ledger import PledgeLine, pledge


async def _mended(site: Site, token: str) -> PledgeLine | None:
    """The pledge that a link mends; None where the link is not ours, too old, or not its."""
    fix = Links(site.platform.settings.secret, site.platform.clock).read_fix_link(token)
    if fix is None:
        return None
    async with site.platform.views.connect() as connection:
        line = await pledge(connection, fix.campaign_id, fix.no)
    return line if line is not None and line.backer == fix.party else None


@get("/fix/{token:str}", include_in_schema=False)
async def show_fix(
    token: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
) -> Response[Any]:
    """What went wrong, until when it can be mended, and the two ways on."""
    visitor = await site.visitor(request)
    if at_least:
        await site.platform.follower.wait_for_async(at_least, 2.0)
    line = await _mended(site, token)
    if line is None:
        return site.page("backer/fix_over.html", visitor, status_code=410)
    return await _page(site, visitor, token, line)


async def _page(
    site: Site, visitor: Visitor, token: str, line: PledgeLine, refused: str = ""
) -> Response[Any]:
    page = await site.campaign(line.campaign_id)
    now = site.platform.clock()
    view = await campaign_view(site.platform, page, now=now)

    def look(state: Campaign) -> Attempt:
        return attempt_of(state, line.no)

    attempt = await asyncio.to_thread(site.platform.engine.inspect, line.campaign_id, look)
    waiting = line.state in ("collecting", "unknown")
    return site.page(
        "backer/fix.html",
        visitor,
        status_code=409 if refused else 200,
        headers={"refresh": "3"} if waiting else None,
        token=token,
        line=line,
        page=page,
        view=view,
        items=items_of(view, line)[0],
        notice=notice(line, view, attempt, asked=True),
        refused=refused,
        may_change_card=line.state in CARD_MATTERS,
        may_leave=may_leave(line, view, now) and line.state != "collected",
        is_own=line.backer in visitor.parties,
    )


@post("/fix/{token:str}/card", include_in_schema=False)
async def fix_card(
    token: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Go to the payment page for another card."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await _mended(site, token)
    if line is None:
        return site.page("backer/fix_over.html", visitor, status_code=410)
    back = f"/fix/{token}/return?checkout={{checkout}}"
    return await another_card(site, request, visitor, line, back)


@get("/fix/{token:str}/return", include_in_schema=False)
async def fix_return(
    token: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    checkout: Annotated[str, QueryParameter(max_length=64)] = "",
) -> Response[Any]:
    """Back with another card: it is put in the place of the one that failed, and tried at once."""
    visitor = await site.visitor(request)
    platform = site.platform
    line = await _mended(site, token)
    visit = await platform.stores.checkouts.by_id(checkout)
    if line is None or visit is None or visit.pledge_id != line.pledge_id or not visit.replaces:
        raise NotFoundException
    method_id = visit.method
    if not method_id:
        given = await asyncio.to_thread(platform.provider.method_of, visit.session)
        if given is None:
            return site.redirect(f"/fix/{token}")
        card_mark = mark(platform, "card", given.fingerprint)
        try:
            await require_stranger_by_card(platform, line.campaign_id, card_mark)
        except Rejection as refused:
            return await _page(site, visitor, token, line, said(refused))
        method_id = await platform.stores.checkouts.give_method(
            visit,
            provider=platform.provider.name,
            reference=given.method_id,
            at=platform.clock(),
            card_mark=card_mark,
        )
    command = ReplacePaymentMethod(
        campaign_id=line.campaign_id,
        by=f"backer:{line.backer}",
        command_id=visit.id,
        pledge_id=line.pledge_id,
        payment_method=method_id,
    )
    try:
        outcome = await site.submit(command, f"checkout\n{visit.id}")
    except Rejection as refused:
        return await _page(site, visitor, token, line, said(refused))
    return site.redirect(f"/fix/{token}?at_least={outcome.last_position}")


@post("/fix/{token:str}/cancel", include_in_schema=False)
async def fix_cancel(
    token: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Cancel the pledge whose payment failed, free of charge."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await _mended(site, token)
    if line is None:
        return site.page("backer/fix_over.html", visitor, status_code=410)
    if line.state not in ("failed", "action_required"):
        return site.redirect(f"/fix/{token}")
    command = WithdrawPledge(
        campaign_id=line.campaign_id,
        by=f"backer:{line.backer}",
        command_id=new_id(),
        pledge_id=line.pledge_id,
    )
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return await _page(site, visitor, token, line, said(refused))
    return site.redirect(f"/fix/{token}?at_least={outcome.last_position}")
