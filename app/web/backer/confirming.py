"""A mail address is confirmed before payment where cards are being tested on a campaign."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.stores.checkouts import Checkout
from app.web.accounts.limits import may_write_to
from app.web.language import current
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor

_PURPOSE: Final = "confirm checkout"


async def must_confirm(site: Site, visitor: Visitor, campaign_id: str) -> bool:
    """Whether this person has to confirm their mail address before they can pay here."""
    if not await site.platform.stores.card_tries.is_tested(campaign_id):
        return False
    known = await site.platform.stores.accounts.of_parties([visitor.party])
    account = known.get(visitor.party)
    return account is None or account.confirmed_at is None


async def send_confirmation(
    site: Site, visitor: Visitor, checkout: Checkout, mail: str, title: str
) -> None:
    """Send the link that confirms the address; of an account, to the account's own address."""
    known = await site.platform.stores.accounts.of_parties([visitor.party])
    account = known.get(visitor.party)
    to = mail or (account.mail if account else "")
    if not await may_write_to(site, to):
        return
    sign = site.visitors.sign(_PURPOSE, checkout.id)
    await site.platform.mail.post(
        name="backer_confirm",
        to=to,
        language=current(),
        party=visitor.party,
        dedupe_key=checkout.id,
        title=title,
        link=f"{site.platform.settings.public_url}/checkout/{checkout.id}/confirm/{sign}",
    )


@get("/checkout/{checkout_id:str}/confirm/{sign:str}", include_in_schema=False)
async def show_confirm(
    checkout_id: FromPath[str],
    sign: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Ask for one click: programs that follow links in mails must not confirm anything."""
    visitor = await site.visitor(request)
    await _signed(site, checkout_id, sign)
    return site.page("backer/confirm_mail.html", visitor, checkout_id=checkout_id, sign=sign)


@post("/checkout/{checkout_id:str}/confirm/{sign:str}", include_in_schema=False)
async def take_confirm(
    checkout_id: FromPath[str],
    sign: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The address is read by its person; in the browser where they began they can pay now."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    checkout = await _signed(site, checkout_id, sign)
    if not checkout.method:
        confirmed = msgspec.structs.replace(checkout, confirmed=True)
        await site.platform.stores.checkouts.save(confirmed, at=site.platform.clock())
    if visitor.party == checkout.backer:
        return site.redirect(f"/checkout/{checkout_id}", visitor)
    return site.page("backer/mail_confirmed.html", visitor, checkout=checkout)


async def _signed(site: Site, checkout_id: str, sign: str) -> Checkout:
    checkout = await site.platform.stores.checkouts.by_id(checkout_id)
    if checkout is None or not site.visitors.is_signed(_PURPOSE, checkout_id, sign):
        raise NotFoundException
    return checkout
