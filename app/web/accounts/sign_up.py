"""Signing up: the account is opened when the link in the mail is followed, and not before.

So nobody can open an account on somebody else's address and wait for them, and the answer to the
form is the same whether the address has an account or not.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from msgspec.structs import replace

from app.stores.accounts import Account, MailTakenError, normal_mail
from app.stores.mail_tokens import MailToken
from app.web.accounts.addresses import LONGEST_MAIL, is_mail, local_path
from app.web.accounts.entering import afterwards, enter
from app.web.accounts.letters import send_link
from app.web.accounts.limits import CONFIRM, SIGN_UP, passes
from app.web.accounts.passwords import fault_in, hashed, is_right
from app.web.language import current, known
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor

LONGEST_NAME: Final = 80
WELCOME: Final = "/account?welcome=1"


class SignUpForm(Struct, frozen=True):
    """What was typed; never the password."""

    mail: str = ""
    name: str = ""
    language: str = ""
    next: str = ""


@get("/sign-up", include_in_schema=False)
async def show_sign_up(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The form."""
    visitor = await site.visitor(request)
    after = local_path(request.query_params.get("next", ""), "")
    if visitor.signed_in:
        return site.redirect(after or "/account", visitor)
    return _page(site, visitor, SignUpForm(language=current(), next=after), {})


@post("/sign-up", include_in_schema=False)
async def take_sign_up(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send the link that opens the account."""
    visitor = await site.visitor(request)
    given = await site.form(request, visitor)
    form = SignUpForm(
        mail=given.get("mail", "").strip(),
        name=given.get("name", "").strip(),
        language=known(given.get("language", "")) or current(),
        next=local_path(given.get("next", ""), ""),
    )
    password = given.get("password", "")
    if faults := _faults(form, password):
        return _page(site, visitor, form, faults)
    if not await passes(site, SIGN_UP, request, form.mail):
        return _page(site, visitor, form, {"": "closed"}, 429)
    token = MailToken(
        purpose="confirm",
        party="",
        mail=normal_mail(form.mail),
        next=form.next,
        browser_mark=_mark(site, visitor),
        name=form.name,
        language=form.language,
        password_hash=await hashed(password),
    )
    page = site.page("accounts/mail_sent.html", visitor, mail=form.mail, what="sign_up")
    return afterwards(page, _answer_sign_up, site, token)


async def _answer_sign_up(site: Site, token: MailToken) -> None:
    account = await site.platform.stores.accounts.by_mail(token.mail)
    if account is not None and account.confirmed_at is not None:
        sign_in = MailToken(
            purpose="sign_in", party=account.party, mail=account.mail, next=token.next
        )
        await send_link(site, "have_account", sign_in, language=account.language)
        return
    waiting = replace(token, party=account.party if account else "")
    await send_link(site, "confirm", waiting, language=token.language)


def _faults(form: SignUpForm, password: str) -> dict[str, str]:
    faults = {}
    if not is_mail(form.mail):
        faults["mail"] = "mail"
    if fault := fault_in(password, form.mail):
        faults["password"] = fault
    if len(form.name) > LONGEST_NAME:
        faults["name"] = "long"
    return faults


def _page(
    site: Site,
    visitor: Visitor,
    form: SignUpForm,
    faults: dict[str, str],
    status_code: int | None = None,
) -> Response[Any]:
    return site.page(
        "accounts/sign_up.html",
        visitor,
        status_code=status_code or (422 if faults else 200),
        form=form,
        faults=faults,
        longest_mail=LONGEST_MAIL,
        longest_name=LONGEST_NAME,
    )


# --- The link ------------------------------------------------------------------------------------


@get("/confirm/{secret:str}", include_in_schema=False)
async def show_confirm(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The page that a confirmation link leads to: one button, so that only people press it."""
    visitor = await site.visitor(request)
    token = await site.platform.stores.mail_tokens.find(secret, "confirm", at=site.platform.clock())
    if token is None:
        return dead_link(site, visitor)
    return _confirm_page(site, visitor, token, secret)


@post("/confirm/{secret:str}", include_in_schema=False)
async def take_confirm(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The address is proved: open the account, and sign this browser in.

    A password counts only where whoever follows the link chose it: they are in the browser where
    it was chosen, or can type it. Somebody else may have signed up with this address.
    """
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    tokens, at = site.platform.stores.mail_tokens, site.platform.clock()
    token = await tokens.find(secret, "confirm", at=at)
    if token is None:
        return dead_link(site, visitor)
    keeps_password = token.password_hash != ""
    if _asks_password(site, visitor, token):
        keeps_password = "forgo" not in form
        if keeps_password:
            if not await passes(site, CONFIRM, request, secret):
                return _confirm_page(site, visitor, token, secret, "closed", 429)
            if not await is_right(token.password_hash, form.get("password", "")):
                return _confirm_page(site, visitor, token, secret, "wrong", 422)
    if await tokens.use(secret, "confirm", at=at) is None:
        return dead_link(site, visitor)
    account = await _opened(site, token)
    if keeps_password and not account.password_hash:
        await site.platform.stores.accounts.change(account.party, password_hash=token.password_hash)
    fresh = await enter(site, request, visitor, account)
    return site.redirect(token.next or WELCOME, fresh)


async def _opened(site: Site, token: MailToken) -> Account:
    """The account whose address was proved: it may have been opened meanwhile in another way."""
    stores, at = site.platform.stores, site.platform.clock()
    account = await stores.accounts.by_mail(token.mail)
    if account is None:
        try:
            account = await stores.accounts.open(
                token.mail, at=at, display_name=token.name, language=token.language or current()
            )
        except MailTakenError:
            account = await stores.accounts.by_mail(token.mail)
            assert account is not None, "an address that is taken has its account"
    elif token.name and token.party == account.party:
        await stores.people.change(account.party, display_name=token.name)
    await prove_address(site, account)
    return account


async def prove_address(site: Site, account: Account) -> None:
    """Note that somebody who reads the mail of an account's address was here.

    The first time, browsers that were the account's before lose it: whoever typed the address to
    pledge there may be somebody else, and would go on seeing what its owner does.
    """
    if account.confirmed_at is None:
        await site.platform.stores.sessions.end_all(account.party)
        await site.platform.stores.accounts.change(
            account.party, confirmed_at=site.platform.clock()
        )


def _confirm_page(
    site: Site,
    visitor: Visitor,
    token: MailToken,
    secret: str,
    fault: str = "",
    status_code: int = 200,
) -> Response[Any]:
    return site.page(
        "accounts/confirm.html",
        visitor,
        status_code=status_code,
        action=f"/confirm/{secret}",
        mail=token.mail,
        asks_password=_asks_password(site, visitor, token),
        fault=fault,
    )


def _asks_password(site: Site, visitor: Visitor, token: MailToken) -> bool:
    return bool(token.password_hash) and token.browser_mark != _mark(site, visitor)


def _mark(site: Site, visitor: Visitor) -> str:
    return site.visitors.sign("sign-up", visitor.token)


def dead_link(site: Site, visitor: Visitor) -> Response[Any]:
    """A link that was used, has ended, or never was."""
    return site.page("accounts/dead_link.html", visitor, status_code=410)
