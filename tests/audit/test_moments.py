"""`--at` everywhere, and what is kept of the last audit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from app.audit.last import LastAudit, LastReplay, LastVerify, keep_replay, keep_verify, read_last
from app.audit.replay import replay
from tests.audit.tree_world import TreeWorld
from tests.audit.world import World


def test_verify_looks_no_further(world: World) -> None:
    """What was done to the log behind a position is not that position's fault."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.collected.v1", 2)
    world.rewrite(place, '"amount_minor":6000', '"amount_minor":6001')
    assert world.audit("verify").exit_code == 1
    assert world.audit("verify", "--at", str(place)).exit_code == 1
    found = world.audit_json("verify", "--at", str(place - 1))
    assert found["ok"]
    assert found["events"] == place - 1
    assert "bank's books are those of now" in found["left_out"][0]


def test_keys_behind_the_moment_are_left_out(world: World) -> None:
    """An idempotency key that leads behind the moment is not held against it."""
    world.launch()
    before, _ = world.log.last()
    world.pledge(world.launch(), 5_000)
    assert world.audit("verify", "--at", str(before)).exit_code == 0


def test_replays_up_to_a_moment_agree(world: World) -> None:
    """The views as of then have one digest, whoever makes them and however the live ones stand; at
    the moment where the live ones stand they are compared, and the digest is the same.
    """
    world.succeed(5_000, 6_000)
    then, _ = world.log.last()
    world.project()
    compared = world.audit_json("replay", "--at", str(then))
    assert compared["identical"]
    world.pay_out(world.succeed(7_000, 8_000))
    world.project(batch=3)
    alone = world.audit_json("replay", "--at", str(then))
    assert not alone["compared"]
    assert alone["events"] == then
    assert alone["digest"] == compared["digest"]
    assert alone["digests"] == compared["digests"]
    assert world.audit_json("replay", "--at", str(then + 1))["digest"] != alone["digest"]
    result = world.audit("replay", "--at", str(then))
    assert result.exit_code == 0
    assert "The books sum to zero." in result.stdout


def test_a_replay_up_to_a_moment_needs_no_views(world: World) -> None:
    """Whoever has the log alone makes the views, and tells their digest."""
    world.succeed(5_000, 6_000)
    found, _ = replay(world.log_place, world.settings.views_path, moment="9")
    assert found.ok
    assert not found.compared
    assert len(found.digest) == 64


def test_a_contradiction_is_found_up_to_a_moment(world: World) -> None:
    """An event that contradicts those before it stops the views there."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.collected.v1", 2)
    world.rewrite(place, '"no":2', '"no":9')
    assert world.audit("replay", "--at", str(place - 1)).exit_code == 0
    result = world.audit("replay", "--at", str(place))
    assert result.exit_code == 1
    assert f"position {place}" in result.stdout


# --- What is kept --------------------------------------------------------------------------------


def test_the_last_audit_is_kept(tmp_path: Path, database_url: str) -> None:
    """`--keep` writes what was found: the rules, the checkpoint, the replay and its digest."""
    world = TreeWorld(tmp_path, database_url)
    world.lives()
    path = world.settings.last_audit_path
    assert world.audit("verify").exit_code == 0
    assert read_last(path) == LastAudit()
    assert world.audit("verify", "--keep").exit_code == 0
    assert world.audit("replay", "--keep").exit_code == 0
    kept = read_last(path)
    assert kept.verify is not None
    assert kept.verify.ok
    assert kept.verify.tree
    assert kept.verify.position == world.log.last()[0]
    assert kept.verify.checkpoint is not None
    assert kept.verify.checkpoint.root == world.tree.root_at(kept.verify.checkpoint.size).hex()
    assert kept.verify.unopenable == 3
    assert kept.rules == dict.fromkeys(range(1, 14), 0)
    assert kept.others == {}
    assert kept.places == []
    assert kept.replay is not None
    assert kept.replay.identical
    assert (
        kept.replay.digest
        == world.audit_json("replay", "--at", str(kept.replay.position))["digest"]
    )
    place = world.position("pledge.made.v1", 2)
    world.rewrite(place, '"amount_minor":7000', '"amount_minor":7001')
    assert world.audit("verify", "--keep").exit_code == 1
    kept = read_last(path)
    assert kept.verify is not None
    assert not kept.verify.ok
    assert kept.replay is not None, "what was kept of the replay stays"
    assert kept.others["leaf"] == 1
    assert (place, "leaf") in {(each.position, each.rule) for each in kept.places}
    world.close()


def test_only_the_whole_is_kept(world: World) -> None:
    """What was found up to a moment does not stand for the whole."""
    world.launch()
    for command in ("verify", "replay"):
        assert world.audit(command, "--at", "2", "--keep").exit_code == 2
    assert not world.settings.last_audit_path.exists()


@pytest.mark.parametrize("written", [b"", b"{", b"\xff", b'{"verify": 1}', b"[]"])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, written: bytes) -> None:
    """A note of another version, or a damaged one, is as none; the next one replaces it."""
    path = tmp_path / "audit.json"
    path.write_bytes(written)
    assert read_last(path) == LastAudit()
    keep_replay(path, LastReplay(at=1, position=2, identical=True, seconds=0.5, digest="d"))
    keep_verify(path, LastVerify(at=1, position=2, ok=True, violations=0, seconds=0.5), {}, [])
    kept = read_last(path)
    assert kept.replay is not None
    assert kept.verify is not None
    assert [each.name for each in tmp_path.iterdir()] == ["audit.json"]
    assert msgspec.json.decode(path.read_bytes())["rules"]["13"] == 0
