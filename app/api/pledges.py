"""Pledges by API: one, or up to ten thousand in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.api.access import ApiRequest
from app.api.addresses import SAMPLE_ID, Notes, writes
from app.api.answers import (
    Encoded,
    PledgeLineOut,
    PledgeOut,
    ProblemLineOut,
    pledge_made,
    pledge_out,
)
from app.api.backers import require_own_method
from app.api.bodies import NDJSON, PledgeIn, PledgeLineIn, require_media_type
from app.api.manners import charge_lines
from app.api.problems import Refused, problem_of
from app.api.repeating import idempotency_key
from app.engine import Outcome
from app.stores.api_keys import ApiKey
from app.wiring import Platform
from domain.commands import MakePledge
from domain.terms import Choice

MAX_LINES: Final = 10_000
MAX_BATCH_BYTES: Final = 8 * 2**20
PIECE_LINES: Final = 1_000
"""So many lines of a batch are read or written without a pause: some two milliseconds."""

_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(PledgeLineIn)


def backer_of(key: ApiKey, named: str) -> str:
    """The backer that a key pledges for: itself, or with `pledges:import` whom it names.

    Raises Refused.
    """
    if "pledges:import" in key.scopes:
        if not named:
            raise Refused("body_invalid", "An import names the backer of each pledge.")
        return named
    if named and named != key.owner:
        raise Refused("scope_missing", "Only a key with pledges:import pledges for others.")
    return key.owner


def choices_of(data: PledgeIn) -> tuple[Choice, ...]:
    """The chosen rewards, however they were named."""
    choices = tuple(Choice(choice.reward_id, choice.quantity) for choice in data.choices)
    return (Choice(data.reward_id), *choices) if data.reward_id else choices


def make_pledge(key: ApiKey, backer: str, campaign_id: str, data: PledgeIn) -> MakePledge:
    """The command of a pledge. The pledge's own id is random and names the intent, too."""
    return MakePledge(
        campaign_id=campaign_id,
        by=key.by,
        acting_in=key.channel,
        command_id=data.pledge_id,
        pledge_id=data.pledge_id,
        backer=backer,
        amount_minor=data.amount,
        currency=data.currency,
        choices=choices_of(data) if data.reward_id or data.choices else (),
        destination=data.destination,
        visibility=data.visibility,
        payment_method=data.payment_method,
    )


@writes(
    "/campaigns/{campaign_id:str}/pledges",
    "pledges:import",
    "pledges:write",
    status=201,
    notes=Notes(
        area="Pledges",
        command=True,
        also={200: "This pledge was made before; the content is that of the first answer."},
        example={"pledge_id": SAMPLE_ID, "amount": 12_000, "visibility": "hidden"},
    ),
    summary="Make a pledge",
)
async def pledge(
    campaign_id: FromPath[str],
    data: JSONBody[PledgeIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[PledgeOut]:
    """Promise money to a campaign.

    The same `pledge_id` with the same content is the same pledge and answers 200 with what was
    answered first; with other content it is refused. Answered once it is durable.
    """
    key = request.auth
    idempotency_key(request, "")  # the pledge's own id does its work; it has still to be one
    command = make_pledge(key, backer_of(key, data.backer_id), campaign_id, data)
    if data.payment_method:
        await require_own_method(platform, command.backer, data.payment_method)
    return pledge_out(campaign_id, await platform.engine.submit_async(command))


@writes(
    "/pledges/batch",
    "pledges:import",
    notes=Notes(
        area="Pledges",
        reasons=("engine_busy", "not_recorded", "outcome_unknown"),
        body=NDJSON,
        media=NDJSON,
    ),
    request_max_body_size=MAX_BATCH_BYTES,
    summary="Make up to 10,000 pledges",
)
async def pledge_batch(request: ApiRequest, platform: NamedDependency[Platform]) -> Response[bytes]:
    """Promise money for many backers: one JSON object a line (NDJSON), each a pledge with its
    `campaign_id`. The answer has one outcome a line, in the same order; a bad line fails alone.
    A pledge's own id makes it safe to send a batch again.
    """
    require_media_type(request, NDJSON)
    idempotency_key(request, "")
    body = await request.body()
    count = body.count(b"\n") + (not body.endswith(b"\n") and bool(body))
    if count > MAX_LINES:
        raise Refused("too_large", f"A batch has at most {MAX_LINES:,} lines.")
    charge_lines(request, count)
    lines = body.split(b"\n", count)[:count]
    read: list[MakePledge | Exception] = []
    for piece in _pieces(count):
        read += _commands(request.auth, lines[piece])
        await asyncio.sleep(0)
    await _refuse_others_methods(platform, read)
    commands = [found for found in read if type(found) is MakePledge]
    outcomes = await platform.engine.submit_many_async(commands)
    if len(outcomes) != count:
        outcomes = _in_their_places(read, outcomes)
    written = []
    for piece in _pieces(count):
        first = piece.start + 1
        answers = [_line_out(line, found) for line, found in enumerate(outcomes[piece], first)]
        written.append(_encoder.encode_lines(answers))
        await asyncio.sleep(0)
    return Encoded(b"".join(written), media_type=NDJSON)


def _pieces(count: int) -> Iterator[slice]:
    """A batch in pieces, between which others have their turn."""
    return (slice(start, start + PIECE_LINES) for start in range(0, count, PIECE_LINES))


def _in_their_places(
    read: list[MakePledge | Exception], outcomes: list[Outcome | Exception]
) -> list[Outcome | Exception]:
    """The outcome of every line: what was not submitted stands for itself."""
    rest = iter(outcomes)
    return [found if isinstance(found, Exception) else next(rest) for found in read]


async def _refuse_others_methods(platform: Platform, read: list[MakePledge | Exception]) -> None:
    """Put a refusal in the place of each pledge whose payment method is not its backer's.

    One look at the table for a whole batch, and none where no line names a method.
    """
    named = {found.payment_method for found in read if isinstance(found, MakePledge)}
    named.discard("")
    if not named:
        return
    parties = await platform.stores.methods.parties(named)
    for place, found in enumerate(read):
        if not isinstance(found, MakePledge) or not found.payment_method:
            continue
        if parties.get(found.payment_method) != found.backer:
            read[place] = Refused("payment_method_unknown")


def _commands(key: ApiKey, lines: list[bytes]) -> list[MakePledge | Exception]:
    """Read every line; what cannot be read is told in its place."""
    # The hot path of an import: as little as can be is done for each line.
    decode = _line_decoder.decode
    found: list[MakePledge | Exception] = []
    for line in lines:
        try:
            data = decode(line)
            found.append(make_pledge(key, data.backer_id, data.campaign_id, data))
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            found.append(Refused("body_invalid", f"{fault}."))
    return found


def _line_out(line: int, outcome: Outcome | Exception) -> PledgeLineOut | ProblemLineOut:
    if isinstance(outcome, Exception):
        said = problem_of(outcome)
        return ProblemLineOut(line, said.status, said.type, said.title, said.detail, said.reason)
    event, position = pledge_made(outcome)
    status = 200 if outcome.repeated else 201
    return PledgeLineOut(
        line, status, event.pledge_id, event.no, position, event.stream.removeprefix("campaign:")
    )
