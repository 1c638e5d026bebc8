"""Which words may enter a fact, and which terms a channel may propose."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain import ids
from domain.lifecycle import submission_faults
from domain.terms import (
    MAX_AT,
    MAX_PIECES,
    Milestone,
    Need,
    Reward,
    ShippingFee,
    Terms,
)
from tests.domain.scenario import (
    ANNA,
    FIRST_HALF,
    HASH,
    MILESTONES,
    MUG,
    START,
    THE_BOOK,
    THE_MUG,
    VENUE,
    a_submission,
)

ID = "01890a5d-ac96-474b-8cce-b302099a8057"


@pytest.mark.parametrize(
    ("word", "text", "fine"),
    [
        ("id", ID, True),
        ("id", ID.upper(), False),
        ("id", ID.replace("-", ""), False),
        ("id", f"{ID}\n", False),
        ("id", "anna", False),
        ("code", "insufficient_funds", True),
        ("code", "x", True),
        ("code", "a" * 40, True),
        ("code", "a" * 41, False),
        ("code", "Insufficient funds", False),
        ("code", "1st", False),
        ("code", "", False),
        ("text_hash", HASH, True),
        ("text_hash", "", True),
        ("text_hash", HASH[:-1], False),
        ("text_hash", HASH.upper(), False),
        ("region", "BR", True),
        ("region", "US-AK", True),
        ("region", "GB-ENG", True),
        ("region", "*", True),
        ("region", "Brazil", False),
        ("region", "br", False),
        ("region", "", False),
        ("reference", "ch_3Kx.9:/-A", True),
        ("reference", "", True),
        ("reference", "x" * 128, True),
        ("reference", "x" * 129, False),
        ("reference", "paid by Anna", False),
        ("reference", "anna@example.org", False),
        ("actor", f"backer:{ID}", True),
        ("actor", f"treasurer:{ID}", True),
        ("actor", "system:deadlines", True),
        ("actor", "provider:test_bank", True),
        ("actor", "backer:anna", False),
        ("actor", f"system:{ID}", False),
        ("actor", f"friend:{ID}", False),
        ("actor", f"backer:{ID}:{ID}", False),
        ("actor", ID, False),
    ],
)
def test_which_words_may_enter_a_fact(word: str, text: str, fine: bool) -> None:
    """Ids, codes, hashes, regions, references and actors have one form each."""
    assert getattr(ids, f"is_{word}")(text) is fine


def test_an_actor_is_a_role_and_a_party() -> None:
    """The parts of `by`."""
    assert ids.role_of(f"backer:{ID}") == "backer"
    assert ids.party_of(f"backer:{ID}") == ID


def test_plain_terms_can_be_agreed_to() -> None:
    """The terms that nobody has changed are fine."""
    assert Terms().faults("all_or_nothing") == []
    assert Terms(collect_at="pledge").faults("flexible") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"platform_fee_bps": 4_801}, "fees"),
        ({"processing_fee_bps": -1}, "fees"),
        ({"reserve_bps": 10_001}, "reserve"),
        ({"grace_days": -1}, "periods"),
        ({"retry_after_days": (1, 4_000)}, "periods"),
        ({"payout_delay_days": 3_651}, "periods"),
        ({"retry_after_days": (3, 1)}, "order of their days"),
    ],
)
def test_terms_that_nobody_can_agree_to(change: dict[str, Any], says: str) -> None:
    """Each fault is told in a sentence of its own."""
    (fault,) = Terms(**change).faults("all_or_nothing")
    assert says in fault


def test_a_flexible_campaign_collects_at_the_pledge() -> None:
    """There is nothing to wait for."""
    (fault,) = Terms().faults("flexible")
    assert "collects at the pledge" in fault


@pytest.mark.parametrize(
    ("destination", "fee_minor"),
    [("BR", 200), ("BR-SP", 200), ("US", 900), ("US-AK", 1_500), ("US-CA", 900), ("CN", None)],
)
def test_the_nearest_region_names_the_shipping(destination: str, fee_minor: int | None) -> None:
    """A subdivision has its own fee, else its country's; what is not named is not sent to."""
    assert THE_BOOK.shipping_minor(destination) == fee_minor


