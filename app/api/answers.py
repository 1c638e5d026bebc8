"""What programs get back."""

from __future__ import annotations

from typing import Final

from litestar import Response
from msgspec import Struct

from app.engine import Outcome
from domain.events import TAGS, PledgeMade

POSITION_HEADER: Final = "Tributary-Position"
"""The header with the log's position: give it to a GET as `at_least` to read your own write."""


class PledgeOut(Struct, frozen=True):
    """A pledge as it was made. `position` is its place in the log."""

    pledge_id: str
    no: int
    position: int
    campaign_id: str
    state: str = "made"


class PledgeLineOut(Struct, frozen=True):
    """The outcome of one line of a batch that was recorded: status 201, or 200 for a repetition."""

    line: int
    status: int
    pledge_id: str
    no: int
    position: int
    campaign_id: str
    state: str = "made"


class ProblemLineOut(Struct, frozen=True):
    """The outcome of one line of a batch that was refused: the problem, and the line's number."""

    line: int
    status: int
    type: str
    title: str
    detail: str
    reason: str


class ActionOut(Struct, frozen=True):
    """What a command led to: the tags of its events; none where nothing was left to change.

    `position` is the place of the last of them in the log.
    """

    campaign_id: str
    position: int
    events: tuple[str, ...]
    repeated: bool


def pledge_made(outcome: Outcome) -> tuple[PledgeMade, int]:
    """The pledge among a command's events (a lapsed hold may stand before it), and its position."""
    for offset, event in enumerate(outcome.events):
        if isinstance(event, PledgeMade):
            return event, outcome.position + offset
    raise AssertionError("a pledge that was not refused was made")


def pledge_out(campaign_id: str, outcome: Outcome) -> Response[PledgeOut]:
    """Answer 201 for a new pledge and 200, with the same body, for one that was made before."""
    event, position = pledge_made(outcome)
    return Response(
        PledgeOut(event.pledge_id, event.no, position, campaign_id),
        status_code=200 if outcome.repeated else 201,
        headers={POSITION_HEADER: str(position)},
    )


def action_out(campaign_id: str, outcome: Outcome) -> Response[ActionOut]:
    """Answer a command of the route table."""
    tags = tuple(TAGS[type(event)] for event in outcome.events)
    position = outcome.last_position
    return Response(
        ActionOut(campaign_id, position, tags, outcome.repeated),
        status_code=200,
        headers={POSITION_HEADER: str(position)},
    )
