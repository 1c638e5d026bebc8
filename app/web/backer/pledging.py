"""From "pledge" to "thank you": the form, the provider's payment page, and the way back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from app.payments.port import PrepareMethod
from app.stores.checkouts import Checkout, CheckoutTakenError
from app.stores.rows import new_id
from app.web.money import parse_amount
from app.web.public.campaign_view import CampaignView, campaign_view
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import MakePledge, PlaceHold, ReplacePaymentMethod
from domain.errors import CampaignClosed, CampaignSuspended, Rejection
from domain.ids import is_id
from domain.money import is_amount
from domain.terms import ELSEWHERE, Choice

MAX_PIECES: Final = 100
_ADD_ON: Final = "add_on_"
_PLACE: Final = re.compile(r"(?:[A-Z]{2}(?:-[A-Z0-9]{1,3})?)?").fullmatch


class PledgeForm(Struct, frozen=True):
    """What was typed into the pledge form, kept as it is so that it can be shown again."""

    pledge_id: str
    reward: str = ""
    amount: str = ""
    destination: str = ""
    add_ons: dict[str, str] = {}


class Fault(Struct, frozen=True):
    """What is wrong with a form: the field, and which sentence the template says about it."""

    field: str
    kind: str
    amount_minor: int = 0
    said: str = ""


class Chosen(Struct, frozen=True):
    """A form that can be carried out."""

    amount_minor: int
    choices: tuple[Choice, ...]
    destination: str
    limited: bool


@get("/campaigns/{campaign_id:str}/pledge", include_in_schema=False)
async def show_form(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    reward: Annotated[str, QueryParameter(max_length=64)] = "",
) -> Response[Any]:
    """The pledge form. The pledge's id is made with it: sending it twice makes one pledge."""
    visitor = await site.visitor(request)
    view = await _pledgeable(site, campaign_id)
    return _form_page(site, visitor, view, PledgeForm(new_id(), reward), None)


