"""Whom an event is about: by whose key its commitment is salted, and dies when they are erased."""

from __future__ import annotations

from typing import Final

from domain import events as e

_BY_NO: Final = frozenset(
    cls
    for cls in e.EVENT_TYPES.values()
    if "no" in cls.__struct_fields__ and cls is not e.PledgeMade
)


def subject_of(event: e.Event) -> str | int | None:
    """The person an event is about: the id of a party, or the number of a pledge of the event's
    campaign, which stands for its backer; None where it is about nobody.

    The creator is nobody here: what a campaign does is public under its name.
    """
    kind = type(event)
    if kind is e.PledgeMade or kind is e.HoldPlaced:
        return event.backer  # type: ignore[attr-defined,no-any-return]  # both have one
    if kind in _BY_NO:
        return event.no or None  # type: ignore[attr-defined]  # those that have one
    if kind is e.NeedOffered:
        return event.party  # type: ignore[attr-defined,no-any-return]  # the same
    return None
