"""`audit show` and `audit explain`: a campaign as it was, and what a number is made of."""

from __future__ import annotations

import pytest

from app.audit.explain import NUMBERS
from domain import commands as c
from domain.terms import DAY_MS, Reward
from tests.audit.world import World, new_id


def test_a_campaign_is_shown_as_it_is(world: World) -> None:
    """Phase, numbers, stock, pledges, payouts and refunds, with the identity in words."""
    campaign_id = world.succeed(5_000, 6_000)
    world.pay_out(campaign_id)
    world.refund(campaign_id, 1, 1_000)
    text = world.audit("show", campaign_id).stdout
    assert "phase     settled" in text
    assert "charged + owed by the creator + written off = held + paid + fees + returned" in text
    then = world.audit_json("show", campaign_id)
    figures = then["figures"]
    assert then["reconciles"]
    assert (figures["pledged_minor"], figures["charged_minor"]) == (11_000, 11_000)
    assert figures["returned_minor"] == 1_000
    assert then["pledges"] == {"collected": 1, "partly_refunded": 1}
    assert [payout["state"] for payout in then["payouts"]] == ["sent"]
    assert [refund["state"] for refund in then["refunds"]] == ["sent"]
    assert then["position"] == world.log.last()[0]


def test_a_campaign_is_shown_as_it_was(world: World) -> None:
    """At a position, and at a time, only what was recorded by then is there."""
    reward = Reward(reward_id=new_id(), price_minor=2_000, limit=5)
    campaign_id = world.launch(reward=reward)
    world.pledge(campaign_id, 5_000, reward.reward_id)
    middle, _ = world.log.last()
    world.now += DAY_MS
    world.pledge(campaign_id, 6_000, reward.reward_id)
    (stock,) = world.audit_json("show", campaign_id, "--at", str(middle))["rewards"]
    assert (stock["claimed"], stock["limit"]) == (1, 5)
    (stock,) = world.audit_json("show", campaign_id)["rewards"]
    assert stock["claimed"] == 2
    before = world.audit_json("show", campaign_id, "--at", "2025-06-15T15:06:40")  # UTC
    assert before["figures"]["pledged_minor"] == 5_000
    at_last = world.audit_json("show", campaign_id, "--at", "2025-06-16T17:06:40+02:00")
    assert at_last["figures"]["pledged_minor"] == 11_000
    assert "3 of 5 left" in world.audit("show", campaign_id).stdout


def test_a_campaign_may_be_named_by_its_beginning(world: World) -> None:
    """A beginning that only one id has names it; one that several have does not."""
    ids = {world.launch() for _ in range(20)}
    shared = next(first for first in "0123456789abcdef" if len(_starting(ids, first)) > 1)
    assert world.audit("show", shared).exit_code == 2
    one = min(ids)
    assert world.audit_json("show", one[:18])["campaign_id"] == one


def _starting(ids: set[str], text: str) -> list[str]:
    return [each for each in ids if each.startswith(text)]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["nobody"], "There is no campaign 'nobody'"),
        (["{}", "--at", "99"], "There is no position 99: the log holds 1 to 3."),
        (["{}", "--at", "0"], "There is no position 0"),
        (["{}", "--at", "yesterday"], "neither a position nor a time"),
        (["{}", "--at", "2001-01-01"], "had not begun"),
    ],
)
def test_what_cannot_be_answered_is_said(world: World, arguments: list[str], answer: str) -> None:
    """A question without an answer ends with a sentence and exit code 2."""
    campaign_id = world.launch()
    result = world.audit("show", *(word.format(campaign_id) for word in arguments))
    assert result.exit_code == 2
    assert answer in result.stderr
    assert result.stdout == ""


def test_a_missing_event_is_not_passed_over(world: World) -> None:
    """A campaign with a hole in its stream is not shown as if it had none."""
    campaign_id = world.succeed(5_000, 6_000)
    world.tamper("DELETE FROM events WHERE position = ?", world.position("pledge.made.v1"))
    result = world.audit("show", campaign_id)
    assert result.exit_code == 2
    assert "has no version 4" in result.stderr


def test_a_contradiction_is_not_passed_over(world: World) -> None:
    """An event about a pledge that was never made ends with its position."""
    campaign_id = world.succeed(5_000, 6_000)
    place = world.position("pledge.collected.v1")
    world.rewrite(place, '"no":1', '"no":9')
    result = world.audit("show", campaign_id)
    assert result.exit_code == 2
    assert f"position {place} contradicts" in result.stderr


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_is_the_sum_of_its_changes(world: World, number: str) -> None:
    """The changes add up to the total, step by step, and the total is what `show` shows."""
    campaign_id = world.succeed(5_000, 6_000)
    world.pay_out(campaign_id)
    world.refund(campaign_id, 1, 1_000)
    shown = world.audit_json("show", campaign_id)["figures"][f"{number}_minor"]
    told = world.audit_json("explain", campaign_id, number)
    running = 0
    for change in told["changes"]:
        running += change["change_minor"]
        assert change["total_minor"] == running
    assert told["total_minor"] == running == shown
    assert f"{len(told['changes']):,} events" in world.audit("explain", campaign_id, number).stdout


def test_a_number_is_explained_as_it_was(world: World) -> None:
    """Up to a position, with the pledge that each event is about."""
    campaign_id = world.launch()
    world.pledge(campaign_id, 5_000)
    middle, _ = world.log.last()
    world.pledge(campaign_id, 6_000)
    told = world.audit_json("explain", campaign_id, "pledged", "--at", str(middle))
    assert [change["no"] for change in told["changes"]] == [1]
    assert told["total_minor"] == 5_000


def test_a_withdrawal_is_part_of_what_is_pledged(world: World) -> None:
    """A pledge that leaves takes its amount out of the number, visibly."""
    campaign_id = world.launch()
    world.pledge(campaign_id, 5_000)
    pledge_id = new_id()
    made = world.pledge(campaign_id, 6_000, pledge_id=pledge_id)
    world.do(c.WithdrawPledge, campaign_id, made.events[0].by, pledge_id=pledge_id)
    told = world.audit_json("explain", campaign_id, "pledged")
    kinds = [(change["kind"], change["change_minor"]) for change in told["changes"]]
    assert kinds[-1] == ("pledge.withdrawn.v1", -6_000)
    assert told["total_minor"] == 5_000
