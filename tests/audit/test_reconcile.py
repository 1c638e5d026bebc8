"""Our books against the test bank's: every movement, one by one, and the balances."""

from __future__ import annotations

from typing import Any

import pytest

from app.payments.port import DisputeOpened, PayOutReturned, Succeeded
from app.payments.test_bank import cards
from domain import commands as c
from tests.audit.world import World, new_id


@pytest.fixture
def world(world_in_files: World) -> World:
    """The bank's books are the same whatever keeps the log."""
    return world_in_files


def provider_sentences(world: World) -> list[str]:
    """What verify finds between our books and the bank's; nothing else may be found."""
    violations = world.audit_json("verify")["violations"]
    assert {violation["rule"] for violation in violations} <= {"provider"}
    return [violation["sentence"] for violation in violations]


def in_flight(world: World) -> list[str]:
    """What verify names as in flight, where all is well."""
    result = world.audit_json("verify")
    assert result["ok"]
    return [movement["sentence"] for movement in result.get("in_flight", [])]


def test_a_dropped_charge_is_found(world: World) -> None:
    """A charge that the bank has lost is named as ours alone, and the balances differ."""
    world.succeed(5_000, 6_000)
    world.tamper_with_bank("DELETE FROM line WHERE no = 2", "DELETE FROM operation WHERE no = 2")
    found = provider_sentences(world)
    assert any(
        "Our books have TB2 (collected) of BRL 59.40, the bank's do not." in s for s in found
    )
    assert any(
        "Clearing is BRL 108.90 in our books, and BRL 49.50 in the bank's" in s for s in found
    )


def test_a_dropped_operation_is_found(world: World) -> None:
    """A line whose operation the bank has lost is named, and so is its lost key."""
    world.succeed(5_000, 6_000)
    world.tamper_with_bank("DELETE FROM operation WHERE no = 1")
    found = provider_sentences(world)
    assert any("line 1 is of no operation" in sentence for sentence in found)
    assert any("has key" in sentence for sentence in found)


def test_another_amount_is_found(world: World) -> None:
    """A charge of another amount in the bank's books is named with both amounts."""
    world.succeed(5_000, 6_000)
    world.tamper_with_bank(
        "UPDATE line SET amount_minor = 5100, card_holders = -5100, clearing = 5050 WHERE no = 1",
        "UPDATE operation SET amount_minor = 5100 WHERE no = 1",
    )
    found = provider_sentences(world)
    assert any("amount 5000 in our books, 5100 in theirs" in sentence for sentence in found)


def test_a_charge_nobody_asked_for_is_found(world: World) -> None:
    """What the bank charged under a key that no pledge waits for is the bank's alone."""
    campaign_id = world.succeed(5_000, 6_000)
    world.charge_at_bank(campaign_id, 7, 4_200)
    found = provider_sentences(world)
    assert len([s for s in found if "The bank has TB3 (collected) of BRL 42.00" in s]) == 1


def test_a_charge_under_way_is_in_flight(world: World) -> None:
    """What was asked for, charged, and not recorded yet is named, and is no violation."""
    campaign_id = world.launch(collect_at_pledge=True)
    world.pledge(campaign_id, 5_000)
    world.charge(campaign_id, 1, 5_000)
    (sentence,) = in_flight(world)
    assert "TB1 (collected) of BRL 50.00" in sentence
    assert "its outcome is not in our books yet" in sentence


def test_a_refund_under_way_is_in_flight(world: World) -> None:
    """A refund whose answer was lost is named, and is no violation."""
    campaign_id = world.succeed(5_000, 6_000)
    world.refund(campaign_id, 1, 1_000, recorded=False)
    (sentence,) = in_flight(world)
    assert "TB3 (refunded) of BRL 10.00" in sentence


def test_a_payout_under_way_is_in_flight(world: World) -> None:
    """A payout whose answer was lost is named, and is no violation."""
    campaign_id = world.succeed(5_000, 6_000)
    world.pay_out(campaign_id, recorded=False)
    (sentence,) = in_flight(world)
    assert "TB3 (paid_out) of BRL 102.30" in sentence


def test_a_charge_never_sent_is_no_violation(world: World) -> None:
    """What was asked for, and never reached the bank, leaves the books equal."""
    campaign_id = world.launch(collect_at_pledge=True)
    world.pledge(campaign_id, 5_000)
    world.do(c.RequestCollection, campaign_id, no=1, attempt=1)
    assert in_flight(world) == []


def test_a_dispute_is_in_flight_until_it_was_told(world: World) -> None:
    """A dispute that the bank has not told of is in flight; one that it told and our books lack is
    a violation.
    """
    campaign_id = world.launch(collect_at_pledge=True)
    world.pledge(campaign_id, 5_000)
    world.collect(campaign_id, 1, 5_000, "dispute")
    world.now += 10_000
    assert world.bank.run_due(world.now) == 1
    (sentence,) = in_flight(world)
    assert "TBD1 (dispute_opened) of BRL 50.00" in sentence
    assert "it has not told us yet" in sentence
    (news,) = world.bank.due_notifications(world.now)
    world.bank.mark_delivered(news.no, world.now)
    assert any("TBD1 (dispute_opened)" in sentence for sentence in provider_sentences(world))
    dispute, _ = world.bank.disputes()[0]
    told = world.bank.parse_notification(news.headers, news.body)[0]
    assert isinstance(told, DisputeOpened)
    facts: dict[str, Any] = {
        "by": "provider:test_bank",
        "provider": "test_bank",
        "no": 1,
        "dispute_id": told.dispute_id,
        "amount_minor": 5_000,
    }
    world.do(c.RecordDisputeOpened, campaign_id, **facts)
    assert in_flight(world) == []
    world.bank.decide_dispute(dispute.dispute_id, world.now, won=False)
    world.do(c.RecordDisputeLost, campaign_id, **facts, fee_minor=1_500)
    assert in_flight(world) == []


