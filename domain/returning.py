"""Money going back to backers: by our decision (refund) or by their bank's (dispute)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from domain import commands as c
from domain import discrepancies, errors
from domain import events as e
from domain.ids import is_code, is_id
from domain.money import fee_minor
from domain.rules import head, pledge_numbered, require_creator, require_report, require_role
from domain.state import (
    ENDED,
    Campaign,
    Dispute,
    Funds,
    Phase,
    Pledge,
    Refund,
    Status,
)
from domain.stock import return_stock
from domain.terms import Terms

# --- Who pays what -------------------------------------------------------------------------------


class RefundQuote(Struct, frozen=True):
    """Who pays a refund, per line, before anything moves; all in minor units.

    `amount_minor` goes back to the backer: `from_held_minor` out of this pledge's own held money
    (the reversed fees among it), `receivable_minor` becomes a debt of the creator.
    """

    amount_minor: int
    from_held_minor: int
    platform_fee_reversed_minor: int
    processing_fee_reversed_minor: int
    receivable_minor: int


def split(
    terms: Terms, funds: Funds, amount_minor: int, available_minor: int, *, all_fees: bool
) -> RefundQuote:
    """Split a sum that goes back over who bears it (rule 6).

    A fee borne by the platform falls to that of what stays charged; with `all_fees` every fee
    of the pledge is reversed. What the pledge's own money does not cover is the creator's debt.
    """
    gone_minor = funds.returned_minor + funds.pending_minor + amount_minor
    stays_minor = max(0, funds.collected_minor - gone_minor)
    platform = _reversal(
        funds.platform_fee_minor - funds.platform_reversed_minor - funds.pending_platform_minor,
        0 if all_fees else fee_minor(stays_minor, terms.platform_fee_bps),
        reverses=all_fees or terms.platform_fee_on_refund == "platform",
    )
    processing = _reversal(
        funds.processing_fee_minor
        - funds.processing_reversed_minor
        - funds.pending_processing_minor,
        0 if all_fees else fee_minor(stays_minor, terms.processing_fee_bps),
        reverses=all_fees or terms.processing_fee_on_refund == "platform",
    )
    from_held_minor = min(amount_minor, available_minor + platform + processing)
    return RefundQuote(
        amount_minor, from_held_minor, platform, processing, amount_minor - from_held_minor
    )


def _reversal(left_minor: int, due_minor: int, *, reverses: bool) -> int:
    return max(0, left_minor - due_minor) if reverses else 0


def quote(state: Campaign, pledge: Pledge, amount_minor: int) -> RefundQuote:
    """Say who would pay a refund of this pledge.

    An `amount_minor` of 0 asks for all that can go back. Once a campaign has failed or was
    cancelled every fee is reversed, and nothing is lent to the creator: what was paid out
    before stays named as owed. Raises RefundTooLarge, DisputeOpen or NotCollected.
    """
    funds = pledge.funds
    if funds is None:
        raise errors.NotCollected(f"Pledge {pledge.no} is {pledge.status}.")
    if funds.disputed_minor:
        raise errors.DisputeOpen
    ended = state.phase in ENDED
    most_minor = funds.returnable_minor
    if ended:
        fees_minor = funds.fees_minor - funds.pending_platform_minor
        fees_minor -= funds.pending_processing_minor
        most_minor = min(most_minor, funds.available_minor + fees_minor)
    wanted_minor = amount_minor or most_minor
    if not 0 < wanted_minor <= most_minor:
        raise errors.RefundTooLarge(
            f"Of pledge {pledge.no} at most {max(0, most_minor)} can go back."
        )
    return split(state.bound.terms, funds, wanted_minor, funds.available_minor, all_fees=ended)


# --- Refunds -------------------------------------------------------------------------------------


def refund_facts(
    state: Campaign, pledge: Pledge, refund_id: str, cause: e.RefundCause, amount_minor: int
) -> dict[str, Any]:
    """The facts of a RefundRequested, from a quote."""
    quoted = quote(state, pledge, amount_minor)
    return {
        "no": pledge.no,
        "refund_id": refund_id,
        "cause": cause,
        "amount_minor": quoted.amount_minor,
        "from_held_minor": quoted.from_held_minor,
        "platform_fee_reversed_minor": quoted.platform_fee_reversed_minor,
        "processing_fee_reversed_minor": quoted.processing_fee_reversed_minor,
        "receivable_minor": quoted.receivable_minor,
    }


def request(state: Campaign, command: c.RequestRefund, at: int) -> list[e.Event]:
    """Set the money aside; the provider is asked next."""
    pledge = pledge_numbered(state, command.no)
    if known := state.refunds.get(command.refund_id):
        same = (known.no, known.cause) == (command.no, command.cause)
        if not same or command.amount_minor not in (0, known.amount_minor):
            raise errors.RefundIdReused
        raise errors.Repeated(known.version, pledge.no)
    if not is_id(command.refund_id) or command.amount_minor < 0:
        raise errors.ContentInvalid("A refund has an id and an amount of minor units.")
    if command.cause in ("failed", "cancelled"):
        require_role(command, "system", "staff")
        if state.phase not in ENDED:
            raise errors.WrongPhase(f"The campaign is {state.phase}, not failed or cancelled.")
    elif command.cause == "withdrawn":
        raise errors.ContentInvalid("A withdrawal is the backer's own command.")
    else:
        require_creator(state, command)
        if state.phase is Phase.LIVE and pledge.status is not Status.WITHDRAWN:
            # Else a goal could be reached with money that was given back.
            raise errors.WrongPhase("While the campaign is live it is the backer who withdraws.")
    facts = refund_facts(state, pledge, command.refund_id, command.cause, command.amount_minor)
    return [e.RefundRequested(**head(state, command, at), **facts)]


def requested(state: Campaign, event: e.RefundRequested) -> None:
    """Nothing else may use what is set aside."""
    refund = Refund(
        no=event.no,
        cause=event.cause,
        amount_minor=event.amount_minor,
        from_held_minor=event.from_held_minor,
        platform_minor=event.platform_fee_reversed_minor,
        processing_minor=event.processing_fee_reversed_minor,
        receivable_minor=event.receivable_minor,
        version=event.version,
    )
    state.refunds[event.refund_id] = refund
    state.pending_refunds += 1
    if state.phase is Phase.COMPLETED:
        state.phase = Phase.SETTLED
    _pend(_funds(state, event.no), refund, 1)


def _pend(funds: Funds, refund: Refund, sign: int) -> None:
    funds.pending_minor += sign * refund.amount_minor
    funds.pending_platform_minor += sign * refund.platform_minor
    funds.pending_processing_minor += sign * refund.processing_minor
    funds.set_aside_minor += sign * refund.set_aside_minor


def _funds(state: Campaign, no: int) -> Funds:
    funds = state.pledges[no - 1].funds
    assert funds is not None, "money goes back only where some was charged"
    return funds


def record_refunded(state: Campaign, command: c.RecordRefunded, at: int) -> list[e.Event]:
    """The provider sent it back. A refund that we did not ask for goes through suspense."""
    require_role(command, "provider", "system")
    require_report(command.provider, command.reference, command.amount_minor)
    refund = state.refunds.get(command.refund_id)
    if refund is not None and (refund.state, refund.reference) == ("sent", command.reference):
        return []
    fits = refund is not None and refund.state == "requested"
    if not fits or refund is None or refund.amount_minor != command.amount_minor:
        return discrepancies.record(
            state,
            command,
            at,
            kind="refunded_unexpectedly",
            provider=command.provider,
            reference=command.reference,
            amount_minor=-command.amount_minor,
            no=command.no,
        )
    return [
        e.PledgeRefunded(
            **head(state, command, at),
            no=refund.no,
            refund_id=command.refund_id,
            amount_minor=refund.amount_minor,
            currency=state.bound.currency,
            provider=command.provider,
            reference=command.reference,
            from_held_minor=refund.from_held_minor,
            platform_fee_reversed_minor=refund.platform_minor,
            processing_fee_reversed_minor=refund.processing_minor,
            receivable_minor=refund.receivable_minor,
        )
    ]


def refunded(state: Campaign, event: e.PledgeRefunded) -> None:
    """Back with the backer; a full refund before the delivery frees the pieces."""
    refund = state.refunds[event.refund_id]
    refund.state = "sent"
    refund.reference = event.reference
    state.pending_refunds -= 1
    pledge, funds = state.pledges[event.no - 1], _funds(state, event.no)
    _pend(funds, refund, -1)
    funds.refunded_minor += event.amount_minor
    _draw(funds, event)
    if is_fully_returned(pledge) and not pledge.sent:
        return_stock(state, pledge)


def _draw(funds: Funds, event: e.PledgeRefunded | e.DisputeLost) -> None:
    funds.platform_reversed_minor += event.platform_fee_reversed_minor
    funds.processing_reversed_minor += event.processing_fee_reversed_minor
    funds.drawn_minor += event.from_held_minor


def record_refund_failed(state: Campaign, command: c.RecordRefundFailed, at: int) -> list[e.Event]:
    """It did not go through: the money is the campaign's again until somebody asks anew."""
    require_role(command, "provider", "system")
    refund = state.refunds.get(command.refund_id)
    if not is_code(command.code):
        raise errors.ContentInvalid("A failed refund has a code.")
    if refund is None or refund.state != "requested":
        return []
    facts = head(state, command, at)
    return [e.RefundFailed(**facts, no=refund.no, refund_id=command.refund_id, code=command.code)]


