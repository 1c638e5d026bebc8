"""A checkout under way: back from the payment page, with or without a card; what is kept, for how
long, and how to give it up.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.stores.checkouts import Checkout
from app.stores.rows import new_id
from app.web.accounts.limits import client_of
from app.web.backer.abuse import (
    PaymentClosedError,
    TooManyHoldsError,
    admit_hold,
    mark,
    require_open,
    require_stranger_by_card,
)
from app.web.backer.confirming import must_confirm
from app.web.backer.pledging import (
    closed_page,
    open_payment_page,
    open_visit,
    place_hold,
    pledgeable,
)
from app.web.language import gettext
from app.web.refusals import said
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.commands import LapseHold, MakePledge, ReplacePaymentMethod
from domain.errors import OwnCampaign, Rejection
from domain.terms import HOLD_MS


@get(["/checkout/{checkout_id:str}", "/checkout/{checkout_id:str}/return"], include_in_schema=False)
async def come_back(
    checkout_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Back from the payment page: the provider says whether a method was given, and then the
    pledge is made. Loading it again finds the same pledge.
    """
    visitor = await site.visitor(request)
    platform = site.platform
    checkout = await _own(site, visitor, checkout_id)
    method_id = checkout.method
    if not method_id:
        given = None
        if checkout.session:
            given = await asyncio.to_thread(platform.provider.method_of, checkout.session)
        if given is None:
            return await _unfinished(site, visitor, checkout)
        card_mark = mark(platform, "card", given.fingerprint)
        try:
            await require_stranger_by_card(platform, checkout.campaign_id, card_mark)
        except OwnCampaign as refused:
            return _refused(site, visitor, checkout, refused)
        method_id = await platform.stores.checkouts.give_method(
            checkout,
            provider=platform.provider.name,
            reference=given.method_id,
            at=platform.clock(),
            card_mark=card_mark,
        )
    return await _carry_out(site, visitor, checkout, method_id)


@post("/checkout/{checkout_id:str}/pay", include_in_schema=False)
async def pay(
    checkout_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Go (on) to the payment page; what ran out meanwhile is kept anew, if it is still there."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    checkout = await _own(site, visitor, checkout_id)
    if checkout.method:
        return site.redirect(f"/checkout/{checkout_id}/return")
    platform = site.platform
    mine = mark(platform, "address", client_of(request))
    checkout = msgspec.structs.replace(checkout, address_mark=mine)
    try:
        await require_open(platform, checkout)
        if not checkout.confirmed and await must_confirm(site, visitor, checkout.campaign_id):
            return site.redirect(f"/checkout/{checkout_id}")
        if checkout.replaces:
            description = site.text("backer/another_card.txt", line=None)
            return site.redirect(await open_visit(site, checkout, description))
        view = await pledgeable(site, checkout.campaign_id)
        if checkout.hold_id and checkout.hold_until <= platform.clock():
            await admit_hold(site, request, visitor)
            until = platform.clock() + HOLD_MS
            checkout = msgspec.structs.replace(checkout, hold_id=new_id(), hold_until=until)
            await place_hold(site, checkout)
        return site.redirect(await open_payment_page(site, checkout, view))
    except PaymentClosedError:
        return closed_page(site, visitor, checkout.campaign_id)
    except (Rejection, TooManyHoldsError) as refused:
        return _refused(site, visitor, checkout, refused)


@post("/checkout/{checkout_id:str}/give-up", include_in_schema=False)
async def give_up(
    checkout_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Let go of what is kept, so that somebody else can have it."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    checkout = await _own(site, visitor, checkout_id)
    if checkout.hold_id and not checkout.method:
        await site.submit(
            LapseHold(
                campaign_id=checkout.campaign_id,
                by=f"backer:{checkout.backer}",
                command_id=new_id(),
                hold_id=checkout.hold_id,
            )
        )
        gone = msgspec.structs.replace(checkout, hold_id="", hold_until=0)
        await site.platform.stores.checkouts.save(gone, at=site.platform.clock())
    return site.page("backer/given_up.html", visitor, checkout=checkout)


async def _own(site: Site, visitor: Visitor, checkout_id: str) -> Checkout:
    """A checkout of the visitor's; another's is as if it were not there."""
    checkout = None
    for party in (visitor.party, *(visitor.parties - {visitor.party})):
        if party and checkout is None:
            checkout = await site.platform.stores.checkouts.get(checkout_id, party=party)
    if checkout is None:
        raise NotFoundException
    return checkout


async def _unfinished(site: Site, visitor: Visitor, checkout: Checkout) -> Response[Any]:
    ran_out = bool(checkout.hold_id) and checkout.hold_until <= site.platform.clock()
    waits = not checkout.confirmed and not checkout.session
    waits = waits and await must_confirm(site, visitor, checkout.campaign_id)
    return site.page(
        "backer/unfinished.html", visitor, checkout=checkout, ran_out=ran_out, waits_for_mail=waits
    )


def _refused(
    site: Site, visitor: Visitor, checkout: Checkout, refused: Rejection | TooManyHoldsError
) -> Response[Any]:
    sentence = (
        said(refused)
        if isinstance(refused, Rejection)
        else gettext("You have kept limited rewards many times. Wait a quarter of an hour.")
    )
    return site.page(
        "backer/too_late.html",
        visitor,
        status_code=409,
        checkout=checkout,
        refused=sentence,
        again=getattr(refused, "reason", "") in ("sold_out", "reward_unknown"),
    )


async def _carry_out(
    site: Site, visitor: Visitor, checkout: Checkout, method_id: str
) -> Response[Any]:
    command = _command_of(checkout, method_id)
    # A pledge is its own idempotency key; another method for it has the checkout's.
    key = f"checkout\n{checkout.id}" if checkout.replaces else None
    if checkout.shown_as and not checkout.replaces:
        # Before the fact, so that the names list never shows the wrong name.
        await site.platform.stores.shown_names.keep(
            checkout.pledge_id, party=checkout.backer, name=checkout.shown_as
        )
    try:
        outcome = await site.submit(command, key)
    except Rejection as refused:
        return _refused(site, visitor, checkout, refused)
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
        visibility=checkout.visibility,
        payment_method=method_id,
        hold_id=checkout.hold_id,
    )
