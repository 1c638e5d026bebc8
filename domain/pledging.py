"""A backer's side before any money moves: hold, pledge, revise, leave."""

from __future__ import annotations

from typing import Any, Final

from domain import commands as c
from domain import errors
from domain import events as e
from domain.ids import are_ids, is_id, is_region, party_of, role_of
from domain.money import is_amount
from domain.returning import refund_facts
from domain.rules import head, pledge_with_id, require_backer, require_running
from domain.state import Campaign, Content, Hold, Phase, Pledge, Status
from domain.stock import (
    cost_minor,
    is_limited,
    lines_for,
    release_hold,
    require_stock,
    return_stock,
    take_stock,
)
from domain.terms import DAY_MS, ELSEWHERE, HOLD_MS, LAST_DAY_MS, Choice, Line

_MAX_CHOICES = 50
_BACKER: Final = "backer:"
_LIVE: Final = Phase.LIVE
"""By a name of its own: Python 3.11 looks an enumeration's member up anew each time."""


# --- Holds ---------------------------------------------------------------------------------------


def place_hold(state: Campaign, command: c.PlaceHold, at: int) -> list[e.Event]:
    """Keep limited rewards for fifteen minutes; a backer's new hold replaces the old one."""
    if known := state.holds.get(command.hold_id):
        if known.backer != command.backer:
            raise errors.IdReused
        raise errors.Repeated(known.version)
    _require_pledgeable(state, at)
    _require_ids(command.hold_id, command.backer)
    _require_own(state, command, command.backer)
    lines = lines_for(state, command.choices, None)
    if not is_limited(state, lines):
        raise errors.HoldNotNeeded
    gone = _gone_holds(state, at, state.hold_of.get(command.backer, ""))
    require_stock(state, lines, *(state.holds[hold_id].lines for hold_id in gone))
    decided: list[e.Event] = _lapses(state, command, at, gone)
    decided.append(
        e.HoldPlaced(
            **head(state, command, at, len(decided)),
            hold_id=command.hold_id,
            backer=command.backer,
            lines=lines,
            until_at=at + HOLD_MS,
        )
    )
    return decided


def hold_placed(state: Campaign, event: e.HoldPlaced) -> None:
    """The pieces count in the stock, the money does not count as pledged."""
    hold = Hold(event.backer, event.lines, event.until_at, event.version)
    state.holds[event.hold_id] = hold
    state.hold_of[event.backer] = event.hold_id
    for line in event.lines:
        state.stocks[line.reward_id].held += line.quantity


def lapse_hold(state: Campaign, command: c.LapseHold, at: int) -> list[e.Event]:
    """When its time is over, or its backer gives it up."""
    hold = state.holds.get(command.hold_id)
    if hold is None:
        return []
    if at < hold.until_at and party_of(command.by) != hold.backer:
        raise errors.NotYourPledge("Another backer's hold runs until its time is over.")
    return [e.HoldLapsed(**head(state, command, at), hold_id=command.hold_id)]


def hold_lapsed(state: Campaign, event: e.HoldLapsed) -> None:
    """The pieces are free again."""
    release_hold(state, event.hold_id)


def _gone_holds(state: Campaign, at: int, replaced: str = "") -> list[str]:
    """The holds whose time is over, and the one that is replaced."""
    gone = []
    for hold_id, hold in state.holds.items():
        # Every hold runs equally long, so the oldest comes first: only those that end are read.
        if hold.until_at > at:
            break
        gone.append(hold_id)
    if replaced and replaced not in gone:
        gone.append(replaced)
    return gone


def _lapses(state: Campaign, command: c.Command, at: int, hold_ids: list[str]) -> list[e.Event]:
    return [
        e.HoldLapsed(**head(state, command, at, offset), hold_id=hold_id)
        for offset, hold_id in enumerate(hold_ids)
    ]


# --- Make ----------------------------------------------------------------------------------------


def make(state: Campaign, command: c.MakePledge, at: int) -> list[e.Event]:
    """A promise of money. The same id with the same content answers with the first outcome."""
    no = state.no_by_id.get(command.pledge_id)
    if no is not None:
        _require_same(state.pledges[no - 1], state, command)
        raise errors.Repeated(state.pledges[no - 1].made_version, no)
    _require_pledgeable(state, at)
    _require_ids(command.pledge_id, command.backer)
    _require_own(state, command, command.backer)
    bound = state.bound
    if command.currency not in ("", bound.currency):
        raise errors.CurrencyMismatch(f"The campaign takes {bound.currency}.")
    if command.payment_method and not is_id(command.payment_method):
        raise errors.ContentInvalid("A payment method is named by its id.")
    lines = _lines(state, command.choices, command.destination, command.amount_minor)
    decided: list[e.Event] = []
    if lines and is_limited(state, lines):
        gone = _gone_holds(state, at)
        own = state.hold_of.get(command.backer)
        freed = {hold_id: state.holds[hold_id].lines for hold_id in (*gone, own) if hold_id}
        require_stock(state, lines, *freed.values())
        decided = _lapses(state, command, at, [hold_id for hold_id in gone if hold_id != own])
    decided.append(
        e.PledgeMade(
            stream=state.stream,
            version=state.version + 1 + len(decided),
            at=at,
            by=command.by,
            command_id=command.command_id,
            channel=state.channel,
            no=len(state.pledges) + 1,
            pledge_id=command.pledge_id,
            backer=command.backer,
            amount_minor=command.amount_minor,
            currency=bound.currency,
            lines=lines,
            destination=command.destination,
            visibility=command.visibility,
            payment_method=command.payment_method,
            hold_id=state.hold_of.get(command.backer, "") if lines else "",
            late=state.phase is not _LIVE,
        )
    )
    return decided


