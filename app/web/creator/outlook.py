"""What could be paid out, and what keeps it from being asked for: looked at in the rules' own
state, so that a page never promises what a command then refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from app.processes.collect import retry_at
from app.wiring import Platform
from domain.paying_out import payout_share, reserve_minor
from domain.state import Campaign, Phase
from domain.terms import DAY_MS, Milestone

Obstacle = Literal[
    "not_succeeded",
    "suspended",
    "too_early",
    "frozen",
    "no_account",
    "account_waits",
    "plan_needed",
    "nothing",
    "milestone_waits",
]


class Outlook(Struct, frozen=True, kw_only=True):
    """What a payout would be; amounts in minor units, times ms UTC.

    `whole_minor` is what everything together would bring, `free_minor` what of it the reserve
    leaves; `debt_minor` is what the creator owes and would be taken from it. With milestones the
    next one's id, and its fraction of what is left, are named.
    """

    obstacles: tuple[Obstacle, ...]
    payable_from_at: int
    whole_minor: int
    free_minor: int
    reserve_minor: int
    reserve_until_at: int
    debt_minor: int
    account_id: str
    account_usable_at: int
    milestone_id: str
    numerator: int
    denominator: int
    next_minor: int
    plan_possible: bool
    deadline_movable: bool
    late_open: bool
    first_time: bool


async def outlook(
    platform: Platform, campaign_id: str, at: int, numerator: int = 1, denominator: int = 1
) -> Outlook:
    """What a payout of this fraction, or of the next milestone, would be now."""

    def look(state: Campaign) -> Outlook:
        return _outlook(state, at, numerator, denominator)

    return await asyncio.to_thread(platform.engine.inspect, campaign_id, look)


def _outlook(state: Campaign, at: int, numerator: int, denominator: int) -> Outlook:
    bound = state.bound
    waiting = _unpaid(state)
    if waiting:
        numerator, denominator = waiting[0].share_bps, sum(stage.share_bps for stage in waiting)
    payable_from_at = (
        state.succeeded_at + bound.terms.payout_delay_days * DAY_MS if state.succeeded_at else 0
    )
    whole_minor = next_minor = 0
    if state.phase in (Phase.SUCCEEDED, Phase.SETTLED):
        for pledge in state.pledges:
            whole_minor += payout_share(pledge, 1, 1)
            next_minor += payout_share(pledge, numerator, denominator)
    reserve = reserve_minor(state, at) if state.succeeded_at else 0
    figures = state.figures
    free_minor = max(0, figures.held_minor - figures.on_the_way_minor - reserve)
    in_flight = sum(p.debt_minor for p in state.payouts.values() if p.state == "approved")
    return Outlook(
        obstacles=tuple(_obstacles(state, at, payable_from_at, whole_minor)),
        payable_from_at=payable_from_at,
        whole_minor=whole_minor,
        free_minor=min(whole_minor, free_minor) if reserve else whole_minor,
        reserve_minor=reserve,
        reserve_until_at=state.succeeded_at + bound.terms.reserve_days * DAY_MS,
        debt_minor=max(0, figures.owed_minor - in_flight),
        account_id=state.account_id,
        account_usable_at=state.account_usable_at,
        milestone_id=waiting[0].milestone_id if waiting else "",
        numerator=numerator,
        denominator=denominator,
        next_minor=next_minor,
        plan_possible=state.phase in (Phase.SUCCEEDED, Phase.SETTLED),
        deadline_movable=not state.deadline_moved and at < state.deadline_at,
        late_open=state.late_open,
        first_time=bound.first_time_creator,
    )


def _unpaid(state: Campaign) -> list[Milestone]:
    done = {p.milestone_id for p in state.payouts.values() if p.state in ("approved", "sent")}
    return [stage for stage in state.bound.milestones if stage.milestone_id not in done]


def _obstacles(state: Campaign, at: int, payable_from_at: int, whole_minor: int) -> list[Obstacle]:
    """Everything that a request would be refused for, in the order in which it can be mended."""
    if state.phase not in (Phase.SUCCEEDED, Phase.SETTLED):
        return ["not_succeeded"]
    found: list[Obstacle] = []
    if state.suspended:
        found.append("suspended")
    if at < payable_from_at:
        found.append("too_early")
    if state.frozen:
        found.append("frozen")
    if not state.account_id:
        found.append("no_account")
    elif at < state.account_usable_at:
        found.append("account_waits")
    short = state.figures.charged_minor < state.bound.goal_minor
    if state.bound.model == "all_or_nothing" and short and not state.plan_updated:
        found.append("plan_needed")
    if not whole_minor:
        found.append("nothing")
    if _unpaid(state) and any(
        payout.milestone_id and payout.state == "requested" for payout in state.payouts.values()
    ):
        found.append("milestone_waits")
    return found


class Trying(Struct, frozen=True):
    """When a declined card is tried again, None where it is not; and when it is given up."""

    again_at: int | None
    given_up_at: int


async def trying_again(
    platform: Platform, campaign_id: str, nos: Collection[int]
) -> dict[int, Trying]:
    """What becomes of these failed collections, by the pledge's number."""

    def look(state: Campaign) -> dict[int, Trying]:
        terms = state.bound.terms
        found = {}
        for no in nos:
            pledge = state.pledge(no)
            if pledge is None or not pledge.failed_at:
                continue
            again = retry_at(terms, pledge.attempt, pledge.failed_at) if pledge.retryable else None
            found[no] = Trying(again, pledge.failed_at + terms.grace_days * DAY_MS)
        return found

    return await asyncio.to_thread(platform.engine.inspect, campaign_id, look)
