"""Places in the log as people name them: a position, or a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from app.audit.reader import AuditLog, CannotAudit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def time_ms(text: str) -> int:
    """Read an ISO 8601 time as ms UTC; one without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MS


def time_text(at: int) -> str:
    """Write ms UTC as ISO 8601 with milliseconds; years that have no such form as milliseconds."""
    try:
        moment = _EPOCH + at * _MS
    except OverflowError:
        return f"{at} ms after 1970"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def position_of(log: AuditLog, moment: str | None) -> int:
    """Return the position that a person means: a number, the last one at a time, or the last.

    Raises CannotAudit where the text is neither, or the log does not reach so far.
    """
    last, _ = log.last()
    if moment is None:
        return last
    if moment.isdecimal():
        position = int(moment)
        if not 1 <= position <= last:
            raise CannotAudit(f"There is no position {position}: the log holds 1 to {last:,}.")
        return position
    try:
        at = time_ms(moment)
    except (ValueError, OverflowError):
        raise CannotAudit(
            f"{moment!r} is neither a position nor a time such as 2026-05-03T10:00:00Z."
        ) from None
    return log.position_at(at)
