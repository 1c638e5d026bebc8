"""What the provider says it moved counts, not what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from app.payments.port import (
    DECLINE_CODES,
    CollectRequest,
    Outcome,
    Succeeded,
    decline_code,
)
from app.payments.test_bank.bank import Bank
from domain import events as e
from domain.terms import DAY_MS
from tests.processes.stage import CURRENCY, START, Stage


class Teller:
    """The stage's bank, which charges something else than it was asked to, or says so."""

    def __init__(self, bank: Bank, charges_minor: int, says: str) -> None:
        self._bank = bank
        self._charges_minor = charges_minor
        self._says = says

    def __getattr__(self, name: str) -> object:
        """Everything else is the bank's."""
        return getattr(self._bank, name)

    def collect_many(self, requests: Sequence[CollectRequest]) -> list[Outcome]:
        """Charge, and tell."""
        changed = [
            msgspec.structs.replace(request, amount_minor=self._charges_minor)
            for request in requests
        ]
        return [
            msgspec.structs.replace(outcome, currency=self._says)
            if isinstance(outcome, Succeeded)
            else outcome
            for outcome in self._bank.collect_many(changed)
        ]


def charged_with(stage: Stage, charges_minor: int = 10_000, says: str = CURRENCY) -> str:
    """A pledge of 10,000, which the bank charges in its own way."""
    stage.restart(provider=Teller(stage.bank, charges_minor, says))
    campaign = stage.campaign(collect_at="pledge")
    stage.pledge(campaign)
    stage.now = START + 1
    stage.step()
    return campaign


def test_another_amount_is_a_discrepancy(stage: Stage) -> None:
    """More or less than what was pledged is booked as it came, and staff look into it."""
    charged_with(stage, charges_minor=9_999)
    (found,) = stage.facts(e.DiscrepancyRecorded)
    assert (found.kind, found.amount_minor) == ("collected_amount_differs", 9_999)
    assert stage.facts(e.PledgeCollected) == []


def test_another_currency_is_recorded_nowhere(stage: Stage) -> None:
    """No entry of the campaign's books can hold it: the row stays, with what was said."""
    charged_with(stage, says="USD")
    assert stage.facts(e.DiscrepancyRecorded, e.PledgeCollected) == []
    (trouble,) = stage.processes.troubles()
    assert "10000 USD moved" in trouble.last_error
    stage.restart()  # the provider has corrected itself
    stage.run_until(START + DAY_MS)
    assert len(stage.facts(e.PledgeCollected)) == 1


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
def test_the_ports_own_words_stay(code: str) -> None:
    """A code of the port is told as it is."""
    assert decline_code(code) == code


def test_a_providers_words_become_the_ports() -> None:
    """By its table; what nobody foresaw is a plain decline, so that no free text is recorded."""
    assert decline_code("51", {"51": "insufficient_funds"}) == "insufficient_funds"
    assert decline_code("Do not honour, Mr X", {}) == "card_declined"