def refund_failed(state: Campaign, event: e.RefundFailed) -> None:
    """Nothing is set aside for it any more."""
    refund = state.refunds[event.refund_id]
    refund.state = "failed"
    state.pending_refunds -= 1
    _pend(_funds(state, event.no), refund, -1)


# --- Disputes ------------------------------------------------------------------------------------


def record_dispute_opened(
    state: Campaign, command: c.RecordDisputeOpened, at: int
) -> list[e.Event]:
    """The backer's bank took the money for now."""
    _require_dispute(command)
    if command.dispute_id in state.disputes:
        return []
    pledge = state.pledge(command.no)
    funds = pledge.funds if pledge is not None else None
    left_minor = 0
    if funds is not None:
        left_minor = funds.collected_minor - funds.returned_minor - funds.disputed_minor
    if not 1 <= command.amount_minor <= left_minor:
        return _unexpected(state, command, at, -command.amount_minor)
    return [e.DisputeOpened(**head(state, command, at), **_dispute_facts(state, command))]


_DisputeCommand = c.RecordDisputeOpened | c.RecordDisputeWon | c.RecordDisputeLost


def _require_dispute(command: _DisputeCommand) -> None:
    require_role(command, "provider", "system")
    fee_minor = command.fee_minor if isinstance(command, c.RecordDisputeLost) else 0
    reference = _reference(command)
    require_report(command.provider, reference, command.amount_minor, fee_minor)


