"""What is looked at before a fact of a campaign's life, its rewards or its pledges is added."""

from __future__ import annotations

from typing import Any, Final

from domain import events as e
from domain.checks.memory import Changes, Lost, Memory
from domain.checks.whole import GONE
from domain.state import Status
from domain.terms import Line

_WAITING: Final = (Status.MADE, Status.FAILED, Status.ACTION_REQUIRED)

# --- Life of a campaign --------------------------------------------------------------------------


def submitted(memory: Memory, event: e.CampaignSubmitted) -> None:
    """Rule 11: a stream begins once, and is its campaign's own."""
    if memory.state.submission is not None:
        raise Lost(11, f"The campaign is submitted a second time by {event.command_id}.")


def resubmitted(memory: Memory, _: e.CampaignResubmitted) -> None:
    """Rule 11: what was launched stays as it was submitted."""
    if memory.stage != "early":
        raise Lost(11, "A launched campaign is submitted again.")


def launched(memory: Memory, event: e.CampaignLaunched) -> None:
    """Rule 2: currency, goal and terms are bound as they were agreed to, once."""
    memory.must(11, "The campaign is launched a second time.", memory.stage == "early")
    memory.stage = "live"
    memory.deadline_at = event.deadline_at
    bound = memory.state.bound
    agreed = (bound.model, bound.goal_minor, bound.deadline_at, bound.terms)
    told = (event.model, event.goal_minor, event.deadline_at, event.terms)
    memory.must(2, "The launch binds other terms than those agreed to.", told == agreed)


def suspended_or_resumed(memory: Memory, event: e.CampaignSuspended | e.CampaignResumed) -> None:
    """Rule 9 asks for it."""
    memory.suspended = isinstance(event, e.CampaignSuspended)


def late_opened_or_closed(memory: Memory, event: e.LatePledgesOpened | e.LatePledgesClosed) -> None:
    """Rule 9 asks for it."""
    memory.late = isinstance(event, e.LatePledgesOpened)


def deadline_extended(memory: Memory, event: e.DeadlineExtended) -> None:
    """Rule 9: success cannot be put off once the deadline has passed."""
    later = event.at < memory.deadline_at < event.deadline_at
    memory.must(9, "A deadline moves later, before it has passed.", later)
    memory.deadline_at = event.deadline_at


def succeeded(memory: Memory, event: e.CampaignSucceeded) -> None:
    """Rule 9: money is collected on success, so success has to be one."""
    _closed(memory, event, with_success=True)
    memory.stage, memory.won_at = "won", event.at


def over(memory: Memory, event: e.CampaignFailed | e.CampaignCancelled) -> None:
    """Rule 7: what is released leaves what is pledged, pledge by pledge."""
    if isinstance(event, e.CampaignFailed):
        _closed(memory, event, with_success=False)
    memory.stage, memory.late = "over", False
    waiting = [each.amount_minor for each in memory.state.pledges if each.status in _WAITING]
    told, due = (event.released_minor, event.released), (sum(waiting), len(waiting))
    memory.must(7, f"It releases {told}, not {due}.", told == due)
    memory.pledged_minor -= due[0]
    memory.pledges -= due[1]


def _closed(
    memory: Memory, event: e.CampaignSucceeded | e.CampaignFailed, *, with_success: bool
) -> None:
    told, due = (event.pledged_minor, event.pledges), (memory.pledged_minor, memory.pledges)
    memory.must(7, f"It closes with {told}, not {due}.", told == due)
    on_time = memory.stage == "live" and event.at >= memory.deadline_at
    memory.must(9, "A live campaign closes at its deadline.", on_time)
    bound = memory.state.bound
    goal_minor = 1 if bound.model == "flexible" else bound.goal_minor
    reached = memory.pledged_minor >= goal_minor
    memory.must(9, "Success is a reached goal, nothing else.", reached == with_success)


# --- Rewards and needs ---------------------------------------------------------------------------


def reward_added(memory: Memory, event: e.RewardAdded) -> None:
    """Rule 3: a second reward of one id would lose what is claimed of the first."""
    if event.reward.reward_id in memory.state.stocks:
        raise Lost(3, "There is a reward with this id.")


def reward_changed(memory: Memory, event: e.RewardChanged) -> None:
    """Rule 3: what a backer was promised stays."""
    stock = memory.state.stocks.get(event.reward.reward_id)
    if stock is None:
        raise Lost(3, "There is no such reward.")
    memory.must(3, "A reward changes once it has a backer.", not stock.claimed)


def stock_changed(memory: Memory, event: e.RewardStockChanged) -> None:
    """Rule 3: there has to be a reward."""
    if event.reward_id not in memory.state.stocks:
        raise Lost(3, "There is no such reward.")


