"""A receipt proves what it says, with the log's key alone; anything changed in it is refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from app.transparency.merkle import leaf_hash
from app.transparency.note import COSIGNATURE, SigningKey, VerifierKey
from app.transparency.receipt_check import Verdict, check_receipt, leaf_of, read_receipt
from app.transparency.receipt_extra import ExtraError, parse_extra
from domain.events import EVENT_TYPES
from tests.transparency.receipt_making import (
    GOLDEN,
    LOG,
    OTHER_LOG,
    PLACE,
    TOLD_TAGS,
    WITNESSES,
    Case,
    damaged,
    golden,
    good,
    lies,
    opening,
    receipt,
    seeded,
    short_of,
)

KEY = LOG.verifier
NAMED = [one.verifier for one in WITNESSES]


def failing(verdict: Verdict) -> list[str]:
    """The points that do not hold."""
    return [point.name for point in verdict.points if point.ok is False]


@pytest.mark.parametrize("tag", TOLD_TAGS)
def test_every_kind_of_receipt_is_proved(tag: str) -> None:
    """The whole form and the short one, with and without witnesses named."""
    for short in (False, True):
        verdict = check_receipt(good(tag, short=short), KEY, NAMED)
        assert verdict.proved, verdict.points
        assert verdict.facts is not None
        assert verdict.facts.event == (None if short else golden(tag))
        assert [one.key for one in verdict.facts.witnessed] == NAMED
        assert check_receipt(good(tag, short=short), KEY).proved


def test_the_short_form_says_that_it_is_closed() -> None:
    """It proves its public part, and does not claim to have looked at the fact."""
    *_, last = check_receipt(good(short=True), KEY).points
    assert (last.name, last.ok, last.reason) == ("event", None, "closed")


@pytest.mark.parametrize("case", damaged(), ids=lambda case: case.name)
def test_what_was_changed_is_refused_at_its_point(case: Case) -> None:
    """Two hundred changes; those that change nothing that is signed are let through."""
    verdict = check_receipt(case.text, KEY, NAMED)
    assert verdict.proved is (case.fails == "")
    if case.fails not in {"", "any"}:
        assert case.fails in failing(verdict)


@pytest.mark.parametrize("case", lies(), ids=lambda case: case.name)
def test_a_log_that_lies_about_a_fact_is_found(case: Case) -> None:
    """Signed and included, and still refused: the fact and its public part do not agree."""
    verdict = check_receipt(case.text, KEY, NAMED)
    assert failing(verdict) == ["event"]
    assert verdict.points[-1].reason == case.name


def test_nothing_in_the_receipt_is_trusted_as_a_key() -> None:
    """Another log's receipt, whole in itself, proves nothing under our key."""
    body = (GOLDEN / "pledge.made.v1.json").read_bytes()
    theirs = receipt(opening(body), key=OTHER_LOG)
    assert check_receipt(theirs, OTHER_LOG.verifier).proved
    verdict = check_receipt(theirs, KEY)
    assert failing(verdict) == ["signature"]
    assert verdict.points[1].reason == "other_log"


def test_a_quorum_of_the_named_witnesses_is_enough() -> None:
    """All that are named, where nothing is said; one key under two names counts once, and the
    log's own never.
    """
    stranger = seeded("absent.example.org", 4).verifier
    assert failing(check_receipt(good(), KEY, [*NAMED, stranger])) == ["witnesses"]
    assert check_receipt(good(), KEY, [*NAMED, stranger], 2).proved
    assert failing(check_receipt(good(), KEY, [*NAMED, stranger], 3)) == ["witnesses"]
    own = SigningKey("w9.example.org", COSIGNATURE, sha256(LOG.verifier.name.encode()).digest())
    assert own.verifier.public == KEY.public
    by_itself = receipt(opening((GOLDEN / "pledge.made.v1.json").read_bytes()), witnesses=(own,))
    assert failing(check_receipt(by_itself, KEY, [own.verifier], 1)) == ["witnesses"]
    twice = VerifierKey("w1.example.org", 4, NAMED[0].public)
    assert failing(check_receipt(good(), KEY, [NAMED[0], twice], 2)) == ["witnesses"]


@pytest.mark.parametrize("tag", [tag for tag in EVENT_TYPES if tag not in TOLD_TAGS])
def test_facts_of_which_there_is_no_receipt_are_not_understood(tag: str) -> None:
    """A receipt of such a fact is not one of ours."""
    verdict = check_receipt(receipt(opening((GOLDEN / f"{tag}.json").read_bytes())), KEY)
    assert failing(verdict) == ["event"]


def test_extra_has_one_encoding() -> None:
    """Read back as it was written; any other spelling of the same is refused."""
    full = opening((GOLDEN / "pledge.made.v1.json").read_bytes())
    for extra in (full, short_of(full)):
        assert parse_extra(extra.encode()) == extra
        said = msgspec.json.decode(extra.encode())
        turned = msgspec.json.encode(dict(reversed(said.items())))
        with pytest.raises(ExtraError):
            parse_extra(turned)


def test_the_example_in_the_docs_is_right() -> None:
    """`docs/formats.md` shows an `extra` in full and the leaf hash that it makes."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    extra = short_of(opening((GOLDEN / "pledge.made.v1.json").read_bytes()))
    assert f"\n{extra.encode().decode()}\n" in page
    assert f"leaf hash  {leaf_hash(leaf_of(PLACE + 1, extra).encode()).hex()}\n" in page
    for tag in TOLD_TAGS:
        assert f"`{tag}`" in page


def test_showing_needs_no_key_and_claims_nothing() -> None:
    """What a receipt says can be read, also of one that proves nothing."""
    facts = read_receipt(good())
    assert facts is not None
    assert facts.event == golden("pledge.made.v1")
    assert read_receipt("c2sp.org/tlog-proof@v1\n") is None
