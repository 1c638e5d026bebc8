"""What a pledge's page says of how it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from app.web.backer.standing import Attempt, notice
from app.web.public.campaign_view import CampaignView
from domain.state import Phase
from projections.backer_ledger import PledgeLine


def line(**changes: object) -> PledgeLine:
    """A pledge of €90 of which €33.48 was paid to the creator and €56.52 came back."""
    known = {
        "state": "partly_refunded",
        "currency": "EUR",
        "amount_minor": 9000,
        "held_minor": 0,
        "refunded_minor": 5652,
        "paid_minor": 3348,
        "decline_code": "",
    }
    return cast("PledgeLine", SimpleNamespace(**known | changes))


def said(pledge: PledgeLine, phase: Phase) -> str:
    """The sentence at the top of a pledge's page."""
    page = SimpleNamespace(phase=phase, suspended=False)
    view = cast("CampaignView", SimpleNamespace(page=page, terms=None))
    return notice(pledge, view, Attempt(), asked=False).said


@pytest.mark.parametrize("state", ["partly_refunded", "collected"])
def test_what_a_creator_kept_of_a_cancelled_campaign_is_named_as_owed(state: str) -> None:
    """Who lost a part to an earlier payout reads how much, and from whom it is owed."""
    told = said(line(state=state), Phase.CANCELLED)
    assert "€33.48 was paid to the creator before and has not come back" in told


def test_nothing_is_owed_where_nothing_had_been_paid_or_the_campaign_goes_on() -> None:
    """No debt is claimed of a creator who has none."""
    assert "owes" not in said(line(paid_minor=0), Phase.CANCELLED)
    assert "owes" not in said(line(), Phase.SETTLED)
