"""What every answer tells the browser to refuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from litestar.types import Message, Scope

Pair = tuple[bytes, bytes]
"""A header as ASGI has it: its name in lower case, and its value."""

POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Everything comes from us, and nothing runs that stands in a page itself. `data:` pictures are
those of the vendored style sheet, `blob:` the previews of what is about to be uploaded."""

HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Not `no-referrer`: a form would then be posted with the origin `null`.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


ENCODED: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
"""The same as ASGI has them."""


async def add_security_headers(message: Message, _scope: Scope) -> None:
    """Add the headers to an answer that does not have its own."""
    if message["type"] == "http.response.start":
        message["headers"] = with_missing(message["headers"], ENCODED)


def with_missing(headers: Iterable[Pair], wanted: Iterable[Pair]) -> list[Pair]:
    """The headers of an answer with those of the wanted ones that it does not have."""
    there = [*headers]
    names = {name for name, _ in there}
    there += [pair for pair in wanted if pair[0] not in names]
    return there
