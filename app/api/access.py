"""Bearer keys: who calls, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as AsgiScope

from app.api.problems import Refused
from app.stores.accounts import Accounts, Grant
from app.stores.api_keys import CACHE_MS, CACHED_KEYS, ApiKey, ApiKeys, Scope
from app.stores.sharing import Shared

ApiRequest = Request[None, ApiKey, State]
"""A request whose key was checked: `request.auth`."""

OFFICES: Final = frozenset({"staff", "treasurer", "auditor"})
"""Roles that somebody has in a channel, and may lose."""


class Offices:
    """Whether people still have the roles for which their keys were made.

    A key for a role in a channel counts only as long as its owner has that role there. Asked once
    in a few seconds for each key in use.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._seen: dict[str, tuple[int, bool]] = {}
        self._asked: Shared[str, frozenset[Grant]] = Shared()

    async def holds(self, key: ApiKey, at: int) -> bool:
        """Tell whether the role that a key speaks in is its owner's now."""
        if not key.channel or key.role not in OFFICES:
            return True
        seen_at, holds = self._seen.get(key.id, (-CACHE_MS, False))
        if not 0 <= at - seen_at < CACHE_MS:
            grants = await self._asked.ask(key.owner, lambda: self._accounts.grants_of(key.owner))
            holds = Grant(key.channel, key.role) in grants
            if len(self._seen) >= CACHED_KEYS:
                self._seen.clear()
            self._seen[key.id] = (at, holds)
        return holds


class _BearerKeys:
    """Checks the key before anything of the body is read."""

    def __init__(
        self, app: ASGIApp, keys: ApiKeys, offices: Offices, clock: Callable[[], int]
    ) -> None:
        self._app = app
        self._keys = keys
        self._offices = offices
        self._clock = clock

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Let a request pass with its key in `auth`. Raises Refused."""
        asked: Any = scope
        if asked["method"] != "OPTIONS":
            asked["user"] = None
            asked["auth"] = await self._key(header_of(asked, b"authorization"))
        await self._app(scope, receive, send)

    async def _key(self, shown: bytes) -> ApiKey:
        scheme, _, token = shown.decode("latin-1").partition(" ")
        key = None
        at = self._clock()
        if scheme.lower() == "bearer":
            key = await self._keys.authenticate(token.strip(), at=at)
        if key is None:
            raise Refused("key_missing")
        # Only a role in a channel can be lost: most keys need not be asked about.
        if key.channel and not await self._offices.holds(key, at):
            raise Refused("key_missing", "The key's owner has its role in this channel no more.")
        return key


def header_of(scope: Any, name: bytes) -> bytes:  # noqa: ANN401 - a scope of a request
    """The value of a request's header, its name in lower case; empty where it is not there."""
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return b""


def bearer_keys(
    keys: ApiKeys, accounts: Accounts, clock: Callable[[], int]
) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware for routers that only answer to keys."""
    offices = Offices(accounts)
    # A plain function: routers are copied in depth, and a function is not.
    return lambda app: _BearerKeys(app, keys, offices, clock)


class Needs:
    """Lets a key pass that has one of the scopes; the API's description names them."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        self.scopes = scopes

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        """Raise Refused for a key that has none of them."""
        # A coroutine: what is none is called in a thread, which costs as much as all the rest.
        if self.scopes.isdisjoint(connection.auth.scopes):
            said = " or ".join(sorted(self.scopes))
            raise Refused("scope_missing", f"This takes a key with {said}.")


def needs(*scopes: Scope) -> Needs:
    """A guard that lets a key pass which has one of these scopes; raises Refused for others."""
    return Needs(frozenset(scopes))
