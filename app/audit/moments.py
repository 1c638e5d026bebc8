"""Places in the log as people name them: a position, or a time."""

from __future__ import annotations

from datetime import UTC, datetime

from app.audit.reader import AuditLog, CannotAudit
from app.audit.wording import EPOCH, MILLISECOND


def time_ms(text: str) -> int:
    """Read an ISO 8601 time as ms UTC; one without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MILLISECOND


def position_of(log: AuditLog, moment: str | None, first: int = 1) -> int:
    """Return the position that a person means: a number, the last one at a time, or the last.

    `first` is 0 where the place before the first event can be meant, too. Raises CannotAudit where
    the text is neither, or the log does not reach so far.
    """
    last, _ = log.last()
    if moment is None:
        return last
    if moment.isdecimal():
        position = int(moment)
        if not first <= position <= last:
            holds = f"the log holds {first} to {last:,}"
            raise CannotAudit(f"There is no position {position}: {holds}.")
        return position
    try:
        at = time_ms(moment)
    except ValueError:
        raise CannotAudit(
            f"{moment!r} is neither a position nor a time such as 2026-05-03T10:00:00Z."
        ) from None
    return log.position_at(at)
