"""The people of the demo: one for each role, so that a visitor can look with their eyes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, get_args

from msgspec import Struct

from app.stores.accounts import MailTakenError
from app.stores.people import Role
from app.wiring import Platform

ROLES: Final[tuple[Role, ...]] = get_args(Role)
IN_CHANNELS: Final[tuple[Role, ...]] = ("staff", "treasurer", "auditor")
"""Roles that somebody gives; the others are anybody's."""

MEMBER_OF: Final = frozenset(
    ("Viaduct team", "Kitchen team", "Roofs team", "Cargo team", "Radio team", "Orchestra team")
)
"""The teams that the sample creator belongs to, by how their names begin."""

PLEDGES_TO: Final = frozenset(
    (
        *("Viaduct team", "Kitchen team", "Sailcloth team", "Long Table team", "Press team"),
        *("Repair team", "Orchestra team", "Valley team", "Roofs team"),
    )
)
"""The teams whose campaigns the sample backer pledged to."""


COMMUNITY_NAME: Final = "Sample backer"
"""What those of the sample community are called, with a number behind it."""

MOST_KNOWN: Final = 64


def mail_of(role: str) -> str:
    """The address of the sample person with this role; its domain can never be anybody's."""
    return f"{role}@example.org"


class SamplePeople(Struct, frozen=True):
    """The parties of the sample people by their roles."""

    parties: dict[Role, str]

    def __getitem__(self, role: Role) -> str:
        return self.parties[role]


async def add_sample_people(platform: Platform, channels: Collection[str], at: int) -> SamplePeople:
    """Open an account for each role, confirmed, without a password; give them their roles."""
    accounts = platform.stores.accounts
    found: dict[Role, str] = {}
    for role in ROLES:
        account = await accounts.open(
            mail_of(role), at=at, display_name=f"Sample {role}", role=role
        )
        await accounts.change(account.party, confirmed_at=at, pen_name="Paper Boat (sample)")
        found[role] = account.party
    for channel in channels:
        for role in IN_CHANNELS:
            await accounts.grant(found[role], channel, role, by="demo", at=at)
    return SamplePeople(found)


async def sample_person(platform: Platform, role: Role) -> str | None:
    """The party of the sample person with this role; None where this is no demo.

    Whose data were erased is another one from then on, of whom the first left nothing: a backer is
    one of the sample community, with pledges; the others get the role anew.
    """
    accounts = platform.stores.accounts
    account = await accounts.by_mail(mail_of(role))
    if account is None and platform.settings.demo:
        try:
            return await _another(platform, role)
        except MailTakenError:  # by a visitor who asked at the same moment
            account = await accounts.by_mail(mail_of(role))
    return account.party if account else None


async def _another(platform: Platform, role: Role) -> str:
    """Open a new account for a role. Raises MailTakenError."""
    accounts, at = platform.stores.accounts, platform.clock()
    account = await accounts.open(
        mail_of(role),
        at=at,
        display_name=f"Sample {role}",
        role=role,
        party=await _of_the_community(platform) if role == "backer" else "",
    )
    await accounts.change(account.party, confirmed_at=at)
    if role in IN_CHANNELS:
        for channel in await platform.stores.channels.all():
            await accounts.grant(account.party, channel.id, role, by="demo", at=at)
    return account.party


async def _of_the_community(platform: Platform) -> str:
    """A backer who has pledged and has no account; empty where there is none."""
    known = sorted(await platform.stores.people.called(f"{COMMUNITY_NAME} ", MOST_KNOWN))
    taken = await platform.stores.accounts.of_parties(known)
    return next((party for party in known if party not in taken), "")
