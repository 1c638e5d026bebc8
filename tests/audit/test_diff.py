"""`audit diff`: what changed between two positions, in words and to the minor unit."""

from __future__ import annotations

import re

import pytest

from app.audit import reader
from domain.terms import DAY_MS
from tests.audit.world import START, World


def test_a_campaigns_changes_are_told_in_words(world: World) -> None:
    """Each kind of event is counted with its amounts, and each number says by how much it moved."""
    campaign_id = world.succeed(5_000, 6_000)
    before, _ = world.log.last()
    world.refund(campaign_id, 1, 1_000)
    world.pay_out(campaign_id)
    last, _ = world.log.last()
    text = world.audit("diff", str(before), str(last)).stdout
    assert "1 refund, BRL 10.00" in text
    assert "1 payout sent" in text
    assert re.search(r"  returned +\+BRL 10.00\n", text)
    found = world.audit_json("diff", str(before), str(last))
    (change,) = found["campaigns"]
    assert change["campaign_id"] == campaign_id
    assert change["currency"] == "BRL"
    assert change["change"]["returned_minor"] == 1_000
    assert found["events"] == last - before


def test_the_whole_log_is_the_sum_of_its_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before the first event the changes are the numbers; two halves add up to the whole."""
    monkeypatch.setattr(reader, "PAGE_ROWS", 3)
    first = world.succeed(5_000, 6_000)
    second = world.launch()
    world.pledge(second, 700)
    last, _ = world.log.last()
    whole = world.audit_json("diff", "0", str(last))
    assert whole["began"] == 2
    assert whole["whole"][0]["change"]["pledged_minor"] == 11_700
    assert whole["whole"][0]["pledges"] == 3
    then = world.audit_json("show", first)
    (change,) = (each for each in whole["campaigns"] if each["campaign_id"] == first)
    for name, amount_minor in change["change"].items():
        assert then["figures"][name] == amount_minor
    sums: dict[str, int] = {}
    for after, until in ((0, last // 2), (last // 2, last)):
        half = world.audit_json("diff", str(after), str(until))
        for each in half["whole"]:
            for name, amount_minor in each["change"].items():
                sums[name] = sums.get(name, 0) + amount_minor
    assert {name: amount for name, amount in sums.items() if amount} == whole["whole"][0]["change"]


def test_one_campaign_says_what_was(world: World) -> None:
    """Of one campaign its numbers are told before and after; the others are left out."""
    campaign_id = world.launch()
    world.pledge(campaign_id, 1_000)
    before, _ = world.log.last()
    world.pledge(campaign_id, 2_500)
    world.pledge(world.launch(), 9_999)
    text = world.audit("diff", str(before), "--campaign", campaign_id, "--", "9").stdout
    assert "from BRL 10.00 to BRL 35.00" in text
    assert "(+1 pledge)" in text
    assert "99.99" not in text


def test_times_are_places_too(world: World) -> None:
    """A time means what was recorded until then."""
    campaign_id = world.launch()
    world.now += DAY_MS
    world.pledge(campaign_id, 1_000)
    found = world.audit_json("diff", "2025-06-15T20:00:00Z", "2025-06-17")
    assert found["events"] == 1
    assert found["after_at"] == START
    assert found["campaigns"][0]["moves"] == {"pledges made": {"count": 1, "amount_minor": 1_000}}


def test_nothing_can_be_asked_backwards(world: World) -> None:
    """The first place comes before the second, and both are in the log."""
    world.launch()
    assert "turn them round" in world.audit("diff", "3", "1").stderr
    assert "the log holds 0 to 3" in world.audit("diff", "0", "4").stderr
    assert world.audit("diff", "1", "1").exit_code == 0
