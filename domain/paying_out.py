"""Money going out to the creator: account, request, approval, sending, and debts."""

from __future__ import annotations

from collections.abc import Iterator

from domain import commands as c
from domain import discrepancies, errors
from domain import events as e
from domain.discrepancies import reference_key
from domain.ids import is_code, is_id, is_reference, party_of
from domain.money import is_amount, share_minor
from domain.rules import (
    head,
    require_creator,
    require_phase,
    require_report,
    require_role,
    require_running,
)
from domain.state import Campaign, Payout, Phase, Pledge, Status
from domain.terms import DAY_MS, Milestone

_PAYABLE = (Phase.SUCCEEDED, Phase.SETTLED)
_DONE = ("approved", "sent")

REPAID = "repaid"
"""Under which kind a repayment's reference is remembered."""


# --- The account ---------------------------------------------------------------------------------


def verify_account(state: Campaign, command: c.VerifyPayoutAccount, at: int) -> list[e.Event]:
    """The first account can be used at once, a changed one after the terms' wait."""
    require_role(command, "staff", "system")
    if not is_id(command.account_id):
        raise errors.ContentInvalid("A payout account is named by its id.")
    if state.is_by_team(command.by):
        raise errors.NotAllowed("The creator's team does not verify its own account.")
    if command.account_id == state.account_id:
        return []
    changed = bool(state.account_id)
    wait_ms = state.bound.terms.account_wait_days * DAY_MS if changed else 0
    return [
        e.PayoutAccountVerified(
            **head(state, command, at),
            account_id=command.account_id,
            changed=changed,
            usable_from_at=at + wait_ms,
        )
    ]


def account_verified(state: Campaign, event: e.PayoutAccountVerified) -> None:
    """Payouts go there, and nowhere else."""
    state.account_id = event.account_id
    state.account_usable_at = event.usable_from_at


# --- Request -------------------------------------------------------------------------------------


def request(state: Campaign, command: c.RequestPayout, at: int) -> list[e.Event]:
    """The creator's side asks for a fraction of what each pledge still has."""
    require_creator(state, command)
    if known := state.payouts.get(command.payout_id):
        if not _asks_for(command, known):
            raise errors.PayoutIdReused
        raise errors.Repeated(known.version)
    if not is_id(command.payout_id):
        raise errors.ContentInvalid("A payout is named by a random id.")
    _require_payable(state, at)
    numerator, denominator = _fraction(state, command)
    to_no = command.to_no or len(state.pledges)
    in_range = 1 <= command.from_no <= to_no <= len(state.pledges)
    inside = all(command.from_no <= no <= to_no for no in command.except_nos)
    if not in_range or not inside or len(set(command.except_nos)) != len(command.except_nos):
        raise errors.ContentInvalid("A payout names a range of the campaign's pledges.")
    return [
        e.PayoutRequested(
            **head(state, command, at),
            payout_id=command.payout_id,
            account_id=state.account_id,
            milestone_id=command.milestone_id,
            numerator=numerator,
            denominator=denominator,
            from_no=command.from_no,
            to_no=to_no,
            except_nos=command.except_nos,
        )
    ]


def _asks_for(command: c.RequestPayout, known: Payout) -> bool:
    """Whether the command asks for the payout that is known; a milestone names its own fraction."""
    same = (command.milestone_id, command.from_no, command.except_nos) == (
        known.milestone_id,
        known.from_no,
        known.except_nos,
    )
    fraction = (command.numerator, command.denominator) == (known.numerator, known.denominator)
    return same and command.to_no in (0, known.to_no) and (fraction or bool(known.milestone_id))


def _require_payable(state: Campaign, at: int) -> None:
    require_phase(state, *_PAYABLE)
    require_running(state)
    bound = state.bound
    if at < state.succeeded_at + bound.terms.payout_delay_days * DAY_MS:
        raise errors.PayoutTooEarly
    if state.frozen:
        raise errors.PayoutsFrozen
    if not state.account_id or at < state.account_usable_at:
        raise errors.AccountNotReady
    short = state.figures.charged_minor < bound.goal_minor
    if bound.model == "all_or_nothing" and short and not state.plan_updated:
        raise errors.PlanNeeded


