"""Who works for the channel: staff give and take roles, and nobody removes the last of them."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.response import Template
from msgspec import Struct

from app.stores.accounts import Account, normal_mail
from app.stores.people import Role
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.staff.frame import Names, Refusal, carried_out, names_of, staff_page
from app.web.staff.posts import REVIEWERS, ChannelChoice, Done, Post, channel_post
from app.web.staff.words import ACTS, ROLE_MEANINGS, ROLES, options
from domain.ids import party_of

GIVEN: Final[tuple[Role, ...]] = ("staff", "treasurer", "auditor")
"""The roles that a channel gives."""


class Holder(Struct, frozen=True):
    """Somebody with a role. `granted_by` is `role:party id`, or a word for the operator."""

    party: str
    name: str
    mail: str
    role: Role
    granted_at: int
    granted_by: str
    last: bool


@get("/staff/people", include_in_schema=False)
async def show_people(
    request: PageRequest,
    site: NamedDependency[Site],
    channel: ChannelChoice = "",
    done: Done = "",
) -> Template:
    """Who has which role, who gave it and when."""
    post_ = await channel_post(site, request, *REVIEWERS, channel=channel)
    return await _page(site, post_, done=done)


@post("/staff/people/give", include_in_schema=False)
async def give(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Give a role to the account of a mail address."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    post_ = await channel_post(site, request, "staff", channel=form.get("channel", ""))
    site.require_step_up(post_.visitor)
    typed = {"mail": normal_mail(form.get("mail", "")), "role": form.get("role", "")}
    account = await site.platform.stores.accounts.by_mail(typed["mail"])
    errors = _faults(typed["role"], account)
    if errors or account is None:
        refused = Refusal(next(iter(errors.values())), 422)
        return await _page(site, post_, refused=refused, errors=errors, typed=typed)
    role: Role = typed["role"]  # type: ignore[assignment]  # one of GIVEN
    at, by = site.platform.clock(), post_.actor("staff")
    await site.platform.stores.accounts.grant(account.party, post_.channel.id, role, by=by, at=at)
    await site.platform.stores.staff_acts.note(
        post_.channel.id, "role_given", by=by, at=at, subject=f"{account.party} {role}"
    )
    return carried_out(site, f"/staff/people?channel={post_.channel.id}", "role_given")


def _faults(role: str, account: Account | None) -> dict[str, str]:
    faults = {}
    if role not in GIVEN:
        faults["role"] = gettext("Choose a role.")
    if account is None:
        faults["mail"] = gettext(
            "There is no account with this address. The person has to sign up first."
        )
    elif account.confirmed_at is None:
        faults["mail"] = gettext(
            "This address is not confirmed yet: the person has to follow the link in their mail."
        )
    return faults


@post("/staff/people/take", include_in_schema=False)
async def take(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Take a role away; the channel keeps at least one of its staff."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    post_ = await channel_post(site, request, "staff", channel=form.get("channel", ""))
    site.require_step_up(post_.visitor)
    party, role = form.get("party", ""), form.get("role", "")
    accounts = site.platform.stores.accounts
    holders = await accounts.holders(post_.channel.id)
    held = [found for found in holders if found[:2] == (party, role)]
    if not held:
        fault = gettext("Nobody has this role any more.")
        return await _page(site, post_, refused=Refusal(fault, 409))
    if not await accounts.take(party, post_.channel.id, held[0][1]):
        fault = gettext("This is the last of the channel's staff. Give the role to another first.")
        return await _page(site, post_, refused=Refusal(fault, 409))
    at, by = site.platform.clock(), post_.actor("staff")
    await site.platform.stores.keys.revoke_role(party, held[0][1], post_.channel.id, at=at)
    await site.platform.stores.staff_acts.note(
        post_.channel.id, "role_taken", by=by, at=at, subject=f"{party} {role}"
    )
    if party == visitor.party and role == "staff":
        return site.redirect("/")
    return carried_out(site, f"/staff/people?channel={post_.channel.id}", "role_taken")


async def _page(
    site: Site,
    post_: Post,
    *,
    done: str = "",
    refused: Refusal | None = None,
    errors: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
) -> Template:
    stores = site.platform.stores
    holders = await stores.accounts.holders(post_.channel.id)
    acts = [
        act
        for act in await stores.staff_acts.of_channel(post_.channel.id)
        if act.act in ("role_given", "role_taken")
    ]
    parties = {party for party, *_ in holders} | {party_of(by) for *_, by in holders}
    parties |= {party_of(act.by) for act in acts} | {act.subject.partition(" ")[0] for act in acts}
    accounts = await stores.accounts.of_parties(parties)
    names = await names_of(site, parties)
    staff = sum(role == "staff" for _, role, *_ in holders)
    return await staff_page(
        site,
        post_,
        "people.html",
        "people",
        done=done,
        refused=refused,
        holders=[
            Holder(
                party,
                _called(party, names, accounts),
                accounts[party].mail if party in accounts else "",
                role,
                granted_at,
                granted_by,
                last=role == "staff" and staff == 1,
            )
            for party, role, granted_at, granted_by in sorted(
                holders, key=lambda found: (GIVEN.index(found[1]), found[2])
            )
            if role in GIVEN
        ],
        granted=lambda by: names.who(by) if ":" in by else gettext("the operator"),
        acts=acts,
        names=names,
        errors=errors or {},
        typed=typed or {"mail": "", "role": "staff"},
        given=[
            (role, words, gettext(ROLE_MEANINGS[role]))
            for role, words in options(ROLES)
            if role in GIVEN
        ],
        role_words=ROLES,
        act_words=ACTS,
    )


def _called(party: str, names: Names, accounts: dict[str, Account]) -> str:
    """A person's name, else their pen name, else a mark of their id."""
    account = accounts.get(party)
    if party not in names.names and account is not None and account.pen_name:
        return account.pen_name
    return names.of(party)
