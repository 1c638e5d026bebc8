"""What should come of a command, told from the model of a campaign and the rule book alone."""

from __future__ import annotations

from typing import Any

from domain import commands as c
from domain.terms import Choice
from tests.domain.model import DAY, RESTING, Model
from tests.domain.scenario import STAFF

Answer = str
"""`yes`, `no`, `again` (done before), `nothing` (a report that changes nothing), `suspense`, or
`any` where the model has no opinion."""


def answer(model: Model, command: c.Command, at: int) -> Answer:
    """What should come of a command; refusals of form and role are not asked for here."""
    match command:
        case c.MakePledge():
            return _answer_make(model, command, at)
        case c.RevisePledge():
            return _answer_revise(model, command, at)
        case c.WithdrawPledge():
            return _answer_withdraw(model, command, at)
        case c.PlaceHold():
            return _answer_hold(model, command, at)
        case c.RequestCollection():
            return _answer_collection(model, command)
        case c.RecordCollected():
            return _answer_collected(model, command)
        case c.DropPledge():
            return _answer_drop(model, command, at)
        case c.RequestRefund():
            return _answer_refund(model, command)
        case c.RequestPayout():
            return _answer_payout(model, command, at)
        case c.ApprovePayout():
            return _answer_approval(model, command, at)
        case c.CloseCampaign():
            return _yes(model.phase == "live" and at >= model.deadline)
        case c.ExtendDeadline():
            later = model.deadline < command.deadline_at
            return _yes(model.phase == "live" and not model.moved and at < model.deadline and later)
        case c.SuspendCampaign():
            return _yes(
                model.phase in ("live", "won", "settled", "completed") and not model.suspended
            )
        case c.ResumeCampaign():
            return _yes(model.suspended)
        case c.CancelCampaign():
            on_the_way = any(p["state"] == "approved" for p in model.payouts.values())
            return _yes(model.phase in ("live", "won", "settled") and not on_the_way)
        case c.RevokePayout():
            known = model.payouts.get(command.payout_id, {"state": ""})
            stopped = model.suspended or bool(model.odd)
            return _yes(known["state"] == "approved" and stopped)
        case c.OpenLatePledges():
            return _yes(model.phase in ("live", "won") and not model.late)
        case c.ChangeRewardStock():
            fits = command.limit is None or command.limit >= max(1, model.taken(command.reward_id))
            return _yes(model.phase in ("live", "won") and fits)
        case c.RecordRepayment() if command.reference in model.repaid:
            return "again"
        case c.WriteOffDebt() | c.RecordRepayment():
            return _yes(1 <= command.amount_minor <= model.open_debt())
        case _:
            return "any"


def _takes_pledges(model: Model, at: int) -> bool:
    live = model.phase == "live" and at < model.deadline
    return not model.suspended and (live or (model.phase == "won" and model.late))


def _fits(model: Model, choices: tuple[Choice, ...], *free: dict[str, int]) -> bool:
    for choice in choices:
        limit = model.rewards[choice.reward_id].limit
        back = sum(lines.get(choice.reward_id, 0) for lines in free)
        taken = model.taken(choice.reward_id) - back + choice.quantity
        if limit is not None and taken > limit:
            return False
    return True


def _covers(model: Model, minor: int, choices: tuple[Choice, ...], destination: str) -> bool:
    cost, main = 0, not choices
    for choice in choices:
        reward = model.rewards[choice.reward_id]
        shipping = {fee.region: fee.fee_minor for fee in reward.shipping}
        if shipping and destination not in shipping:
            return False
        cost += choice.quantity * (reward.price_minor + shipping.get(destination, 0))
        main = main or not reward.add_on
    return main and minor >= max(1, cost)


def _over(model: Model, at: int, replaced: str = "") -> list[dict[str, int]]:
    gone = [each for each in model.holds.values() if each["until"] <= at]
    gone += [
        each for each in model.holds.values() if each["backer"] == replaced and each["until"] > at
    ]
    return [each["lines"] for each in gone]


def _limited(model: Model, choices: tuple[Choice, ...]) -> bool:
    return any(model.rewards[each.reward_id].limit is not None for each in choices)


