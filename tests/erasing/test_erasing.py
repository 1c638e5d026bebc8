"""An erasure is finished whatever ended it half-way, and done again where a copy undid it."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from pathlib import Path

import pytest

from app.erasing import BY, FILE, Erased, ErasureList
from app.log import decode_row
from app.serving.backup import accept
from app.settings import Settings, SettingsError, load_settings
from app.stores.erasure import Erasure
from app.wiring import Platform, open_platform
from domain.events import SubjectErased
from domain.subject import SUBJECT
from tests.api.running import NOW, Caller, Running, new_id

MAIL = "zq@example.org"


class KilledError(Exception):
    """The process ends here."""


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Where a platform lies, on both stores."""
    return load_settings({"TRIBUTARY_DATABASE_URL": database_url}, data_dir=tmp_path / "var")


async def somebody(platform: Platform) -> str:
    """A person with an account."""
    stores = platform.stores
    return (await stores.accounts.open(MAIL, at=NOW, display_name="Zq")).party


async def is_erased(platform: Platform, party: str) -> bool:
    """Whether rows, key and log all say so."""
    person = await platform.stores.people.get(party)
    rows = platform.log.read_stream(SUBJECT + party)
    said = [type(decode_row(row)) for row in rows] == [SubjectErased]
    gone = await platform.stores.people.key_of(party) is None
    noted = platform.erasing.list.read()[party]
    return (
        person.forgotten_at is not None
        and person.mail == person.display_name == ""
        and await platform.stores.accounts.by_mail(MAIL) is None
        and gone
        and said
        and noted.position == rows[0].position
    )