def offer_decided(memory: Memory, event: e.NeedAccepted | e.NeedDeclined | e.NeedReceived) -> None:
    """Rule 11: a fact names the one that it follows."""
    if event.offer_id not in memory.state.offers:
        raise Lost(11, "There is no such offer.")


def hold_placed(memory: Memory, event: e.HoldPlaced) -> None:
    """Rule 3: one hold per backer, of rewards that there are."""
    _require_lines(memory, event.lines)
    if event.backer in memory.state.hold_of or event.hold_id in memory.state.holds:
        raise Lost(3, "A backer has one hold in a campaign.")


def _require_lines(memory: Memory, lines: tuple[Line, ...]) -> None:
    for line in lines:
        if line.reward_id not in memory.state.stocks or line.quantity < 1:
            raise Lost(3, "A line is of at least one piece of a reward that there is.")


# --- Pledges -------------------------------------------------------------------------------------


def made(memory: Memory, event: e.PledgeMade) -> None:
    """Rule 4: the next number, a new id. Rule 9: while pledges are taken."""
    state = memory.state
    if event.no != len(state.pledges) + 1:
        raise Lost(4, f"Pledge {event.no} follows number {len(state.pledges)}.")
    if event.pledge_id in state.no_by_id:
        raise Lost(4, f"Pledge {event.no} has the id of another.")
    live = memory.stage == "live" and event.at < memory.deadline_at
    if memory.suspended or not (live or (memory.stage == "won" and memory.late)):
        memory.say(9, f"Pledge {event.no} is made when none are taken.")
    if event.hold_id and state.hold_of.get(event.backer) != event.hold_id:
        memory.say(3, f"Pledge {event.no} uses the hold of another.")
    if event.lines:
        _require_lines(memory, event.lines)
    memory.pledged_minor += event.amount_minor
    memory.pledges += 1


def revised(memory: Memory, event: e.PledgeRevised) -> None:
    """Rule 5: what is asked for stays what was pledged, so only what is made is revised."""
    pledge = memory.pledge(event.no)
    _require_lines(memory, event.lines)
    untouched = pledge.status is Status.MADE and event.was_minor == pledge.amount_minor
    memory.must(5, "Only a pledge that is made is revised, from its own sum.", untouched)
    memory.pledged_minor += event.amount_minor - pledge.amount_minor


def left(memory: Memory, event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased) -> None:
    """Rule 7: it leaves with its own sum, once. Rule 6: a charge does not just go away."""
    pledge = memory.pledge(event.no)
    if pledge.status in GONE:
        raise Lost(7, f"Pledge {event.no} leaves a second time.")
    own = event.amount_minor == pledge.amount_minor
    memory.must(7, f"Pledge {event.no} leaves with another sum.", own)
    if pledge.funds is not None and not isinstance(event, e.PledgeWithdrawn):
        raise Lost(6, f"Pledge {event.no} was charged: its money has to go back.")
    memory.pledged_minor -= event.amount_minor
    memory.pledges -= 1


def not_charged(memory: Memory, event: Any) -> None:  # noqa: ANN401 - any fact about one pledge
    """Rule 5: a charge that went through is not tried again."""
    if memory.pledge(event.no).funds is not None:
        raise Lost(5, f"Pledge {event.no} was charged already.")


def delivered(memory: Memory, event: e.DeliveryMarked) -> None:
    """Rule 11: a fact names the ones that it follows."""
    for no in event.nos:
        memory.funds(no)


def received(memory: Memory, event: e.DeliveryReceived) -> None:
    """Rule 11: a fact names the one that it follows."""
    memory.funds(event.no)


# --- Facts that fit nothing ----------------------------------------------------------------------


def discrepancy_recorded(memory: Memory, event: e.DiscrepancyRecorded) -> Changes:
    """Rule 13: it freezes payouts until it is resolved."""
    if event.discrepancy_id in memory.state.discrepancies:
        raise Lost(13, "A discrepancy is recorded under an id that was used.")
    memory.unsettled[event.discrepancy_id] = event
    return Changes()


def discrepancy_resolved(memory: Memory, event: e.DiscrepancyResolved) -> Changes:
    """Rule 13: settled as it came; money that is not ours is never kept."""
    found = memory.unsettled.pop(event.discrepancy_id, None)
    if found is None:
        raise Lost(13, "There is no such open discrepancy.")
    whole = (found.amount_minor, found.provider) == (event.amount_minor, event.provider)
    kept = event.resolution == "written_off" and event.amount_minor > 0
    lost = event.resolution == "noted" and event.amount_minor != 0
    memory.must(13, "A discrepancy is not settled as it came.", whole and not kept and not lost)
    return Changes()
