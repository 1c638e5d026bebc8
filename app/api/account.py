"""Who a key speaks for, and its owner's other keys."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import HttpMethod, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, address, reads, writes
from app.api.bodies import Body, Time
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.repeating import planned
from app.stores.api_keys import ApiKey, Scope, beyond_role
from app.wiring import Platform

MOST_KEYS: Final = 50
"""Keys that work, of one owner."""


class GrantOut(Struct, frozen=True):
    """A role in a channel."""

    channel: str
    role: str


class MeOut(Struct, frozen=True):
    """Who a key speaks for. `parties` are the owner's own id and those of earlier pledges that
    joined its account; `grants` the roles that the owner has, of which the key has one.
    """

    party: str
    parties: tuple[str, ...]
    name: str
    grants: tuple[GrantOut, ...]
    key_id: str
    role: str
    channel: str | None
    scopes: tuple[str, ...]
    expires_at: int | None


class KeyOut(Struct, frozen=True):
    """A key. `token` is what programs show; it is told once, in the answer that makes the key."""

    key_id: str
    role: str
    channel: str | None
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    token: str | None = None


class KeysOut(Struct, frozen=True):
    """A page of keys, the newest first."""

    keys: tuple[KeyOut, ...]
    next: str | None


class ErasedOut(Struct, frozen=True):
    """Who was erased, by random ids, and the position of the last fact that says so."""

    parties: tuple[str, ...]
    position: int


class KeyIn(Body, frozen=True, kw_only=True):
    """A further key of the same role and channel: with some of this key's scopes, or all of them
    where none is named, and ending no later than it does.
    """

    scopes: Annotated[tuple[Scope, ...], Meta(max_length=20)] = ()
    expires_at: Time | None = None


_ALL: Final = KeyIn()


@reads("/me", area="Account", summary="Who am I?")
async def get_me(request: ApiRequest, platform: NamedDependency[Platform]) -> Response[MeOut]:
    """The party behind the key, its roles, and what the key may do."""
    key, stores = request.auth, platform.stores
    names = await stores.people.names([key.owner])
    grants = sorted(
        await stores.accounts.grants_of(key.owner), key=lambda grant: (grant.channel, grant.role)
    )
    return Response(
        MeOut(
            party=key.owner,
            parties=tuple(sorted(await stores.accounts.parties_of(key.owner))),
            name=names.get(key.owner, ""),
            grants=tuple(GrantOut(grant.channel, grant.role) for grant in grants),
            key_id=key.id,
            role=key.role,
            channel=key.channel or None,
            scopes=tuple(sorted(key.scopes)),
            expires_at=key.expires_at,
        )
    )


@reads("/keys", "account", area="Account", summary="List my keys")
async def list_keys(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[KeysOut]:
    """The owner's keys, also those that ended, never their tokens."""
    after = key_of(cursor, "keys", int, str)
    found = sorted(await platform.stores.keys.of_owner(request.auth.owner), key=_newest_first)
    rest = [key for key in found if after is None or _newest_first(key) > after]
    shown, following = page_of(
        request, rest, limit, lambda key: cursor_of("keys", *_newest_first(key))
    )
    return listed(KeysOut(tuple(map(_key_out, shown)), following), following)


def _newest_first(key: ApiKey) -> tuple[int, str]:
    return -key.created_at, key.id


@writes(
    "/keys",
    "account",
    status=201,
    notes=Notes(area="Account", example={"scopes": ["account"]}),
    summary="Make a key",
)
async def make_key(
    request: ApiRequest, platform: NamedDependency[Platform], *, data: JSONBody[KeyIn] = _ALL
) -> Response[KeyOut]:
    """Make a further key. Its token stands in this answer and nowhere else, ever: a repetition
    under the same `Idempotency-Key` finds the key without its token.
    """
    own, keys, at = request.auth, platform.stores.keys, platform.clock()
    scopes = frozenset(data.scopes) or own.scopes
    if scopes - own.scopes or beyond_role(own.role, scopes):
        raise Refused("scope_missing", "A key makes keys with scopes of its own only.")
    ends = [end for end in (own.expires_at, data.expires_at) if end is not None]
    if ends and min(ends) <= at:
        raise Refused("body_invalid", "expires_at: This has passed.")
    token: str | None = None

    async def make() -> str:
        nonlocal token
        if sum(key.valid(at) for key in await keys.of_owner(own.owner)) >= MOST_KEYS:
            raise Refused("body_invalid", f"Nobody has more than {MOST_KEYS} keys that work.")
        token, made = await keys.create(
            role=own.role,
            owner=own.owner,
            scopes=sorted(scopes),
            at=at,
            expires_at=min(ends, default=None),
            channel=own.channel,
        )
        return made.id

    key_id = await planned(platform, request, str, make)
    (found,) = [key for key in await keys.of_owner(own.owner) if key.id == key_id]
    return Response(_key_out(found, token), status_code=201)


@address(
    "/keys/{key_id:str}",
    (HttpMethod.DELETE,),
    Notes(area="Account", reasons=("not_found",)),
    scopes=("account",),
    summary="End a key",
    status=204,
)
async def end_key(
    key_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> None:
    """End one of the owner's keys, this one too; ending it again changes nothing."""
    keys = platform.stores.keys
    if key_id not in {key.id for key in await keys.of_owner(request.auth.owner)}:
        raise Refused("not_found", "You have no such key.")
    await keys.revoke(key_id, at=platform.clock())


@address(
    "/me",
    (HttpMethod.DELETE,),
    Notes(area="Account", reasons=("body_invalid",)),
    scopes=("account",),
    summary="Erase me",
)
async def erase_me(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    party: Annotated[
        str,
        QueryParameter(
            max_length=128, description="The owner's own id, as `/me` tells it: to be sure."
        ),
    ],
) -> Response[ErasedOut]:
    """Erase the person behind the key, with all ids that joined their account: names, addresses,
    keys (this one too), and the key that ties the log's commitments to them. It cannot be undone.

    Pledges that stand go on standing; withdraw first what should not be charged.
    """
    stores, owner = platform.stores, request.auth.owner
    if party != owner:
        raise Refused("body_invalid", "party: This is not the id behind the key.")
    account = await stores.accounts.get(owner)
    parties = await stores.accounts.parties_of(owner)
    places = await platform.erase_person(parties, "" if account is None else account.mail)
    return Response(ErasedOut(tuple(sorted(parties)), max(places.values())))


def _key_out(key: ApiKey, token: str | None = None) -> KeyOut:
    return KeyOut(
        key_id=key.id,
        role=key.role,
        channel=key.channel or None,
        scopes=tuple(sorted(key.scopes)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        token=token,
    )


HANDLERS: Final[tuple[Any, ...]] = (get_me, list_keys, make_key, end_key, erase_me)
