"""A campaign's state at a position, from its own events."""

from __future__ import annotations

from app.audit.reader import AuditLog, CannotAudit
from domain.campaign import evolve
from domain.state import Campaign, new_campaign


def state_at(log: AuditLog, campaign_id: str, position: int) -> Campaign:
    """Replay one campaign up to a position.

    Raises CannotAudit where it had not begun or an event is missing or contradicts those before
    it, and UnreadableEvent.
    """
    state = new_campaign(campaign_id)
    for place, event in log.events_of(campaign_id, position):
        try:
            evolve(state, event)
        except Exception as fault:
            raise CannotAudit(
                f"The event at position {place:,} contradicts those before it: {fault!r}."
                " `audit verify` tells more."
            ) from fault
    if not state.version:
        raise CannotAudit(f"Campaign {campaign_id} had not begun at position {position:,}.")
    return state
