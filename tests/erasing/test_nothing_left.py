"""After an erasure nothing is left: every byte of ours is looked at, in whatever form."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.erasing import FILE
from app.serving.backup import accept, back_up
from app.settings import load_settings
from app.wiring import open_platform
from domain.subject import SUBJECT
from tests.api.running import NOW, ORIGIN, Caller, Running, pledge
from tests.erasing.planting import (
    MAIL,
    Planted,
    found_in,
    found_in_tables,
    plant,
    show_creator,
)


def tributary(data_dir: Path, *arguments: str) -> str:
    """Type a command that ends well; what it said."""
    result = CliRunner().invoke(main, ["--data", str(data_dir), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def lived(running: Running, staff: Caller) -> Planted:
    """Somebody who created, pledged, asked, wrote, and was found."""
    planted = await plant(running)
    await running.launched(staff, creator_id=planted.party)
    other = await running.launched(staff)
    path = f"/campaigns/{other['campaign_id']}/pledges"
    for party in planted.parties:
        answer = await running.post(path, staff, pledge(backer_id=party))
        assert answer.status_code == 201, answer.text
    running.work()
    await show_creator(running, planted.party)
    running.platform.transparency.catch_up()
    return planted


async def test_no_marker_is_found_anywhere(running: Running, staff: Caller, tmp_path: Path) -> None:
    """In no file of the data directory, none that is exported later, none of a backup that was
    made before and is restored; and every audit still passes.
    """
    planted = await lived(running, staff)
    platform = running.platform
    data_dir = platform.settings.data_dir
    before = found_in(data_dir, planted.markers)
    assert {marker for _, marker in before} >= {MAIL.encode(), planted.markers[-2]}
    assert "search.db" in {name.partition("-")[0] for name, _ in before}
    backup = tmp_path / "backup"
    back_up(platform.settings, backup)

    places = await platform.erase_person(planted.parties, MAIL)

    assert platform.sweep()
    assert found_in(data_dir, planted.markers) == []
    rows = {row.stream: row.position for row in platform.log.read(0, 10_000)}
    assert {party: rows[SUBJECT + party] for party in planted.parties} == places
    platform.follower.catch_up()
    platform.transparency.catch_up()
    erased = platform.settings.keys_dir / FILE

    # A backup from before, brought back: whoever asked to be forgotten stays so.
    assert found_in(backup, planted.markers) != []
    restored = load_settings({"TRIBUTARY_PUBLIC_URL": ORIGIN}, data_dir=backup)
    assert accept(restored, erased).erased == len(planted.parties)
    async with open_platform(restored, clock=lambda: NOW) as again:
        for party in planted.parties:
            assert (await again.stores.people.get(party)).forgotten_at is not None
            assert again.log.position_of(SUBJECT + party, 1) is not None
        again.follower.catch_up()
        again.transparency.catch_up()
        assert again.sweep()
    assert found_in(backup, planted.markers) == []
    tributary(backup, "audit", "verify")
    tributary(backup, "audit", "replay")


async def test_audits_and_exports_after_it(running: Running, staff: Caller, tmp_path: Path) -> None:
    """The books are as whole as before, and what is exported of them names nobody."""
    planted = await lived(running, staff)
    platform = running.platform
    await platform.erase_person(planted.parties, MAIL)
    platform.follower.catch_up()
    platform.transparency.catch_up()
    data_dir = platform.settings.data_dir
    tributary(data_dir, "audit", "verify")
    tributary(data_dir, "audit", "replay")
    exported = tmp_path / "exported"
    exported.mkdir()
    books = str(exported / "books.ndjson")
    tributary(data_dir, "audit", "export", "--format", "ndjson", "--out", books)
    assert list(exported.rglob("*"))
    assert found_in(exported, planted.markers) == []


class TestInPostgres:
    """The same with the database elsewhere, as far as its rows and our files show it."""

    @pytest.fixture
    def platform_url(self, postgres_url: str) -> str:
        """A database of its own."""
        return postgres_url

    @pytest.mark.postgres
    async def test_no_row_tells_it(
        self, running: Running, staff: Caller, postgres_url: str
    ) -> None:
        """No row of any schema, and no file of this machine."""
        planted = await lived(running, staff)
        assert found_in_tables(postgres_url, planted.markers) != []
        await running.platform.erase_person(planted.parties, MAIL)
        assert running.platform.sweep()
        assert found_in_tables(postgres_url, planted.markers) == []
        assert found_in(running.platform.settings.data_dir, planted.markers) == []


def test_the_copy_of_a_folder_is_looked_into(tmp_path: Path) -> None:
    """The search itself finds a marker in each form, at every place in a file."""
    for number, form in enumerate(
        (
            b"Zqmarkername",
            b"Zqmarkername".hex().encode(),
            *(base64.b64encode(b"x" * n + b"Zqmarkername, and more") for n in range(3)),
            "Zqmarkername".encode("utf-16-le"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(os.urandom(5_000) + form + os.urandom(99))
        assert found_in(folder, [b"Zqmarkername"])
        shutil.rmtree(folder)
