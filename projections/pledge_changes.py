"""What each fact does to pledges: the same as `domain.campaign.evolve` does to its state.

Where a fact says a total that its pledges must sum to, and they do not, the log was not written by
these rules, and folding on would show wrong numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from domain import events as e
from domain.money import fee_minor, share_minor
from domain.state import AT_REST, Status
from projections.facts import MAX_NO, Fact, pledge_key
from projections.pledge_book import FactsDisagreeError, PledgeBook
from projections.pledges import (
    NO_LINES,
    CampaignRow,
    DisputeRow,
    Kind,
    PayoutRow,
    PledgeRow,
    RefundRow,
)

_json: Final = msgspec.json.Encoder()


# --- Campaigns -------------------------------------------------------------------------------


def _submitted(
    book: PledgeBook, fact: Fact, event: e.CampaignSubmitted | e.CampaignResubmitted
) -> None:
    bound, bare = event.submission, event.stream.removeprefix("campaign:")
    book.campaigns.put(
        CampaignRow(
            fact.campaign,
            bare,
            event.channel,
            bound.creator,
            bound.currency,
            bound.terms.platform_fee_bps,
            bound.terms.processing_fee_bps,
        )
    )


def _succeeded(book: PledgeBook, fact: Fact, _: e.CampaignSucceeded) -> None:
    row = book.campaign(fact)
    row.charging = 1
    book.campaigns.put(row)


def _ended(book: PledgeBook, fact: Fact, event: e.CampaignFailed | e.CampaignCancelled) -> None:
    """Nobody else is charged: what is at rest is released."""
    row = book.campaign(fact)
    row.charging = 0
    book.campaigns.put(row)
    released = released_minor = 0
    for pledge in book.span(fact, 1, MAX_NO):
        if pledge.status in AT_REST:
            book.touch(pledge, fact)
            _released(book, pledge, fact, None)
            released += 1
            released_minor += pledge.amount_minor
    if (released, released_minor) != (event.released, event.released_minor):
        raise FactsDisagreeError(
            f"position {fact.position} releases {event.released} pledges of"
            f" {event.released_minor}, the views find {released} of {released_minor}"
        )


# --- Pledging --------------------------------------------------------------------------------


def _revised(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.PledgeRevised) -> None:
    row.claims_stock = 1
    row.amount_minor = event.amount_minor
    row.lines = _json.encode(event.lines).decode() if event.lines else NO_LINES
    row.destination = event.destination
    row.visibility = event.visibility
    book.say(row, fact, ("revised", event.amount_minor - event.was_minor))


def _withdrawn(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.PledgeWithdrawn) -> None:
    row.status = "withdrawn"
    if not row.sent:
        row.claims_stock = 0
    book.say(row, fact, ("withdrawn", -event.amount_minor))


def _unchanged(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.Event) -> None:
    """Nothing that a view shows, but that the pledge changed here."""


# --- Collecting ------------------------------------------------------------------------------


def _requested(_book: PledgeBook, row: PledgeRow, _: Fact, event: e.CollectionRequested) -> None:
    row.status = "collecting"
    row.attempt = event.attempt


def _collected(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.PledgeCollected) -> None:
    row.status = "collected"
    row.charged_minor = event.amount_minor
    row.charged_at = event.at
    row.fees_charged = book.campaign(fact).charging
    row.platform_fee_minor = event.platform_fee_minor
    row.processing_fee_minor = event.processing_fee_minor
    book.say(row, fact, ("charged", event.amount_minor), ("fees", -row.fees_minor))


def _action_required(
    _book: PledgeBook, row: PledgeRow, _: Fact, __: e.CollectionActionRequired
) -> None:
    row.status = "action_required"


def _unknown(_book: PledgeBook, row: PledgeRow, _: Fact, __: e.CollectionUnknown) -> None:
    row.status = "unknown"


def _collection_failed(
    _book: PledgeBook, row: PledgeRow, _: Fact, event: e.CollectionFailed
) -> None:
    row.status = "failed"
    row.decline_code = event.code


def _dropped(book: PledgeBook, row: PledgeRow, fact: Fact, _: e.PledgeDropped) -> None:
    row.status = "dropped"
    row.claims_stock = 0
    book.say(row, fact, ("dropped", -row.amount_minor))


def _released(book: PledgeBook, row: PledgeRow, fact: Fact, _: e.PledgeReleased | None) -> None:
    row.status = "released"
    row.claims_stock = 0
    book.say(row, fact, ("released", -row.amount_minor))


def _fees_charged(book: PledgeBook, fact: Fact, event: e.FeesCharged) -> None:
    """Each pledge bears the fee on its own charge, on what of it has not gone back."""
    terms, excepted = book.campaign(fact), frozenset(event.except_nos)
    platform = processing = 0
    for row in book.span(fact, event.from_no, event.to_no):
        if not row.charged_minor or row.fees_charged or row.no in excepted:
            continue
        book.touch(row, fact)
        kept_minor = max(0, row.charged_minor - row.returned_minor)
        row.platform_fee_minor = fee_minor(kept_minor, terms.platform_fee_bps)
        row.processing_fee_minor = fee_minor(kept_minor, terms.processing_fee_bps)
        row.fees_charged = 1
        platform += row.platform_fee_minor
        processing += row.processing_fee_minor
        book.say(row, fact, ("fees", -row.platform_fee_minor - row.processing_fee_minor))
    if (platform, processing) != (event.platform_fee_minor, event.processing_fee_minor):
        raise FactsDisagreeError(
            f"position {fact.position} charges fees of {event.platform_fee_minor} and"
            f" {event.processing_fee_minor}, the pledges bear {platform} and {processing}"
        )


# --- Money going back ------------------------------------------------------------------------


def _refund_requested(
    book: PledgeBook, row: PledgeRow, fact: Fact, event: e.RefundRequested
) -> None:
    refund = RefundRow(
        row.key,
        event.refund_id,
        fact.position,
        event.at,
        event.by,
        event.cause,
        event.amount_minor,
        event.from_held_minor,
        event.platform_fee_reversed_minor,
        event.processing_fee_reversed_minor,
        event.receivable_minor,
    )
    book.refunds.put(refund)
    _pend(row, refund, 1)


def _refunded(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.PledgeRefunded) -> None:
    _end_refund(book, row, fact, event.refund_id, "sent", "")
    row.refunded_minor += event.amount_minor
    _draw(book, row, fact, event, "refunded")


def _refund_failed(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.RefundFailed) -> None:
    _end_refund(book, row, fact, event.refund_id, "failed", event.code)


def _end_refund(
    book: PledgeBook, row: PledgeRow, fact: Fact, refund_id: str, state: str, code: str
) -> None:
    refund = book.refunds.get((row.key, refund_id))
    if refund is None:
        raise FactsDisagreeError(f"position {fact.position} ends a refund never requested")
    refund.state = state
    refund.ended_at = fact.event.at
    refund.code = code
    book.refunds.put(refund)
    _pend(row, refund, -1)


def _draw(
    book: PledgeBook,
    row: PledgeRow,
    fact: Fact,
    event: e.PledgeRefunded | e.DisputeLost,
    kind: Kind,
) -> None:
    platform = event.platform_fee_reversed_minor
    processing = event.processing_fee_reversed_minor
    row.platform_reversed_minor += platform
    row.processing_reversed_minor += processing
    row.drawn_minor += event.from_held_minor
    if row.all_returned and not row.sent:
        row.claims_stock = 0
    book.say(
        row,
        fact,
        ("fees_reversed", platform + processing),
        (kind, -event.amount_minor),
        ("owed_by_creator", event.receivable_minor),
    )


def _dispute_opened(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.DisputeOpened) -> None:
    set_aside_minor = min(row.available_minor, event.amount_minor)
    row.set_aside_minor += set_aside_minor
    row.disputed_minor += event.amount_minor
    book.disputes.put(
        DisputeRow(
            row.key,
            event.dispute_id,
            fact.position,
            event.at,
            event.amount_minor,
            set_aside_minor,
        )
    )


def _dispute_won(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.DisputeWon) -> None:
    _end_dispute(book, row, fact, event.dispute_id, "won", 0)


def _dispute_lost(book: PledgeBook, row: PledgeRow, fact: Fact, event: e.DisputeLost) -> None:
    _end_dispute(book, row, fact, event.dispute_id, "lost", event.fee_minor)
    row.lost_minor += event.amount_minor
    _draw(book, row, fact, event, "dispute_lost")


def _end_dispute(
    book: PledgeBook, row: PledgeRow, fact: Fact, dispute_id: str, state: str, fee: int
) -> None:
    dispute = book.disputes.get((row.key, dispute_id))
    if dispute is None:
        raise FactsDisagreeError(f"position {fact.position} ends a dispute never opened")
    row.disputed_minor -= dispute.amount_minor
    row.set_aside_minor -= dispute.set_aside_minor
    dispute.state = state
    dispute.ended_at = fact.event.at
    dispute.fee_minor = fee
    book.disputes.put(dispute)


# --- Deliveries ------------------------------------------------------------------------------


def _delivery_marked(book: PledgeBook, fact: Fact, event: e.DeliveryMarked) -> None:
    for no in event.nos:
        book.touched(fact, no).sent = 1


def _delivery_received(_book: PledgeBook, row: PledgeRow, _: Fact, __: e.DeliveryReceived) -> None:
    row.received = 1


# --- Money going out -------------------------------------------------------------------------


def _payout_requested(book: PledgeBook, fact: Fact, event: e.PayoutRequested) -> None:
    book.payouts.put(
        PayoutRow(
            fact.campaign,
            event.payout_id,
            fact.position,
            event.at,
            event.by,
            event.account_id,
            event.milestone_id,
            event.numerator,
            event.denominator,
            event.from_no,
            event.to_no,
        )
    )


def _payout(book: PledgeBook, fact: Fact, payout_id: str, state: str) -> PayoutRow:
    payout = book.payouts.get((fact.campaign, payout_id))
    if payout is None:
        raise FactsDisagreeError(f"position {fact.position} names a payout never requested")
    payout.state = state
    book.payouts.put(payout)
    return payout


def _payout_approved(book: PledgeBook, fact: Fact, event: e.PayoutApproved) -> None:
    """Each pledge gives its share: `domain.paying_out.payout_share`, on this view's row."""
    payout = _payout(book, fact, event.payout_id, "approved")
    payout.decided_at, payout.decided_by = event.at, event.by
    payout.approved_position = fact.position
    payout.amount_minor, payout.debt_minor = event.amount_minor, event.debt_minor
    excepted, total = frozenset(event.except_nos), 0
    for row in book.span(fact, event.from_no, event.to_no):
        if row.status != Status.COLLECTED or not row.fees_charged or row.no in excepted:
            continue
        available_minor = max(0, row.available_minor)
        share = share_minor(available_minor, event.numerator, event.denominator)
        if share:
            book.touch(row, fact)
            row.paid_minor += share
            book.shares.append((fact.position, row.key, share))
            book.say(row, fact, ("paid", -share))
            total += share
    if total != event.amount_minor:
        raise FactsDisagreeError(
            f"position {fact.position} pays out {event.amount_minor}, the shares sum to {total}"
        )


