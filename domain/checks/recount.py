"""The second sums: what a pledge's money must come to, worked out apart from the rules that decide.

`domain.invariants` compares these with what the facts say. Nothing here may be shared with the
files that decide, or one mistake would excuse itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain import events as e
from domain.state import Funds, Pledge, Status
from domain.terms import Terms


def fees_of(funds: Funds) -> int:
    """Fees charged and not reversed."""
    charged = funds.platform_fee_minor + funds.processing_fee_minor
    return charged - funds.platform_reversed_minor - funds.processing_reversed_minor


def remainder(pledge: Pledge) -> int:
    """What of a pledge is still held (rule 6).

    Collected, less fees not reversed, less paid out, less refunds and lost disputes that it bore.
    """
    funds = pledge.funds
    if funds is None:
        return 0
    return funds.collected_minor - fees_of(funds) - funds.paid_minor - funds.drawn_minor


def set_aside(pledge: Pledge) -> int:
    """What of a pledge's remainder refunds and disputes have a claim on."""
    return pledge.funds.set_aside_minor if pledge.funds is not None else 0


def fee(amount_minor: int, rate_bps: int) -> int:
    """Half to even of rate x amount: the nearest whole number, the even one of two as near."""
    nearest, twice_rest = divmod(2 * amount_minor * rate_bps + 10_000, 20_000)
    return nearest - 1 if twice_rest == 0 and nearest % 2 else nearest


def fees(amount_minor: int, terms: Terms) -> tuple[int, int]:
    """The platform and the processing fee on what was collected and kept."""
    return fee(amount_minor, terms.platform_fee_bps), fee(amount_minor, terms.processing_fee_bps)


def kept(funds: Funds) -> int:
    """What was collected and has not gone back."""
    return max(0, funds.collected_minor - funds.refunded_minor - funds.lost_minor)


class Split(NamedTuple):
    """Who bears money that goes back."""

    from_held_minor: int
    platform_fee_reversed_minor: int
    processing_fee_reversed_minor: int
    receivable_minor: int


def told_split(event: e.RefundRequested | e.PledgeRefunded | e.DisputeLost) -> Split:
    """What a fact says of who bears it."""
    return Split(
        event.from_held_minor,
        event.platform_fee_reversed_minor,
        event.processing_fee_reversed_minor,
        event.receivable_minor,
    )


def due_split(
    terms: Terms, funds: Funds, amount_minor: int, own_minor: int, *, in_full: bool
) -> Split:
    """First the pledge's own remainder, then its reversed fees, then the creator's debt.

    `own_minor` is the part of the remainder that this may use; `in_full` reverses every fee, else
    a fee that the platform bears falls to that of what stays.
    """
    platform_minor = funds.platform_fee_minor - funds.platform_reversed_minor
    platform_minor -= funds.pending_platform_minor
    processing_minor = funds.processing_fee_minor - funds.processing_reversed_minor
    processing_minor -= funds.pending_processing_minor
    if not in_full:
        stays_minor = max(0, kept(funds) - funds.pending_minor - amount_minor)
        platform_due, processing_due = fees(stays_minor, terms)
        platform_minor = max(0, platform_minor - platform_due)
        processing_minor = max(0, processing_minor - processing_due)
        platform_minor *= terms.platform_fee_on_refund == "platform"
        processing_minor *= terms.processing_fee_on_refund == "platform"
    covered_minor = min(amount_minor, own_minor + platform_minor + processing_minor)
    return Split(covered_minor, platform_minor, processing_minor, amount_minor - covered_minor)


def claim(split: Split) -> int:
    """What a requested refund keeps of the remainder: all that its own fees do not bring back."""
    reversed_minor = split.platform_fee_reversed_minor + split.processing_fee_reversed_minor
    return max(0, split.from_held_minor - reversed_minor)


def shares(pledges: Iterable[Pledge], event: e.PayoutApproved) -> list[int]:
    """Take one fraction of what each pledge has free, rounded down; exceptions give nothing.

    So do pledges that were withdrawn, or whose fees wait for a refund or dispute to end.
    """
    excepted = set(event.except_nos)
    taken = []
    for pledge in pledges:
        ready = pledge.status is Status.COLLECTED and pledge.no not in excepted
        if ready and pledge.funds is not None and pledge.funds.fees_charged:
            free_minor = max(0, remainder(pledge) - set_aside(pledge))
            taken.append(free_minor * event.numerator // event.denominator)
        else:
            taken.append(0)
    return taken
