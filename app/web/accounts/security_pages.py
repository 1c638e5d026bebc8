"""Password, passkeys, and where a person is signed in."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.sessions import place_of as place_id_of
from app.web.accounts.entering import account_of
from app.web.accounts.letters import send
from app.web.accounts.passkeys import place_of
from app.web.accounts.passwords import fault_in, hashed
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor

DONE: Final = frozenset({"password", "passkey", "removed", "ended"})


@get("/account/security", include_in_schema=False)
async def show_security(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """How the account is locked, and where it is open."""
    visitor = await site.signed_in(request)
    done = request.query_params.get("done", "")
    return await _page(request, site, visitor, done=done if done in DONE else "")


@post("/account/security/password", include_in_schema=False)
async def take_password(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Set a password, or another one; every other session ends."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    password = form.get("password", "")
    if fault := fault_in(password, account.mail):
        return await _page(request, site, visitor, fault=fault)
    stores = site.platform.stores
    await stores.accounts.change(account.party, password_hash=await hashed(password))
    # Nor does the account move to where somebody who was in it had asked for.
    await stores.mail_tokens.end_all(account.party, "reset", "sign_in", "change_mail")
    await stores.sessions.end_all(account.party, but=visitor.token)
    await send(
        site,
        "password_changed",
        to=account.mail,
        language=account.language,
        party=account.party,
        url=f"{site.platform.settings.public_url}/password-reset",
    )
    return site.redirect("/account/security?done=password")


@post("/account/security/sessions/{place:str}/end", include_in_schema=False)
async def end_session(
    place: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Sign out in another browser."""
    visitor = await site.signed_in(request)
    await site.form(request, visitor)
    await site.platform.stores.sessions.end_place(visitor.party, place)
    return site.redirect("/account/security?done=ended")


async def _page(
    request: PageRequest, site: Site, visitor: Visitor, *, fault: str = "", done: str = ""
) -> Response[Any]:
    stores, at = site.platform.stores, site.platform.clock()
    return site.page(
        "accounts/security.html",
        visitor,
        status_code=422 if fault else 200,
        account=await account_of(site, visitor),
        passkeys=await stores.passkeys.of_party(visitor.party),
        passkeys_possible=place_of(request, site.platform.settings.public_url) is not None,
        places=await stores.sessions.places([visitor.party], at=at),
        here_id=place_id_of(visitor.token),
        fault=fault,
        done=done,
    )
