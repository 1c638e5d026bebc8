"""Who is looking: a cookie, the backer it speaks for, and forms that only our own pages can send.

A visitor gets a cookie with the first page that has a form, and it means nothing but that this is
the same browser. With the first pledge a backer is minted and the cookie is changed for one that
names a session, so that a cookie planted in a browser before never becomes that browser's session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import Cookie
from litestar.exceptions import PermissionDeniedException
from msgspec import Struct

from app.stores.sessions import LIFETIME_MS, Sessions

FORM_FIELD: Final = "form_token"
"""The name of the hidden field that every form carries."""

_TOKEN_BYTES: Final = 32
_MARK_LENGTH: Final = 32
_LONGEST: Final = 200


class Visitor(Struct, frozen=True):
    """A browser. `backer` is the party it speaks for, empty before its first pledge.

    `form_token` goes into every form that is shown to it. `is_new`: its cookie is yet to be set.
    """

    token: str
    form_token: str
    backer: str = ""
    is_new: bool = False


class Visitors:
    """Reads and makes the cookies. `secure` where pages are served over https."""

    def __init__(
        self, sessions: Sessions, *, secret: bytes, secure: bool, clock: Callable[[], int]
    ) -> None:
        self._sessions = sessions
        self._secret = secret
        self._secure = secure
        self._clock = clock
        self.cookie_name = "__Host-tributary" if secure else "tributary"

    async def recognise(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Visitor:
        """Return the visitor that a request comes from; a new one where its cookie is not ours."""
        token, _, mark = connection.cookies.get(self.cookie_name, "")[:_LONGEST].partition(".")
        if not token or not _same(mark, self._mark("cookie", token)):
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            return Visitor(token, self._mark("form", token), is_new=True)
        backer = await self._sessions.party_of(token, at=self._clock())
        return Visitor(token, self._mark("form", token), backer or "")

    async def begin(self, backer: str) -> Visitor:
        """Begin a session for a backer, under a token that was never sent before."""
        token = await self._sessions.begin(backer, at=self._clock())
        return Visitor(token, self._mark("form", token), backer, is_new=True)

    def cookie(self, visitor: Visitor) -> Cookie:
        """The cookie that makes this visitor known again."""
        return Cookie(
            key=self.cookie_name,
            value=f"{visitor.token}.{self._mark('cookie', visitor.token)}",
            path="/",
            max_age=LIFETIME_MS // 1000 if visitor.backer else None,
            httponly=True,
            secure=self._secure,
            samesite="lax",
        )

    def _mark(self, purpose: str, token: str) -> str:
        mark = hmac.new(self._secret, f"{purpose} {token}".encode(), hashlib.sha256)
        return mark.hexdigest()[:_MARK_LENGTH]


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


async def read_form(
    request: Request[Any, Any, Any], visitor: Visitor, public_url: str
) -> dict[str, str]:
    """Read a posted form after making sure that one of our own pages sent it.

    Raises PermissionDeniedException where the origin is another one or the form's token is not
    this visitor's. Of a field that was sent twice the last one counts.
    """
    if not _is_own_origin(request, public_url):
        raise PermissionDeniedException("This form was sent from another site.")
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    if not _same(form.pop(FORM_FIELD, ""), visitor.form_token):
        raise PermissionDeniedException("This form is too old. Load the page again and repeat.")
    return form


def _is_own_origin(request: Request[Any, Any, Any], public_url: str) -> bool:
    """Browsers name the sending page's origin; where one says nothing the token alone decides."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    here = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    return origin in {public_url, here}
