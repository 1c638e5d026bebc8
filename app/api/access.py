"""Bearer keys: who calls, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from app.api.problems import Refused
from app.stores.api_keys import ApiKey, ApiKeys, Scope

ApiRequest = Request[None, ApiKey, State]
"""A request whose key was checked: `request.auth`."""


class _BearerKeys(AbstractAuthenticationMiddleware):
    """Checks the key before anything of the body is read."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, clock: Callable[[], int]) -> None:
        super().__init__(app)
        self._keys = keys
        self._clock = clock

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Return whose key it is. Raises Refused."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        key = None
        if scheme.lower() == "bearer":
            key = await self._keys.authenticate(token.strip(), at=self._clock())
        if key is None:
            raise Refused("key_missing")
        return AuthenticationResult(user=None, auth=key)


def bearer_keys(keys: ApiKeys, clock: Callable[[], int]) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware for routers that only answer to keys."""
    # A plain function: routers are copied in depth, and a function is not.
    return lambda app: _BearerKeys(app, keys, clock)


def needs(*scopes: Scope) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """A guard that lets a key pass which has one of these scopes; raises Refused for others."""
    wanted = frozenset(scopes)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if wanted.isdisjoint(connection.auth.scopes):
            raise Refused("scope_missing", f"This takes a key with {' or '.join(sorted(wanted))}.")

    return guard