def _answer_make(model: Model, command: c.MakePledge, at: int) -> Answer:
    known = next((each for each in model.pledges if each["id"] == command.pledge_id), None)
    content = (command.amount_minor, command.choices, command.destination)
    if known is not None:
        same = known["first"] == content and known["backer"] == command.backer
        return "again" if same else "no"
    own = command.by in (f"backer:{command.backer}", "") or not command.by.startswith("backer")
    fits = _fits(model, command.choices, *_over(model, at, command.backer))
    covers = _covers(model, command.amount_minor, command.choices, command.destination)
    return _yes(
        _takes_pledges(model, at)
        and _is_outsider(model, command.backer)
        and own
        and covers
        and fits
    )


def _answer_hold(model: Model, command: c.PlaceHold, at: int) -> Answer:
    known = model.holds.get(command.hold_id)
    if known is not None:
        return "again" if known["backer"] == command.backer else "no"
    fits = _fits(model, command.choices, *_over(model, at, command.backer))
    main = any(not model.rewards[each.reward_id].add_on for each in command.choices)
    fine = main and _limited(model, command.choices) and fits
    return _yes(_takes_pledges(model, at) and _is_outsider(model, command.backer) and fine)


def _is_outsider(model: Model, party: str) -> bool:
    return party not in (model.submission.creator, *model.submission.team)


def _named(model: Model, pledge_id: str) -> dict[str, Any] | None:
    return next((each for each in model.pledges if each["id"] == pledge_id), None)


def _undoes_goal(model: Model, by: str, decrease: int, at: int) -> bool:
    last_day = model.phase == "live" and at >= model.deadline - DAY
    pledged, goal = model.figures()["pledged_minor"], model.submission.goal_minor
    return by.startswith("backer") and last_day and pledged >= goal > pledged - decrease


def _answer_revise(model: Model, command: c.RevisePledge, at: int) -> Answer:
    pledge = _named(model, command.pledge_id)
    if pledge is None or pledge["status"] != "made" or model.phase != "live":
        return "no"
    if not _takes_pledges(model, at) or command.by != f"backer:{pledge['backer']}":
        return "no"
    decrease = pledge["minor"] - command.amount_minor
    covers = _covers(model, command.amount_minor, command.choices, command.destination)
    fits = _fits(model, command.choices, pledge["lines"], *_over(model, at))
    return _yes(covers and fits and not _undoes_goal(model, command.by, decrease, at))


def _answer_withdraw(model: Model, command: c.WithdrawPledge, at: int) -> Answer:
    pledge = _named(model, command.pledge_id)
    if pledge is None or command.by not in (f"backer:{pledge['backer']}", STAFF):
        return "no"
    undoes = _undoes_goal(model, command.by, pledge["minor"], at)
    if pledge["status"] == "made":
        return _yes(model.phase == "live" and at < model.deadline and not undoes)
    if pledge["status"] in ("failed", "action_required"):
        return _yes(not undoes)
    if pledge["money"] is None:
        return "no"
    refundable = _most(model, pledge) > 0 and not model.waiting(pledge, model.disputes)
    if pledge["status"] == "withdrawn":
        return _yes(refundable)
    within = at < pledge["money"]["at"] + model.terms.withdrawal_days * DAY
    early = model.terms.collect_at == "pledge"
    return _yes(early and within and not undoes and refundable)


def _most(model: Model, pledge: dict[str, Any]) -> int:
    """The most that a refund may ask for; of a campaign that is over, what it still has."""
    if model.phase != "over":
        return _returnable(model, pledge)
    covered = model.split(pledge, 10**15, model.free(pledge), in_full=True)
    return min(_returnable(model, pledge), covered[0])


def _returnable(model: Model, pledge: dict[str, Any]) -> int:
    money = pledge["money"]
    back = money["refunded"] + money["lost"] + model.waiting(pledge, model.refunds)
    return int(money["collected"] - back - model.waiting(pledge, model.disputes))


def _numbered(model: Model, no: int) -> dict[str, Any] | None:
    return model.pledges[no - 1] if 1 <= no <= len(model.pledges) else None


def _answer_collection(model: Model, command: c.RequestCollection) -> Answer:
    pledge = _numbered(model, command.no)
    if pledge is None:
        return "no"
    if pledge["attempt"] and command.attempt == pledge["attempt"]:
        return "again"
    early = model.phase == "live" and model.terms.collect_at == "pledge"
    due = (early or model.phase == "won") and not model.suspended
    next_one = command.attempt == pledge["attempt"] + 1
    return _yes(due and next_one and pledge["status"] in RESTING)


