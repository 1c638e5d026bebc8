"""What was done to an erased person's events afterwards, as `audit verify` tells by seals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.audit import share
from app.audit.tree import TreeCheck
from app.audit.verify import Verified, describe, verify
from domain import commands as c
from tests.audit.tree_world import TreeWorld


@pytest.fixture
def lived(tmp_path: Path, database_url: str) -> Iterator[TreeWorld]:
    """Whole lives, in which one backer was erased, on both databases in turn."""
    made = TreeWorld(tmp_path, database_url)
    made.lives()
    yield made
    made.close()


def kinds(found: Verified) -> dict[str, list[int | None]]:
    """The positions of what was found, by kind."""
    places: dict[str, list[int | None]] = {}
    for finding in found.violations:
        places.setdefault(finding.rule, []).append(finding.position)
    return places


def another(lived: TreeWorld, position: int, field: str) -> None:
    """Rewrite an id in a stored event."""
    was = msgspec.json.decode(lived.body(position))[field]
    lived.rewrite(position, was, f"{was[:-1]}{'1' if was[-1] == '0' else '0'}")


PLEDGE = 4
"""Which pledge of the log is the erased backer's."""


@pytest.mark.parametrize("field", ["pledge_id", "command_id", "payment_method"])
def test_a_private_part_that_was_rewritten_is_found(lived: TreeWorld, field: str) -> None:
    """Nobody can open the leaf any more, and the seal tells all the same, and where."""
    place = lived.position("pledge.made.v1", PLEDGE)
    another(lived, place, field)
    found = lived.verified()
    assert kinds(found) == {"erasure": [lived.position("subject.erased.v1")]}
    last = lived.position("pledge.collected.v1", 3)
    assert f"one of 3 in positions {place} to {last}" in found.violations[0].sentence


def test_without_the_seal_nothing_tells(lived: TreeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is why there is one: neither rules nor leaves see what was rewritten."""
    another(lived, lived.position("pledge.made.v1", PLEDGE), "pledge_id")
    monkeypatch.setattr(TreeCheck, "_check_erased", lambda *_: None)
    assert lived.verified(*lived.outside).ok


def test_a_later_event_of_the_pledge_is_sealed_with_it(lived: TreeWorld) -> None:
    """What names only the pledge's number is about its backer."""
    place = lived.position("pledge.collected.v1", 3)
    assert msgspec.json.decode(lived.body(place))["no"] == 4
    another(lived, place, "command_id")
    assert kinds(lived.verified()) == {"erasure": [lived.position("subject.erased.v1")]}


def test_a_seal_that_was_rewritten_is_told_by_its_leaf(lived: TreeWorld) -> None:
    """The erasure is about nobody: its leaf can be made again."""
    place = lived.position("subject.erased.v1")
    another(lived, place, "seal")
    assert kinds(lived.verified()) == {"leaf": [place], "erasure": [place]}


def test_seals_are_counted(lived: TreeWorld) -> None:
    """So that it is known what was checked: also those who have none."""
    assert "1 seal over the events of erased persons was checked." in describe(lived.verified())
    unsealed, nobody = lived.backer(), lived.backer()
    lived.pledge(lived.launch(), 700, backer=unsealed)
    lived.erase(unsealed, sealed=False)
    lived.erase(nobody)
    lived.grow()
    found = lived.verified()
    assert found.ok
    assert found.tree is not None
    assert (found.tree.seals, found.tree.unsealed) == (1, 1)
    assert any(
        line.startswith("1 erased persons' events carry no seal") for line in describe(found)
    )


def test_without_the_secret_it_is_said(lived: TreeWorld) -> None:
    """Who has no log secret cannot make a seal again; persons' keys are not needed."""
    another(lived, lived.position("pledge.made.v1", PLEDGE), "pledge_id")
    place = lived.place()
    found = lived.verified(place=msgspec.structs.replace(place, log_secret=b""))
    assert found.ok
    assert any("no seal over an erased person's events" in said for said in found.left_out)
    found = lived.verified(place=msgspec.structs.replace(place, master=b""))
    assert kinds(found) == {"erasure": [lived.position("subject.erased.v1")]}


def test_events_after_the_erasure_are_not_held_to_it(lived: TreeWorld) -> None:
    """What happens to a pledge that stands breaks no seal; nor do events that have no leaf yet."""
    backer, campaign = lived.backer(), lived.launch()
    lived.pledge(campaign, 700, backer=backer)
    lived.erase(backer)
    lived.do(c.CancelCampaign, campaign, cause="creator_wish")
    assert lived.verified().ok
    lived.grow()
    found = lived.verified(*lived.outside)
    assert found.ok
    assert found.tree is not None
    assert found.tree.seals == 2


def test_an_event_after_the_erasure_is_held_by_its_leaf(lived: TreeWorld) -> None:
    """It is about nobody any more: its commitment is under the log's secret, and can be opened."""
    backer, campaign = lived.backer(), lived.launch()
    pledge_id = lived.pledge(campaign, 700, backer=backer).events[0].pledge_id
    lived.grow()
    lived.erase(backer)
    gone = lived.do(c.WithdrawPledge, campaign, f"backer:{backer}", pledge_id=pledge_id)
    lived.grow()
    clean = lived.verified(*lived.outside)
    assert clean.ok
    another(lived, gone.position, "command_id")
    assert kinds(lived.verified(*lived.outside)) == {"leaf": [gone.position]}


def test_every_share_gives_what_it_has(lived: TreeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's campaigns lie in several shares, the erasure in another one; in any number of
    processes the same is found.
    """
    backer = lived.backer()
    for amount_minor in (500, 600, 700):
        lived.pledge(lived.launch(), amount_minor, backer=backer)
    lived.erase(backer)
    lived.grow()
    monkeypatch.setattr(share, "SHARE_EVENTS", 7)
    assert lived.verified().ok
    another(lived, lived.position("pledge.made.v1", 8), "command_id")
    found = lived.verified()
    assert kinds(found) == {"erasure": [lived.position("subject.erased.v1", 2)]}
    paths = (lived.log_place, lived.settings.test_bank_path)
    assert verify(*paths, workers=3, tree=lived.place())[0] == found