def _payout_refused(book: PledgeBook, fact: Fact, event: e.PayoutRefused) -> None:
    payout = _payout(book, fact, event.payout_id, "refused")
    payout.decided_at, payout.decided_by, payout.code = event.at, event.by, event.cause


def _payout_sent(book: PledgeBook, fact: Fact, event: e.PayoutSent) -> None:
    _payout(book, fact, event.payout_id, "sent").ended_at = event.at


def _payout_failed(book: PledgeBook, fact: Fact, event: e.PayoutFailed) -> None:
    payout = _payout(book, fact, event.payout_id, "failed")
    payout.ended_at, payout.code = event.at, event.code
    _give_back(book, fact, payout)


def _payout_returned(book: PledgeBook, fact: Fact, event: e.PayoutReturned) -> None:
    payout = _payout(book, fact, event.payout_id, "returned")
    payout.ended_at = event.at
    _give_back(book, fact, payout)


def _give_back(book: PledgeBook, fact: Fact, payout: PayoutRow) -> None:
    """Each pledge has its share of a payout back."""
    book.write()  # the shares may be of this batch
    after = -1
    while shares := book.given(payout.approved_position, after):
        book.pledges.load(key for key, _ in shares)
        for key, share in shares:
            row = book.pledges.get(key)
            assert row is not None, "a share is of a pledge"
            book.touch(row, fact)
            row.paid_minor -= share
            book.say(row, fact, ("paid_back", share))
        after = shares[-1][0]
        book.relieve()


