"""Proving anew who one is, before money goes out or an account's locks are changed."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from app.stores.accounts import Account
from app.web.accounts.addresses import local_path
from app.web.accounts.entering import account_of
from app.web.accounts.limits import RESET, STEP_UP, passes, was_right
from app.web.accounts.passwords import is_right
from app.web.accounts.sign_in import send_entrance
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor


@get("/step-up", include_in_schema=False)
async def show_step_up(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The ways that this account has."""
    visitor = await site.signed_in(request)
    after = local_path(request.query_params.get("next", ""), "/account")
    return await _page(site, visitor, await account_of(site, visitor), after)


@post("/step-up", include_in_schema=False)
async def take_step_up(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Prove it by the password."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    after = local_path(form.get("next", ""), "/account")
    if not await passes(site, STEP_UP, request, visitor.party):
        return await _page(site, visitor, account, after, "closed", 429)
    if not await is_right(account.password_hash, form.get("password", "")):
        return await _page(site, visitor, account, after, "wrong", 422)
    await was_right(site, STEP_UP, visitor.party)
    await site.visitors.step_up(visitor)
    return site.redirect(after)


@post("/step-up/link", include_in_schema=False)
async def take_step_up_link(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send a link to the account's address: for accounts without password and passkey."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    after = local_path(form.get("next", ""), "/account")
    if not await passes(site, RESET, request, f"link {account.mail}"):
        return await _page(site, visitor, account, after, "closed", 429)
    await send_entrance(site, account, "link", after)
    return site.page("accounts/mail_sent.html", visitor, mail=account.mail, what="step_up")


async def _page(
    site: Site,
    visitor: Visitor,
    account: Account,
    after: str,
    fault: str = "",
    status_code: int = 200,
) -> Response[Any]:
    passkeys = await site.platform.stores.passkeys.of_party(account.party)
    return site.page(
        "accounts/step_up.html",
        visitor,
        status_code=status_code,
        account=account,
        has_passkey=bool(passkeys),
        after=after,
        fault=fault,
    )
