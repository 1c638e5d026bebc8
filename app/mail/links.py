"""Links in mails that work without signing in: each says what it is good for, under our mark."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from domain.terms import DAY_MS

FIX_MS: Final = 14 * DAY_MS
"""How long the link to mend a payment works, in milliseconds: twice the usual grace."""

CONFIRM_MS: Final = 7 * DAY_MS
"""How long the link that confirms a follow works, in milliseconds."""

_MARK_BYTES: Final = 20
_LONGEST: Final = 600

T = TypeVar("T", bound=Struct)


class Fix(Struct, frozen=True, array_like=True):
    """Give another card for a pledge, for its backer `party`, until `until_at` (ms UTC)."""

    campaign_id: str
    no: int
    party: str
    until_at: int


class Off(Struct, frozen=True, array_like=True):
    """Send this person no more mails of a kind. It works for ever, as RFC 8058 wants it."""

    party: str
    kind: str


class EndFollow(Struct, frozen=True, array_like=True):
    """An address without an account follows a campaign no more."""

    follow_id: str


class ConfirmFollow(Struct, frozen=True, array_like=True):
    """An address wants to follow a campaign."""

    follow_id: str
    until_at: int


class Links:
    """Makes and reads links. `secret` is the platform's, `clock` returns ms UTC."""

    def __init__(self, secret: bytes, clock: Callable[[], int]) -> None:
        self._secret = secret
        self._clock = clock

    def fix_link(self, campaign_id: str, no: int, party: str) -> str:
        """The path on which the backer gives another card for a pledge; it works for 14 days."""
        return f"/fix/{self._token(Fix(campaign_id, no, party, self._clock() + FIX_MS))}"

    def read_fix_link(self, token: str) -> Fix | None:
        """What a token of `fix_link` is good for; None where it is not ours or too old."""
        found = self._read(token, Fix)
        return found if found is not None and self._clock() < found.until_at else None

    def off_link(self, party: str, kind: str) -> str:
        """The path that ends mails of a kind."""
        return f"/mail/off/{self._token(Off(party, kind))}"

    def end_follow_link(self, follow_id: str) -> str:
        """The path that ends an address's follow."""
        return f"/mail/off/{self._token(EndFollow(follow_id))}"

    def read_off_link(self, token: str) -> Off | EndFollow | None:
        """What a token of `off_link` or `end_follow_link` ends; None where it is not ours."""
        return self._read(token, Off) or self._read(token, EndFollow)

    def confirm_follow_link(self, follow_id: str) -> str:
        """The path that confirms a follow; it works for 7 days."""
        return f"/follow/{self._token(ConfirmFollow(follow_id, self._clock() + CONFIRM_MS))}"

    def read_confirm_follow_link(self, token: str) -> ConfirmFollow | None:
        """What a token of `confirm_follow_link` confirms; None where it is not ours or too old."""
        found = self._read(token, ConfirmFollow)
        return found if found is not None and self._clock() < found.until_at else None

    # --- Tokens ----------------------------------------------------------------------------------

    def _token(self, said: Struct) -> str:
        body = msgspec.json.encode(said)
        return _text(self._mark(type(said), body) + body)

    def _read(self, token: str, kind: type[T]) -> T | None:
        whole = _bytes(token)
        mark, body = whole[:_MARK_BYTES], whole[_MARK_BYTES:]
        if not hmac.compare_digest(mark, self._mark(kind, body)):
            return None
        return msgspec.json.decode(body, type=kind)

    def _mark(self, kind: type[Struct], body: bytes) -> bytes:
        """A mark for one purpose: a token of one kind is never read as another's."""
        said = b"mail " + kind.__name__.encode() + b" " + body
        return hmac.new(self._secret, said, hashlib.sha256).digest()[:_MARK_BYTES]


def _text(said: bytes) -> str:
    return base64.urlsafe_b64encode(said).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if len(text) > _LONGEST:
        return b""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
