"""What is remembered of facts that looked fine lets nothing through that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain import events as e
from domain.checks import fields
from domain.checks.fields import check_fields, learn, looks_known
from domain.codec import CorruptEventError, decode, encode
from domain.invariants import Auditor
from tests.domain.scenario import ANNA, CAMPAIGN, an_id, given, live, pledge

GOLDEN = Path(__file__).parent.parent / "golden"
HEX = b"0123456789abcdef"

NEVER_KNOWN: set[str] = set()
"""Facts whose golden bytes hold what a shape cannot promise."""


def alike(body: bytes) -> Iterator[bytes]:
    """Every body of the same shape that differs in one or two places."""
    for place, digit in enumerate(body):
        if digit in HEX:
            for other in (b"0", b"9", b"a", b"f"):
                yield body[:place] + other + body[place + 1 :]


def alike_in_value(body: bytes) -> Iterator[bytes]:
    """The same, with every number of one or more places made 0 or as large as its length allows."""
    said = msgspec.json.decode(body)
    for name, value in said.items():
        if type(value) is int:
            size = len(str(value))
            for other in {0 if size == 1 else 10 ** (size - 1), 10**size - 1}:
                yield msgspec.json.encode({**said, name: other})


def looked_at(event: e.Event) -> set[tuple[int, str]]:
    """What is wrong with a fact, but for the name of its stream, which the auditor looks at."""
    found = check_fields(event)
    return {(f.rule, f.detail) for f in found if f"{type(event).__name__}.stream" not in f.detail}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known from before."""
    for shape in fields._SHAPES.values():
        shape.known.clear()
    fields._words.clear()


@pytest.mark.parametrize("tag", e.EVENT_TYPES)
def test_what_is_known_is_fine(tag: str) -> None:
    """Whatever has the shape of a fact that was fine is fine, or is not taken for known."""
    body = (GOLDEN / f"{tag}.json").read_bytes()
    first = decode(tag, body)
    assert not looks_known(first, body)
    learn(first, body)
    known = 0
    for other in (body, *alike(body), *alike_in_value(body)):
        try:
            event = decode(tag, other)
        except CorruptEventError:
            continue
        if encode(event) == other and looks_known(event, other):
            known += 1
            assert looked_at(event) == set(), other
    assert known > 1 or tag in NEVER_KNOWN


def made(amount_minor: int, pledge_id: int = 900) -> e.PledgeMade:
    """A pledge as a log has it."""
    last = given(*live(), pledge(ANNA, amount_minor)).events[-1]
    assert isinstance(last, e.PledgeMade)
    return msgspec.structs.replace(last, pledge_id=an_id(pledge_id))


def test_most_facts_are_known() -> None:
    """A pledge by somebody else, of another amount as long, need not be looked at again."""
    first, second = made(1_500), made(9_999, 901)
    learn(first, encode(first))
    assert looks_known(second, encode(second))


@pytest.mark.parametrize(
    "change",
    [
        {"by": f"racker:{ANNA}"},
        {"by": "system:demo"},
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"backer": "Anna Almeida"},
        {"destination": "1A"},
        {"currency": "B2L"},
        {"payment_method": "4111 1111 1111 1111"},
    ],
)
def test_other_shapes_are_looked_at(change: dict[str, Any]) -> None:
    """With the bytes at hand the auditor finds what it finds without them."""
    stream = given(*live(), pledge(ANNA, 5)).events
    for amount_minor in (1, 12, 500):
        learn(made(amount_minor), encode(made(amount_minor)))
    forged = msgspec.structs.replace(stream[-1], **change)
    with_bytes, without = Auditor(CAMPAIGN), Auditor(CAMPAIGN)
    for each in stream[:-1]:
        assert with_bytes.feed(each, encode(each)) == without.feed(each) == []
    found = without.feed(forged)
    assert with_bytes.feed(forged, encode(forged)) == found
    assert found or change["by"] == "system:demo"


@pytest.mark.parametrize(
    ("fine", "wrong"),
    [
        ({"amount_minor": 10**12}, {"amount_minor": 10**12 + 1}),
        ({"amount_minor": 1}, {"amount_minor": 0}),
        ({"no": 2**63 - 1}, {"no": 2**63}),
        ({"destination": "US-0A"}, {"destination": "US-aA"}),
    ],
)
def test_what_a_shape_cannot_promise_is_not_remembered(
    fine: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """Both look alike, and one of them breaks a rule."""
    first = msgspec.structs.replace(made(500), **fine)
    second = msgspec.structs.replace(first, **wrong)
    assert check_fields(first) == []
    assert check_fields(second) != []
    learn(first, encode(first))
    assert not looks_known(second, encode(second))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes and words beyond the bound take the place of those before."""
    monkeypatch.setattr(fields, "_MOST_SHAPES", 3)
    for each in (made(10**size) for size in range(1, 9)):
        learn(each, encode(each))
    assert len(fields._SHAPES[e.PledgeMade].known) <= 3
