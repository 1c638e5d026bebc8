"""Money going back: asked for where a campaign ended, sent through the provider, recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar, Final

from msgspec import Struct

from app.engine import Outcome as Recorded
from app.payments.port import (
    Outcome,
    PortError,
    RefundRequest,
    Unknown,
)
from app.processes.facts import refund_fact
from app.processes.following import DISPUTED
from app.processes.keys import RefundKey, charge_key, command_id, refund_key
from app.processes.runner import Runner, ask_at, identity
from app.processes.work import Kind, Task, Verdict, done, failed, later
from domain import commands as c
from domain.errors import Rejection
from domain.state import ENDED, Campaign, Phase

BY: Final = "system:refund"

DISPUTED_MS: Final = 3_600_000
"""How often to look whether a dispute is decided, should the fact of it be missed."""

_logger = logging.getLogger(__name__)


class GiveBackRunner(Runner):
    """Asks for the refund of all that can go back of a pledge, because its campaign ended."""

    kind: ClassVar[Kind] = "give_back"

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Request the refunds together; the rules say how much, and refuse where nothing is."""
        phases = {
            campaign_id: self.world.engine.inspect(campaign_id, lambda state: state.phase)
            for campaign_id in {task.campaign_id for task in tasks}
        }
        ended = [task for task in tasks if phases[task.campaign_id] in ENDED]
        verdicts = [done(task) for task in tasks if phases[task.campaign_id] not in ENDED]
        requests = [self._request(task, phases[task.campaign_id]) for task in ended]
        for task, answer in zip(ended, self.world.submit(requests), strict=True):
            match answer:
                case Recorded() | Rejection():
                    # Of a disputed pledge the rest goes back when the dispute is decided, by a
                    # row of its own; any other refusal says that nothing is left to go back.
                    verdicts.append(done(task))
                case _:
                    verdicts.append(failed(task, answer, now))
        return verdicts

    def _request(self, task: Task, phase: Phase) -> c.Command:
        cause = f"{self.world.log_id}/{task.key}"
        return c.RequestRefund(
            **identity(task.campaign_id, BY, cause),
            no=task.no,
            refund_id=command_id(f"{cause}/refund"),
            amount_minor=0,
            cause="failed" if phase is Phase.FAILED else "cancelled",
        )


class Due(Struct, frozen=True):
    """A refund that was requested and has no outcome yet, with the attempt that took the money.

    `disputed`: the backer's bank has asked for the same money and has not decided.
    """

    no: int
    amount_minor: int
    currency: str
    attempt: int
    reference: str
    disputed: bool


def _look(state: Campaign, refund_ids: Iterable[str]) -> dict[str, Due]:
    found = {}
    for refund_id in refund_ids:
        refund = state.refunds.get(refund_id)
        if refund is None or refund.state != "requested":
            continue
        pledge = state.pledges[refund.no - 1]
        assert pledge.funds is not None, "only what was charged is refunded"
        found[refund_id] = Due(
            refund.no,
            refund.amount_minor,
            state.bound.currency,
            pledge.funds.attempt,
            pledge.funds.reference,
            pledge.funds.disputed_minor > 0,
        )
    return found


class RefundRunner(Runner):
    """Sends requested refunds through the provider."""

    kind: ClassVar[Kind] = "refund"
    asks_provider: ClassVar[bool] = True

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """Send what is new in one call; ask first what became of what may have been sent."""
        verdicts: list[Verdict] = []
        told: list[tuple[Task, Due, Outcome]] = []
        to_send: list[tuple[Task, Due]] = []
        for task, due in self._due(tasks):
            if due is None:
                verdicts.append(done(task))
                continue
            try:
                outcome = self._present(task, due)
            except Exception as fault:  # noqa: BLE001 - out of reach, however it says so
                verdicts.append(failed(task, fault, now))
                continue
            if outcome is None and due.disputed:
                # What may have been sent before is asked about first; nothing new is sent, or the
                # money could go back twice.
                verdicts.append(later(task, now + DISPUTED_MS, why=DISPUTED))
            elif outcome is None:
                to_send.append((task, due))
            else:
                told.append((task, due, outcome))
        requests = [self._request(task, due, now) for task, due in to_send]
        for (task, due), outcome in zip(to_send, self._send(requests), strict=True):
            told.append((task, due, outcome))
        return verdicts + self._record(told, now)

    def _due(self, tasks: Sequence[Task]) -> list[tuple[Task, Due | None]]:
        ids: dict[str, list[str]] = {}
        for task in tasks:
            ids.setdefault(task.campaign_id, []).append(task.ref)
        seen = {
            campaign_id: self.world.engine.inspect(campaign_id, partial(_look, refund_ids=some))
            for campaign_id, some in ids.items()
        }
        return [(task, seen[task.campaign_id].get(task.ref)) for task in tasks]

    def _key(self, task: Task, due: Due) -> str:
        return refund_key(self.world.log_id, task.campaign_id, due.no, task.ref)

    def _present(self, task: Task, due: Due) -> Outcome | None:
        """What the provider knows of it, where it may have been asked before."""
        return self.world.provider.look_up(self._key(task, due)) if task.attempts > 1 else None

    def _request(self, task: Task, due: Due, now: int) -> RefundRequest:
        return RefundRequest(
            key=self._key(task, due),
            collect_key=charge_key(self.world.log_id, task.campaign_id, due.no, due.attempt),
            amount_minor=due.amount_minor,
            currency=due.currency,
            at=now,
            collect_reference=due.reference,
        )

    def _send(self, requests: Sequence[RefundRequest]) -> list[Outcome]:
        if not requests:
            return []
        try:
            return self.world.provider.refund_many(requests)
        except PortError:
            raise
        except Exception:
            _logger.warning("the provider did not answer", exc_info=True)
            return [Unknown() for _ in requests]

    def _record(self, told: Sequence[tuple[Task, Due, Outcome]], now: int) -> list[Verdict]:
        verdicts = []
        facts: list[tuple[Task, c.Command]] = []
        for task, due, outcome in told:
            about = RefundKey(task.campaign_id, due.no, task.ref)
            name = self.world.provider.name
            fact = refund_fact(about, self._key(task, due), due.currency, outcome, name)
            if fact is None:
                verdicts.append(later(task, ask_at(task, now), fresh=False))
            else:
                facts.append((task, fact))
        answers = self.world.submit([fact for _, fact in facts])
        for (task, _), answer in zip(facts, answers, strict=True):
            match answer:
                case Recorded():
                    verdicts.append(done(task))
                case _:
                    verdicts.append(failed(task, answer, now))
        return verdicts
