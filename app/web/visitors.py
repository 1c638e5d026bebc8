"""Who is looking: a cookie, the person it speaks for, and forms that only our own pages can send.

A visitor gets a cookie with the first page that has a form, and it means nothing but that this is
the same browser. When somebody signs in or pledges the cookie is changed for one that names a
session, so that a cookie planted in a browser before never becomes that browser's session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import Cookie
from litestar.exceptions import PermissionDeniedException
from msgspec import Struct

from app.stores.accounts import Accounts, Grant
from app.stores.people import Role
from app.stores.sessions import LIFETIME_MS, Sessions

FORM_FIELD: Final = "form_token"
"""The name of the hidden field that every form carries."""

FORM_HEADER: Final = "x-form-token"
"""The header in which scripts of ours may send the form's token instead."""

STEP_UP_MS: Final = 10 * 60_000
"""How long after they proved who they are somebody may approve money out, in milliseconds."""

_TOKEN_BYTES: Final = 32
_MARK_LENGTH: Final = 32
_LONGEST: Final = 200


class Visitor(Struct, frozen=True):
    """A browser. `party` is the person it speaks for, empty before a first pledge or sign-in.

    `parties` are all for whom that person speaks: their own id, and those of earlier pledges that
    joined their account. `signed_in`: they proved an account; else the browser only made a pledge.
    `stepped_up`: they proved it in the last ten minutes. `form_token` goes into every form that is
    shown to it. `is_new`: its cookie is yet to be set.
    """

    token: str
    form_token: str
    party: str = ""
    parties: frozenset[str] = frozenset()
    grants: frozenset[Grant] = frozenset()
    signed_in: bool = False
    stepped_up: bool = False
    is_new: bool = False

    def channels_as(self, role: Role) -> frozenset[str]:
        """The channels in which the person has this role."""
        return frozenset(grant.channel for grant in self.grants if grant.role == role)

    def is_in(self, channel: str, *roles: Role) -> bool:
        """Whether the person has one of these roles in a channel."""
        return any(Grant(channel, role) in self.grants for role in roles)

    @property
    def roles(self) -> frozenset[str]:
        """The roles that the person has in any channel."""
        return frozenset(grant.role for grant in self.grants)

    @property
    def works_here(self) -> bool:
        """Whether the person works for a channel: as staff, treasurer or auditor."""
        return bool(self.roles & {"staff", "treasurer", "auditor"})


class Visitors:
    """Reads and makes the cookies. `secure` where pages are served over https."""

    def __init__(
        self,
        sessions: Sessions,
        accounts: Accounts,
        *,
        secret: bytes,
        secure: bool,
        clock: Callable[[], int],
    ) -> None:
        self._sessions = sessions
        self._accounts = accounts
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
        return await self._of(token)

    async def _of(self, token: str, *, is_new: bool = False) -> Visitor:
        at = self._clock()
        form_token = self._mark("form", token)
        session = await self._sessions.find(token, at=at)
        if session is None:
            return Visitor(token, form_token, is_new=is_new)
        signed_in = session.signed_in_at is not None
        stepped_up_at = session.stepped_up_at
        return Visitor(
            token,
            form_token,
            session.party,
            # Who only pledged has not proved the account that this party may have.
            await self._accounts.parties_of(session.party)
            if signed_in
            else frozenset((session.party,)),
            await self._accounts.grants_of(session.party) if signed_in else frozenset(),
            signed_in,
            stepped_up_at is not None and at < stepped_up_at + STEP_UP_MS,
            is_new,
        )

    async def begin(self, party: str, *, signed_in: bool = False) -> Visitor:
        """Begin a session for a person, under a token that was never sent before."""
        token = await self._sessions.begin(party, at=self._clock(), signed_in=signed_in)
        return await self._of(token, is_new=True)

    async def step_up(self, visitor: Visitor) -> None:
        """Note that the person has just proved again who they are."""
        await self._sessions.step_up(visitor.token, at=self._clock())

    async def end(self, visitor: Visitor, *, everywhere: bool = False) -> None:
        """End this session, or all sessions of its person."""
        if everywhere and visitor.party:
            await self._sessions.end_all(visitor.party)
        await self._sessions.end(visitor.token)

    def cookie(self, visitor: Visitor) -> Cookie:
        """The cookie that makes this visitor known again."""
        return Cookie(
            key=self.cookie_name,
            value=f"{visitor.token}.{self._mark('cookie', visitor.token)}",
            path="/",
            max_age=LIFETIME_MS // 1000 if visitor.party else None,
            httponly=True,
            secure=self._secure,
            samesite="lax",
        )

    def sign(self, purpose: str, text: str) -> str:
        """A mark that only we can make on a text: for links in mails and preview links."""
        return self._mark(purpose, text)

    def is_signed(self, purpose: str, text: str, mark: str) -> bool:
        """Whether a mark on a text is ours."""
        return _same(mark, self._mark(purpose, text))

    def _mark(self, purpose: str, token: str) -> str:
        mark = hmac.new(self._secret, f"{purpose} {token}".encode(), hashlib.sha256)
        return mark.hexdigest()[:_MARK_LENGTH]


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


class Form(Mapping[str, str]):
    """What was posted. Of a field that was sent twice the last one counts, `all` gives every one;
    `files` are the uploads.
    """

    def __init__(self, fields: Iterable[tuple[str, Any]]) -> None:
        given = list(fields)
        self._all = [(name, value) for name, value in given if isinstance(value, str)]
        self._last = dict(self._all)
        self.files = {name: value for name, value in given if not isinstance(value, str)}

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in the order of the page."""
        return [value for found, value in self._all if found == name]

    def without(self, name: str) -> Form:
        """The same without one field."""
        kept = [(found, value) for found, value in self._all if found != name]
        return Form([*kept, *self.files.items()])


async def read_form(request: Request[Any, Any, Any], visitor: Visitor, public_url: str) -> Form:
    """Read a posted form after making sure that one of our own pages sent it.

    Raises PermissionDeniedException where the origin is another one or the form's token is not
    this visitor's.
    """
    if not _is_own_origin(request, public_url):
        raise PermissionDeniedException("This form was sent from another site.")
    form = Form((await request.form()).multi_items())
    token = form.get(FORM_FIELD) or request.headers.get(FORM_HEADER) or ""
    if not _same(token, visitor.form_token):
        raise PermissionDeniedException("This form is too old. Load the page again and repeat.")
    return form.without(FORM_FIELD)


def _is_own_origin(request: Request[Any, Any, Any], public_url: str) -> bool:
    """Browsers name the sending page's origin; where one says nothing the token alone decides."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    here = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    return origin in {public_url, here}