@post("/campaigns/{campaign_id:str}/pledge", include_in_schema=False)
async def take_form(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Keep the choice and any limited reward, and send the backer to the payment page."""
    visitor = await site.visitor(request)
    form = _form_of(await site.form(request, visitor))
    view = await _pledgeable(site, campaign_id)
    chosen = choose(view, form)
    if isinstance(chosen, Fault):
        return _form_page(site, visitor, view, form, chosen)
    if not visitor.party:
        at = site.platform.clock()
        backer = await site.platform.stores.people.mint_backer(at=at)
        visitor = await site.visitors.begin(backer)
    try:
        url = await _check_out(site, visitor, view, form.pledge_id, chosen)
    except (Rejection, CheckoutTakenError) as refused:
        return _form_page(site, visitor, view, form, Fault("", "refused", said=str(refused)))
    return site.redirect(url, visitor)


@get("/checkout/{checkout_id:str}/return", include_in_schema=False)
async def come_back(
    checkout_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Back from the payment page: the provider says whether a method was given, and then the
    pledge is made. Loading it again finds the same pledge.
    """
    visitor = await site.visitor(request)
    platform = site.platform
    checkout = await platform.stores.checkouts.get(checkout_id, party=visitor.party)
    if not visitor.party or checkout is None:
        raise NotFoundException
    method_id = checkout.method
    if not method_id:
        given = await asyncio.to_thread(platform.provider.method_of, checkout.session)
        if given is None:
            return site.page("backer/unfinished.html", visitor, checkout=checkout)
        method_id = await platform.stores.checkouts.give_method(
            checkout,
            provider=platform.provider.name,
            reference=given.method_id,
            at=platform.clock(),
        )
    return await _carry_out(site, visitor, checkout, method_id)


async def _carry_out(
    site: Site, visitor: Visitor, checkout: Checkout, method_id: str
) -> Response[Any]:
    command = _command_of(checkout, method_id)
    # A pledge is its own idempotency key; another method for it has the checkout's.
    key = f"checkout\n{checkout.id}" if checkout.replaces else None
    try:
        outcome = await site.platform.engine.submit_async(command, key)
    except Rejection as refused:
        return site.page(
            "backer/too_late.html", visitor, status_code=409, checkout=checkout, refused=refused
        )
    return site.redirect(
        f"/campaigns/{checkout.campaign_id}/pledges/id/{checkout.pledge_id}"
        f"?at_least={outcome.last_position}"
    )


def _command_of(checkout: Checkout, method_id: str) -> MakePledge | ReplacePaymentMethod:
    """What the backer went to the payment page for."""
    by = f"backer:{checkout.backer}"
    if checkout.replaces:
        return ReplacePaymentMethod(
            campaign_id=checkout.campaign_id,
            by=by,
            command_id=checkout.id,
            pledge_id=checkout.pledge_id,
            payment_method=method_id,
        )
    return MakePledge(
        campaign_id=checkout.campaign_id,
        by=by,
        command_id=checkout.id,
        pledge_id=checkout.pledge_id,
        backer=checkout.backer,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        choices=checkout.choices,
        destination=checkout.destination,
        visibility="hidden",
        payment_method=method_id,
        hold_id=checkout.hold_id,
    )


# --- The form ------------------------------------------------------------------------------------


async def _pledgeable(site: Site, campaign_id: str) -> CampaignView:
    page = await site.campaign(campaign_id)
    view = await campaign_view(site.platform, page, now=site.platform.clock())
    if page.suspended:
        raise CampaignSuspended
    if not view.takes_pledges:
        raise CampaignClosed
    return view


def _form_of(form: Mapping[str, str]) -> PledgeForm:
    add_ons = {
        name.removeprefix(_ADD_ON): value
        for name, value in form.items()
        if name.startswith(_ADD_ON) and value.strip() not in ("", "0")
    }
    pledge_id = form.get("pledge_id", "")
    return PledgeForm(
        pledge_id=pledge_id if is_id(pledge_id) else new_id(),
        reward=form.get("reward", ""),
        amount=form.get("amount", "").strip(),
        destination=form.get("destination", "").strip().upper(),
        add_ons=add_ons,
    )


def choose(view: CampaignView, form: PledgeForm) -> Chosen | Fault:
    """Read a form against what the campaign offers.

    Without an amount the chosen rewards are paid exactly, with their shipping. The rules check
    everything again; this is so that people get an answer beside the field.
    """
    offered = {reward.line.reward_id: reward for reward in view.rewards}
    choices = [Choice(form.reward)] if form.reward else []
    for reward_id, typed in form.add_ons.items():
        pieces = int(typed) if typed.isdecimal() and len(typed) <= len(str(MAX_PIECES)) else 0
        if not 1 <= pieces <= MAX_PIECES:
            return Fault("add_ons", "pieces")
        choices.append(Choice(reward_id, pieces))
    if not _PLACE(form.destination):
        return Fault("destination", "place")
    if choices and not form.reward:
        return Fault("reward", "alone")
    cost_minor, limited = 0, False
    for choice in choices:
        reward = offered.get(choice.reward_id)
        if reward is None or reward.line.add_on is (choice.reward_id == form.reward):
            return Fault("reward", "gone")
        if reward.left is not None and choice.quantity > reward.left:
            return Fault("reward", "sold_out")
        limited = limited or reward.left is not None
        shipping_minor: int | None = 0
        if reward.line.shipping:
            if not form.destination:
                return Fault("destination", "missing")
            shipping_minor = reward.shipping_minor(form.destination)
        if shipping_minor is None:
            return Fault("destination", "not_shipped")
        cost_minor += choice.quantity * (reward.line.price_minor + shipping_minor)
    typed_minor = parse_amount(form.amount, view.page.currency) if form.amount else cost_minor
    if typed_minor is None or not is_amount(typed_minor):
        return Fault("amount", "amount" if form.amount else "nothing")
    if typed_minor < cost_minor:
        return Fault("amount", "too_small", cost_minor)
    return Chosen(typed_minor, tuple(choices), form.destination, limited)


def _form_page(
    site: Site, visitor: Visitor, view: CampaignView, form: PledgeForm, fault: Fault | None
) -> Response[Any]:
    return site.page(
        "backer/pledge_form.html",
        visitor,
        status_code=422 if fault else 200,
        view=view,
        page=view.page,
        form=form,
        fault=fault,
        places=sorted(
            {
                fee.region
                for reward in view.rewards
                for fee in reward.line.shipping
                if fee.region != ELSEWHERE
            }
        ),
    )


# --- The way to the payment page -----------------------------------------------------------------


async def _check_out(
    site: Site, visitor: Visitor, view: CampaignView, pledge_id: str, chosen: Chosen
) -> str:
    """Hold what is limited, open a payment page, and return its address.

    Raises Rejection and CheckoutTakenError.
    """
    page = view.page
    before = await site.platform.stores.checkouts.get(pledge_id, party=visitor.party)
    if before is not None and before.method:
        return return_path(pledge_id)
    hold_id = ""
    if chosen.limited:
        hold_id = new_id()
        await site.platform.engine.submit_async(
            PlaceHold(
                campaign_id=page.campaign_id,
                by=f"backer:{visitor.party}",
                command_id=hold_id,
                hold_id=hold_id,
                backer=visitor.party,
                choices=chosen.choices,
            )
        )
    description = site.text(
        "backer/charge.txt", view=view, page=page, amount_minor=chosen.amount_minor
    )
    checkout = Checkout(
        id=pledge_id,
        pledge_id=pledge_id,
        campaign_id=page.campaign_id,
        backer=visitor.party,
        amount_minor=chosen.amount_minor,
        currency=page.currency,
        choices=chosen.choices,
        destination=chosen.destination,
        hold_id=hold_id,
        session="",
        url="",
    )
    return await open_payment_page(site, checkout, description)


def return_path(checkout_id: str) -> str:
    """Where the payment page sends the backer back to."""
    return f"/checkout/{checkout_id}/return"


async def open_payment_page(site: Site, checkout: Checkout, description: str) -> str:
    """Open a visit to the provider's page, keep the checkout, and return the page's address.

    Raises CheckoutTakenError.
    """
    platform = site.platform
    at = platform.clock()
    request = PrepareMethod(
        reference=checkout.pledge_id,
        description=description,
        return_path=return_path(checkout.id),
        at=at,
    )
    prepared = await asyncio.to_thread(platform.provider.prepare_method, request)
    visit = msgspec.structs.replace(checkout, session=prepared.session, url=prepared.url)
    await platform.stores.checkouts.save(visit, at=at)
    return prepared.url