def test_an_unexpected_charge_and_its_way_back(world: World) -> None:
    """Money that fits nothing is in suspense in our books, and equal at the bank; on its way back
    it is in flight.
    """
    campaign_id = world.succeed(5_000, 6_000)
    charged = world.charge_at_bank(campaign_id, 7, 4_200)
    recorded = world.do(
        c.RecordCollected,
        campaign_id,
        "provider:test_bank",
        no=7,
        attempt=1,
        amount_minor=4_200,
        provider="test_bank",
        reference=charged.reference,
        provider_fee_minor=charged.fee_minor,
    )
    assert in_flight(world) == []
    discrepancy_id = recorded.events[0].command_id
    world.do(
        c.ResolveDiscrepancy, campaign_id, discrepancy_id=discrepancy_id, resolution="returned"
    )
    (sentence,) = in_flight(world)
    assert "goes back; the bank has not moved it" in sentence


def test_an_unexpected_dispute_is_equal(world: World) -> None:
    """A dispute over money that fits nothing changes suspense, not what is kept back in our books;
    the balances are equal all the same.
    """
    campaign_id = world.succeed(5_000, 6_000)
    charged = world.charge_at_bank(campaign_id, 7, 4_200, "dispute")
    provider: dict[str, Any] = {"by": "provider:test_bank", "provider": "test_bank"}
    world.do(
        c.RecordCollected,
        campaign_id,
        **provider,
        no=7,
        attempt=1,
        amount_minor=4_200,
        reference=charged.reference,
        provider_fee_minor=charged.fee_minor,
    )
    world.now += 10_000
    world.bank.run_due(world.now)
    dispute: dict[str, Any] = {"no": 7, "dispute_id": "TBD1", "amount_minor": 4_200}
    world.do(c.RecordDisputeOpened, campaign_id, **provider, **dispute)
    assert in_flight(world) == []
    world.bank.decide_dispute("TBD1", world.now, won=False)
    world.do(c.RecordDisputeLost, campaign_id, **provider, **dispute, fee_minor=1_500)
    assert in_flight(world) == []


def test_a_returned_payout_is_matched(world: World) -> None:
    """A payout that comes back is in flight until the bank has told us, then agrees."""
    campaign_id = world.succeed(5_000, 6_000)
    payout_id = world.pay_out(campaign_id, cards.ACCOUNT_RETURNED)
    world.now += 10_000
    world.bank.run_due(world.now)
    (sentence,) = in_flight(world)
    assert "(pay_out_returned)" in sentence
    (news,) = world.bank.due_notifications(world.now)
    told = world.bank.parse_notification(news.headers, news.body)[0]
    assert isinstance(told, PayOutReturned)
    world.do(
        c.RecordPayoutReturned,
        campaign_id,
        "provider:test_bank",
        payout_id=payout_id,
        amount_minor=told.amount_minor,
        provider="test_bank",
        reference=told.id,
    )
    world.bank.mark_delivered(news.no, world.now)
    assert in_flight(world) == []


def test_a_repayment_is_matched(world: World) -> None:
    """What a creator transfers in waits until staff book it, then agrees."""
    campaign_id = world.succeed(5_000, 6_000)
    world.pay_out(campaign_id)
    world.refund(campaign_id, 1, 2_000)
    assert in_flight(world) == []
    outcome = world.bank.transfer_in(f"from-{new_id()}", 1_000, "BRL", world.now)
    assert isinstance(outcome, Succeeded)
    (sentence,) = in_flight(world)
    assert "staff have not booked it yet" in sentence
    world.do(
        c.RecordRepayment,
        campaign_id,
        amount_minor=1_000,
        provider="test_bank",
        reference=outcome.reference,
    )
    assert in_flight(world) == []


def test_a_charge_recorded_twice_is_found(world: World) -> None:
    """One movement of the bank cannot be two in our books."""
    campaign_id = world.succeed(5_000, 6_000)
    place = world.position("pledge.collected.v1", 2)
    world.rewrite(place, '"TB2"', '"TB1"')
    found = provider_sentences(world)
    assert "What the bank calls TB1 (collected) is in our books 2 times." in found
    assert any("The bank has TB2 (collected)" in sentence for sentence in found)
    assert campaign_id in world.audit("verify").stdout


def test_without_the_bank_the_log_is_verified(world: World) -> None:
    """A log alone, as an auditor may have been given it, is checked for all but the bank."""
    world.succeed(5_000, 6_000)
    world.bank.close()
    for path in world.settings.data_dir.glob("test_bank.db*"):
        path.unlink()
    assert in_flight(world) == []
