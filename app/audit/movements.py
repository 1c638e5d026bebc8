"""Our money movements at a provider, as the events tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from app.processes.keys import charge_key, payout_key, refund_key
from domain import events as e
from domain.events import AnyEvent
from domain.state import IN_FLIGHT, Campaign, Status

SENT_BACK: Final = "sent_back"
"""The kind of a movement by which money that fitted nothing goes back to whom it came from."""

_CAMPAIGN: Final = "campaign:"


class Movement(NamedTuple):
    """What our books say that a provider did, in minor units.

    `kind` is that of the provider's statement line, `reference` the provider's word for it, `key`
    ours. `amount_minor`, `fee_minor`, `disputed_minor` and `key` are None where our books do not
    know them, but only by how much the balance changed.
    """

    provider: str
    kind: str
    reference: str
    key: str | None
    amount_minor: int | None
    fee_minor: int | None
    clearing_minor: int
    disputed_minor: int | None
    currency: str


def _campaign(event: e.Event) -> str:
    return event.stream.removeprefix(_CAMPAIGN)


def _collected(log_id: str, event: e.PledgeCollected) -> Movement:
    amount, fee = event.amount_minor, event.provider_fee_minor
    return Movement(
        event.provider,
        "collected",
        event.reference,
        charge_key(log_id, _campaign(event), event.no, event.attempt),
        amount,
        fee,
        amount - fee,
        0,
        event.currency,
    )


def _refunded(log_id: str, event: e.PledgeRefunded) -> Movement:
    amount = event.amount_minor
    return Movement(
        event.provider,
        "refunded",
        event.reference,
        refund_key(log_id, _campaign(event), event.no, event.refund_id),
        amount,
        0,
        -amount,
        0,
        event.currency,
    )


def _dispute(_: str, event: e.DisputeOpened | e.DisputeWon | e.DisputeLost) -> Movement:
    amount, fee = event.amount_minor, 0
    match event:
        case e.DisputeOpened():
            kind, clearing, disputed = "dispute_opened", -amount, amount
        case e.DisputeWon():
            kind, clearing, disputed = "dispute_won", amount, -amount
        case e.DisputeLost():
            fee = event.fee_minor
            kind, clearing, disputed = "dispute_lost", -fee, -amount
    money = (amount, fee, clearing, disputed)
    return Movement(event.provider, kind, event.dispute_id, None, *money, event.currency)


def _payout(log_id: str, event: e.PayoutSent | e.PayoutReturned) -> Movement | None:
    cash = event.amount_minor - event.debt_minor
    if not cash:  # all of it settled a debt: no provider was asked
        return None
    sent = isinstance(event, e.PayoutSent)
    return Movement(
        event.provider,
        "paid_out" if sent else "pay_out_returned",
        event.reference,
        payout_key(log_id, _campaign(event), event.payout_id),
        cash,
        0,
        -cash if sent else cash,
        0,
        event.currency,
    )


_UNEXPECTED: Final[dict[e.DiscrepancyKind, str]] = {
    "collected_unexpectedly": "collected",
    "collected_amount_differs": "collected",
    "refunded_unexpectedly": "refunded",
    "paid_out_unexpectedly": "paid_out",
    "payout_returned_unexpectedly": "pay_out_returned",
}
_DISPUTES: Final = {
    "RecordDisputeOpened": "dispute_opened",
    "RecordDisputeWon": "dispute_won",
    "RecordDisputeLost": "dispute_lost",
}


def _unexpected(_: str, event: e.DiscrepancyRecorded) -> Movement | None:
    net_minor = event.amount_minor - event.fee_minor
    if not net_minor:
        return None
    kind, reference = _UNEXPECTED.get(event.kind, ""), event.reference
    if event.kind == "disputed_unexpectedly":
        reference, _, command = event.reference.rpartition("/")
        kind = _DISPUTES.get(command, "")
    changes = (None, None, None, net_minor, None)
    return Movement(event.provider, kind, reference, *changes, event.currency)


def _repaid(_: str, event: e.DebtRepaid) -> Movement:
    amount = event.amount_minor
    money = (amount, 0, amount, 0)
    return Movement(event.provider, "transferred_in", event.reference, None, *money, event.currency)


def _resolved(_: str, event: e.DiscrepancyResolved) -> Movement | None:
    if event.resolution != "returned":
        return None
    changes = (None, None, None, -event.amount_minor, 0)
    return Movement(event.provider, SENT_BACK, event.discrepancy_id, *changes, event.currency)


_RULES: Final[dict[type[e.Event], Callable[[str, Any], Movement | None]]] = {
    e.PledgeCollected: _collected,
    e.PledgeRefunded: _refunded,
    e.DisputeOpened: _dispute,
    e.DisputeWon: _dispute,
    e.DisputeLost: _dispute,
    e.PayoutSent: _payout,
    e.PayoutReturned: _payout,
    e.DebtRepaid: _repaid,
    e.DiscrepancyRecorded: _unexpected,
    e.DiscrepancyResolved: _resolved,
}


def movement_of(log_id: str, event: AnyEvent) -> Movement | None:
    """What a fact says of money at a provider; None where it says nothing of it."""
    rule = _RULES.get(type(event))
    return None if rule is None else rule(log_id, event)


def open_keys(log_id: str, state: Campaign) -> frozenset[str]:
    """The provider's keys of everything that was asked for and has no outcome in our books yet."""
    campaign = state.campaign_id
    waiting = IN_FLIGHT | {Status.ACTION_REQUIRED}
    charges = (
        charge_key(log_id, campaign, pledge.no, pledge.attempt)
        for pledge in state.pledges
        if pledge.status in waiting
    )
    refunds = (
        refund_key(log_id, campaign, refund.no, refund_id)
        for refund_id, refund in state.refunds.items()
        if refund.state == "requested"
    )
    payouts = (
        payout_key(log_id, campaign, payout_id)
        for payout_id, payout in state.payouts.items()
        if payout.state == "approved"
    )
    return frozenset((*charges, *refunds, *payouts))
