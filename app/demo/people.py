"""The people of the demo: one for each role, so that a visitor can look with their eyes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, get_args

from msgspec import Struct

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
    """The party of the sample person with this role; None where this is no demo."""
    account = await platform.stores.accounts.by_mail(mail_of(role))
    return account.party if account else None
