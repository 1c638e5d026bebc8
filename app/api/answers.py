"""What programs get back."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import msgspec
from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from app.engine import Outcome
from domain.events import TAGS, PledgeMade

POSITION_HEADER: Final = "Tributary-Position"
"""The header with the log's position: give it to a GET as `at_least` to read your own write."""
_POSITION: Final = POSITION_HEADER.lower().encode()


JSON: Final = "application/json"

T = TypeVar("T")
_encoder: Final = msgspec.json.Encoder()


class Encoded(Response[T]):
    """An answer that is written already, as the busiest addresses give it.

    It goes to the server as it is: the framework's own response copies, merges and sorts what
    stands here in three headers.
    """

    def __init__(  # the framework's own fields are for its own way
        self, body: bytes, *, status_code: int = 200, media_type: str = JSON, position: int = 0
    ) -> None:
        self.content = body  # type: ignore[assignment]  # what it is written from is not kept
        self.status_code = status_code
        self.raw_headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        if position:
            self.raw_headers.append((_POSITION, b"%d" % position))

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:  # noqa: ANN401 - not needed
        """Return what sends it."""
        return cast("ASGIResponse", self)

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code or 200,
                "headers": self.raw_headers,
            }
        )
        body = cast("bytes", self.content)
        await send({"type": "http.response.body", "body": body, "more_body": False})


class PledgeOut(Struct, frozen=True):
    """A pledge as it was made. `position` is its place in the log."""

    pledge_id: str
    no: int
    position: int
    campaign_id: str
    state: str = "made"


class PledgeLineOut(Struct, frozen=True, gc=False):
    """The outcome of one line of a batch that was recorded: status 201, or 200 for a repetition."""

    line: int
    status: int
    pledge_id: str
    no: int
    position: int
    campaign_id: str
    state: str = "made"


class ProblemLineOut(Struct, frozen=True, gc=False):
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
    first = outcome.events[0] if outcome.events else None
    if type(first) is PledgeMade:
        return first, outcome.position
    for offset, event in enumerate(outcome.events):
        if isinstance(event, PledgeMade):
            return event, outcome.position + offset
    raise AssertionError("a pledge that was not refused was made")


def pledge_out(campaign_id: str, outcome: Outcome) -> Response[PledgeOut]:
    """Answer 201 for a new pledge and 200, with the same body, for one that was made before."""
    event, position = pledge_made(outcome)
    return Encoded(
        _encoder.encode(PledgeOut(event.pledge_id, event.no, position, campaign_id)),
        status_code=200 if outcome.repeated else 201,
        position=position,
    )


def action_out(campaign_id: str, outcome: Outcome) -> Response[ActionOut]:
    """Answer a command of the route table."""
    tags = tuple(TAGS[type(event)] for event in outcome.events)
    position = outcome.last_position
    return Encoded(
        _encoder.encode(ActionOut(campaign_id, position, tags, outcome.repeated)),
        position=position,
    )