def _fraction(state: Campaign, command: c.RequestPayout) -> tuple[int, int]:
    """What a milestone names, or what was asked for where none are left.

    A milestone's fraction is of what the earlier ones have left, so one waits at a time.
    """
    waiting = _unpaid_milestones(state)
    if waiting:
        if command.milestone_id != waiting[0].milestone_id:
            raise errors.MilestoneOrder
        if any(p.milestone_id and p.state == "requested" for p in state.payouts.values()):
            raise errors.MilestoneOrder("A milestone's payout waits for the treasurer.")
        return waiting[0].share_bps, sum(milestone.share_bps for milestone in waiting)
    if command.milestone_id:
        raise errors.MilestoneOrder
    if not 1 <= command.numerator <= command.denominator <= 10**12:
        raise errors.ContentInvalid("A payout takes a fraction between 0 and 1.")
    return command.numerator, command.denominator


def _unpaid_milestones(state: Campaign) -> list[Milestone]:
    done = {payout.milestone_id for payout in state.payouts.values() if payout.state in _DONE}
    return [m for m in state.bound.milestones if m.milestone_id not in done]


def requested(state: Campaign, event: e.PayoutRequested) -> None:
    """The treasurer is to decide."""
    state.payouts[event.payout_id] = Payout(
        account_id=event.account_id,
        requested_by=event.by,
        milestone_id=event.milestone_id,
        numerator=event.numerator,
        denominator=event.denominator,
        from_no=event.from_no,
        to_no=event.to_no,
        except_nos=event.except_nos,
        version=event.version,
    )


# --- Decision ------------------------------------------------------------------------------------


def payout_share(pledge: Pledge, numerator: int, denominator: int) -> int:
    """What a payout takes of one pledge: its fraction of what is available, rounded down.

    Only charged pledges that were not withdrawn and have borne their fees give anything: a fee
    that waits for a refund or dispute is the pledge's own too. This is the whole of rule 6's
    written function: nothing but the pledge's own money enters it.
    """
    if pledge.status is not Status.COLLECTED or pledge.funds is None:
        return 0
    if not pledge.funds.fees_charged:
        return 0
    return share_minor(max(0, pledge.funds.available_minor), numerator, denominator)


def _shares(state: Campaign, payout: Payout | e.PayoutApproved) -> Iterator[tuple[Pledge, int]]:
    excepted = set(payout.except_nos)
    for pledge in state.pledges[payout.from_no - 1 : payout.to_no]:
        if pledge.no in excepted:
            yield pledge, 0
        else:
            yield pledge, payout_share(pledge, payout.numerator, payout.denominator)


def approve(state: Campaign, command: c.ApprovePayout, at: int) -> list[e.Event]:
    """The treasurer sets the money aside; its amounts are fixed here."""
    require_role(command, "treasurer")
    payout = _waiting(state, command.payout_id)
    same_party = party_of(command.by) == party_of(payout.requested_by)
    if same_party or state.is_by_team(command.by):
        raise errors.SelfApproval
    _require_payable(state, at)
    if payout.account_id != state.account_id:
        raise errors.AccountNotReady("The account was changed since: request the payout again.")
    unpaid = _unpaid_milestones(state)
    if payout.milestone_id and payout.milestone_id != unpaid[0].milestone_id:
        raise errors.MilestoneOrder("An earlier milestone's payout came back.")
    amount_minor = sum(share for _, share in _shares(state, payout))
    if not amount_minor:
        raise errors.NothingToPay
    if not is_amount(amount_minor):
        raise errors.AmountInvalid("One payout moves at most 10^12 minor units: ask for a part.")
    _require_reserve(state, amount_minor, at)
    return [
        e.PayoutApproved(
            **head(state, command, at),
            payout_id=command.payout_id,
            account_id=payout.account_id,
            numerator=payout.numerator,
            denominator=payout.denominator,
            from_no=payout.from_no,
            to_no=payout.to_no,
            except_nos=payout.except_nos,
            amount_minor=amount_minor,
            debt_minor=min(amount_minor, _open_debt(state)),
            currency=state.bound.currency,
        )
    ]


def reserve_minor(state: Campaign, at: int) -> int:
    """What of a first-time creator's money stays for now, in minor units."""
    bound = state.bound
    over = at >= state.succeeded_at + bound.terms.reserve_days * DAY_MS
    if not bound.first_time_creator or state.any_received or over:
        return 0
    figures = state.figures
    net_minor = figures.charged_minor - figures.fees_minor - figures.returned_minor
    return share_minor(max(0, net_minor), bound.terms.reserve_bps, 10_000)


