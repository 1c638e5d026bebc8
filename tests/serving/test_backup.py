"""Copies, and logs that are not the one that was seen."""

from __future__ import annotations

import shutil
from errno import ENOSPC
from pathlib import Path

import msgspec
import pytest

from app.engine import CampaignDecider, Engine, clock_ms
from app.following.seen import (
    BACKUP_FILE,
    FILE,
    ForkedLogError,
    Seen,
    Witness,
    point_of,
    read_seen,
    require_same_log,
)
from app.log.opening import open_log
from app.serving.backup import accept, compare
from app.settings import Settings, load_settings
from app.wiring import open_platform
from bench.crash_stage import CURRENCY, Stage, new_id
from domain.commands import MakePledge
from tests.serving.server import Served, eventually, run


def pledges(stage: Stage, settings: Settings, number: int) -> None:
    """Let the log grow by so many pledges."""
    log = open_log(settings.database_url, settings.log_path)
    with Engine(log, None, CampaignDecider(), clock=clock_ms) as engine:
        for _ in range(number):
            engine.submit(
                MakePledge(
                    campaign_id=stage.campaigns[0].campaign_id,
                    by=f"staff:{new_id()}",
                    command_id=new_id(),
                    pledge_id=new_id(),
                    backer=stage.backers[0].id,
                    amount_minor=10_00,
                    currency=CURRENCY,
                )
            )
    log.close()


def see(settings: Settings) -> Seen:
    """Note the log's end, as a server does."""
    log = open_log(settings.database_url, settings.log_path)
    Witness(settings.data_dir, log).look()
    seen = point_of(log)
    log.close()
    return seen


def require(settings: Settings) -> None:
    """What a server asks before it starts."""
    log = open_log(settings.database_url, settings.log_path)
    try:
        require_same_log(settings.data_dir, log)
    finally:
        log.close()


def copied(settings: Settings, folder: Path) -> Settings:
    """A copy of a closed platform's log alone."""
    folder.mkdir()
    shutil.copy(settings.log_path, folder / settings.log_path.name)
    return load_settings({}, data_dir=folder)


def test_a_log_that_goes_on_is_the_same(stage: Stage) -> None:
    """Nothing noted, the noted end, and a log that has grown since: all are let in."""
    require(stage.settings)
    see(stage.settings)
    require(stage.settings)
    pledges(stage, stage.settings, 2)
    require(stage.settings)


def test_a_log_that_ends_earlier_is_refused(stage: Stage, tmp_path: Path) -> None:
    """A copy from before what was seen is refused by how much it lacks, until it is accepted."""
    older = copied(stage.settings, tmp_path / "older")
    pledges(stage, stage.settings, 3)
    see(stage.settings)
    shutil.copy(stage.settings.data_dir / FILE, older.data_dir / FILE)
    with pytest.raises(ForkedLogError, match="3 events that others may have seen"):
        require(older)
    assert "3 events" in compare(older).differs
    accept(older)
    require(older)
    assert compare(older).differs == ""


def test_a_fork_is_refused(stage: Stage, tmp_path: Path) -> None:
    """As long a log with another last event is another story."""
    fork = copied(stage.settings, tmp_path / "fork")
    for settings in (stage.settings, fork):
        pledges(stage, settings, 1)
    see(stage.settings)
    shutil.copy(stage.settings.data_dir / FILE, fork.data_dir / FILE)
    with pytest.raises(ForkedLogError, match="it is a fork"):
        require(fork)
    pledges(stage, fork, 2)
    with pytest.raises(ForkedLogError, match="it is a fork"):
        require(fork)


def test_another_log_is_refused(stage: Stage, tmp_path: Path) -> None:
    """A log with another id is not the one that was seen, however empty that was."""
    see(stage.settings)
    other = load_settings({}, data_dir=tmp_path / "other")
    shutil.copy(stage.settings.data_dir / FILE, other.data_dir / FILE)
    with pytest.raises(ForkedLogError, match="It is another log"):
        require(other)


def test_a_log_exchanged_under_way_is_noticed(stage: Stage, tmp_path: Path) -> None:
    """Who follows looks again: what was noted is never overwritten by a shorter story."""
    older = copied(stage.settings, tmp_path / "older")
    pledges(stage, stage.settings, 1)
    log = open_log("", stage.settings.log_path)
    witness = Witness(older.data_dir, log)
    witness.look()
    log.close()
    noted = (older.data_dir / FILE).read_bytes()
    shorter = open_log("", older.log_path)
    with pytest.raises(ForkedLogError):
        Witness(older.data_dir, shorter).look()
    shorter.close()
    assert (older.data_dir / FILE).read_bytes() == noted


def test_what_could_not_be_noted_is_noted_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full for a moment leaves no hole in what was seen."""
    log = open_log("", stage.settings.log_path)
    witness = Witness(stage.settings.data_dir, log)

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("app.following.seen.write_seen", full)
        with pytest.raises(OSError, match="No space"):
            witness.look()
    witness.look()
    assert read_seen(stage.settings.data_dir / FILE) == point_of(log)
    log.close()


async def test_what_followed_another_story_is_forgotten(stage: Stage, tmp_path: Path) -> None:
    """After accepting, views, work and mails stand where the log does, and go on from there."""
    settings = stage.settings
    older = tmp_path / "older.db"
    shutil.copy(settings.log_path, older)
    pledges(stage, settings, 5)
    async with open_platform(settings) as platform:
        platform.follower.catch_up()
        platform.processes.follow()
        await platform.news.begin()
        platform.start()
        await platform.stop()
        before = platform.log.last()[0]
    for path in settings.data_dir.glob("log.db*"):
        path.unlink()
    shutil.copy(older, settings.log_path)
    with pytest.raises(ForkedLogError):
        async with open_platform(settings):
            pass
    accept(settings)
    async with open_platform(settings) as platform:
        last = platform.log.last()[0]
        assert last == before - 5
        assert (await platform.news.begin()).position == last
        assert platform.processes.position == 0
        platform.follower.catch_up()
        platform.processes.follow()
        assert platform.follower.position == platform.processes.position == last


@pytest.mark.slow
def test_a_copy_of_a_running_server_is_whole(served: Served, tmp_path: Path) -> None:
    """What `backup` copies is refused as it is, verified clean, and goes on once accepted."""
    for _ in range(20):
        served.pledge()
    target = tmp_path / "copy"
    said = run(served.stage, "backup", str(target))
    assert said.endswith("exit 0"), said
    point = msgspec.json.decode((target / BACKUP_FILE).read_bytes(), type=Seen)
    assert point.position >= 20
    assert served.stop() == 0
    stage = msgspec.structs.replace(
        served.stage, settings=msgspec.structs.replace(served.stage.settings, data_dir=target)
    )
    port = str(stage.settings.port)
    refused = run(stage, "serve", "--port", port)
    assert "holds a restored backup" in refused
    assert refused.endswith("exit 1")
    seen = str(served.data_dir / FILE)
    accepted = run(stage, "accept-restore", "--yes", "--seen", seen)
    assert "nothing that was seen is lost" in accepted
    verified = run(stage, "audit", "verify")
    assert verified.endswith("exit 0"), verified
    with Served(stage, "serve", "--port", port) as again:
        eventually(again.ready)
        assert again.pledge()["no"] == 21
        assert again.stop() == 0