def made(state: Campaign, event: e.PledgeMade) -> None:
    """The next number of the campaign."""
    if event.hold_id:
        release_hold(state, event.hold_id)
    if event.lines:
        take_stock(state, event.lines)
    state.pledges.append(
        Pledge(
            event.no,
            event.pledge_id,
            event.backer,
            event.amount_minor,
            event.lines,
            event.destination,
            event.payment_method,
            event.version,
        )
    )
    state.no_by_id[event.pledge_id] = event.no
    state.open_pledges += 1


def _require_same(pledge: Pledge, state: Campaign, command: c.MakePledge) -> None:
    first = pledge.first or content_of(pledge)
    sent = Content(command.amount_minor, command.choices, command.destination)
    same = first == sent and pledge.backer == command.backer
    if not same or command.currency not in ("", state.bound.currency):
        raise errors.PledgeIdReused


def content_of(pledge: Pledge) -> Content:
    """What a pledge promises now, as its backer chose it."""
    choices = tuple(Choice(line.reward_id, line.quantity) for line in pledge.lines)
    return Content(pledge.amount_minor, choices, pledge.destination)


# --- Revise and leave ----------------------------------------------------------------------------


def revise(state: Campaign, command: c.RevisePledge, at: int) -> list[e.Event]:
    """Other terms for a pledge that is only made; its own stock counts as free."""
    pledge = pledge_with_id(state, command.pledge_id)
    _require_owner(pledge, command)
    if pledge.status is not Status.MADE:
        raise errors.PledgeNotRevisable(f"The pledge is {pledge.status}.")
    _require_pledgeable(state, at)
    if state.phase is not Phase.LIVE:
        raise errors.PledgeNotRevisable("The campaign has closed: what was promised stands.")
    _protect_goal(state, command, pledge.amount_minor - command.amount_minor, at)
    lines = _lines(state, command.choices, command.destination, command.amount_minor)
    decided: list[e.Event] = []
    if is_limited(state, lines):
        gone = _gone_holds(state, at)
        require_stock(state, lines, pledge.lines, *(state.holds[gone_id].lines for gone_id in gone))
        decided = _lapses(state, command, at, gone)
    decided.append(
        e.PledgeRevised(
            **head(state, command, at, len(decided)),
            no=pledge.no,
            was_minor=pledge.amount_minor,
            amount_minor=command.amount_minor,
            lines=lines,
            destination=command.destination,
            visibility=command.visibility,
        )
    )
    return decided


def revised(state: Campaign, event: e.PledgeRevised) -> None:
    """One fact replaces the terms; the first content stays known for repeats."""
    pledge = state.pledges[event.no - 1]
    pledge.first = pledge.first or content_of(pledge)
    return_stock(state, pledge)
    take_stock(state, event.lines)
    pledge.claims_stock = True
    pledge.amount_minor = event.amount_minor
    pledge.lines = event.lines
    pledge.destination = event.destination


def withdraw(state: Campaign, command: c.WithdrawPledge, at: int) -> list[e.Event]:
    """Leave before the deadline, after a failed payment, or within the withdrawal period."""
    pledge = pledge_with_id(state, command.pledge_id)
    _require_owner(pledge, command)
    facts: dict[str, Any] = {"no": pledge.no, "amount_minor": pledge.amount_minor}
    match pledge.status:
        case Status.MADE:
            if state.phase is not Phase.LIVE or at >= state.deadline_at:
                raise errors.PledgeNotWithdrawable("The deadline has passed.")
            _protect_goal(state, command, pledge.amount_minor, at)
            return [e.PledgeWithdrawn(**head(state, command, at), **facts)]
        case Status.FAILED | Status.ACTION_REQUIRED:
            if state.phase is Phase.LIVE:
                _protect_goal(state, command, pledge.amount_minor, at)
            return [e.PledgeWithdrawn(**head(state, command, at), **facts)]
        case Status.COLLECTED:
            return _withdraw_collected(state, command, pledge, at)
        case Status.WITHDRAWN if _waits_for_money(pledge):
            _require_fresh_refund(state, command)
            refund = refund_facts(state, pledge, command.command_id, "withdrawn", 0)
            return [e.RefundRequested(**head(state, command, at), **refund)]
        case _:
            raise errors.PledgeNotWithdrawable(f"The pledge is {pledge.status}.")


