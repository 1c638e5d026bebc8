"""The journal entries of a log, straight from its events, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from app.audit.reader import CAMPAIGN, AuditLog, CannotAudit
from domain.codec import tag_of
from domain.events import AnyEvent
from domain.ids import is_id, is_reference
from domain.ledger import Posting, postings
from domain.money import EXPONENTS
from projections.reading import LogGapError, Tail, UnreadableFactError

BATCH: Final = 10_000
"""Events that are read at a time."""


class Entry(NamedTuple):
    """What one event posted; its lines sum to zero.

    `no` is the number of the pledge within its campaign, None where the event is about none or
    many. `id` is that of the refund, payout, dispute or discrepancy, else empty.
    """

    position: int
    at: int
    tag: str
    campaign: str
    no: int | None
    id: str
    lines: tuple[Posting, ...]


class Batch(NamedTuple):
    """The entries up to a position that follow on those of the batch before."""

    entries: list[Entry]
    position: int


def batches(log: AuditLog, until: int, campaigns: Sequence[str] = ()) -> Iterator[Batch]:
    """Every entry up to a position in the order of the log; of some campaigns, or of all.

    Raises CannotAudit where an event is missing, and where one cannot be read or written down.
    """
    try:
        read = _of(log, until, campaigns) if campaigns else _all(log, until)
        for facts, position in read:
            yield Batch(list(_entries(facts)), position)
    except (LogGapError, UnreadableFactError) as fault:
        raise CannotAudit(f"{fault}: `audit verify` tells more.") from fault


_Facts = tuple[Iterable[tuple[int, AnyEvent]], int]
"""Events with their positions, and the last of these."""


def _all(log: AuditLog, until: int) -> Iterator[_Facts]:
    tail, position = Tail(log.read), 0
    while position < until:
        reading = tail.after(position, min(BATCH, until - position))
        if not reading.events:
            raise reading.fault or LogGapError(f"the log ends at {position}, not at {until}")
        position = reading.last
        yield zip(reading.positions, reading.events, strict=True), position


def _of(log: AuditLog, until: int, campaigns: Sequence[str]) -> Iterator[_Facts]:
    streams = (log.events_of(campaign, until) for campaign in campaigns)
    events = merge(*streams, key=lambda placed: placed[0])
    while facts := list(islice(events, BATCH)):
        yield facts, facts[-1][0]


def _entries(facts: Iterable[tuple[int, AnyEvent]]) -> Iterator[Entry]:
    for position, event in facts:
        lines = postings(event)
        if not lines:
            continue
        campaign, named = event.stream.removeprefix(CAMPAIGN), _id_of(type(event))
        own_id: str = getattr(event, named) if named else ""
        # A dispute is named by the provider, all else by us.
        fits = is_reference(own_id) if named == "dispute_id" else is_id(own_id or campaign)
        if not (fits and is_id(campaign)) or lines[0].currency not in EXPONENTS:
            # Whatever else it might say would stand in the middle of somebody's books.
            raise CannotAudit(
                f"position {position}: an id or the currency is none: `audit verify` tells more."
            )
        no: int = getattr(event, "no", 0)
        yield Entry(position, event.at, tag_of(event), campaign, no or None, own_id, lines)


@cache
def _id_of(kind: type[AnyEvent]) -> str:
    """The field of such events that names what they are about, beside the pledge."""
    return next((name for name in _IDS if name in kind.__struct_fields__), "")


_IDS: Final = ("refund_id", "payout_id", "dispute_id", "discrepancy_id")
