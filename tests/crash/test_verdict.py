"""What the kill harness holds against a log."""

from __future__ import annotations

import pytest

from app.log import LogRow
from bench.crash_clients import Intent
from bench.crash_verdict import faults
from domain.codec import encode
from domain.events import TAGS, PledgeMade
from domain.terms import Line

CAMPAIGN = "00000000-0000-4000-8000-000000000001"
BACKER = "00000000-0000-4000-8000-000000000002"
POSTER = "poster"


def meant(pledge_id: str, made: tuple[int, int] | None = None, *, refused: str = "") -> Intent:
    """A pledge for the poster that a client sent once."""
    return Intent(
        campaign_id=CAMPAIGN,
        pledge_id=pledge_id,
        backer_id=BACKER,
        amount_minor=50_00,
        reward_id=POSTER,
        sent=1,
        made=made,
        refused=refused,
    )


def stored(position: int, pledge_id: str, no: int, amount_minor: int = 50_00) -> LogRow:
    """A pledge for the poster as the log has it."""
    event = PledgeMade(
        stream=f"campaign:{CAMPAIGN}",
        version=no,
        at=0,
        by="staff:1",
        command_id=pledge_id,
        channel="channel",
        no=no,
        pledge_id=pledge_id,
        backer=BACKER,
        amount_minor=amount_minor,
        currency="CNY",
        lines=(Line(POSTER, 1, amount_minor),),
        destination="",
        visibility="hidden",
        payment_method="",
        hold_id="",
        late=False,
    )
    return LogRow(position, event.stream, no, 0, TAGS[PledgeMade], encode(event))


def test_one_and_the_same_story() -> None:
    """Acknowledged is there, unanswered may be there or not, refused is not there."""
    intents = [meant("a", (1, 1)), meant("b"), meant("c"), meant("d", refused="sold_out")]
    assert faults(intents, [stored(1, "a", 1), stored(2, "b", 2)], {POSTER: 2}) == []


@pytest.mark.parametrize(
    ("intents", "rows", "fault"),
    [
        ([meant("a", (1, 1))], [], "pledge a was acknowledged at (1, 1) and is not in the log"),
        (
            [meant("a", (1, 1))],
            [stored(1, "a", 1), stored(2, "a", 2)],
            "pledge a is in the log 2 times",
        ),
        (
            [meant("a"), meant("b", (1, 2))],
            [stored(1, "a", 1), stored(2, "b", 2)],
            "pledge b stands at (2, 2), acknowledged at (1, 2)",
        ),
        (
            [meant("a", refused="sold_out")],
            [stored(1, "a", 1)],
            "pledge a was refused as sold_out and is in the log",
        ),
        ([], [stored(1, "a", 1)], "pledge a was sent by nobody"),
        ([meant("a")], [stored(1, "a", 1, 51_00)], "pledge a is not the one that was sent"),
        ([meant("a")], [stored(2, "a", 1)], "the log: 2 where 1 comes next"),
        (
            [meant("a")],
            [stored(1, "a", 2)],
            f"the pledges of campaign:{CAMPAIGN}: 2 where 1 comes next",
        ),
        (
            [meant(name) for name in "abc"],
            [stored(no, name, no) for no, name in enumerate("abc", 1)],
            "reward poster has 2 pieces and sold 3",
        ),
    ],
)
def test_each_difference_is_named(intents: list[Intent], rows: list[LogRow], fault: str) -> None:
    """Lost, doubled, moved, refused or invented pledges, gaps and overselling are all found."""
    assert fault in faults(intents, rows, {POSTER: 2})


@pytest.mark.parametrize(
    ("answers", "faulty"),
    [
        ([(201, {"no": 1, "position": 4}), (200, {"no": 1, "position": 4})], False),
        ([(503, {"reason": "outcome_unknown"}), (200, {"no": 1, "position": 4})], False),
        ([(201, {"no": 1, "position": 4}), (200, {"no": 2, "position": 4})], True),
        ([(201, {"no": 1, "position": 4}), (201, {"no": 1, "position": 4})], True),
        ([(201, {"no": 1, "position": 4}), (409, {"reason": "sold_out"})], True),
        ([(200, {"no": 1, "position": 4})], True),
        ([(500, {"reason": "failed"})], True),
    ],
)
def test_answers_that_should_not_be(
    answers: list[tuple[int, dict[str, object]]], faulty: bool
) -> None:
    """A client notices a second number, a second 201, a late refusal, and a failure."""
    intent = meant("a")
    intent.sent = 0
    for status, said in answers:
        intent.sent += 1
        intent.hear(status, said)
    assert bool(intent.faults) is faulty