def _answer_collected(model: Model, command: c.RecordCollected) -> Answer:
    pledge = _numbered(model, command.no)
    if pledge is not None and pledge["money"] is not None:
        if pledge["money"]["reference"] == command.reference:
            return "nothing"
        return _odd(model, "collected_unexpectedly", command.reference)
    waits = pledge is not None and pledge["status"] in (*RESTING, "collecting", "unknown")
    if pledge is None or not waits or not 1 <= command.attempt <= pledge["attempt"]:
        return _odd(model, "collected_unexpectedly", command.reference)
    if command.amount_minor != pledge["minor"]:
        return _odd(model, "collected_amount_differs", command.reference)
    return "yes"


def _odd(model: Model, kind: str, reference: str) -> Answer:
    return "nothing" if (kind, reference) in model.reports else "suspense"


def _answer_drop(model: Model, command: c.DropPledge, at: int) -> Answer:
    pledge = _numbered(model, command.no)
    if pledge is None or pledge["status"] not in ("failed", "action_required"):
        return "no"
    return _yes(not model.suspended and at >= pledge["since"] + model.terms.grace_days * DAY)


def _answer_refund(model: Model, command: c.RequestRefund) -> Answer:
    pledge = _numbered(model, command.no)
    known = model.refunds.get(command.refund_id)
    if known is not None:
        same = (known["no"], known["cause"]) == (command.no, command.cause)
        return "again" if same and command.amount_minor in (0, known["minor"]) else "no"
    over = model.phase == "over"
    said_over = command.cause in ("failed", "cancelled")
    if pledge is None or pledge["money"] is None or (said_over and not over):
        return "no"
    if model.phase == "live" and pledge["status"] != "withdrawn":
        return "no"
    if model.waiting(pledge, model.disputes):
        return "no"
    most = _most(model, pledge)
    wanted = command.amount_minor or most
    return _yes(0 < wanted <= most)


def _may_pay(model: Model, at: int) -> bool:
    due = at >= model.won_at + model.terms.payout_delay_days * DAY
    ready = bool(model.account) and at >= model.account_at
    short = model.figures()["charged_minor"] < model.submission.goal_minor
    planned = model.submission.model == "flexible" or not short or model.plan
    calm = not model.suspended and not model.odd
    return model.phase in ("won", "settled") and due and ready and planned and calm


def _answer_payout(model: Model, command: c.RequestPayout, at: int) -> Answer:
    if command.payout_id in model.payouts:
        return "any"
    last = command.to_no or len(model.pledges)
    inside = 1 <= command.from_no <= last <= len(model.pledges)
    inside = inside and all(command.from_no <= no <= last for no in command.except_nos)
    unpaid, waiting = model.unpaid(), False
    if unpaid:
        opened = [p for p in model.payouts.values() if p["state"] == "requested"]
        waiting = any(each["milestone"] for each in opened)
    in_turn = command.milestone_id == (unpaid[0].milestone_id if unpaid else "")
    part = bool(unpaid) or 1 <= command.numerator <= command.denominator
    return _yes(_may_pay(model, at) and inside and in_turn and part and not waiting)


def _answer_approval(model: Model, command: c.ApprovePayout, at: int) -> Answer:
    payout = model.payouts.get(command.payout_id)
    if payout is None or payout["state"] != "requested" or not _may_pay(model, at):
        return "no"
    role, _, party = command.by.partition(":")
    ours = party in (model.submission.creator, *model.submission.team)
    apart = role == "treasurer" and not ours and party != payout["by"].partition(":")[2]
    unpaid = model.unpaid()
    in_turn = payout["milestone"] in ("", *(each.milestone_id for each in unpaid[:1]))
    minor = sum(model.shares(payout).values())
    return _yes(
        apart
        and in_turn
        and payout["account"] == model.account
        and 0 < minor <= 10**12
        and minor <= _unreserved(model, at)
    )


def _unreserved(model: Model, at: int) -> int:
    figures = model.figures()
    over = at >= model.won_at + model.terms.reserve_days * DAY
    net = figures["charged_minor"] - figures["fees_minor"] - figures["returned_minor"]
    reserve = max(0, net) * model.terms.reserve_bps // 10_000
    if not model.submission.first_time_creator or model.any_received or over or not reserve:
        return 10**15
    return figures["held_minor"] - figures["on_the_way_minor"] - reserve


def _yes(fine: bool) -> Answer:
    return "yes" if fine else "no"
