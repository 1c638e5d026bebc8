"""A person's API keys: made for the roles they have, shown once, revoked."""

from __future__ import annotations

from typing import Any, Final, cast

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from msgspec import Struct

from app.stores.api_keys import ROLE_SCOPES, ApiKey, Scope, beyond_role
from app.stores.people import Role
from app.web.accounts.entering import account_of
from app.web.language import gettext, translatable
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.terms import DAY_MS

LIFETIMES_DAYS: Final = (30, 90, 365)
MOST_KEYS: Final = 50
"""Keys that work, of one person."""

ROLE_NAMES: Final[dict[str, str]] = {
    "backer": translatable("Backer"),
    "creator": translatable("Creator"),
    "staff": translatable("Staff"),
    "treasurer": translatable("Treasurer"),
    "auditor": translatable("Auditor"),
}

SCOPE_WORDS: Final[dict[str, str]] = {
    "account": translatable("Make and revoke other keys of yours"),
    "backers:write": translatable("Add backers without an account of their own"),
    "campaigns:read": translatable("Read your own campaigns and their backers"),
    "campaigns:write": translatable("Make and run campaigns"),
    "events:read": translatable("Read the log of every campaign"),
    "payouts:approve": translatable("Approve money out"),
    "pledges:import": translatable("Pledge for others: for importing them"),
    "pledges:read": translatable("Read your own pledges"),
    "pledges:write": translatable("Pledge, change and cancel as yourself"),
    "staff": translatable("Review, suspend and resume campaigns"),
}


class Hat(Struct, frozen=True):
    """A role that a person may make keys for. `id` is how the form names it; `channel_name` is
    empty where the role counts everywhere.
    """

    role: Role
    channel: str
    channel_name: str

    @property
    def id(self) -> str:
        """Role and channel, as the form sends them."""
        return f"{self.role}@{self.channel}"

    @property
    def scopes(self) -> list[Scope]:
        """What a key of this role may do at most."""
        return sorted(ROLE_SCOPES[self.role])


@get("/account/keys", include_in_schema=False)
async def show_keys(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The keys, and the form for another one."""
    visitor = await site.signed_in(request)
    return await _page(site, visitor)


@post("/account/keys", include_in_schema=False)
async def take_key(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Make a key; its token is on the answer, and nowhere else, ever."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    form = await site.form(request, visitor)
    stores, at = site.platform.stores, site.platform.clock()
    hat = next((h for h in await _hats(site, visitor) if h.id == form.get("hat")), None)
    if hat is None:
        return await _page(site, visitor, fault="hat")
    scopes = form.all(f"scopes {hat.id}")
    if not scopes or beyond_role(hat.role, scopes):
        return await _page(site, visitor, fault="scopes", chosen=hat.id)
    days = form.get("days", "")
    if days not in {str(choice) for choice in LIFETIMES_DAYS}:
        return await _page(site, visitor, fault="days", chosen=hat.id)
    if sum(key.valid(at) for key in await stores.keys.of_owner(visitor.party)) >= MOST_KEYS:
        return await _page(site, visitor, fault="many", chosen=hat.id)
    token, key = await stores.keys.create(
        role=hat.role,
        owner=visitor.party,
        scopes=cast("list[Scope]", scopes),
        at=at,
        expires_at=at + int(days) * DAY_MS,
        channel=hat.channel,
    )
    return await _page(site, visitor, token=token, made=key)


@post("/account/keys/{key_id:str}/revoke", include_in_schema=False)
async def revoke_key(
    key_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """End one of the person's keys."""
    visitor = await site.signed_in(request)
    await site.form(request, visitor)
    keys = site.platform.stores.keys
    if key_id not in {key.id for key in await keys.of_owner(visitor.party)}:
        raise NotFoundException
    await keys.revoke(key_id, at=site.platform.clock())
    return site.redirect("/account/keys")


async def _hats(site: Site, visitor: Visitor) -> list[Hat]:
    """The roles of a person: everybody's, and those given in a channel."""
    account = await account_of(site, visitor)
    found = [Hat("backer", "", "")]
    if account.confirmed_at is not None:
        found.append(Hat("creator", "", ""))
    names = {channel.id: channel.name for channel in await site.platform.stores.channels.all()}
    granted = sorted(visitor.grants, key=lambda grant: (grant.role, grant.channel))
    return found + [
        Hat(grant.role, grant.channel, names.get(grant.channel, grant.channel))
        for grant in granted
        if grant.role in {"staff", "treasurer", "auditor"}
    ]


def _role_name(role: str) -> str:
    return gettext(ROLE_NAMES[role])


def _scope_words(scope: str) -> str:
    return gettext(SCOPE_WORDS[scope]) if scope in SCOPE_WORDS else scope


async def _page(
    site: Site,
    visitor: Visitor,
    *,
    fault: str = "",
    chosen: str = "",
    token: str = "",
    made: ApiKey | None = None,
) -> Response[Any]:
    stores, at = site.platform.stores, site.platform.clock()
    keys = await stores.keys.of_owner(visitor.party)
    names = {channel.id: channel.name for channel in await stores.channels.all()}
    hats = await _hats(site, visitor)
    return site.page(
        "accounts/keys.html",
        visitor,
        status_code=422 if fault else 200,
        account=await account_of(site, visitor),
        hats=hats,
        chosen=chosen or hats[0].id,
        keys=[key for key in reversed(keys) if key.valid(at)],
        ended=[key for key in reversed(keys) if not key.valid(at)],
        role_name=_role_name,
        scope_words=_scope_words,
        channel_name=lambda channel: names.get(channel, channel),
        lifetimes=LIFETIMES_DAYS,
        fault=fault,
        token_made=token,
        made=made,
    )