def test_every_other_region_has_a_fee_where_it_is_named() -> None:
    """`*` covers what is not named."""
    anywhere = replace(THE_BOOK, shipping=(ShippingFee("*", 3_000), ShippingFee("BR", 200)))
    assert anywhere.shipping_minor("CN") == 3_000
    assert anywhere.shipping_minor("BR-SP") == 200


def test_a_plain_submission_has_no_fault() -> None:
    """What the tests hand in is fit, with milestones too."""
    assert submission_faults(a_submission(milestones=MILESTONES), START) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"currency": "XTS"}, "ISO 4217"),
        ({"goal_minor": 0}, "goal"),
        ({"goal_minor": 10**12 + 1}, "goal"),
        ({"deadline_at": START}, "deadline"),
        ({"deadline_at": MAX_AT + 1}, "deadline"),
        ({"creator": "Anna"}, "party ids"),
        ({"team": ("Ben",)}, "party ids"),
        ({"team": (ANNA,) * 51}, "at most 50"),
        ({"text": "our story"}, "content hash"),
        ({"rewards": (THE_MUG, THE_MUG)}, "unique"),
        ({"rewards": (replace(THE_MUG, reward_id=VENUE),)}, "unique"),
        ({"rewards": (replace(THE_MUG, price_minor=0),)}, "price"),
        ({"rewards": (replace(THE_MUG, limit=0),)}, "limit"),
        ({"rewards": (replace(THE_MUG, limit=MAX_PIECES + 1),)}, "limit"),
        ({"rewards": (replace(THE_MUG, delivery_at=MAX_AT + 1),)}, "delivery"),
        ({"rewards": (replace(THE_MUG, text="a mug"),)}, "content hash"),
        ({"rewards": (replace(THE_MUG, reward_id="mug"),)}, "id"),
        ({"rewards": (replace(THE_MUG, shipping=(ShippingFee("br", 1),)),)}, "country code"),
        ({"rewards": (replace(THE_MUG, shipping=(ShippingFee("BR", -1),)),)}, "shipping fee"),
        ({"rewards": (replace(THE_MUG, shipping=(ShippingFee("BR", 1),) * 2),)}, "once"),
        ({"needs": (Need(need_id=VENUE, quantity=0),)}, "need"),
        ({"needs": (Need(need_id=VENUE, quantity=1, text="a hall"),)}, "need"),
        ({"milestones": MILESTONES[:1]}, "10,000"),
        ({"milestones": (Milestone(milestone_id="first", share_bps=10_000),)}, "milestone"),
        ({"milestones": (replace(MILESTONES[0], milestone_id=MUG), MILESTONES[1])}, "unique"),
    ],
)
def test_what_keeps_a_submission_from_being_handed_in(change: dict[str, Any], says: str) -> None:
    """Each fault is told in a sentence."""
    faults = submission_faults(a_submission(**change), START)
    assert any(says in fault for fault in faults), faults


def test_a_campaign_has_a_bounded_number_of_parts() -> None:
    """A submission is one fact and has to stay one that can be read."""
    many = tuple(Reward(reward_id=f"{n:08x}{ID[8:]}", price_minor=1) for n in range(501))
    faults = submission_faults(a_submission(rewards=many, needs=()), START)
    assert any("at most 500" in fault for fault in faults)


def test_a_milestone_of_nothing_is_none() -> None:
    """Shares are positive and come to the whole."""
    shares = (replace(MILESTONES[0], share_bps=10_000), replace(MILESTONES[1], share_bps=0))
    assert shares[0].milestone_id == FIRST_HALF
    assert submission_faults(a_submission(milestones=shares), START) != []
