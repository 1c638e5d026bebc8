"""Taking the pledged money from the payment provider, and the fees that follow from it."""

from __future__ import annotations

from typing import Any

from domain import commands as c
from domain import discrepancies, errors
from domain import events as e
from domain.ids import is_code
from domain.money import fee_minor
from domain.rules import head, pledge_numbered, require_report, require_role, require_running
from domain.state import (
    ENDED,
    IN_FLIGHT,
    OPEN,
    WON,
    Campaign,
    Funds,
    Phase,
    Pledge,
    Status,
)
from domain.stock import return_stock
from domain.terms import DAY_MS

# --- Asking the provider -------------------------------------------------------------------------


def request(state: Campaign, command: c.RequestCollection, at: int) -> list[e.Event]:
    """Record the attempt before the provider is asked, so that no charge can go unnoticed."""
    require_role(command, "system", "staff")
    pledge = pledge_numbered(state, command.no)
    if command.attempt == pledge.attempt and pledge.attempt_version:
        raise errors.Repeated(pledge.attempt_version, pledge.no)
    if command.attempt != pledge.attempt + 1:
        raise errors.AttemptOver(f"The next attempt is {pledge.attempt + 1}.")
    require_running(state)
    _require_due(state)
    if pledge.status not in (Status.MADE, Status.FAILED, Status.ACTION_REQUIRED):
        raise errors.PledgeNotCollectable(f"The pledge is {pledge.status}.")
    return [
        e.CollectionRequested(
            **head(state, command, at),
            no=pledge.no,
            attempt=command.attempt,
            amount_minor=pledge.amount_minor,
        )
    ]


def _require_due(state: Campaign) -> None:
    early = state.bound.terms.collect_at == "pledge" and state.phase is Phase.LIVE
    if not early and state.phase is not Phase.SUCCEEDED:
        raise errors.CollectionTooEarly(f"The campaign is {state.phase}.")


def requested(state: Campaign, event: e.CollectionRequested) -> None:
    """Under way: no withdrawal, no revision."""
    pledge = state.pledges[event.no - 1]
    pledge.status = Status.COLLECTING
    pledge.attempt = event.attempt
    pledge.attempt_version = event.version


# --- What the provider says ----------------------------------------------------------------------


def record_collected(state: Campaign, command: c.RecordCollected, at: int) -> list[e.Event]:
    """The provider charged. Where that fits no state, the money goes to suspense."""
    require_role(command, "provider", "system")
    require_report(
        command.provider, command.reference, command.amount_minor, command.provider_fee_minor
    )
    pledge = state.pledge(command.no)
    if pledge is not None and pledge.funds is not None:
        if pledge.funds.reference == command.reference:
            return []
        return _unexpected(state, command, at, "collected_unexpectedly")
    if pledge is None or pledge.status not in OPEN or not 1 <= command.attempt <= pledge.attempt:
        return _unexpected(state, command, at, "collected_unexpectedly")
    if command.amount_minor != pledge.amount_minor:
        return _unexpected(state, command, at, "collected_amount_differs")
    platform, processing = 0, 0
    if state.phase in WON:
        terms = state.bound.terms
        platform = fee_minor(command.amount_minor, terms.platform_fee_bps)
        processing = fee_minor(command.amount_minor, terms.processing_fee_bps)
    return [
        e.PledgeCollected(
            **head(state, command, at),
            no=pledge.no,
            attempt=command.attempt,
            amount_minor=command.amount_minor,
            currency=state.bound.currency,
            provider=command.provider,
            reference=command.reference,
            provider_fee_minor=command.provider_fee_minor,
            platform_fee_minor=platform,
            processing_fee_minor=processing,
        )
    ]


def _unexpected(
    state: Campaign, command: c.RecordCollected, at: int, kind: e.DiscrepancyKind
) -> list[e.Event]:
    return discrepancies.record(
        state,
        command,
        at,
        kind=kind,
        provider=command.provider,
        reference=command.reference,
        amount_minor=command.amount_minor,
        fee_minor=command.provider_fee_minor,
        no=command.no,
    )


def collected(state: Campaign, event: e.PledgeCollected) -> None:
    """Charged: from here the money is held for the campaign."""
    pledge = state.pledges[event.no - 1]
    pledge.status = Status.COLLECTED
    pledge.funds = Funds(
        collected_minor=event.amount_minor,
        collected_at=event.at,
        attempt=event.attempt,
        reference=event.reference,
        fees_charged=state.phase in WON,
        platform_fee_minor=event.platform_fee_minor,
        processing_fee_minor=event.processing_fee_minor,
    )
    state.open_pledges -= 1


def record_action_required(
    state: Campaign, command: c.RecordActionRequired, at: int
) -> list[e.Event]:
    """The backer has to confirm; a late or repeated report changes nothing."""
    require_role(command, "provider", "system")
    pledge = state.pledge(command.no)
    if pledge is None or pledge.status not in IN_FLIGHT or command.attempt != pledge.attempt:
        return []
    facts = head(state, command, at)
    asked = e.CollectionActionRequired(**facts, no=pledge.no, attempt=command.attempt)
    return [asked, *_released(state, command, at, pledge)]


def action_required(state: Campaign, event: e.CollectionActionRequired) -> None:
    """It waits for the backer; the grace period begins with the first such wait."""
    _wait_for_backer(state.pledges[event.no - 1], Status.ACTION_REQUIRED, event.at)


