"""The same command again: its first outcome, read from the log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from eventsourcing.persistence import PersistenceError

from app.engine.states import BrokenStream
from app.engine.turn import Repetition
from app.engine.waiting import Outcome
from app.log import CommitUnknown, EventLog, LogRow, UnreadableEvent, decode_row

OUTCOME_ROWS: Final = 16
"""How many rows to read at once of an outcome of many events; most have one."""


def answer_repetitions(log: EventLog, repetitions: Sequence[Repetition]) -> None:
    """Set the results of repeated commands; one that cannot be read now is told as unknown."""
    of_stream: dict[str, list[Repetition]] = {}
    for repetition in repetitions:
        of_stream.setdefault(repetition.stream, []).append(repetition)
    for stream, some in of_stream.items():
        try:
            _answer(log, stream, some)
        except PersistenceError as fault:
            for repetition in some:
                job, index = repetition.entry
                job.results[index] = CommitUnknown(f"recorded before, not readable now: {fault}")


def _answer(log: EventLog, stream: str, repetitions: list[Repetition]) -> None:
    # Most outcomes are one event: that one and the next, of all repetitions at once.
    versions = {repetition.version + more for repetition in repetitions for more in (0, 1)}
    rows = {row.version: row for row in log.read_versions(stream, versions)}
    for repetition in repetitions:
        job, index = repetition.entry
        try:
            job.results[index] = _first_outcome(log, repetition, rows)
        except (UnreadableEvent, BrokenStream) as fault:
            job.results[index] = fault


def _first_outcome(log: EventLog, repetition: Repetition, rows: Mapping[int, LogRow]) -> Outcome:
    if repetition.count == 0:
        return Outcome(repetition.position, (), repeated=True)
    first = rows.get(repetition.version)
    if first is None:
        raise BrokenStream(f"stream {repetition.stream} ends before {repetition.version}")
    events = [decode_row(first)]
    for row in _following(log, repetition, rows):
        event = decode_row(row)
        if repetition.count is None and event.command_id != events[0].command_id:
            break
        events.append(event)
    return Outcome(first.position, tuple(events), repeated=True)


def _following(
    log: EventLog, repetition: Repetition, rows: Mapping[int, LogRow]
) -> Iterator[LogRow]:
    """Yield the rows after an outcome's first, up to its number of events if that is known."""
    version, count = repetition.version, repetition.count
    last = sys.maxsize if count is None else version + count - 1
    if version < last and version + 1 in rows:
        version += 1
        yield rows[version]
    while version < last:
        page = log.read_stream(repetition.stream, version, min(OUTCOME_ROWS, last - version))
        if not page:
            return
        yield from page
        version = page[-1].version
