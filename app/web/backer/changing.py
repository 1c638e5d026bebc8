"""What a backer can do with a pledge that stands: change it, cancel it, give another card, say that
the reward arrived.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from app.stores.checkouts import Checkout
from app.stores.rows import new_id
from app.web.accounts.limits import client_of
from app.web.backer.abuse import PaymentClosedError, mark, require_open
from app.web.backer.form import Fault, choose, faults_of_person, form_of, typed
from app.web.backer.names import names_of
from app.web.backer.pledge_page import own_pledge
from app.web.backer.pledging import closed_page, form_page, open_visit
from app.web.backer.standing import may_leave
from app.web.money import major
from app.web.public.campaign_view import CampaignView, campaign_view
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import Command, ConfirmReceived, RevisePledge, WithdrawPledge
from domain.errors import GoalProtected, PledgeNotRevisable, Rejection
from domain.terms import Choice
from projections.backer_ledger import PledgeLine
from projections.pledges import lines_of

_PLEDGE = "/campaigns/{campaign_id:str}/pledges/{no:int}"


async def _view(site: Site, campaign_id: str) -> CampaignView:
    page = await site.campaign(campaign_id)
    return await campaign_view(site.platform, page, now=site.platform.clock())


def pledge_path(line: PledgeLine, at_least: int | None = None) -> str:
    """The address of a pledge's own page."""
    path = f"/campaigns/{line.campaign_id}/pledges/{line.no}"
    return path if at_least is None else f"{path}?at_least={at_least}"


# --- Change --------------------------------------------------------------------------------------


@get(f"{_PLEDGE}/edit", include_in_schema=False)
async def show_edit(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The pledge form, as this pledge would have filled it in."""
    visitor = await site.visitor(request)
    line = await own_pledge(site, visitor, campaign_id, no)
    view = await _view(site, campaign_id)
    if line.state != "made":
        return _refusal(site, visitor, line, view, PledgeNotRevisable())
    shown = await names_of(site.platform, [line])
    amount = major(line.amount_minor, line.currency)
    form = form_of(line, view, shown.get(line.pledge_id, ""), amount)
    return await form_page(site, visitor, view, form, (), changing=line)


@post(f"{_PLEDGE}/edit", include_in_schema=False)
async def take_edit(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Replace the pledge's terms: reward, amount, destination and how it is shown."""
    visitor = await site.visitor(request)
    form = typed(await site.form(request, visitor))
    line = await own_pledge(site, visitor, campaign_id, no)
    view = await _view(site, campaign_id)
    own = tuple(Choice(found.reward_id, found.quantity) for found in lines_of(line.lines))
    chosen = choose(view, form, own)
    faults = faults_of_person(form, asks_mail=False)
    if isinstance(chosen, Fault):
        return await form_page(site, visitor, view, form, (chosen, *faults), changing=line)
    if faults:
        return await form_page(site, visitor, view, form, tuple(faults), changing=line)
    command = RevisePledge(
        campaign_id=campaign_id,
        by=f"backer:{line.backer}",
        command_id=new_id(),
        pledge_id=line.pledge_id,
        amount_minor=chosen.amount_minor,
        choices=chosen.choices,
        destination=chosen.destination,
        visibility=form.visibility,
    )
    try:
        outcome = await site.submit(command)
    except (GoalProtected, PledgeNotRevisable) as refused:
        return _refusal(site, visitor, line, view, refused)
    except Rejection as refused:
        fault = Fault("", said(refused))
        return await form_page(site, visitor, view, form, (fault,), changing=line)
    await site.platform.stores.shown_names.keep(
        line.pledge_id, party=line.backer, name=form.shown_as
    )
    return site.redirect(pledge_path(line, outcome.last_position))


def _refusal(
    site: Site, visitor: Visitor, line: PledgeLine, view: CampaignView, refused: Rejection
) -> Response[Any]:
    """Why it cannot be done, what it is good for, and the way back."""
    return site.page(
        "backer/cannot.html",
        visitor,
        status_code=409,
        line=line,
        view=view,
        page=view.page,
        refused=said(refused),
        protected=isinstance(refused, GoalProtected),
    )


# --- Cancel --------------------------------------------------------------------------------------


@get(f"{_PLEDGE}/withdraw", include_in_schema=False)
async def show_withdraw(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """What happens when the pledge is cancelled, before anything does."""
    visitor = await site.visitor(request)
    line = await own_pledge(site, visitor, campaign_id, no)
    view = await _view(site, campaign_id)
    if not may_leave(line, view, site.platform.clock()):
        return site.redirect(pledge_path(line))
    return site.page("backer/withdraw.html", visitor, line=line, view=view, page=view.page)


@post(f"{_PLEDGE}/withdraw", include_in_schema=False)
async def withdraw(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Leave; what was charged within the withdrawal period goes back."""
    command = WithdrawPledge
    return await _act(site, request, campaign_id, no, command)


@post(f"{_PLEDGE}/received", include_in_schema=False)
async def confirm_received(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Say that one's reward arrived."""
    return await _act(site, request, campaign_id, no, ConfirmReceived)


async def _act(
    site: Site,
    request: PageRequest,
    campaign_id: str,
    no: int,
    kind: type[WithdrawPledge | ConfirmReceived],
) -> Response[Any]:
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await own_pledge(site, visitor, campaign_id, no)
    command: Command = kind(
        campaign_id=campaign_id,
        by=f"backer:{line.backer}",
        command_id=new_id(),
        pledge_id=line.pledge_id,
    )
    try:
        outcome = await site.submit(command)
    except Rejection as refused:
        return _refusal(site, visitor, line, await _view(site, campaign_id), refused)
    return site.redirect(pledge_path(line, outcome.last_position))


# --- Another card --------------------------------------------------------------------------------


@get(f"{_PLEDGE}/fix", include_in_schema=False)
async def show_fix_here(campaign_id: FromPath[str], no: FromPath[int]) -> Redirect:
    """Where a payment is mended by who is signed in: on the pledge's own page."""
    return Redirect(f"/campaigns/{campaign_id}/pledges/{no}", status_code=303)


@post(f"{_PLEDGE}/card", include_in_schema=False)
async def change_card(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Give another payment method, on the provider's page."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    line = await own_pledge(site, visitor, campaign_id, no)
    return await another_card(site, request, visitor, line)


async def another_card(
    site: Site, request: PageRequest, visitor: Visitor, line: PledgeLine, back: str = ""
) -> Response[Any] | Redirect:
    """Send a backer to the payment page for another card. `back` may hold `{checkout}`."""
    account = (await site.platform.stores.accounts.of_parties([line.backer])).get(line.backer)
    checkout = Checkout(
        id=new_id(),
        pledge_id=line.pledge_id,
        campaign_id=line.campaign_id,
        backer=line.backer,
        amount_minor=line.amount_minor,
        currency=line.currency,
        choices=(),
        destination="",
        hold_id="",
        session="",
        url="",
        replaces=True,
        mail_mark=mark(site.platform, "mail", account.mail if account else ""),
        address_mark=mark(site.platform, "address", client_of(request)),
    )
    try:
        await require_open(site.platform, checkout)
    except PaymentClosedError:
        return closed_page(site, visitor, line.campaign_id)
    description = site.text("backer/another_card.txt", line=line)
    path = back.format(checkout=checkout.id)
    return site.redirect(await open_visit(site, checkout, description, path))
