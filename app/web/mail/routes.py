"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = ()