def _withdraw_collected(
    state: Campaign, command: c.WithdrawPledge, pledge: Pledge, at: int
) -> list[e.Event]:
    terms, funds = state.bound.terms, pledge.funds
    assert funds is not None, "a collected pledge has funds"
    if terms.collect_at != "pledge":
        raise errors.PledgeNotWithdrawable("It was charged after success.")
    if at >= funds.collected_at + terms.withdrawal_days * DAY_MS:
        raise errors.WithdrawalPeriodOver
    if state.phase is Phase.LIVE:
        _protect_goal(state, command, pledge.amount_minor, at)
    _require_fresh_refund(state, command)
    refund = refund_facts(state, pledge, command.command_id, "withdrawn", 0)
    return [
        e.PledgeWithdrawn(
            **head(state, command, at), no=pledge.no, amount_minor=pledge.amount_minor
        ),
        e.RefundRequested(**head(state, command, at, 1), **refund),
    ]


def _waits_for_money(pledge: Pledge) -> bool:
    """Whether a withdrawn charge is still here, because its refund failed."""
    funds = pledge.funds
    return funds is not None and funds.returnable_minor > 0


def _require_fresh_refund(state: Campaign, command: c.WithdrawPledge) -> None:
    if command.command_id in state.refunds:
        raise errors.IdReused


def withdrawn(state: Campaign, event: e.PledgeWithdrawn) -> None:
    """Gone; its pieces are free unless they were sent."""
    pledge = state.pledges[event.no - 1]
    if pledge.funds is None:
        state.open_pledges -= 1
    pledge.status = Status.WITHDRAWN
    if not pledge.sent:
        return_stock(state, pledge)


def replace_method(state: Campaign, command: c.ReplacePaymentMethod, at: int) -> list[e.Event]:
    """Another card, while nothing is under way."""
    pledge = pledge_with_id(state, command.pledge_id)
    _require_owner(pledge, command)
    if not is_id(command.payment_method):
        raise errors.ContentInvalid("A payment method is named by its id.")
    if pledge.status not in (Status.MADE, Status.FAILED, Status.ACTION_REQUIRED):
        raise errors.PledgeNotCollectable(f"The pledge is {pledge.status}.")
    facts = head(state, command, at)
    return [e.PaymentMethodReplaced(**facts, no=pledge.no, payment_method=command.payment_method)]


def method_replaced(state: Campaign, event: e.PaymentMethodReplaced) -> None:
    """The next attempt uses it, even where the last decline was final."""
    pledge = state.pledges[event.no - 1]
    pledge.payment_method = event.payment_method
    pledge.retryable = True


# --- What they share -----------------------------------------------------------------------------


def _require_pledgeable(state: Campaign, at: int) -> None:
    phase = state.phase
    if phase is _LIVE and not state.suspended and at < state.deadline_at:
        return  # by far the most often
    if phase is Phase.NONE:
        raise errors.CampaignUnknown
    require_running(state)
    if not (phase is Phase.SUCCEEDED and state.late_open):
        raise errors.CampaignClosed


def _require_ids(own_id: str, backer: str) -> None:
    if not are_ids(own_id, backer):
        raise errors.ContentInvalid("Pledges, holds and backers are named by random ids (UUID).")


def _require_own(state: Campaign, command: c.Command, backer: str) -> None:
    by = command.by
    if by.startswith(_BACKER) and by != _BACKER + backer:
        raise errors.NotYourPledge("Backers pledge for themselves.")
    if state.is_team(backer):
        raise errors.OwnCampaign


def _require_owner(pledge: Pledge, command: c.Command) -> None:
    if role_of(command.by) not in ("backer", "staff"):
        raise errors.NotAllowed("A pledge is its backer's to change.")
    require_backer(command, pledge.backer)


def _lines(
    state: Campaign, choices: tuple[Choice, ...], destination: str, amount_minor: int
) -> tuple[Line, ...]:
    if not is_amount(amount_minor):
        raise errors.AmountInvalid
    if destination and (not is_region(destination) or destination == ELSEWHERE):
        raise errors.ContentInvalid("A destination is a country code, such as CN or US-CA.")
    if not choices:
        return ()
    if len(choices) > _MAX_CHOICES:
        raise errors.RewardChoiceInvalid(f"At most {_MAX_CHOICES} rewards in one pledge.")
    lines = lines_for(state, choices, destination)
    cost = cost_minor(lines)
    if amount_minor < cost:
        raise errors.AmountTooSmall(f"The chosen rewards with shipping come to {cost}.")
    return lines


def _protect_goal(state: Campaign, command: c.Command, decrease_minor: int, at: int) -> None:
    last_day = state.phase is Phase.LIVE and at >= state.deadline_at - LAST_DAY_MS
    if role_of(command.by) != "backer" or not last_day or decrease_minor <= 0:
        return
    pledged_minor, goal_minor = state.figures.pledged_minor, state.bound.goal_minor
    if pledged_minor >= goal_minor > pledged_minor - decrease_minor:
        raise errors.GoalProtected
