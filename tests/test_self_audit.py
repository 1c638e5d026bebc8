"""The platform audits itself, in processes that give way, and only where it should."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

from app.audit.last import read_last
from app.self_audit import DEMO_AFTER_S, FIRST_AFTER_S, SelfAudit
from tests.audit.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A platform in files with a campaign, and views of it."""
    made = World(tmp_path)
    made.succeed(5_000, 6_000)
    made.project()
    return made


def test_both_halves_are_kept(world: World) -> None:
    """After one round the file says what the verification and the replay found."""
    SelfAudit(world.settings, lambda: True).once(threading.Event())
    last = read_last(world.settings.last_audit_path)
    assert last.verify is not None
    assert last.replay is not None
    position, _ = world.log.last()
    assert last.verify.ok
    assert last.replay.identical
    assert last.verify.position == last.replay.position == position
    world.close()


def test_what_is_wrong_is_kept_and_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A changed amount is a finding in the file, and an error in the server's log."""
    world.rewrite(world.position("pledge.made.v1", 2), '"amount_minor":6000', '"amount_minor":6001')
    SelfAudit(world.settings, lambda: True).once(threading.Event())
    last = read_last(world.settings.last_audit_path)
    assert last.verify is not None
    assert not last.verify.ok
    assert last.rules[5]
    assert any("FOUND SOMETHING WRONG" in record.message for record in caplog.records)
    world.close()


def test_it_ends_when_told(world: World) -> None:
    """No process outlives the order to stop, and nothing half done is kept."""
    stop = threading.Event()
    audit = SelfAudit(world.settings, lambda: True)
    thread = threading.Thread(target=audit.once, args=(stop,))
    thread.start()
    time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert read_last(world.settings.last_audit_path).replay is None
    world.close()


def test_it_can_be_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0 it ends before anything begins."""
    monkeypatch.setattr(SelfAudit, "once", lambda *_: pytest.fail("it was off"))
    settings = msgspec.structs.replace(world.settings, audit_every_s=0)
    SelfAudit(settings, lambda: True).run(threading.Event())
    world.close()


def test_only_whose_turn_it_is_audits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several machines on one log, the one that follows it does; the turn is asked each time."""
    stop, asked, done = threading.Event(), list[bool](), list[bool]()

    def may() -> bool:
        asked.append(len(asked) == 1)
        return asked[-1]

    def once(*_: object) -> None:
        done.append(True)
        stop.set()

    monkeypatch.setattr(SelfAudit, "_first_pause_s", lambda *_: 0.0)
    monkeypatch.setattr(SelfAudit, "once", once)
    settings = msgspec.structs.replace(world.settings, audit_every_s=1)
    SelfAudit(settings, may).run(stop)
    assert asked == [False, True]
    assert done == [True]
    world.close()


def test_when_the_first_is_due(world: World) -> None:
    """Soon after a start where there was none or it is old, else when the last one is old enough;
    a demo's visitors do not wait.
    """
    day_s = 86_400
    settings = msgspec.structs.replace(world.settings, audit_every_s=day_s)
    audit = SelfAudit(settings, lambda: True)
    assert audit._first_pause_s(day_s) == FIRST_AFTER_S
    audit.once(threading.Event())
    assert day_s - 3_600 < audit._first_pause_s(day_s) <= day_s
    demo = SelfAudit(msgspec.structs.replace(settings, demo=True), lambda: True)
    assert demo._first_pause_s(day_s) == DEMO_AFTER_S
    world.close()
