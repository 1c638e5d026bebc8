"""Money going out: approved payouts to creators, and what fitted nothing back to where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, assert_never

import msgspec
from msgspec import Struct

from app.engine import Outcome as Recorded
from app.payments.port import (
    ActionRequired,
    Declined,
    Outcome,
    PayOutRequest,
    Pending,
    PortError,
    RefundRequest,
    Succeeded,
    Unknown,
)
from app.processes.facts import payout_fact
from app.processes.following import FROZEN, SUSPENDED, Stray
from app.processes.keys import PayoutKey, charge_key, payout_key, return_key
from app.processes.runner import SUSPENDED_MS, Runner, ask_at, identity
from app.processes.work import NEVER, Kind, Task, Verdict, done, failed, later
from domain import commands as c
from domain.state import Campaign

BY: Final = "system:disburse"
MOST_ATTEMPTS: Final = 64
"""How many attempts of a pledge are looked at to find the one whose money fitted nothing."""


class Approved(Struct, frozen=True):
    """A payout that was approved and has no outcome yet; `cash_minor` is what is to be sent."""

    cash_minor: int
    currency: str
    account_id: str
    blocked: str


def _look(state: Campaign, payout_id: str) -> Approved | None:
    payout = state.payouts.get(payout_id)
    if payout is None or payout.state != "approved":
        return None
    blocked = SUSPENDED if state.suspended else FROZEN if state.frozen else ""
    cash_minor = payout.amount_minor - payout.debt_minor
    return Approved(cash_minor, state.bound.currency, payout.account_id, blocked)


class PayoutRunner(Runner):
    """Sends approved payouts, less the creator's debts, to the creators' accounts."""

    kind: ClassVar[Kind] = "payout"
    asks_provider: ClassVar[bool] = True

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """See to each payout by itself: these are few, and large."""
        return _each(tasks, self._see_to_one, now)

    def _see_to_one(self, task: Task, now: int) -> Verdict:
        world = self.world
        approved = world.engine.inspect(task.campaign_id, lambda state: _look(state, task.ref))
        if approved is None:
            return done(task)
        key = payout_key(world.log_id, task.campaign_id, task.ref)
        fact: c.Command | None
        if not approved.cash_minor:
            if approved.blocked:
                return later(task, now + SUSPENDED_MS, why=approved.blocked)
            fact = self._netted(task, key)
        else:
            # What may have been sent is asked about first, also while nothing new may be sent.
            outcome = world.provider.look_up(key)
            if outcome is None and approved.blocked:
                return later(task, now + SUSPENDED_MS, why=approved.blocked)
            outcome = outcome or self._send(key, approved, now)
            about = PayoutKey(task.campaign_id, task.ref)
            fact = payout_fact(about, key, approved.currency, outcome, world.provider.name)
        if fact is None:
            return later(task, ask_at(task, now), fresh=False)
        (answer,) = world.submit([fact])
        match answer:
            case Recorded():
                return done(task)
            case _:
                return failed(task, answer, now)

    def _netted(self, task: Task, key: str) -> c.Command:
        """The whole of it settles the creator's debt: no money leaves."""
        return c.RecordPayoutSent(
            **identity(task.campaign_id, BY, f"{key}/netted"),
            payout_id=task.ref,
            amount_minor=0,
            provider=self.world.provider.name,
            reference=f"netting-{task.ref}",
        )

    def _send(self, key: str, approved: Approved, now: int) -> Outcome:
        request = PayOutRequest(
            key=key,
            account=self.world.accounts(approved.account_id),
            amount_minor=approved.cash_minor,
            currency=approved.currency,
            at=now,
        )
        return _sent(lambda: self.world.provider.pay_out_many([request]))


class ReturnRunner(Runner):
    """Sends back money that fitted nothing, once staff decided so. The books moved with their
    decision, so nothing is recorded here: what the provider declines stays visible as trouble.
    """

    kind: ClassVar[Kind] = "return"
    asks_provider: ClassVar[bool] = True

    def see_to(self, tasks: Sequence[Task], now: int) -> list[Verdict]:
        """See to each by itself: these are rare."""
        return _each(tasks, self._see_to_one, now)

    def _see_to_one(self, task: Task, now: int) -> Verdict:
        world = self.world
        stray = msgspec.json.decode(task.payload, type=Stray)
        key = return_key(world.log_id, task.campaign_id, stray.no, task.ref)
        outcome = world.provider.look_up(key) or self._send(task, key, stray, now)
        match outcome:
            case Succeeded():
                return done(task)
            case Declined(code=code):
                return later(task, NEVER, why=f"declined: {code}")
            case Pending() | Unknown() | ActionRequired():
                return later(task, ask_at(task, now), fresh=False)
            case _:
                assert_never(outcome)

    def _send(self, task: Task, key: str, stray: Stray, now: int) -> Outcome:
        world = self.world
        if stray.to_creator:
            account = world.engine.inspect(task.campaign_id, lambda state: state.account_id)
            pay_out = PayOutRequest(
                key=key,
                account=world.accounts(account),
                amount_minor=stray.amount_minor,
                currency=stray.currency,
                at=now,
            )
            return _sent(lambda: world.provider.pay_out_many([pay_out]))
        refund = RefundRequest(
            key=key,
            collect_key=self._charged_under(task.campaign_id, stray),
            amount_minor=stray.amount_minor,
            currency=stray.currency,
            at=now,
            collect_reference=stray.reference,
        )
        return _sent(lambda: world.provider.refund_many([refund]))

    def _charged_under(self, campaign_id: str, stray: Stray) -> str:
        """The key of the charge that the provider calls by the stray money's reference."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            key = charge_key(self.world.log_id, campaign_id, stray.no, attempt)
            outcome = self.world.provider.look_up(key)
            if isinstance(outcome, Succeeded) and outcome.reference == stray.reference:
                return key
        raise LookupError(f"no charge of pledge {stray.no} is called {stray.reference}")


def _each(
    tasks: Sequence[Task], see_to_one: Callable[[Task, int], Verdict], now: int
) -> list[Verdict]:
    verdicts = []
    for task in tasks:
        try:
            verdicts.append(see_to_one(task, now))
        except Exception as fault:  # noqa: BLE001 - the next one is not held up
            verdicts.append(failed(task, fault, now))
    return verdicts


def _sent(send: Callable[[], list[Outcome]]) -> Outcome:
    try:
        (outcome,) = send()
    except PortError:  # nothing of the call was done
        raise
    except Exception:  # noqa: BLE001 - no answer says nothing about the money
        return Unknown()
    return outcome
