"""Why something was refused, in the reader's language."""

from __future__ import annotations

import pytest

from app.api.problems import EDGE_REASONS
from app.web.language import LANGUAGES, sentences, speaking
from app.web.refusals import EDGE_SENTENCES, SENTENCES, reason_said, said
from domain.errors import REJECTIONS, PledgeNotWithdrawable, SoldOut


@pytest.mark.parametrize("reason", sorted(REJECTIONS))
def test_every_reason_of_the_rules_has_a_sentence(reason: str) -> None:
    """A page never shows a reason's English docstring to somebody who reads Chinese."""
    refused = REJECTIONS[reason]()
    assert SENTENCES[reason] == said(refused)
    with speaking("zh-Hans"):
        assert said(refused) != SENTENCES[reason]


def test_every_reason_of_the_edge_has_a_sentence() -> None:
    """The failure page has words for all that the edge can refuse."""
    assert set(EDGE_REASONS) <= set(EDGE_SENTENCES)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_each_sentence_is_translated(language: str) -> None:
    """No reason is told in English to somebody who chose another language."""
    known = sentences(language)
    both = {**SENTENCES, **EDGE_SENTENCES}
    assert [reason for reason, text in both.items() if (None, text) not in known] == []


def test_it_says_how_many_are_left() -> None:
    """What the rule knows is told, with its number."""
    assert said(SoldOut("Only 3 left of a chosen reward.")) == (
        "Only 3 are left of what you chose."
    )
    assert said(SoldOut("Only 0 left of a chosen reward.")) == SENTENCES["sold_out"]
    with speaking("zh-Hans"):
        assert "3" in said(SoldOut("Only 3 left of a chosen reward."))


def test_it_says_why_exactly() -> None:
    """Where the rule's own sentence says more than its reason, so does the page."""
    assert "being charged" in said(PledgeNotWithdrawable("The pledge is collecting."))
    assert said(PledgeNotWithdrawable("Anything.")) == SENTENCES["pledge_not_withdrawable"]


def test_a_reason_alone_can_be_told() -> None:
    """A reason nobody knows is told by the fallback."""
    assert reason_said("not_found") == EDGE_SENTENCES["not_found"]
    assert reason_said("made_up", "As it came.") == "As it came."
