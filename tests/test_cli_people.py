"""The commands that give people roles, and those that make keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import load_settings
from app.stores.channels import Channel, Channels
from app.stores.database import open_people
from app.stores.people import People
from domain.terms import Terms

CHANNEL = "6d1f1c0e-6f0b-4d55-9d3c-0a5f8f2f1a11"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one channel."""

    async def fill() -> None:
        engine = await open_people(load_settings({}, data_dir=tmp_path))
        channel = Channel(
            id=CHANNEL, name="Riverside", languages=("en",), currencies=("EUR",), terms=Terms()
        )
        await Channels(engine).save(channel, at=1)
        await engine.dispose()

    asyncio.run(fill())
    return tmp_path


def run(data: Path, *arguments: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(main, ["--data", str(data), *arguments])


def answer(data: Path, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON says
    """What a command answers to machines: the last line of standard output."""
    result = run(data, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def grant(data: Path, mail: str, channel: str, role: str) -> Any:  # noqa: ANN401 - the same
    """Give a role."""
    return answer(data, "people", "grant", "--mail", mail, "--channel", channel, "--role", role)


def test_the_first_of_a_channels_staff(data: Path) -> None:
    """An account is opened where there is none; a channel is found by name or id."""
    first = grant(data, "One@Example.org", "Riverside", "staff")
    assert first["new"]
    again = grant(data, "one@example.org", CHANNEL, "treasurer")
    assert (again["new"], again["party"]) == (False, first["party"])
    listed = answer(data, "people", "list")
    assert {(row["mail"], row["role"], row["channel"], row["granted_by"]) for row in listed} == {
        ("one@example.org", role, CHANNEL, "operator") for role in ("staff", "treasurer")
    }
    answer(
        data,
        *("people", "revoke", "--mail", "one@example.org"),
        *("--channel", "Riverside", "--role", "staff"),
    )
    assert [row["role"] for row in answer(data, "people", "list")] == ["treasurer"]


@pytest.mark.parametrize(
    ("mail", "channel", "role", "code"),
    [
        ("one@example.org", "Nowhere", "staff", 1),
        ("no address", "Riverside", "staff", 1),
        ("one@example.org", "Riverside", "creator", 2),
    ],
)
def test_what_cannot_be_given(data: Path, mail: str, channel: str, role: str, code: int) -> None:
    """An unknown channel, no address, and a role that is not given in a channel."""
    result = run(data, "people", "grant", "--mail", mail, "--channel", channel, "--role", role)
    assert result.exit_code == code
    assert answer(data, "people", "list") == []


def test_a_key_has_no_more_than_its_role(data: Path) -> None:
    """A scope of another role is refused, and no key is made."""
    refused = run(data, "keys", "create", "--role", "creator", "--scope", "pledges:import")
    assert refused.exit_code == 1
    assert "creator cannot have: pledges:import" in refused.stderr
    assert answer(data, "keys", "list") == []


def test_a_key_can_be_for_one_channel(data: Path) -> None:
    """The answers name everything about a key but its token, which is shown once."""
    made = answer(
        data,
        *("keys", "create", "--role", "staff", "--scope", "staff"),
        *("--channel", "Riverside", "--days", "3"),
    )
    (listed,) = answer(data, "keys", "list")
    token = made.pop("token")
    assert made == listed
    assert (listed["channel"], listed["scopes"]) == (CHANNEL, ["staff"])
    assert listed["expires_at"] - listed["created_at"] == 3 * 86_400_000
    assert token not in run(data, "keys", "list").output
    assert listed["id"] in run(data, "keys", "list").output


# --- Erasing -------------------------------------------------------------------------------------


def test_a_person_is_erased_by_address(data: Path) -> None:
    """What goes and stays is said first; a no changes nothing; afterwards nobody has the address.

    Without a server, and all traces go at once.
    """
    party = grant(data, "one@example.org", "Riverside", "staff")["party"]
    result = CliRunner().invoke(
        main, ["--data", str(data), "people", "erase", "One@example.org"], input="n\n"
    )
    assert result.exit_code == 1
    for said in (party, "1 in accounts", "What stays, and why:", "Pledges that stand"):
        assert said in result.output
    assert answer(data, "people", "erased") == []
    done = answer(data, "people", "erase", "one@example.org", "--yes")
    assert done == {"parties": [party], "positions": {party: 1}, "swept": True}
    (listed,) = answer(data, "people", "erased")
    assert (listed["party"], listed["position"], listed["swept"]) == (party, 1, True)
    assert answer(data, "people", "list") == []
    again = run(data, "people", "erase", "one@example.org", "--yes")
    assert "Nobody here has the address" in again.output
    assert b"one@example.org" not in b"".join(
        path.read_bytes() for path in data.rglob("*") if path.is_file()
    )


def test_a_person_is_erased_by_id(data: Path) -> None:
    """Again as often as one likes; an unknown id is said to be."""
    party = grant(data, "one@example.org", "Riverside", "staff")["party"]
    for _ in range(2):
        done = answer(data, "people", "erase", party, "--yes")
        assert done["positions"] == {party: 1}
    unknown = run(data, "people", "erase", CHANNEL, "--yes")
    assert "Nobody here has the id" in unknown.output


def test_who_only_gave_the_address_stays(data: Path) -> None:
    """Ids that never proved it lose it, and are not erased."""
    party = grant(data, "one@example.org", "Riverside", "staff")["party"]

    async def pledge_with_it() -> str:
        engine = await open_people(load_settings({}, data_dir=data))
        try:
            return await People(engine).add_person("backer", mail="one@example.org", at=1)
        finally:
            await engine.dispose()

    other = asyncio.run(pledge_with_it())
    result = run(data, "people", "erase", "one@example.org", "--yes")
    assert f"they lose it, and stay:\n  {other}" in result.output
    assert [entry["party"] for entry in answer(data, "people", "erased")] == [party]
