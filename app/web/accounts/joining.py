"""How a pledge makes an account on the way, and how earlier pledges join an account.

A pledge asks only for a mail address. Whether that address has an account is never told on a page:
in both cases the browser gets a session that shows no more than this pledge, and a mail goes to
the address, whose link opens the rest.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.accounts import Account, MailTakenError, normal_mail
from app.stores.mail_tokens import MailToken
from app.web.accounts.entering import account_of, enter
from app.web.accounts.letters import send_link
from app.web.accounts.sign_up import dead_link, prove_address
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor

AFTER: str = "/me"
"""Where the links in these mails lead in the end."""


async def person_for(site: Site, visitor: Visitor, mail: str, *, language: str) -> Visitor:
    """Who pledges with this address in this browser; its cookie may have changed.

    Who is signed in pledges as themselves, whatever the address. Who pledged with this address in
    this browser before goes on as the same person. Else a new party is made: with an account where
    the address has none, to be joined to the address's account through a link in a mail where it
    has. `mail` must be one (`addresses.is_mail`); mails are written in `language`.
    """
    if visitor.signed_in:
        return visitor
    mail = normal_mail(mail)
    account = await site.platform.stores.accounts.by_mail(mail)
    if visitor.party and await _goes_on(site, visitor, mail, account):
        return visitor
    if account is None:
        try:
            account = await site.platform.stores.accounts.open(
                mail, at=site.platform.clock(), language=language
            )
        except MailTakenError:  # another request was quicker: it joins that one's account
            account = await site.platform.stores.accounts.by_mail(mail)
            assert account is not None, "an address that is taken has its account"
        else:
            await _send_confirmation(site, account)
            return await _begin_as(site, visitor, account.party)
    party = await site.platform.stores.people.add_person(
        "backer", mail=mail, at=site.platform.clock()
    )
    await _send_join(site, account, party)
    return await _begin_as(site, visitor, party)


async def _goes_on(site: Site, visitor: Visitor, mail: str, account: Account | None) -> bool:
    """Whether this browser's session is already that of somebody who gave this address."""
    stores, at = site.platform.stores, site.platform.clock()
    own = await stores.accounts.get(visitor.party)
    if own is not None:
        if own.mail != mail:
            return False
        if own.confirmed_at is None and not await stores.mail_tokens.is_waiting(
            "confirm", own.party, at=at
        ):
            await _send_confirmation(site, own)
        return True
    party = await stores.people.get(visitor.party)
    if account is None or party.mail != mail:
        return False
    if visitor.party not in await stores.accounts.parties_of(
        account.party
    ) and not await stores.mail_tokens.is_waiting(
        "join", account.party, joins=visitor.party, at=at
    ):
        await _send_join(site, account, visitor.party)
    return True


async def _begin_as(site: Site, visitor: Visitor, party: str) -> Visitor:
    await site.visitors.end(visitor)
    return await site.visitors.begin(party)


async def _send_confirmation(site: Site, account: Account) -> None:
    token = MailToken(purpose="confirm", party=account.party, mail=account.mail, next=AFTER)
    await send_link(site, "pledge_account", token, language=account.language)


async def _send_join(site: Site, account: Account, party: str) -> None:
    token = MailToken(
        purpose="join", party=account.party, mail=account.mail, joins=party, next=AFTER
    )
    await send_link(site, "join", token, language=account.language)


async def waiting_to_join(site: Site, account: Account) -> list[str]:
    """The parties that gave an account's address and have not joined it."""
    stores = site.platform.stores
    joined = await stores.accounts.parties_of(account.party)
    return [party for party in await stores.people.with_mail(account.mail) if party not in joined]


@post("/account/join", include_in_schema=False)
async def ask_to_join(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Send the links anew for pledges that were made with the account's address elsewhere."""
    visitor = await site.signed_in(request)
    await site.form(request, visitor)
    account = await account_of(site, visitor)
    for party in await waiting_to_join(site, account):
        await _send_join(site, account, party)
    return site.page("accounts/mail_sent.html", visitor, mail=account.mail, what="join")


@get("/join/{secret:str}", include_in_schema=False)
async def show_join(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The page that the link leads to: one button, so that only people press it."""
    visitor = await site.visitor(request)
    at = site.platform.clock()
    token = await site.platform.stores.mail_tokens.find(secret, "join", at=at)
    if token is None:
        return dead_link(site, visitor)
    return site.page("accounts/join.html", visitor, action=f"/join/{secret}", mail=token.mail)


@post("/join/{secret:str}", include_in_schema=False)
async def take_join(
    secret: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """From now on the account speaks for what was pledged with its address; and it is signed in.

    A link that went to an address which the account has no more does not work.
    """
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    stores, at = site.platform.stores, site.platform.clock()
    token = await stores.mail_tokens.use(secret, "join", at=at)
    account = await stores.accounts.get(token.party) if token else None
    if token is None or account is None or account.mail != token.mail:
        return dead_link(site, visitor)
    await prove_address(site, account)
    await stores.accounts.join(token.joins, account.party, at=at)
    # Who pledged need not be who reads the mail: from now on only the account sees the pledge.
    await stores.sessions.end_all(token.joins)
    fresh = await enter(site, request, visitor, account)
    return site.redirect(token.next or AFTER, fresh)