def _pend(row: PledgeRow, refund: RefundRow, sign: int) -> None:
    """Set aside what a requested refund claims, or free it again."""
    reversed_minor = refund.platform_fee_minor + refund.processing_fee_minor
    row.pending_minor += sign * refund.amount_minor
    row.pending_platform_minor += sign * refund.platform_fee_minor
    row.pending_processing_minor += sign * refund.processing_fee_minor
    row.set_aside_minor += sign * max(0, refund.from_held_minor - reversed_minor)


ONE_PLEDGE: Final[dict[type[e.Event], Callable[[PledgeBook, PledgeRow, Fact, Any], None]]] = {
    e.PledgeRevised: _revised,
    e.PledgeWithdrawn: _withdrawn,
    e.PaymentMethodReplaced: _unchanged,
    e.CollectionRequested: _requested,
    e.PledgeCollected: _collected,
    e.CollectionActionRequired: _action_required,
    e.CollectionUnknown: _unknown,
    e.CollectionFailed: _collection_failed,
    e.PledgeDropped: _dropped,
    e.PledgeReleased: _released,
    e.RefundRequested: _refund_requested,
    e.PledgeRefunded: _refunded,
    e.RefundFailed: _refund_failed,
    e.DisputeOpened: _dispute_opened,
    e.DisputeWon: _dispute_won,
    e.DisputeLost: _dispute_lost,
    e.DeliveryReceived: _delivery_received,
}
"""Facts that name one pledge by its number."""

