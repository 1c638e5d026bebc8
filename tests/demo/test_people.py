"""Looking as a sample person goes on after that person's data were erased."""

from __future__ import annotations

from pathlib import Path

from app.demo.people import add_sample_people, mail_of, sample_person
from app.settings import load_settings
from app.stores.accounts import ACCOUNTS
from app.wiring import Platform, open_platform

AT = 1_773_316_800_000


async def gone(platform: Platform, role: str) -> None:
    """Let the account be no more, as after an erasure."""
    async with platform.people.begin() as connection:
        await connection.execute(ACCOUNTS.delete().where(ACCOUNTS.c.mail == mail_of(role)))


async def test_another_backer_takes_the_place(tmp_path: Path) -> None:
    """One of the community, who has no account yet, and each time the same until they go, too;
    staff get their role anew.
    """
    settings = load_settings({}, data_dir=tmp_path, demo=True)
    async with open_platform(settings) as platform:
        people = await add_sample_people(platform, (), AT)
        community = await platform.stores.people.mint_backers(2, at=AT)
        await platform.stores.people.name_many(
            {party: f"Sample backer {place:05}" for place, party in enumerate(community)}
        )
        assert await sample_person(platform, "backer") == people["backer"]
        await gone(platform, "backer")
        second = await sample_person(platform, "backer")
        assert second in community
        assert await sample_person(platform, "backer") == second
        await gone(platform, "staff")
        assert await sample_person(platform, "staff") not in (None, people["staff"])


async def test_elsewhere_there_is_nobody(tmp_path: Path) -> None:
    """Nobody is made where this is no demo."""
    async with open_platform(load_settings({}, data_dir=tmp_path)) as platform:
        assert await sample_person(platform, "backer") is None