def record_unknown(state: Campaign, command: c.RecordCollectionUnknown, at: int) -> list[e.Event]:
    """No answer came: nothing is tried again until the provider has been asked."""
    require_role(command, "provider", "system")
    pledge = state.pledge(command.no)
    if pledge is None or pledge.status is not Status.COLLECTING:
        return []
    if command.attempt != pledge.attempt:
        return []
    facts = head(state, command, at)
    return [e.CollectionUnknown(**facts, no=pledge.no, attempt=command.attempt)]


def unknown(state: Campaign, event: e.CollectionUnknown) -> None:
    """A real state of its own."""
    state.pledges[event.no - 1].status = Status.UNKNOWN


def record_failed(state: Campaign, command: c.RecordCollectionFailed, at: int) -> list[e.Event]:
    """Declined. A decline of what was charged is a contradiction that staff look into."""
    require_role(command, "provider", "system")
    require_report(command.provider, command.reference, 0)
    if not is_code(command.code):
        raise errors.ContentInvalid("A decline has a code.")
    pledge = state.pledge(command.no)
    if pledge is None:
        return []
    if pledge.funds is not None and command.attempt == pledge.funds.attempt:
        return discrepancies.record(
            state,
            command,
            at,
            kind="declined_after_success",
            provider=command.provider,
            reference=command.reference,
            amount_minor=0,
            no=pledge.no,
        )
    waiting = pledge.status in IN_FLIGHT or pledge.status is Status.ACTION_REQUIRED
    if not waiting or command.attempt != pledge.attempt:
        return []
    declined = e.CollectionFailed(
        **head(state, command, at),
        no=pledge.no,
        attempt=command.attempt,
        code=command.code,
        retryable=command.retryable,
    )
    return [declined, *_released(state, command, at, pledge)]


def collection_failed(state: Campaign, event: e.CollectionFailed) -> None:
    """It may be tried again within the grace period."""
    pledge = state.pledges[event.no - 1]
    pledge.retryable = event.retryable
    _wait_for_backer(pledge, Status.FAILED, event.at)


def _wait_for_backer(pledge: Pledge, status: Status, at: int) -> None:
    pledge.status = status
    pledge.failed_at = pledge.failed_at or at


def _released(state: Campaign, command: c.Command, at: int, pledge: Pledge) -> list[e.Event]:
    """A charge that was under way when the campaign ended, and did not go through."""
    if state.phase not in ENDED:
        return []
    facts = head(state, command, at, offset=1)
    return [e.PledgeReleased(**facts, no=pledge.no, amount_minor=pledge.amount_minor)]


def released(state: Campaign, event: e.PledgeReleased) -> None:
    """Not charged."""
    _terminate(state, state.pledges[event.no - 1], Status.RELEASED)


def drop(state: Campaign, command: c.DropPledge, at: int) -> list[e.Event]:
    """Payment was not completed within the grace period: the pledge leaves the totals."""
    require_role(command, "system", "staff")
    pledge = pledge_numbered(state, command.no)
    require_running(state)
    if pledge.status not in (Status.FAILED, Status.ACTION_REQUIRED):
        raise errors.PledgeNotCollectable(f"The pledge is {pledge.status}.")
    if at < pledge.failed_at + state.bound.terms.grace_days * DAY_MS:
        raise errors.GraceNotOver
    facts = head(state, command, at)
    return [e.PledgeDropped(**facts, no=pledge.no, amount_minor=pledge.amount_minor)]


def dropped(state: Campaign, event: e.PledgeDropped) -> None:
    """Its pieces are free."""
    _terminate(state, state.pledges[event.no - 1], Status.DROPPED)


def _terminate(state: Campaign, pledge: Pledge, status: Status) -> None:
    pledge.status = status
    state.open_pledges -= 1
    return_stock(state, pledge)


# --- Fees on what was charged before success -----------------------------------------------------


def _owes_fees(pledge: Pledge) -> bool:
    funds = pledge.funds
    if funds is None or funds.fees_charged or pledge.status is not Status.COLLECTED:
        return False
    return not (funds.pending_minor or funds.disputed_minor)


def _fees(state: Campaign, funds: Funds) -> tuple[int, int]:
    terms = state.bound.terms
    # A refund and a chargeback that crossed can send back more than was charged.
    kept_minor = max(0, funds.collected_minor - funds.returned_minor)
    return (
        fee_minor(kept_minor, terms.platform_fee_bps),
        fee_minor(kept_minor, terms.processing_fee_bps),
    )


def fees_due(state: Campaign, from_no: int, to_no: int) -> dict[str, Any] | None:
    """The facts of a FeesCharged for what was charged in a range of pledges, or None.

    A pledge with a refund requested or a dispute open is excepted; its fee follows when that is
    known. Fees are taken on what was charged and has not gone back.
    """
    platform = processing = 0
    excepted = []
    any_due = False
    for pledge in state.pledges[from_no - 1 : to_no]:
        funds = pledge.funds
        if funds is None or funds.fees_charged:
            continue
        if not _owes_fees(pledge):
            excepted.append(pledge.no)
            continue
        any_due = True
        fees = _fees(state, funds)
        platform += fees[0]
        processing += fees[1]
    if not any_due:
        return None
    return {
        "from_no": from_no,
        "to_no": to_no,
        "except_nos": tuple(excepted),
        "currency": state.bound.currency,
        "platform_fee_minor": platform,
        "processing_fee_minor": processing,
    }


def fees_charged(state: Campaign, event: e.FeesCharged) -> None:
    """Each pledge bears the fee on its own charge."""
    excepted = set(event.except_nos)
    for pledge in state.pledges[event.from_no - 1 : event.to_no]:
        funds = pledge.funds
        if funds is None or funds.fees_charged or pledge.no in excepted:
            continue
        funds.platform_fee_minor, funds.processing_fee_minor = _fees(state, funds)
        funds.fees_charged = True
