"""What is looked at before a fact of a campaign's life, its rewards or its pledges is added."""

from __future__ import annotations

from typing import Any

from domain import events as e
from domain.checks.memory import Lost, Memory
from domain.checks.whole import GONE
from domain.state import AT_REST, Status
from domain.terms import Line

# --- Life of a campaign ----------------------------------------------------------------------

def submitted(memory: Memory, event: e.CampaignSubmitted) -> None:
    first = memory.state.submission is None
    memory.must(11, "A campaign is submitted once.", first)
    memory.must(11, "A campaign's stream is its own.", event.stream == memory.state.stream)

def resubmitted(memory: Memory, _: e.CampaignResubmitted) -> None:
    memory.must(11, "A launched campaign is not submitted again.", memory.stage == "early")

def launched(memory: Memory, event: e.CampaignLaunched) -> None:
    memory.must(11, "A campaign is launched once.", memory.stage == "early")
    memory.stage = "live"
    memory.deadline_at = event.deadline_at
    bound = memory.state.bound
    agreed = (bound.model, bound.goal_minor, bound.deadline_at, bound.terms)
    told = (event.model, event.goal_minor, event.deadline_at, event.terms)
    memory.must(2, "The launch binds other terms than those agreed to.", told == agreed)

def suspended_or_resumed(memory: Memory, event: e.CampaignSuspended | e.CampaignResumed) -> None:
    memory.suspended = isinstance(event, e.CampaignSuspended)

def late_opened_or_closed(memory: Memory, event: e.LatePledgesOpened | e.LatePledgesClosed) -> None:
    memory.late = isinstance(event, e.LatePledgesOpened)

def deadline_extended(memory: Memory, event: e.DeadlineExtended) -> None:
    later = event.at < memory.deadline_at < event.deadline_at
    memory.must(9, "A deadline moves later, before it has passed.", later)
    memory.deadline_at = event.deadline_at

def succeeded(memory: Memory, event: e.CampaignSucceeded) -> None:
    closed(memory, event, with_success=True)
    memory.stage, memory.won_at = "won", event.at

def over(memory: Memory, event: e.CampaignFailed | e.CampaignCancelled) -> None:
    if isinstance(event, e.CampaignFailed):
        closed(memory, event, with_success=False)
    memory.stage, memory.late = "over", False
    waiting = [each.amount_minor for each in memory.state.pledges if each.status in WAITING]
    told, due = (event.released_minor, event.released), (sum(waiting), len(waiting))
    memory.must(7, f"It releases {told}, not {due}.", told == due)
    memory.pledged_minor -= due[0]
    memory.pledges -= due[1]

def closed(memory: Memory, event: e.CampaignSucceeded | e.CampaignFailed, *, with_success: bool) -> None:
    told, due = (event.pledged_minor, event.pledges), (memory.pledged_minor, memory.pledges)
    memory.must(7, f"It closes with {told}, not {due}.", told == due)
    over = memory.stage == "live" and event.at >= memory.deadline_at
    memory.must(9, "A live campaign closes at its deadline.", over)
    bound = memory.state.bound
    goal_minor = 1 if bound.model == "flexible" else bound.goal_minor
    reached = memory.pledged_minor >= goal_minor
    memory.must(9, "Success is a reached goal.", reached == with_success)

# --- Pledges ---------------------------------------------------------------------------------

def lines_known(memory: Memory, lines: tuple[Line, ...]) -> None:
    for line in lines:
        if line.reward_id not in memory.state.stocks:
            raise Lost(3, "There is no such reward.")
        if line.quantity < 1:
            raise Lost(3, "A line has at least one piece.")

def reward_changed(memory: Memory, event: e.RewardChanged) -> None:
    stock = memory.state.stocks.get(event.reward.reward_id)
    if stock is None:
        raise Lost(3, "There is no such reward.")
    memory.must(3, "A reward changes once it has a backer.", not stock.claimed)

def stock_changed(memory: Memory, event: e.RewardStockChanged) -> None:
    if event.reward_id not in memory.state.stocks:
        raise Lost(3, "There is no such reward.")

def reward_added(memory: Memory, event: e.RewardAdded) -> None:
    if event.reward.reward_id in memory.state.stocks:
        raise Lost(3, "The reward is there already.")

def hold_placed(memory: Memory, event: e.HoldPlaced) -> None:
    lines_known(memory, event.lines)
    free = event.backer not in memory.state.hold_of and event.hold_id not in memory.state.holds
    memory.must(3, "A backer has one hold in a campaign.", free)

def offer_decided(memory: Memory, event: e.NeedAccepted | e.NeedDeclined | e.NeedReceived) -> None:
    if event.offer_id not in memory.state.offers:
        raise Lost(11, "There is no such offer.")

def made(memory: Memory, event: e.PledgeMade) -> None:
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
        lines_known(memory, event.lines)
    memory.pledged_minor += event.amount_minor
    memory.pledges += 1

def revised(memory: Memory, event: e.PledgeRevised) -> None:
    pledge = memory.pledge(event.no)
    lines_known(memory, event.lines)
    untouched = pledge.status is Status.MADE and event.was_minor == pledge.amount_minor
    memory.must(5, "Only what was just made is revised.", untouched)
    memory.pledged_minor += event.amount_minor - pledge.amount_minor

def left(memory: Memory, event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased) -> None:
    pledge = memory.pledge(event.no)
    stands = pledge.status not in GONE and event.amount_minor == pledge.amount_minor
    memory.must(7, f"Pledge {event.no} leaves with another sum.", stands)
    if pledge.funds is not None and not isinstance(event, e.PledgeWithdrawn):
        raise Lost(6, f"Pledge {event.no} was charged: its money has to go back.")
    memory.pledged_minor -= event.amount_minor
    memory.pledges -= 1

def delivered(memory: Memory, event: e.DeliveryMarked) -> None:
    for no in event.nos:
        memory.funds(no)

def received(memory: Memory, event: e.DeliveryReceived) -> None:
    memory.funds(event.no)

def not_charged(memory: Memory, event: Any) -> None:  # noqa: ANN401 - any fact about one pledge
    if memory.pledge(event.no).funds is not None:
        raise Lost(5, f"Pledge {event.no} was charged already.")

