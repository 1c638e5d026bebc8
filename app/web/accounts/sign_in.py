"""Signing in by password or by a link in a mail, choosing a new password, and signing out.

No answer tells whether an address has an account, by its words or by its time.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.accounts import Account, normal_mail
from app.stores.mail_tokens import MailToken
from app.web.accounts.addresses import is_mail, local_path
from app.web.accounts.entering import afterwards, enter
from app.web.accounts.letters import send, send_link
from app.web.accounts.limits import RESET, SIGN_IN, Gate, passes, was_right
from app.web.accounts.passwords import fault_in, hashed, is_outdated, is_right
from app.web.accounts.sign_up import dead_link, prove_address
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor


@get("/sign-in", include_in_schema=False)
async def show_sign_in(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The form."""
    visitor = await site.visitor(request)
    after = local_path(request.query_params.get("next", ""), "")
    if visitor.signed_in:
        return site.redirect(after or "/account", visitor)
    return _page(site, visitor, "", after)


@post("/sign-in", include_in_schema=False)
async def take_sign_in(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Sign in by password."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    mail, password = form.get("mail", "").strip(), form.get("password", "")
    after = local_path(form.get("next", ""), "")
    if not is_mail(mail):
        return _page(site, visitor, mail, after, "mail")
    if not await passes(site, SIGN_IN, request, mail):
        return _page(site, visitor, mail, after, "closed", 429)
    accounts = site.platform.stores.accounts
    account = await accounts.by_mail(mail)
    right = await is_right(account.password_hash if account else "", password)
    if account is None or not right:
        return _page(site, visitor, mail, after, "wrong")
    await was_right(site, SIGN_IN, mail)
    if is_outdated(account.password_hash):
        await accounts.change(account.party, password_hash=await hashed(password))
    fresh = await enter(site, request, visitor, account)
    return site.redirect(after or "/account", fresh)


def _page(
    site: Site,
    visitor: Visitor,
    mail: str,
    after: str,
    fault: str = "",
    status_code: int | None = None,
) -> Response[Any]:
    return site.page(
        "accounts/sign_in.html",
        visitor,
        status_code=status_code or (422 if fault else 200),
        mail=mail,
        after=after,
        fault=fault,
    )


# --- By a link in a mail -------------------------------------------------------------------------


@get("/sign-in/link", include_in_schema=False)
async def show_ask_link(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Ask for a link to sign in with: for accounts that have no password."""
    visitor = await site.visitor(request)
    after = local_path(request.query_params.get("next", ""), "")
    return _ask_page(site, visitor, "link", "", after)


@post("/sign-in/link", include_in_schema=False)
async def take_ask_link(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send the link, where there is an account; the answer does not tell."""
    return await _send_where_known(request, site, "link", SIGN_IN)


@get("/sign-in/link/{secret:str}", include_in_schema=False)
async def show_link(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The page that the link leads to: one button, so that only people press it."""
    visitor = await site.visitor(request)
    at = site.platform.clock()
    token = await site.platform.stores.mail_tokens.find(secret, "sign_in", at=at)
    if token is None:
        return dead_link(site, visitor)
    return site.page(
        "accounts/follow_link.html", visitor, action=f"/sign-in/link/{secret}", mail=token.mail
    )


@post("/sign-in/link/{secret:str}", include_in_schema=False)
async def take_link(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Sign in; the link has done its work."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    stores = site.platform.stores
    token = await stores.mail_tokens.use(secret, "sign_in", at=site.platform.clock())
    account = await stores.accounts.get(token.party) if token else None
    if token is None or account is None or account.mail != token.mail:
        return dead_link(site, visitor)
    await prove_address(site, account)
    fresh = await enter(site, request, visitor, account)
    return site.redirect(token.next or "/account", fresh)


# --- A new password ------------------------------------------------------------------------------


@get("/password-reset", include_in_schema=False)
async def show_ask_reset(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Ask for a link to choose a new password with."""
    visitor = await site.visitor(request)
    after = local_path(request.query_params.get("next", ""), "")
    return _ask_page(site, visitor, "reset", "", after)


@post("/password-reset", include_in_schema=False)
async def take_ask_reset(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send the link, where there is an account; the answer does not tell."""
    return await _send_where_known(request, site, "reset", RESET)


@get("/password-reset/{secret:str}", include_in_schema=False)
async def show_reset(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Where the link leads: the form for the new password."""
    visitor = await site.visitor(request)
    at = site.platform.clock()
    token = await site.platform.stores.mail_tokens.find(secret, "reset", at=at)
    if token is None:
        return dead_link(site, visitor)
    return _reset_page(site, visitor, secret, token.mail)


@post("/password-reset/{secret:str}", include_in_schema=False)
async def take_reset(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Set the new password. Whoever was signed in anywhere else is so no more."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    stores, at = site.platform.stores, site.platform.clock()
    token = await stores.mail_tokens.find(secret, "reset", at=at)
    if token is None:
        return dead_link(site, visitor)
    password = form.get("password", "")
    if fault := fault_in(password, token.mail):
        return _reset_page(site, visitor, secret, token.mail, fault)
    password_hash = await hashed(password)
    used = await stores.mail_tokens.use(secret, "reset", at=at)
    account = await stores.accounts.get(token.party) if used else None
    if account is None or account.mail != token.mail:
        return dead_link(site, visitor)
    await stores.accounts.change(account.party, password_hash=password_hash)
    await prove_address(site, account)
    # Nor does the account move to where somebody who was in it had asked for.
    await stores.mail_tokens.end_all(account.party, "reset", "sign_in", "change_mail")
    await stores.sessions.end_all(account.party)
    await was_right(site, SIGN_IN, account.mail)
    await send(
        site,
        "password_changed",
        to=account.mail,
        language=account.language,
        party=account.party,
        url=f"{site.platform.settings.public_url}/password-reset",
    )
    fresh = await enter(site, request, visitor, account)
    return site.redirect(token.next or "/account", fresh)


def _reset_page(
    site: Site, visitor: Visitor, secret: str, mail: str, fault: str = ""
) -> Response[Any]:
    return site.page(
        "accounts/reset.html",
        visitor,
        status_code=422 if fault else 200,
        action=f"/password-reset/{secret}",
        mail=mail,
        fault=fault,
    )


# --- Both ----------------------------------------------------------------------------------------


async def _send_where_known(
    request: PageRequest, site: Site, what: str, gate: Gate
) -> Response[Any]:
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    mail, after = form.get("mail", "").strip(), local_path(form.get("next", ""), "")
    if not is_mail(mail):
        return _ask_page(site, visitor, what, mail, after, "mail")
    if not await passes(site, gate, request, f"{what} {normal_mail(mail)}"):
        return _ask_page(site, visitor, what, mail, after, "closed")
    page = site.page("accounts/mail_sent.html", visitor, mail=mail, what=what)
    return afterwards(page, _send_link_to, site, what, mail, after)


async def _send_link_to(site: Site, what: str, mail: str, after: str) -> None:
    account = await site.platform.stores.accounts.by_mail(mail)
    if account is not None:
        await send_entrance(site, account, what, after)


async def send_entrance(site: Site, account: Account, what: str, after: str) -> None:
    """Send an account's address a link to sign in with (`link`) or to a new password (`reset`)."""
    token = MailToken(
        purpose="reset" if what == "reset" else "sign_in",
        party=account.party,
        mail=account.mail,
        next=after,
    )
    name = "reset" if what == "reset" else "sign_in"
    await send_link(site, name, token, language=account.language)


def _ask_page(
    site: Site, visitor: Visitor, what: str, mail: str, after: str, fault: str = ""
) -> Response[Any]:
    status_code = 200 if not fault else 429 if fault == "closed" else 422
    return site.page(
        "accounts/ask_link.html",
        visitor,
        status_code=status_code,
        what=what,
        mail=mail,
        after=after,
        fault=fault,
    )


# --- Out -----------------------------------------------------------------------------------------


@post("/sign-out", include_in_schema=False)
async def sign_out(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """End this browser's session; with `everywhere`, the person's sessions in every browser."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    await site.visitors.end(visitor, everywhere="everywhere" in form and visitor.signed_in)
    return site.redirect("/sign-in?out=1" if "everywhere" in form else "/")
