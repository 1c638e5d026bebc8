"""Whom each kind of event is about."""

from __future__ import annotations

import pytest

from app.transparency.subjects import subject_of
from domain import events as e
from tests.transparency.test_public_part import golden

ABOUT_A_PARTY = {"pledge.made.v1": "backer", "hold.placed.v1": "backer", "need.offered.v1": "party"}


@pytest.mark.parametrize("tag", sorted(e.EVENT_TYPES))
def test_every_kind_of_event_is_about_its_person(tag: str) -> None:
    """A backer who is named, the pledge whose number is given, or nobody."""
    event = golden(tag)
    if tag in ABOUT_A_PARTY:
        assert subject_of(event) == getattr(event, ABOUT_A_PARTY[tag])
    elif hasattr(event, "no"):
        assert subject_of(event) == event.no
    else:
        assert subject_of(event) is None


def test_no_person_is_left_out() -> None:
    """An event that holds a person's id, or a pledge's number, is about somebody: a new kind of
    event has to be thought of here.
    """
    about = {"backer", "party", "no"}
    no: str = "no"
    known = {tag for tag in e.EVENT_TYPES if subject_of(golden(tag)) is not None}
    named = {
        tag
        for tag, cls in e.EVENT_TYPES.items()
        if about & set(cls.__struct_fields__) and getattr(golden(tag), no, True)
    }
    assert named - known <= {"subject.erased.v1"}
    assert known <= named


def test_a_discrepancy_of_no_pledge_is_about_nobody() -> None:
    """Number 0 is no pledge."""
    event = golden("discrepancy.recorded.v1")
    assert isinstance(event, e.DiscrepancyRecorded)
    assert subject_of(event) == (event.no or None)
