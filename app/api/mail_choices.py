"""Which mails a key's owner gets."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final

from litestar import HttpMethod, Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from app.api.access import OFFICES, ApiRequest
from app.api.addresses import ENTITY_TAG, Notes, address, reads
from app.api.bodies import Body
from app.api.problems import Refused
from app.mail.kinds import KINDS, LOCKED, TITLES, TOLD, Kind
from app.stores.api_keys import ApiKey
from app.web.language import gettext
from app.wiring import Platform

_AREA: Final = "Account"
_FITS: Final = re.compile(ENTITY_TAG).match


class MailKindOut(Struct, frozen=True):
    """A kind of mails, whether the owner gets them, and whether they always do."""

    kind: Kind
    title: str
    told: str
    on: bool
    locked: bool


class MailChoicesOut(Struct, frozen=True):
    """Every kind of mails that the owner can get."""

    kinds: tuple[MailKindOut, ...]


class MailChoicesIn(Body, frozen=True, kw_only=True):
    """The kinds that are not wanted; all others are."""

    off: Annotated[tuple[Kind, ...], Meta(max_length=40)]


@reads("/me/mail-choices", "account", area=_AREA, summary="Read which mails I get")
async def get_mail_choices(
    request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[MailChoicesOut]:
    """Each kind with its words in the language that the request accepts; `ETag` is the version."""
    return await _said(platform, request.auth)


@address(
    "/me/mail-choices",
    (HttpMethod.PUT,),
    Notes(
        area=_AREA,
        reasons=("request_invalid",),
        example={"off": ["updates"]},
        headers={"If-Match": "The version that is meant.", "ETag": "The version that it is now."},
    ),
    scopes=("account",),
    summary="Choose which mails I get",
)
async def set_mail_choices(
    data: JSONBody[MailChoicesIn], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[MailChoicesOut]:
    """Turn these kinds off and all others on, in the version that `If-Match` names. Mails about
    failed payments and payout accounts stay on.
    """
    owner, choices = request.auth.owner, platform.stores.mail_choices
    wanted = request.headers.get("if-match")
    if not wanted:
        raise Refused("precondition_required")
    if not _FITS(wanted.strip()):
        raise Refused("request_invalid", "If-Match: This is no entity tag.")
    if wanted.strip() != _mark(await choices.off(owner)):
        raise Refused("precondition_failed")
    off = frozenset(data.off)
    if refused := sorted(off & LOCKED):
        raise Refused("body_invalid", f"off: {', '.join(refused)} cannot be turned off.")
    for kind in KINDS:
        if kind in off:
            await choices.turn_off(owner, kind, at=platform.clock())
        else:
            await choices.turn_on(owner, kind)
    return await _said(platform, request.auth)


async def _said(platform: Platform, key: ApiKey) -> Response[MailChoicesOut]:
    off = await platform.stores.mail_choices.off(key.owner)
    grants = await platform.stores.accounts.grants_of(key.owner)
    works = key.role in OFFICES or any(grant.role in OFFICES for grant in grants)
    said = tuple(
        MailKindOut(
            kind, gettext(TITLES[kind]), gettext(TOLD[kind]), kind not in off, kind in LOCKED
        )
        for kind in KINDS
        if kind != "staff" or works
    )
    return Response(MailChoicesOut(said), headers={"etag": _mark(off)})


def _mark(off: frozenset[str]) -> str:
    """The version of somebody's choices."""
    said = " ".join(sorted(off)).encode()
    return f'"m{hashlib.blake2b(said, digest_size=12).hexdigest()}"'


HANDLERS: Final[tuple[Any, ...]] = (get_mail_choices, set_mail_choices)
