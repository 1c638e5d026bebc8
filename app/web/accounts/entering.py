"""Signing a browser in: always under a cookie that it was never sent before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Response
from litestar.background_tasks import BackgroundTask

from app.stores.accounts import Account
from app.web.site import PageRequest, SignInNeededError, Site
from app.web.visitors import Visitor

_BROWSERS: Final = (
    ("Edge", "Edg/"),
    ("Opera", "OPR/"),
    ("Samsung Internet", "SamsungBrowser/"),
    ("WeChat", "MicroMessenger/"),
    ("Firefox", "Firefox/"),
    ("Firefox", "FxiOS/"),
    ("Chrome", "Chrome/"),
    ("Chrome", "CriOS/"),
    ("Safari", "Safari/"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("macOS", "Mac OS X"),
    ("Linux", "Linux"),
)


async def enter(site: Site, request: PageRequest, visitor: Visitor, account: Account) -> Visitor:
    """Sign a browser in as an account. What it was before ends."""
    await site.visitors.end(visitor)
    fresh = await site.visitors.begin(account.party, signed_in=True)
    await site.platform.stores.sessions.name(fresh.token, browser_of(request))
    return fresh


async def account_of(site: Site, visitor: Visitor) -> Account:
    """The account of somebody who signed in. Raises SignInNeededError where it is gone."""
    account = await site.platform.stores.accounts.get(visitor.party)
    if account is None:
        raise SignInNeededError
    return account


async def has_confirmed_mail(site: Site, visitor: Visitor) -> bool:
    """Whether a visitor signed in to an account whose address was proved: who may start a draft."""
    if not visitor.signed_in:
        return False
    account = await site.platform.stores.accounts.get(visitor.party)
    return account is not None and account.confirmed_at is not None


def browser_of(request: PageRequest) -> str:
    """What a browser says it is, in two words: "Firefox · Linux"; empty where it says nothing."""
    said = request.headers.get("user-agent", "")[:400]
    found = (
        next((name for name, mark in kinds if mark in said), "") for kinds in (_BROWSERS, _SYSTEMS)
    )
    return " · ".join(filter(None, found))


def afterwards(
    response: Response[Any], work: Callable[..., Awaitable[None]], *given: object
) -> Response[Any]:
    """Do some work once the answer is on its way, so that its time tells nothing about the work."""
    response.background = BackgroundTask(work, *given)
    return response
