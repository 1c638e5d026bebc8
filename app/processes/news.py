"""News from the provider, in any order and any number of times, as facts of our own.

The same news again changes nothing: every fact is recorded once by the rules. News that comes
before what it builds on (a dispute before the charge is known) brings that with it, by asking the
provider. News is acknowledged after its facts are in the log, so that what is lost comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from app.payments.port import (
    DisputeDecided,
    DisputeOpened,
    Notification,
    Outcome,
    OutcomeReported,
    PayOutReturned,
    Pending,
    Succeeded,
    Unknown,
)
from app.processes.facts import charge_fact, payout_fact, refund_fact
from app.processes.keys import ChargeKey, PayoutKey, ProviderKey, RefundKey, ReturnKey, read_key
from app.processes.runner import World, identity
from domain import commands as c
from domain.errors import Rejection
from domain.state import Campaign

_logger = logging.getLogger(__name__)


class News:
    """Hears what the provider reports."""

    def __init__(self, world: World) -> None:
        self._world = world

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Check and record one delivery; returns how many facts it told that are in the log now.

        Raises InvalidNotification for what the provider did not sign, and whatever kept a fact out
        of the log: the delivery is then not to be acknowledged.
        """
        return self.hear(self._world.provider.parse_notification(headers, body))

    def hear(self, notifications: Iterable[Notification]) -> int:
        """Record news that was checked before."""
        return sum(self._hear(news) for news in notifications)

    def _hear(self, news: Notification) -> int:
        about = read_key(self._world.log_id, news.key)
        match news, about:
            case OutcomeReported(), _:
                return self._tell(self._outcome(about, news.key, news.outcome))
            case ((DisputeOpened() | DisputeDecided()), ChargeKey()):
                return self._dispute(about, news)
            case PayOutReturned(), PayoutKey():
                return self._returned(about, news)
            case _:
                _logger.warning("news %s is about %s, which is not ours", news.id, news.key)
                return 0

    def _outcome(self, about: ProviderKey | None, key: str, outcome: Outcome) -> c.Command | None:
        """The fact that an operation's outcome is; None where it is none, or not of ours."""
        if isinstance(outcome, Pending | Unknown):  # older news, or none
            return None
        name = self._world.provider.name
        match about:
            case ChargeKey():
                return charge_fact(about, key, self._currency(about, outcome), outcome, name)
            case RefundKey():
                return refund_fact(about, key, self._currency(about, outcome), outcome, name)
            case PayoutKey():
                return payout_fact(about, key, self._currency(about, outcome), outcome, name)
            case ReturnKey():  # its row asks for itself
                return None
            case None:
                _logger.warning("news is about %s, which is not ours", key)
                return None
            case _:
                assert_never(about)

    # --- Facts that build on others --------------------------------------------------------------

    def _dispute(self, about: ChargeKey, news: DisputeOpened | DisputeDecided) -> int:
        """First the charge, then the dispute, then how it ended."""
        world = self._world
        present = world.provider.look_up(news.key)
        if isinstance(present, Succeeded):
            self._tell(self._outcome(about, news.key, present))
        facts: dict[str, Any] = {
            "no": about.no,
            "dispute_id": news.dispute_id,
            "amount_minor": news.amount_minor,
            "provider": world.provider.name,
        }

        def by(what: str) -> dict[str, Any]:
            cause = f"{world.log_id}/{world.provider.name}/{news.dispute_id}/{what}"
            return identity(about.campaign_id, world.by_provider, cause)

        told = self._tell(c.RecordDisputeOpened(**by("opened"), **facts))
        match news:
            case DisputeOpened():
                return told
            case DisputeDecided(won=True):
                return self._tell(c.RecordDisputeWon(**by("won"), **facts))
            case DisputeDecided(fee_minor=fee_minor):
                lost = c.RecordDisputeLost(**by("lost"), **facts, fee_minor=fee_minor)
                return self._tell(lost)
            case _:
                assert_never(news)

    def _returned(self, about: PayoutKey, news: PayOutReturned) -> int:
        """First that it was sent, then that it came back."""
        present = self._world.provider.look_up(news.key)
        if isinstance(present, Succeeded):
            self._tell(self._outcome(about, news.key, present))
        return self._tell(
            c.RecordPayoutReturned(
                **identity(about.campaign_id, self._world.by_provider, f"{news.key}/returned"),
                payout_id=about.payout_id,
                amount_minor=news.amount_minor,
                provider=self._world.provider.name,
                reference=news.id,
            )
        )

    # --- Currencies ------------------------------------------------------------------------------

    def _currency(self, about: ChargeKey | RefundKey | PayoutKey, outcome: Outcome) -> str:
        """The campaign's currency; where the log does not know the campaign, the provider's word,
        for the rules to refuse.
        """
        known = self._world.engine.inspect(about.campaign_id, _currency_of)
        return known or (outcome.currency if isinstance(outcome, Succeeded) else "")

    # --- Recording -------------------------------------------------------------------------------

    def _tell(self, fact: c.Command | None) -> int:
        """Record a fact; what is recorded already changes nothing. Raises what kept it out."""
        if fact is None:
            return 0
        (answer,) = self._world.submit([fact])
        if isinstance(answer, Rejection):
            _logger.warning("%s of %s: %s", type(fact).__name__, fact.campaign_id, answer)
            return 0
        if isinstance(answer, Exception):
            raise answer
        return 1


def _currency_of(state: Campaign) -> str:
    return state.submission.currency if state.submission else ""
