"""From "pledge" to the payment page: the form, what it keeps, and where it sends the backer."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.payments.port import PrepareMethod
from app.stores.checkouts import Checkout, CheckoutTakenError
from app.stores.rows import new_id
from app.web.accounts.joining import person_for
from app.web.accounts.limits import PLEDGE, client_of, passes
from app.web.backer import wording
from app.web.backer.abuse import (
    PaymentClosedError,
    TooManyHoldsError,
    admit_hold,
    mail_mark_of,
    mark,
    require_open,
    require_stranger_by_mail,
    require_stranger_by_person,
)
from app.web.backer.confirming import must_confirm, send_confirmation
from app.web.backer.destinations import place_name
from app.web.backer.form import (
    Chosen,
    Fault,
    PledgeForm,
    choose,
    faults_of_person,
    places_of,
    typed,
)
from app.web.language import current, gettext
from app.web.money import money
from app.web.public.campaign_view import CampaignView, campaign_view
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import PlaceHold
from domain.errors import CampaignClosed, CampaignSuspended, Rejection
from domain.money import EXPONENTS
from domain.state import Campaign
from domain.terms import HOLD_MS
from projections.backer_ledger import PledgeLine


@get("/campaigns/{campaign_id:str}/pledge", include_in_schema=False)
async def show_form(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    reward: Annotated[str, QueryParameter(max_length=64)] = "",
    again: Annotated[str, QueryParameter(max_length=64)] = "",
) -> Response[Any]:
    """The pledge form. The pledge's id is made with it: sending it twice makes one pledge.

    `again` names a checkout of this browser's that came to nothing: its choice is offered again.
    """
    visitor = await site.visitor(request)
    view = await pledgeable(site, campaign_id)
    form = await _known(site, visitor, PledgeForm(new_id(), reward))
    if again:
        form = await _once_more(site, visitor, again, form)
    return await form_page(site, visitor, view, form, ())


@post("/campaigns/{campaign_id:str}/pledge", include_in_schema=False)
async def take_form(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Keep the choice and any limited reward, and send the backer to the payment page."""
    visitor = await site.visitor(request)
    form = typed(await site.form(request, visitor))
    view = await pledgeable(site, campaign_id)
    chosen = choose(view, form)
    faults = faults_of_person(form, asks_mail=not visitor.signed_in)
    if isinstance(chosen, Fault):
        return await form_page(site, visitor, view, form, (chosen, *faults))
    if faults:
        return await form_page(site, visitor, view, form, tuple(faults))
    try:
        await require_stranger_by_person(site.platform, campaign_id, visitor.parties)
        if not visitor.signed_in:
            await require_stranger_by_mail(site.platform, campaign_id, form.mail)
            if not await passes(site, PLEDGE, request, form.mail):
                closed = gettext("Too many attempts. Wait a quarter of an hour and try again.")
                return await form_page(site, visitor, view, form, (Fault("", closed),))
            visitor = await person_for(site, visitor, form.mail, language=current())
        return await _check_out(site, request, visitor, view, form, chosen)
    except (Rejection, CheckoutTakenError, TooManyHoldsError) as refused:
        fault = Fault("", _refusal(refused))
        return await form_page(site, visitor, view, form, (fault,))
    except PaymentClosedError:
        return closed_page(site, visitor, campaign_id)


def _refusal(refused: Rejection | CheckoutTakenError | TooManyHoldsError) -> str:
    match refused:
        case Rejection():
            return said(refused)
        case TooManyHoldsError():
            return gettext(
                "You have kept limited rewards many times in a few minutes. Wait a quarter of an "
                "hour, or choose a reward without a limit."
            )
        case _:
            return gettext("This form was sent before. Load the page again and repeat.")


async def pledgeable(site: Site, campaign_id: str) -> CampaignView:
    """A campaign that takes pledges now. Raises CampaignSuspended and CampaignClosed."""
    page = await site.campaign(campaign_id)
    view = await campaign_view(site.platform, page, now=site.platform.clock())
    if page.suspended:
        raise CampaignSuspended
    if not view.takes_pledges:
        raise CampaignClosed
    return view


async def _known(site: Site, visitor: Visitor, form: PledgeForm) -> PledgeForm:
    """Fill in who pledges and how they may want to be shown: nobody types it twice."""
    if not visitor.party:
        return form
    stores = site.platform.stores
    account = (await stores.accounts.of_parties([visitor.party])).get(visitor.party)
    if not visitor.signed_in:
        party = await stores.people.get(visitor.party)
        return msgspec.structs.replace(form, mail=account.mail if account else party.mail)
    names = await stores.people.names([visitor.party])
    return msgspec.structs.replace(
        form,
        own_name=names.get(visitor.party, ""),
        pen_name=account.pen_name if account else "",
    )


async def _once_more(
    site: Site, visitor: Visitor, checkout_id: str, form: PledgeForm
) -> PledgeForm:
    checkout = None
    if visitor.party:
        checkout = await site.platform.stores.checkouts.get(checkout_id, party=visitor.party)
    if checkout is None or not checkout.choices:
        return form
    main, *add_ons = checkout.choices
    return msgspec.structs.replace(
        form,
        reward=main.reward_id,
        add_ons={choice.reward_id: str(choice.quantity) for choice in add_ons},
        destination=checkout.destination,
    )