def _reference(command: _DisputeCommand) -> str:
    """What tells a dispute's reports apart."""
    return f"{command.dispute_id}/{type(command).__name__}"


def _dispute_facts(state: Campaign, command: _DisputeCommand) -> dict[str, Any]:
    return {
        "no": command.no,
        "dispute_id": command.dispute_id,
        "amount_minor": command.amount_minor,
        "currency": state.bound.currency,
        "provider": command.provider,
    }


def _unexpected(
    state: Campaign, command: _DisputeCommand, at: int, amount_minor: int
) -> list[e.Event]:
    return discrepancies.record(
        state,
        command,
        at,
        kind="disputed_unexpectedly",
        provider=command.provider,
        reference=_reference(command),
        amount_minor=amount_minor,
        fee_minor=command.fee_minor if isinstance(command, c.RecordDisputeLost) else 0,
        no=command.no,
    )


def dispute_opened(state: Campaign, event: e.DisputeOpened) -> None:
    """What is left of the pledge is set aside."""
    funds = _funds(state, event.no)
    set_aside_minor = min(funds.available_minor, event.amount_minor)
    funds.set_aside_minor += set_aside_minor
    funds.disputed_minor += event.amount_minor
    state.disputes[event.dispute_id] = Dispute(event.no, event.amount_minor, set_aside_minor)
    state.open_disputes += 1
    if state.phase is Phase.COMPLETED:
        state.phase = Phase.SETTLED


