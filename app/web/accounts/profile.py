"""What a person calls themselves, their language, and the address of their mails."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.accounts import Account, MailTakenError, normal_mail
from app.stores.mail_tokens import MailToken
from app.web.accounts.addresses import LONGEST_MAIL, is_mail
from app.web.accounts.entering import account_of, afterwards
from app.web.accounts.joining import waiting_to_join
from app.web.accounts.letters import send, send_link
from app.web.accounts.sign_up import LONGEST_NAME, dead_link
from app.web.language import PARAMETER, known
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor

DONE: Final = frozenset({"profile", "address", "moved"})
"""What a page may say was done, after a redirect."""


@get("/account", include_in_schema=False)
async def show_account(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Name, pen name, language and address."""
    visitor = await site.signed_in(request)
    done = request.query_params.get("done", "")
    return await _page(
        site,
        visitor,
        {},
        done="welcome" if "welcome" in request.query_params else done if done in DONE else "",
    )


@post("/account", include_in_schema=False)
async def take_account(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Change names and language."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    typed = {
        "name": form.get("name", "").strip(),
        "pen_name": form.get("pen_name", "").strip(),
        "language": known(form.get("language", "")) or account.language,
    }
    faults = {field: "long" for field in ("name", "pen_name") if len(typed[field]) > LONGEST_NAME}
    if faults:
        return await _page(site, visitor, faults, typed=typed)
    stores = site.platform.stores
    await stores.people.change(visitor.party, display_name=typed["name"])
    await stores.accounts.change(
        visitor.party, pen_name=typed["pen_name"], language=typed["language"]
    )
    return site.redirect(f"/account?done=profile&{PARAMETER}={typed['language']}")


@post("/account/address", include_in_schema=False)
async def take_address(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send a link to the address to which the account shall move."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    mail = form.get("mail", "").strip()
    if not is_mail(mail):
        return await _page(site, visitor, {"mail": "mail"}, typed={"mail": mail})
    if normal_mail(mail) == account.mail:
        return await _page(site, visitor, {"mail": "same"}, typed={"mail": mail})
    page = site.page("accounts/mail_sent.html", visitor, mail=mail, what="address")
    return afterwards(page, _answer_address, site, account, normal_mail(mail))


async def _answer_address(site: Site, account: Account, mail: str) -> None:
    """Not even who is signed in learns here whether an address has an account."""
    other = await site.platform.stores.accounts.by_mail(mail)
    if other is not None:
        token = MailToken(purpose="sign_in", party=other.party, mail=other.mail)
        await send_link(site, "have_account", token, language=other.language)
        return
    token = MailToken(purpose="change_mail", party=account.party, mail=mail)
    await send_link(site, "confirm_address", token, language=account.language)


@get("/account/address/{secret:str}", include_in_schema=False)
async def show_address(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The page that the link leads to: one button, so that only people press it."""
    visitor = await site.visitor(request)
    at = site.platform.clock()
    token = await site.platform.stores.mail_tokens.find(secret, "change_mail", at=at)
    if token is None:
        return dead_link(site, visitor)
    return site.page(
        "accounts/move.html", visitor, action=f"/account/address/{secret}", mail=token.mail
    )


@post("/account/address/{secret:str}", include_in_schema=False)
async def move(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Move the account to the address, and tell the old one. Links sent there end."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    stores = site.platform.stores
    token = await stores.mail_tokens.use(secret, "change_mail", at=site.platform.clock())
    account = await stores.accounts.get(token.party) if token else None
    if token is None or account is None:
        return dead_link(site, visitor)
    try:
        await stores.accounts.change(
            account.party, mail=token.mail, confirmed_at=site.platform.clock()
        )
    except MailTakenError:
        return dead_link(site, visitor)
    await stores.mail_tokens.end_all(
        account.party, "confirm", "sign_in", "reset", "change_mail", "join"
    )
    await send(
        site,
        "address_changed",
        to=account.mail,
        language=account.language,
        party=account.party,
        mail=token.mail,
    )
    if visitor.signed_in and visitor.party == account.party:
        return site.redirect("/account?done=moved")
    return site.redirect("/sign-in", visitor)


async def _page(
    site: Site,
    visitor: Visitor,
    faults: dict[str, str],
    *,
    typed: dict[str, str] | None = None,
    done: str = "",
) -> Response[Any]:
    account = await account_of(site, visitor)
    party = await site.platform.stores.people.get(visitor.party)
    shown = {
        "name": party.display_name,
        "pen_name": account.pen_name,
        "language": account.language,
        "mail": "",
    } | (typed or {})
    return site.page(
        "accounts/profile.html",
        visitor,
        status_code=422 if faults else 200,
        account=account,
        waiting=len(await waiting_to_join(site, account)),
        typed=shown,
        faults=faults,
        done=done,
        longest_name=LONGEST_NAME,
        longest_mail=LONGEST_MAIL,
    )
