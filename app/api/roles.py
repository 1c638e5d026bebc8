"""Who works for a channel: staff read and take roles; nobody takes the last of them.

A role is given on the site alone, behind a fresh proof of who gives it: a key that was stolen must
not make its thief a treasurer.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, reads, writes
from app.api.bodies import Body, Word
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.repeating import Planned, carried_out
from app.api.staff import office_of
from app.stores.api_keys import ApiKey
from app.stores.rows import new_id
from app.wiring import Platform
from domain.errors import NotAllowed

Given = Literal["staff", "treasurer", "auditor"]
"""The roles that a channel gives."""

_AREA: Final = "Staff"
_CHANNEL: Final = ("not_found", "other_channel")


class RoleOut(Struct, frozen=True):
    """Somebody with a role. `name` and `mail` are null for who has none here; `granted_by` is
    `role:party id`, or a word for the operator.
    """

    party: str
    role: Given
    name: str | None
    mail: str | None
    granted_at: int
    granted_by: str


class RolesOut(Struct, frozen=True):
    """A page of roles, the longest held first."""

    roles: tuple[RoleOut, ...]
    next: str | None


class TakeIn(Body, frozen=True, kw_only=True):
    """A role, and whose it shall be no more."""

    party: Word
    role: Given


class _Taking(Planned, frozen=True):
    """A role that is to be taken away, and whether anybody had it."""

    is_held: bool


@reads(
    "/channels/{channel_id:str}/roles",
    "staff",
    "events:read",
    area=_AREA,
    summary="List who works for a channel",
    reasons=_CHANNEL,
)
async def list_roles(
    channel_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[RolesOut]:
    """Who has which role, since when and from whom."""
    await office_of(platform, request.auth, channel_id)
    after = key_of(cursor, "roles", int, str, str)
    stores = platform.stores
    held = sorted(
        (at, party, role, by) for party, role, at, by in await stores.accounts.holders(channel_id)
    )
    rest = [one for one in held if after is None or one[:3] > after]
    shown, following = page_of(request, rest, limit, lambda one: cursor_of("roles", *one[:3]))
    parties = {party for _, party, *_ in shown}
    accounts, names = await stores.accounts.of_parties(parties), await stores.people.names(parties)
    said = []
    for at, party, role, by in shown:
        account = accounts.get(party)
        given = next((known for known in get_args(Given) if known == role), None)
        if given is not None:
            name = names.get(party) or (account.pen_name if account else "") or None
            said.append(RoleOut(party, given, name, account.mail if account else None, at, by))
    return listed(RolesOut(tuple(said), following), following)


@writes(
    "/channels/{channel_id:str}/roles/revoke",
    "staff",
    notes=Notes(
        area=_AREA,
        reasons=(*_CHANNEL, "not_allowed", "last_of_staff"),
        example={"party": "0b1e6f0c-52c4-4c35-9f6e-0a8d3c2b1a90", "role": "auditor"},
    ),
    summary="Take a role away",
    status=204,
)
async def revoke_role(
    channel_id: FromPath[str],
    data: JSONBody[TakeIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> None:
    """Take a role away, and end the keys that were made for it. The channel keeps at least one of
    its staff.
    """
    key, stores = request.auth, platform.stores
    await _staff_of(platform, key, channel_id)
    held = {(party, role) for party, role, *_ in await stores.accounts.holders(channel_id)}

    async def take(plan: _Taking) -> None:
        if not plan.is_held:
            raise Refused("not_found", "Nobody has this role.")
        if not await stores.accounts.take(data.party, channel_id, data.role):
            raise Refused("last_of_staff")
        await stores.keys.revoke_role(data.party, data.role, channel_id, at=plan.at)
        await stores.staff_acts.note(
            channel_id,
            "role_taken",
            by=key.by,
            at=plan.at,
            subject=f"{data.party} {data.role}",
            act_id=plan.id,
        )

    plan = _Taking(new_id(), platform.clock(), (data.party, data.role) in held)
    await carried_out(platform, request, plan, take)


async def _staff_of(platform: Platform, key: ApiKey, channel_id: str) -> None:
    """Raise Refused, OtherChannel or NotAllowed for a key that is not of the channel's staff."""
    await office_of(platform, key, channel_id)
    if key.role != "staff":
        raise NotAllowed("The channel's staff take roles.")


HANDLERS: Final[tuple[Any, ...]] = (list_roles, revoke_role)