async def form_page(
    site: Site,
    visitor: Visitor,
    view: CampaignView,
    form: PledgeForm,
    faults: tuple[Fault, ...],
    *,
    changing: PledgeLine | None = None,
) -> Response[Any]:
    """The form, with what was typed and what is wrong with it; `changing` a pledge that stands."""
    page = view.page
    action = f"/campaigns/{page.campaign_id}/pledge"
    if changing is not None:
        action = f"/campaigns/{page.campaign_id}/pledges/{changing.no}/edit"
    return site.page(
        "backer/pledge_form.html",
        visitor,
        status_code=422 if faults else 200,
        view=view,
        page=page,
        form=form,
        faults=faults,
        shown_faults=[(fault.field, fault.said) for fault in faults],
        action=action,
        changing=changing,
        place_name=place_name,
        wrong={fault.field: fault.said for fault in faults},
        places=places_of(view),
        asks_mail=changing is None and not visitor.signed_in,
        hold_until=await _held_until(site, visitor, page.campaign_id),
        exponent=EXPONENTS.get(page.currency, 0),
        sentence=wording.charge_sentence(page, view.terms, wording.AMOUNT),
        rule=wording.charge_rule(page, view.terms),
    )


async def _held_until(site: Site, visitor: Visitor, campaign_id: str) -> int:
    """Until when something is kept for this person at this campaign; 0 where nothing is."""
    if not visitor.party:
        return 0

    def until_of(state: Campaign) -> int:
        hold = state.holds.get(state.hold_of.get(visitor.party, ""))
        return hold.until_at if hold else 0

    until = await asyncio.to_thread(site.platform.engine.inspect, campaign_id, until_of)
    return until if until > site.platform.clock() else 0


def closed_page(site: Site, visitor: Visitor, campaign_id: str) -> Response[Any]:
    """One neutral sentence: whoever tests cards learns nothing from it."""
    return site.page(
        "backer/payment_closed.html", visitor, status_code=429, campaign_id=campaign_id
    )


# --- The way to the payment page -----------------------------------------------------------------


async def _check_out(
    site: Site,
    request: PageRequest,
    visitor: Visitor,
    view: CampaignView,
    form: PledgeForm,
    chosen: Chosen,
) -> Response[Any]:
    """Hold what is limited, open a payment page, and send the backer there.

    Raises Rejection, CheckoutTakenError, TooManyHoldsError and PaymentClosedError.
    """
    page, platform = view.page, site.platform
    before = await platform.stores.checkouts.get(form.pledge_id, party=visitor.party)
    if before is not None and before.method:
        return site.redirect(return_path(form.pledge_id), visitor)
    checkout = Checkout(
        id=form.pledge_id,
        pledge_id=form.pledge_id,
        campaign_id=page.campaign_id,
        backer=visitor.party,
        amount_minor=chosen.amount_minor,
        currency=page.currency,
        choices=chosen.choices,
        destination=chosen.destination,
        hold_id=new_id() if chosen.limited else "",
        session="",
        url="",
        visibility=form.visibility,
        shown_as=form.shown_as,
        hold_until=platform.clock() + HOLD_MS if chosen.limited else 0,
        mail_mark=await mail_mark_of(platform, visitor, form.mail),
        address_mark=mark(platform, "address", client_of(request)),
    )
    await require_open(platform, checkout)
    if chosen.limited:
        await admit_hold(site, request, visitor)
        await place_hold(site, checkout)
    if await must_confirm(site, visitor, page.campaign_id):
        await platform.stores.checkouts.save(checkout, at=platform.clock())
        await send_confirmation(site, visitor, checkout, form.mail, view.title)
        return site.redirect(checkout_path(checkout.id), visitor)
    return site.redirect(await open_payment_page(site, checkout, view), visitor)


async def place_hold(site: Site, checkout: Checkout) -> None:
    """Keep the limited rewards of a checkout for a quarter of an hour. Raises Rejection."""
    await site.submit(
        PlaceHold(
            campaign_id=checkout.campaign_id,
            by=f"backer:{checkout.backer}",
            command_id=checkout.hold_id,
            hold_id=checkout.hold_id,
            backer=checkout.backer,
            choices=checkout.choices,
        )
    )


def checkout_path(checkout_id: str) -> str:
    """Where a checkout that is under way stands, with what is kept and for how long."""
    return f"/checkout/{checkout_id}"


def return_path(checkout_id: str) -> str:
    """Where the payment page sends the backer back to."""
    return f"/checkout/{checkout_id}/return"


async def open_payment_page(site: Site, checkout: Checkout, view: CampaignView) -> str:
    """Open the provider's page for a new pledge, keep the checkout, and return the address.

    Raises CheckoutTakenError.
    """
    amount = money(checkout.amount_minor, checkout.currency)
    sentence = wording.charge_sentence(view.page, view.terms, amount)
    return await open_visit(site, checkout, f"{view.title}: {sentence}")


async def open_visit(site: Site, checkout: Checkout, description: str, back: str = "") -> str:
    """Open a visit to the provider's page, keep the checkout, and return the page's address.

    `back` is where it leads back to, else to the checkout. Raises CheckoutTakenError.
    """
    platform = site.platform
    at = platform.clock()
    request = PrepareMethod(
        reference=checkout.id,
        description=description,
        return_path=back or return_path(checkout.id),
        at=at,
    )
    prepared = await asyncio.to_thread(platform.provider.prepare_method, request)
    visit = msgspec.structs.replace(checkout, session=prepared.session, url=prepared.url)
    await platform.stores.checkouts.save(visit, at=at)
    return prepared.url