def _require_reserve(state: Campaign, amount_minor: int, at: int) -> None:
    reserve = reserve_minor(state, at)
    free_minor = state.figures.held_minor - state.figures.on_the_way_minor - reserve
    if reserve and amount_minor > free_minor:
        raise errors.ReserveHeld(
            f"At most {max(0, free_minor)} can be paid while {reserve} are kept in reserve."
        )


def _waiting(state: Campaign, payout_id: str) -> Payout:
    payout = state.payouts.get(payout_id)
    if payout is None:
        raise errors.PayoutUnknown
    if payout.state != "requested":
        raise errors.PayoutNotWaiting(f"The payout is {payout.state}.")
    return payout


def approved(state: Campaign, event: e.PayoutApproved) -> None:
    """Each pledge gives its share."""
    payout = state.payouts[event.payout_id]
    shares = []
    for pledge, share in _shares(state, event):
        shares.append(share)
        if share and pledge.funds is not None:
            pledge.funds.paid_minor += share
    payout.shares = shares
    payout.state = "approved"
    payout.amount_minor = event.amount_minor
    payout.debt_minor = event.debt_minor


def refuse(state: Campaign, command: c.RefusePayout, at: int) -> list[e.Event]:
    """The treasurer refuses; nothing moved."""
    require_role(command, "treasurer")
    _waiting(state, command.payout_id)
    if not is_code(command.cause):
        raise errors.ContentInvalid("A cause is a code.")
    facts = head(state, command, at)
    return [e.PayoutRefused(**facts, payout_id=command.payout_id, cause=command.cause)]


def revoke(state: Campaign, command: c.RevokePayout, at: int) -> list[e.Event]:
    """Take back what was approved, while the campaign is suspended or its payouts are frozen.

    Nothing is sent meanwhile. Should the provider report after all that it was sent, that is a
    discrepancy.
    """
    require_role(command, "treasurer", "staff")
    if state.is_by_team(command.by):
        raise errors.SelfApproval
    payout = state.payouts.get(command.payout_id)
    if payout is None:
        raise errors.PayoutUnknown
    if payout.state != "approved":
        raise errors.PayoutNotWaiting(f"The payout is {payout.state}.")
    if not state.suspended and not state.frozen:
        raise errors.PayoutInFlight("It is on its way: suspend the campaign first.")
    return [
        e.PayoutFailed(
            **head(state, command, at),
            payout_id=command.payout_id,
            amount_minor=payout.amount_minor,
            currency=state.bound.currency,
            code="revoked",
        )
    ]


def refused(state: Campaign, event: e.PayoutRefused) -> None:
    """It can be asked for again."""
    state.payouts[event.payout_id].state = "refused"


# --- What the provider says ----------------------------------------------------------------------


def record_sent(state: Campaign, command: c.RecordPayoutSent, at: int) -> list[e.Event]:
    """Amount less debt left us for the creator's account."""
    require_role(command, "provider", "system")
    require_report(command.provider, command.reference, command.amount_minor)
    payout = state.payouts.get(command.payout_id)
    was_sent = payout is not None and payout.state in ("sent", "returned")
    if payout is not None and was_sent and payout.reference == command.reference:
        return []
    fits = payout is not None and payout.state == "approved"
    cash_minor = payout.amount_minor - payout.debt_minor if payout is not None else 0
    if payout is None or not fits or command.amount_minor != cash_minor:
        return discrepancies.record(
            state,
            command,
            at,
            kind="paid_out_unexpectedly",
            provider=command.provider,
            reference=command.reference,
            amount_minor=-command.amount_minor,
        )
    return [
        e.PayoutSent(
            **head(state, command, at),
            payout_id=command.payout_id,
            amount_minor=payout.amount_minor,
            debt_minor=payout.debt_minor,
            currency=state.bound.currency,
            provider=command.provider,
            reference=command.reference,
        )
    ]


def sent(state: Campaign, event: e.PayoutSent) -> None:
    """With the creator."""
    payout = state.payouts[event.payout_id]
    payout.state = "sent"
    payout.reference = event.reference


