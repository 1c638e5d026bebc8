"""What of an event is public, and that its sums are the published numbers."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.public_part import (
    NEEDS_CURRENCY,
    Change,
    PublicPart,
    PublicPartError,
    Totals,
    moves_money,
    parse_public_part,
    pledged_bytes,
    public_part,
)
from domain import events as e
from domain.codec import decode
from domain.figures import Figures, apply
from domain.ids import ROLES
from tests.projections.history import part_of_the_examples, some_history

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(tag: str) -> e.AnyEvent:
    """An event of each kind, as it is stored."""
    return decode(tag, (GOLDEN / f"{tag}.json").read_bytes())


def test_it_is_written_in_one_way() -> None:
    """The bytes that are committed to and published."""
    event = golden("pledge.made.v1")
    assert public_part(event, "").encode() == (
        b'{"campaign":"00000001-5a1d-4c0f-8e2b-000000001eef","currency":"BRL",'
        b'"day":"2023-11-14","changes":[["pledged",2500,1]]}'
    )


def test_other_spellings_are_refused() -> None:
    """Spaces, another order, another kind: whoever checks an opening reads one text only."""
    good = b'{"campaign":"","currency":"EUR","day":"2026-11-24","changes":[["fee",1,0]]}'
    assert parse_public_part(good) == PublicPart("", "EUR", "2026-11-24", (Change("fee", 1, 0),))
    for wrong in (
        good.replace(b":", b": "),
        b'{"currency":"EUR","campaign":"","day":"2026-11-24","changes":[]}',
        good.replace(b"fee", b"gift"),
        good.replace(b"[[", b"[[[").replace(b"]]", b"]]]"),
        good[:-1] + b',"name":"x"}',
        good.replace(b'"fee",1,0', b'"fee",1.0,0'),
        b"\xff",
    ):
        with pytest.raises(PublicPartError):
            parse_public_part(wrong)


@pytest.mark.parametrize(
    ("tag", "changes"),
    [
        ("pledge.made.v1", [("pledged", 2500, 1)]),
        ("pledge.withdrawn.v1", "withdrawn"),
        ("pledge.dropped.v1", "withdrawn"),
        ("pledge.released.v1", "withdrawn"),
        ("campaign.submitted.v1", []),
        ("collection.requested.v1", []),
        ("payout.approved.v1", []),
        ("discrepancy.recorded.v1", []),
    ],
)
def test_a_kind_of_event_has_its_kind_of_change(tag: str, changes: object) -> None:
    """Whoever left and why is not told apart; what moved nothing has no change and no currency."""
    event = golden(tag)
    part = public_part(event, "BRL")
    if isinstance(changes, str):
        assert [(c.kind, c.pledges) for c in part.changes] == [(changes, -1)]
        assert part.changes[0].minor == -event.amount_minor  # type: ignore[union-attr]
    else:
        assert [tuple(json.loads(msgspec.json.encode(c))) for c in part.changes] == changes
    assert part.currency == ("BRL" if part.changes else "")


def test_the_short_way_writes_the_same_bytes() -> None:
    """The template for new pledges, which is made for speed, against the encoder."""
    event = golden("pledge.made.v1")
    assert isinstance(event, e.PledgeMade)
    for amount, currency, at in ((1, "JPY", 0), (10**12, "KWD", 4_102_444_799_999)):
        other = msgspec.structs.replace(event, amount_minor=amount, currency=currency, at=at)
        assert pledged_bytes(other) == public_part(other, "").encode()


def test_what_needs_a_currency_is_known() -> None:
    """A fact that moves money and does not say in which currency takes it from the launch."""
    names = {cls.__name__ for cls in NEEDS_CURRENCY}
    assert names == {
        "PledgeRevised",
        "PledgeWithdrawn",
        "PledgeDropped",
        "PledgeReleased",
        "CampaignFailed",
        "CampaignCancelled",
    }


@part_of_the_examples(4)
@given(seed=st.integers(0, 2**32))
def test_the_sums_of_public_parts_are_the_campaigns_numbers(seed: int) -> None:
    """After every event of every campaign: anybody who adds up openings has the five numbers."""
    history = some_history(Random(seed))
    totals: dict[str, Totals] = {}
    figures: dict[str, Figures] = {}
    for row in history.log.rows:
        event = decode(row.tag, row.body)
        mine = totals.setdefault(event.stream, Totals())
        theirs = figures.setdefault(event.stream, Figures())
        part = parse_public_part(public_part(event, "BRL").encode())
        mine.add(part)
        apply(theirs, event)
        assert moves_money(event) or not part.changes
        assert (
            mine.pledged,
            mine.pledges,
            mine.charged,
            mine.held,
            mine.paid,
            mine.returned,
            mine.fees,
            mine.owed,
            mine.written_off,
        ) == (
            theirs.pledged_minor,
            theirs.pledges,
            theirs.charged_minor,
            theirs.held_minor,
            theirs.paid_minor,
            theirs.returned_minor,
            theirs.fees_minor,
            theirs.owed_minor,
            theirs.written_off_minor,
        )


def test_every_rule_is_met_in_some_history() -> None:
    """The property above sees every kind of change."""
    seen = set()
    for seed in range(12):
        for row in some_history(Random(seed), steps=500).log.rows:
            seen |= {change.kind for change in public_part(decode(row.tag, row.body), "").changes}
    assert seen == {
        "pledged",
        "revised",
        "withdrawn",
        "collected",
        "returned",
        "fee",
        "paid_out",
        "owed",
        "written_off",
    }


@pytest.mark.parametrize("tag", sorted(e.EVENT_TYPES))
def test_nobody_is_named(tag: str) -> None:
    """No id of a person, pledge or command and no role is in a public part."""
    event = golden(tag)
    text = public_part(event, "BRL").encode().decode()
    own = json.loads((GOLDEN / f"{tag}.json").read_text())
    campaign = own["stream"].partition(":")[2]
    ids = [value for value in own.values() if isinstance(value, str) and len(value) == 36]
    for found in [*ids, *(f"{role}:" for role in ROLES)]:
        assert found == campaign or found not in text
