"""Whether the log and what the clients were told are one and the same story."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from app.log import LogRow, SQLiteLog
from bench.crash_clients import Intent
from domain.codec import decode
from domain.events import PledgeMade

PAGE_ROWS: Final = 10_000
CAMPAIGN: Final = "campaign:"

Made = tuple[int, PledgeMade]
"""A pledge in the log, and its position."""


def read_log(path: Path) -> list[LogRow]:
    """Every row of a log, in order."""
    log = SQLiteLog(path)
    try:
        rows: list[LogRow] = []
        while page := log.read(rows[-1].position if rows else 0, PAGE_ROWS):
            rows += page
        return rows
    finally:
        log.close()


def pledges_in(rows: Iterable[LogRow]) -> list[Made]:
    """Every pledge that was made, with its position."""
    events = ((row.position, decode(row.tag, row.body)) for row in rows)
    return [(position, event) for position, event in events if isinstance(event, PledgeMade)]


def faults(
    intents: Sequence[Intent], rows: Sequence[LogRow], limits: Mapping[str, int]
) -> list[str]:
    """Say in a sentence each way in which the log differs from what the clients know.

    `limits` has the pieces of each limited reward.
    """
    made = pledges_in(rows)
    return [
        *(f"{intent.pledge_id}: {fault}" for intent in intents for fault in intent.faults),
        *_gaps("the log", [row.position for row in rows]),
        *_misnumbered(made),
        *_untold(intents, made),
        *_oversold(made, limits),
    ]


def _gaps(where: str, numbers: Sequence[int]) -> Iterator[str]:
    for expected, number in enumerate(numbers, 1):
        if number != expected:
            yield f"{where}: {number:,} where {expected:,} comes next"
            return


def _misnumbered(made: Sequence[Made]) -> Iterator[str]:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for _, event in made:
        numbers[event.stream].append(event.no)
    for stream, in_order in numbers.items():
        yield from _gaps(f"the pledges of {stream}", in_order)


def _untold(intents: Sequence[Intent], made: Sequence[Made]) -> Iterator[str]:
    """Each acknowledged pledge is there once, as it was told; each other is there once or not."""
    found: defaultdict[str, list[Made]] = defaultdict(list)
    for position, event in made:
        found[event.pledge_id].append((position, event))
    for intent in intents:
        here = found.pop(intent.pledge_id, [])
        name = f"pledge {intent.pledge_id}"
        if len(here) > 1:
            yield f"{name} is in the log {len(here)} times"
        if intent.made and not here:
            yield f"{name} was acknowledged at {intent.made} and is not in the log"
        if intent.refused and here:
            yield f"{name} was refused as {intent.refused} and is in the log"
        for position, event in here:
            if intent.made not in (None, (event.no, position)):
                yield f"{name} stands at {(event.no, position)}, acknowledged at {intent.made}"
            if not intent.sent or not _as_meant(intent, event):
                yield f"{name} is not the one that was sent"
    for pledge_id in found:
        yield f"pledge {pledge_id} was sent by nobody"


def _as_meant(intent: Intent, event: PledgeMade) -> bool:
    return (
        event.stream == CAMPAIGN + intent.campaign_id
        and event.backer == intent.backer_id
        and event.amount_minor == intent.amount_minor
        and [line.reward_id for line in event.lines] == [intent.reward_id] * bool(intent.reward_id)
    )


def _oversold(made: Sequence[Made], limits: Mapping[str, int]) -> Iterator[str]:
    sold: Counter[str] = Counter()
    for _, event in made:
        for line in event.lines:
            sold[line.reward_id] += line.quantity
    for reward_id, pieces in sold.items():
        if pieces > limits.get(reward_id, pieces):
            yield f"reward {reward_id} has {limits[reward_id]} pieces and sold {pieces}"