def record_failed(state: Campaign, command: c.RecordPayoutFailed, at: int) -> list[e.Event]:
    """It could not be sent."""
    require_role(command, "provider", "system")
    if not is_code(command.code):
        raise errors.ContentInvalid("A failed payout has a code.")
    payout = state.payouts.get(command.payout_id)
    if payout is None or payout.state != "approved":
        return []
    return [
        e.PayoutFailed(
            **head(state, command, at),
            payout_id=command.payout_id,
            amount_minor=payout.amount_minor,
            currency=state.bound.currency,
            code=command.code,
        )
    ]


def failed(state: Campaign, event: e.PayoutFailed) -> None:
    """Each pledge has its share back."""
    _give_back(state, state.payouts[event.payout_id], "failed")


def _give_back(state: Campaign, payout: Payout, outcome: str) -> None:
    for no, share in enumerate(payout.shares, start=payout.from_no):
        funds = state.pledges[no - 1].funds
        if share and funds is not None:
            funds.paid_minor -= share
    payout.state = outcome


def record_returned(state: Campaign, command: c.RecordPayoutReturned, at: int) -> list[e.Event]:
    """The creator's bank sent it back after all."""
    require_role(command, "provider", "system")
    require_report(command.provider, command.reference, command.amount_minor)
    payout = state.payouts.get(command.payout_id)
    if payout is not None and payout.state == "returned":
        return []
    cash_minor = payout.amount_minor - payout.debt_minor if payout is not None else 0
    if payout is None or payout.state != "sent" or command.amount_minor != cash_minor:
        return discrepancies.record(
            state,
            command,
            at,
            kind="payout_returned_unexpectedly",
            provider=command.provider,
            reference=command.reference,
            amount_minor=command.amount_minor,
        )
    return [
        e.PayoutReturned(
            **head(state, command, at),
            payout_id=command.payout_id,
            amount_minor=payout.amount_minor,
            debt_minor=payout.debt_minor,
            currency=state.bound.currency,
            provider=command.provider,
            reference=command.reference,
        )
    ]


def returned(state: Campaign, event: e.PayoutReturned) -> None:
    """Held again, pledge by pledge; a debt that was taken from it stands again."""
    _give_back(state, state.payouts[event.payout_id], "returned")
    if state.phase is Phase.COMPLETED:
        state.phase = Phase.SETTLED


# --- Debts ---------------------------------------------------------------------------------------


def record_repayment(state: Campaign, command: c.RecordRepayment, at: int) -> list[e.Event]:
    """The creator paid back; a debt that a payout on its way settles is spoken for."""
    require_role(command, "staff", "treasurer", "system")
    if state.is_by_team(command.by):
        raise errors.SelfApproval
    if not is_code(command.provider) or not is_reference(command.reference):
        raise errors.ContentInvalid("A repayment names the provider and its reference.")
    known = state.references.get(reference_key(REPAID, command.provider, command.reference))
    if known:
        raise errors.Repeated(known)
    _require_debt(state, command.amount_minor)
    return [
        e.DebtRepaid(
            **head(state, command, at),
            amount_minor=command.amount_minor,
            currency=state.bound.currency,
            provider=command.provider,
            reference=command.reference,
        )
    ]


def repaid(state: Campaign, event: e.DebtRepaid) -> None:
    """One transfer is booked once."""
    state.references[reference_key(REPAID, event.provider, event.reference)] = event.version


def write_off(state: Campaign, command: c.WriteOffDebt, at: int) -> list[e.Event]:
    """The treasurer lets the platform bear it."""
    require_role(command, "treasurer")
    if state.is_by_team(command.by):
        raise errors.SelfApproval
    _require_debt(state, command.amount_minor)
    return [
        e.DebtWrittenOff(
            **head(state, command, at),
            amount_minor=command.amount_minor,
            currency=state.bound.currency,
        )
    ]


def _open_debt(state: Campaign) -> int:
    """What the creator owes and no payout on its way settles, in minor units."""
    on_the_way = (p.debt_minor for p in state.payouts.values() if p.state == "approved")
    return state.figures.owed_minor - sum(on_the_way)


def _require_debt(state: Campaign, amount_minor: int) -> None:
    open_minor = _open_debt(state)
    if not is_amount(amount_minor):
        raise errors.AmountInvalid
    if amount_minor > open_minor:
        raise errors.DebtTooSmall(f"The creator owes {open_minor}.")
