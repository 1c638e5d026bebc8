"""Limited rewards: what pledges claim and checkouts hold never exceeds the limit (rule 3)."""

from __future__ import annotations

from collections.abc import Iterable

from domain import errors
from domain.state import Campaign, Pledge
from domain.terms import Choice, Line

_MAX_QUANTITY = 1000


def lines_for(
    state: Campaign, choices: tuple[Choice, ...], destination: str | None
) -> tuple[Line, ...]:
    """Price the choices as the campaign offers them now, for one destination.

    Without a destination (a hold is placed before it is known) shipping is left out.
    Raises RewardUnknown, RewardChoiceInvalid or NotShippedThere.
    """
    lines = []
    main = False
    for choice in choices:
        stock = state.stocks.get(choice.reward_id)
        if stock is None:
            raise errors.RewardUnknown
        if not 1 <= choice.quantity <= _MAX_QUANTITY:
            raise errors.RewardChoiceInvalid(f"A quantity lies between 1 and {_MAX_QUANTITY}.")
        reward = stock.reward
        main = main or not reward.add_on
        shipping_minor = 0
        if reward.shipping and destination is not None:
            fee = reward.shipping_minor(destination)
            if fee is None:
                raise errors.NotShippedThere
            shipping_minor = fee
        lines.append(Line(choice.reward_id, choice.quantity, reward.price_minor, shipping_minor))
    if lines and not main:
        raise errors.RewardChoiceInvalid("An add-on needs a reward beside it.")
    if len({line.reward_id for line in lines}) != len(lines):
        raise errors.RewardChoiceInvalid("Each reward is named once, with its quantity.")
    return tuple(lines)


def cost_minor(lines: Iterable[Line]) -> int:
    """What the lines cost with their shipping, in minor units."""
    return sum(line.quantity * (line.price_minor + line.shipping_minor) for line in lines)


def require_stock(state: Campaign, lines: tuple[Line, ...], *own: tuple[Line, ...]) -> None:
    """Raise SoldOut unless the lines fit, where the `own` lines count as free."""
    free = {line.reward_id: 0 for line in lines}
    for mine in own:
        for line in mine:
            if line.reward_id in free:
                free[line.reward_id] += line.quantity
    for line in lines:
        stock = state.stocks[line.reward_id]
        limit = stock.reward.limit
        taken = stock.claimed + stock.held - free[line.reward_id]
        if limit is not None and taken + line.quantity > limit:
            raise errors.SoldOut(f"Only {max(0, limit - taken)} left of a chosen reward.")


def is_limited(state: Campaign, lines: tuple[Line, ...]) -> bool:
    """Whether any of the lines is of a limited reward."""
    return any(state.stocks[line.reward_id].reward.limit is not None for line in lines)


def take_stock(state: Campaign, lines: tuple[Line, ...]) -> None:
    """Count the lines as claimed."""
    for line in lines:
        state.stocks[line.reward_id].claimed += line.quantity


def return_stock(state: Campaign, pledge: Pledge) -> None:
    """Give a pledge's pieces back, once."""
    if pledge.claims_stock:
        pledge.claims_stock = False
        for line in pledge.lines:
            state.stocks[line.reward_id].claimed -= line.quantity


def release_hold(state: Campaign, hold_id: str) -> None:
    """End a hold and free its pieces; an unknown one is gone already."""
    hold = state.holds.pop(hold_id, None)
    if hold is not None:
        state.hold_of.pop(hold.backer, None)
        for line in hold.lines:
            state.stocks[line.reward_id].held -= line.quantity
