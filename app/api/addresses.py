"""How an address of the API is declared, so that all are alike and describe themselves.

A read answers `GET` and `HEAD`. What an address needs and may refuse stands in its declaration,
where the OpenAPI document finds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from litestar import HttpMethod
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, field

from app.api.access import needs
from app.stores.api_keys import Scope

Declare = Callable[[Callable[..., Any]], HTTPRouteHandler]

NOTES: Final = "notes"

SAMPLE_ID: Final = "0b1e6f0c-52c4-4c35-9f6e-0a8d3c2b1a90"
"""An id for examples."""

ENTITY_TAG: Final = r'^"[!-~]{1,40}"$'
"""How a version is named in `If-Match`."""

READ: Final = (HttpMethod.GET, HttpMethod.HEAD)
WRITE: Final = (HttpMethod.POST,)


class Address(HTTPRouteHandler):
    """A handler that asks its guards without copying itself for each request."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Raise Refused for a key that may not do this."""
        for guard in self.resolve_guards():
            await cast("Awaitable[None]", guard(connection, self))


class Notes(Struct, frozen=True, kw_only=True):
    """What the description of an address says beyond its types.

    `reasons` are those for which it refuses, besides the ones that follow from its parts (a key, a
    scope, a body, `at_least`); a `command` may be refused by every rule. `media` is the type of
    its answer where that is not JSON, `body` that of what it takes, `raw` those of bytes that it
    takes as they are. `also` are further answers with the same content, by status.
    """

    area: str
    reasons: tuple[str, ...] = ()
    command: bool = False
    media: str = ""
    body: str = ""
    raw: tuple[str, ...] = ()
    also: Mapping[int, str] = field(default_factory=dict)
    example: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def address(
    path: str,
    methods: tuple[HttpMethod, ...],
    notes: Notes,
    *,
    scopes: tuple[Scope, ...] = (),
    summary: str,
    status: int = 200,
    **more: Any,  # noqa: ANN401 - the framework's own arguments
) -> Declare:
    """Declare an address. One of `scopes` is needed; where none is named any valid key will do."""
    return Address(
        path,
        http_method=list(methods),
        status_code=status,
        guards=[needs(*scopes)] if scopes else None,
        summary=summary,
        opt={NOTES: notes},
        **more,
    )


def reads(
    path: str,
    *scopes: Scope,
    area: str,
    summary: str,
    reasons: tuple[str, ...] = (),
    **notes: Any,  # noqa: ANN401 - of Notes
) -> Declare:
    """An address that is read."""
    said = Notes(area=area, reasons=reasons, **notes)
    return address(path, READ, said, scopes=scopes, summary=summary)


def writes(
    path: str,
    *scopes: Scope,
    notes: Notes,
    summary: str,
    status: int = 200,
    **more: Any,  # noqa: ANN401 - the framework's own arguments
) -> Declare:
    """An address that is posted to."""
    return address(path, WRITE, notes, scopes=scopes, summary=summary, status=status, **more)
