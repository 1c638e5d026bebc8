"""The library's stored events as rows of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from eventsourcing.persistence import IntegrityError, ProgrammingError, StoredEvent

from app.log.ports import NewRow, Turn
from domain.events import EVENT_TYPES


class _Time(msgspec.Struct):
    at: int


_times: Final = msgspec.json.Decoder(_Time)


def stream_of(originator_id: UUID | str) -> str:
    """Return the stream of a stored event; raises ProgrammingError where it is not text."""
    if not isinstance(originator_id, str):
        raise ProgrammingError(f"streams are named by text, not {type(originator_id).__name__}")
    return originator_id


def new_rows(turn: Turn, stored_events: Sequence[StoredEvent], at: int) -> list[NewRow]:
    """Return the rows that stored events become in a turn.

    The time of a topic of ours is read from its body. A foreign topic is stamped with `at` (ms
    UTC), but not before the log's last event. Raises IntegrityError where time would run
    backwards.
    """
    position, last_at = turn.position, turn.at
    rows: list[NewRow] = []
    for stored in stored_events:
        position += 1
        last_at = _time_of(stored, last_at, at)
        number = turn.stream_number(stream_of(stored.originator_id))
        version = stored.originator_version
        rows.append((position, number, version, last_at, stored.topic, stored.state))
    return rows


def _time_of(stored: StoredEvent, last_at: int, given: int) -> int:
    if stored.topic not in EVENT_TYPES:
        return max(given, last_at)
    at = _times.decode(stored.state).at
    if at < last_at:
        raise IntegrityError(
            f"{stored.topic} at {at} would turn the log's clock back from {last_at}"
        )
    return at