def record_dispute_won(state: Campaign, command: c.RecordDisputeWon, at: int) -> list[e.Event]:
    """The bank gives it back."""
    _require_dispute(command)
    dispute = state.disputes.get(command.dispute_id)
    if dispute is not None and dispute.state == "won":
        return []
    if not _fits(dispute, command):
        return _unexpected(state, command, at, command.amount_minor)
    return [e.DisputeWon(**head(state, command, at), **_dispute_facts(state, command))]


def _fits(dispute: Dispute | None, command: _DisputeCommand) -> bool:
    if dispute is None or dispute.state != "open":
        return False
    return (dispute.no, dispute.amount_minor) == (command.no, command.amount_minor)


def dispute_won(state: Campaign, event: e.DisputeWon) -> None:
    """As if it had not been."""
    _end_dispute(state, event.dispute_id, "won")


def _end_dispute(state: Campaign, dispute_id: str, outcome: str) -> None:
    dispute = state.disputes[dispute_id]
    funds = _funds(state, dispute.no)
    funds.disputed_minor -= dispute.amount_minor
    funds.set_aside_minor -= dispute.set_aside_minor
    dispute.state = outcome
    state.open_disputes -= 1


def record_dispute_lost(state: Campaign, command: c.RecordDisputeLost, at: int) -> list[e.Event]:
    """The bank keeps it for its customer: borne as a refund is."""
    _require_dispute(command)
    dispute = state.disputes.get(command.dispute_id)
    if dispute is not None and dispute.state == "lost":
        return []
    if dispute is None or not _fits(dispute, command):
        return _unexpected(state, command, at, 0)
    funds = _funds(state, dispute.no)
    borne = split(
        state.bound.terms,
        funds,
        dispute.amount_minor,
        funds.available_minor + dispute.set_aside_minor,
        all_fees=state.phase in ENDED,
    )
    return [
        e.DisputeLost(
            **head(state, command, at),
            **_dispute_facts(state, command),
            fee_minor=command.fee_minor,
            from_held_minor=borne.from_held_minor,
            platform_fee_reversed_minor=borne.platform_fee_reversed_minor,
            processing_fee_reversed_minor=borne.processing_fee_reversed_minor,
            receivable_minor=borne.receivable_minor,
        )
    ]


def dispute_lost(state: Campaign, event: e.DisputeLost) -> None:
    """Gone from the pledge's own money; the rest is the creator's debt."""
    _end_dispute(state, event.dispute_id, "lost")
    pledge, funds = state.pledges[event.no - 1], _funds(state, event.no)
    funds.lost_minor += event.amount_minor
    _draw(funds, event)
    if is_fully_returned(pledge) and not pledge.sent:
        return_stock(state, pledge)


def is_fully_returned(pledge: Pledge) -> bool:
    """Whether everything that was charged has gone back."""
    funds = pledge.funds
    return funds is not None and funds.returned_minor >= funds.collected_minor


def display_state(pledge: Pledge) -> str:
    """The pledge's state in the words of the rule book, with what its funds tell."""
    funds = pledge.funds
    if funds is None:
        return str(pledge.status)
    if funds.disputed_minor:
        return "disputed"
    if funds.pending_minor:
        return "refund_requested"
    if is_fully_returned(pledge):
        return "refunded"
    if funds.refunded_minor:
        return "partly_refunded"
    return str(Status.COLLECTED)
