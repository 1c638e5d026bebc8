"""An erasure seals what the log says about the person, whoever finishes it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from app.audit.tree_place import tree_of
from app.audit.verify import Verified, verify
from app.erasing import log_secret_of
from app.settings import Settings, load_settings
from app.stores.erasure import Erasure
from app.wiring import Platform, open_platform
from domain.codec import decode
from domain.events import SubjectErased
from domain.subject import SUBJECT
from tests.api.running import NOW, Caller, Running, pledge


class KilledError(Exception):
    """The process ends here."""


async def pledged(running: Running, staff: Caller, backers: Sequence[str]) -> list[int]:
    """Two campaigns in which each of these pledges and somebody else does; where each pledge of
    theirs stands.
    """
    for _ in range(2):
        campaign = await running.launched(staff)
        for party in [*await running.backers(1), *backers]:
            path = f"/campaigns/{campaign['campaign_id']}/pledges"
            answer = await running.post(path, staff, pledge(backer_id=party))
            assert answer.status_code == 201, answer.text
    rows = running.platform.log.read(0, 1_000)
    return [
        row.position
        for row in rows
        if row.tag == "pledge.made.v1"
        and any(f'"{party}"'.encode() in row.body for party in backers)
    ]


def erased(platform: Platform, party: str) -> SubjectErased:
    """What the log says of an erasure."""
    (row,) = platform.log.read_stream(SUBJECT + party)
    event = decode(row.tag, row.body)
    assert isinstance(event, SubjectErased)
    return event


def seal(platform: Platform, party: str, positions: Sequence[int]) -> str:
    """The seal over the events at these positions."""
    data = b"erased\0" + party.encode()
    for position in positions:
        (row,) = platform.log.read(position - 1, 1)
        data += position.to_bytes(8) + sha256(row.body).digest()
    return hmac.new(platform.transparency.keys.log_secret, data, sha256).hexdigest()


def verified(settings: Settings) -> Verified:
    """Verify a platform's log with its tree."""
    tree = tree_of(settings)
    return verify(settings.log_path, settings.test_bank_path, workers=1, tree=tree)[0]


async def test_who_is_erased_is_sealed(running: Running, staff: Caller) -> None:
    """All events about the person up to then, in every campaign; `audit verify` agrees."""
    (party,) = await running.backers(1)
    places = await pledged(running, staff, [party])
    last, _ = running.platform.log.last()
    await running.platform.erase_person([party], "")
    fact = erased(running.platform, party)
    assert fact.sealed_to == last
    assert fact.seal == seal(running.platform, party, places)
    running.work()
    running.platform.transparency.catch_up()
    found = verified(running.platform.settings)
    assert found.violations == []
    assert found.tree is not None
    assert (found.tree.seals, found.tree.unsealed) == (1, 0)


async def test_ids_of_one_account_are_sealed_each(running: Running, staff: Caller) -> None:
    """One fact and one seal for each id, none where the log says nothing about it."""
    first, second, idle = await running.backers(3)
    places = await pledged(running, staff, [first, second])
    await running.platform.erase_person([first, second, idle], "")
    facts = {party: erased(running.platform, party) for party in (first, second, idle)}
    assert facts[first].seal == seal(running.platform, first, places[0::2])
    assert facts[second].seal == seal(running.platform, second, places[1::2])
    assert facts[first].sealed_to == facts[second].sealed_to > 0
    assert (facts[idle].sealed_to, facts[idle].seal) == (0, "")


@pytest.mark.parametrize("ended", ["after the list", "after the rows", "late"])
async def test_who_finishes_an_erasure_seals_it(
    running: Running, staff: Caller, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is gone by then, and is not needed."""
    platform = running.platform
    (party,) = await running.backers(1)
    places = await pledged(running, staff, [party])

    async def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if ended == "after the list":
            patch.setattr(Erasure, "erase", killed)
        else:
            patch.setattr(platform.erasing, "_submit", killed)
        with pytest.raises(KilledError):
            await platform.erase_person([party], "")
    if ended == "late":
        assert platform.erasing.tell_late(platform._people_sync, platform.engine.submit) == 1
    else:
        assert await platform.erasing.finish() == 1
    assert erased(platform, party).seal == seal(platform, party, places)


async def test_without_the_secret_a_person_is_erased_all_the_same(
    running: Running, staff: Caller
) -> None:
    """And so where the log cannot be read: then nothing is sealed."""
    first, second = await running.backers(2)
    await pledged(running, staff, [first, second])
    erasing = running.platform.erasing
    erasing._log_secret = b""
    await running.platform.erase_person([first], "")
    erasing._log_secret = b"x" * 32
    erasing._log = BrokenLog(running.platform)
    await running.platform.erase_person([second], "")
    for party in (first, second):
        fact = erased(running.platform, party)
        assert (fact.sealed_to, fact.seal) == (0, "")
        assert await running.platform.stores.people.key_of(party) is None


class BrokenLog:
    """A log whose events cannot be read."""

    def __init__(self, platform: Platform) -> None:
        self.last = platform.log.last
        self.position_of = platform.log.position_of
        self.read = platform.log.read

    def read_bodies(self, after: int, limit: int) -> tuple[int, int, list[str], bytes] | None:
        """Not readable."""
        raise OSError


async def test_the_command_finds_the_secret(tmp_path: Path, database_url: str) -> None:
    """Where no server has the tree open: only the one with which the tree was begun."""
    settings = load_settings({"TRIBUTARY_DATABASE_URL": database_url}, data_dir=tmp_path / "var")
    async with open_platform(settings, clock=lambda: NOW) as platform:
        secret = platform.transparency.keys.log_secret
    assert log_secret_of(settings) == secret
    file = settings.keys_dir / "log_secret"
    kept = file.read_text()
    file.write_text("ab" * 32)
    assert log_secret_of(settings) == b""
    file.write_text("no key")
    assert log_secret_of(settings) == b""
    file.unlink()
    assert log_secret_of(settings) == b""
    assert not file.exists()
    file.write_text(kept)
    assert log_secret_of(settings) == secret