CHANGES: Final[dict[type[e.Event], Callable[[PledgeBook, Fact, Any], None]]] = {
    e.CampaignSubmitted: _submitted,
    e.CampaignResubmitted: _submitted,
    e.CampaignSucceeded: _succeeded,
    e.CampaignFailed: _ended,
    e.CampaignCancelled: _ended,
    e.FeesCharged: _fees_charged,
    e.DeliveryMarked: _delivery_marked,
    e.PayoutRequested: _payout_requested,
    e.PayoutApproved: _payout_approved,
    e.PayoutRefused: _payout_refused,
    e.PayoutSent: _payout_sent,
    e.PayoutFailed: _payout_failed,
    e.PayoutReturned: _payout_returned,
}
"""All other facts that change what is kept here, but for new pledges: see `new_pledges`."""

NAMES_A_MOVEMENT: Final = frozenset((e.PledgeRefunded, e.RefundFailed, e.DisputeWon, e.DisputeLost))
NEEDS_TERMS: Final = frozenset(
    (
        e.CampaignSucceeded,
        e.CampaignFailed,
        e.CampaignCancelled,
        e.PledgeCollected,
        e.FeesCharged,
    )
)


def fold(book: PledgeBook, facts: Sequence[Fact]) -> None:
    """Change the pledges as the facts say, in their order. Raises FactsDisagreeError."""
    _load(book, facts)
    for fact in facts:
        event: Any = fact.event
        kind = type(event)
        one = ONE_PLEDGE.get(kind)
        if one is not None:
            one(book, book.touched(fact, event.no), fact, event)
            continue
        change = CHANGES.get(kind)
        if change is not None:
            change(book, fact, event)


def _load(book: PledgeBook, facts: Sequence[Fact]) -> None:
    pledges: set[int] = set()
    movements: set[int] = set()
    campaigns: set[int] = set()
    for fact in facts:
        event: Any = fact.event
        kind = type(event)
        if kind in ONE_PLEDGE:
            key = pledge_key(fact.campaign, event.no)
            pledges.add(key)
            if kind in NAMES_A_MOVEMENT:
                movements.add(key)
        elif kind is e.DeliveryMarked:
            pledges.update(pledge_key(fact.campaign, no) for no in event.nos)
        if kind in NEEDS_TERMS:
            campaigns.add(fact.campaign)
    book.load(campaigns, pledges, movements)