@pytest.mark.parametrize("ended", ["after the list", "after the rows", "after the event"])
async def test_the_next_start_finishes_it(
    settings: Settings, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere in between, it is whole before anybody is served again."""

    async def killed(*_: object, **__: object) -> None:
        raise KilledError

    async with open_platform(settings, clock=lambda: NOW) as platform:
        party = await somebody(platform)
        with monkeypatch.context() as patch:
            if ended == "after the list":
                patch.setattr(Erasure, "erase", killed)
            elif ended == "after the rows":
                patch.setattr(platform.erasing, "_submit", killed)
            else:
                real, calls = ErasureList.put, list[int]()

                def first_only(this: ErasureList, entries: list[Erased]) -> None:
                    calls.append(1)
                    if len(calls) > 1:
                        raise KilledError
                    real(this, entries)

                patch.setattr(ErasureList, "put", first_only)
            with pytest.raises(KilledError):
                await platform.erase_person([party], MAIL)
    async with open_platform(settings, clock=lambda: NOW) as platform:
        assert await is_erased(platform, party)


async def test_a_running_server_says_it_late(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log did not take it then, it is told as soon as it does; the rows are long gone."""

    async def refused(*_: object) -> None:
        raise KilledError

    async with open_platform(settings, clock=lambda: NOW) as platform:
        party = await somebody(platform)
        with monkeypatch.context() as patch:
            patch.setattr(platform.erasing, "_submit", refused)
            with pytest.raises(KilledError):
                await platform.erase_person([party], MAIL)
        await asyncio.to_thread(platform.sweep)
        assert await is_erased(platform, party)


async def test_doing_it_again_changes_nothing(settings: Settings) -> None:
    """One fact for each id, however often it is asked for; the first time stays."""
    async with open_platform(settings, clock=lambda: NOW) as platform:
        party = await somebody(platform)
        first = await platform.erase_person([party], MAIL)
        assert await platform.erase_person([party], MAIL) == first
        assert await platform.erasing.finish() == 0
        assert await is_erased(platform, party)
        (row,) = platform.log.read_stream(SUBJECT + party)
        event = decode_row(row)
        assert (event.by, event.channel) == (BY, "")
        assert platform.erasing.list.read()[party].at == NOW
    async with open_platform(settings, clock=lambda: NOW + 9) as platform:
        assert platform.erasing.list.read()[party].at == NOW


async def test_a_log_that_lost_it_is_told_again(tmp_path: Path) -> None:
    """Where the log was brought back from before, and the people were not."""
    settings = load_settings({}, data_dir=tmp_path / "var")
    async with open_platform(settings, clock=lambda: NOW) as platform:
        earlier, party = await somebody(platform), await platform.stores.people.mint_backer(at=NOW)
        await platform.erase_person([earlier], MAIL)
    shutil.copy(settings.log_path, tmp_path / "older.db")
    async with open_platform(settings, clock=lambda: NOW) as platform:
        await platform.erase_person([party], "")
    for path in settings.data_dir.glob("log.db*"):
        path.unlink()
    shutil.copy(tmp_path / "older.db", settings.log_path)
    accept(settings)
    async with open_platform(settings, clock=lambda: NOW) as platform:
        assert [row.stream for row in platform.log.read(0, 9)] == [
            SUBJECT + earlier,
            SUBJECT + party,
        ]
        assert await is_erased(platform, party)


async def test_what_another_machine_erased_is_noted_here(settings: Settings) -> None:
    """Each machine's list knows all who are forgotten in the store that they share."""
    async with open_platform(settings, clock=lambda: NOW) as platform:
        party = await somebody(platform)
        await platform.erase_person([party], MAIL)
        place = platform.erasing.list.read()[party].position
    (settings.keys_dir / FILE).unlink()
    async with open_platform(settings, clock=lambda: NOW + 5) as platform:
        known = platform.erasing.list.read()
        assert known == {party: Erased(party, NOW, place)}


def add(path: Path, party: str) -> None:
    """Add somebody to a list, in a process of its own."""
    ErasureList(path).put([Erased(party, 1)])


def test_several_processes_write_one_list(tmp_path: Path) -> None:
    """None of them loses another's."""
    parties = [new_id() for _ in range(24)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(add, [(tmp_path / FILE, party) for party in parties], chunksize=1)
    assert set(ErasureList(tmp_path / FILE).read()) == set(parties)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


async def test_a_list_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """Nobody is served while it is unknown who has to stay forgotten."""
    settings = load_settings({}, data_dir=tmp_path / "var")
    async with open_platform(settings):
        pass
    (settings.keys_dir / FILE).write_text("{")
    with pytest.raises(SettingsError, match="cannot be read"):
        async with open_platform(settings):
            pass


def test_a_list_grows_by_what_is_missing(tmp_path: Path) -> None:
    """What is known here of somebody stays; a position is of the log in which it was noted."""
    here = ErasureList(tmp_path / FILE)
    here.put([Erased("one", 1, 7, swept=True)])
    assert here.merge({"one": Erased("one", 2, 9), "two": Erased("two", 3, 9, swept=True)}) == 1
    assert here.read() == {"one": Erased("one", 1, 7, swept=True), "two": Erased("two", 3)}


# --- By API --------------------------------------------------------------------------------------


async def test_a_program_erases_its_owner(running: Running) -> None:
    """With the id typed, and only then; the key ends with it."""
    caller: Caller = await running.caller("backer", scopes=("account",))
    path = "/api/v1/me"
    for wrong in ("", "?party=", f"?party={new_id()}"):
        refused = await running.client.delete(f"{path}{wrong}", headers=caller.headers)
        assert refused.status_code in {400, 422}, refused.text
    done = await running.client.delete(f"{path}?party={caller.party}", headers=caller.headers)
    assert done.status_code == 200, done.text
    assert done.json()["parties"] == [caller.party]
    assert running.platform.log.position_of(SUBJECT + caller.party, 1) == done.json()["position"]
    assert (await running.get("/me", caller)).status_code == 401


async def test_a_key_without_the_scope_erases_nobody(running: Running) -> None:
    """A key that reads can not."""
    caller = await running.caller("backer", scopes=("campaigns:read",))
    path = f"/api/v1/me?party={caller.party}"
    refused = await running.client.delete(path, headers=caller.headers)
    assert refused.status_code == 403
    assert (await running.platform.stores.people.get(caller.party)).forgotten_at is None
