"""What the log holds about a person: that they were erased, once."""

from __future__ import annotations

import pytest

from domain import errors
from domain.checks.persons import SubjectAuditor
from domain.codec import decode, encode, tag_of
from domain.commands import EraseSubject
from domain.events import SubjectErased
from domain.subject import Subject, decide, evolve, handle
from tests.domain.scenario import HASH, STAFF, START, an_id, given, live

PARTY = an_id(7)


def ask(by: str = "system:erasure", **facts: object) -> EraseSubject:
    """Ask that the person be erased."""
    return EraseSubject(**{"party": PARTY, "by": by, "command_id": an_id(8), **facts})  # type: ignore[arg-type] # any


def test_a_person_is_erased_once() -> None:
    """The first time is recorded in the person's own stream; again changes nothing."""
    state = Subject(PARTY)
    (event,) = handle(state, ask(), START)
    assert event == SubjectErased(
        stream=f"subject:{PARTY}",
        version=1,
        at=START,
        by="system:erasure",
        command_id=an_id(8),
        channel="",
        sealed_to=0,
        seal="",
    )
    assert (state.erased, state.version, state.last_at) == (True, 1, START)
    assert handle(state, ask(), START + 1) == []
    again = Subject(PARTY)
    evolve(again, decode(tag_of(event), encode(event)))
    assert again == state


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        (errors.CommandExpired, ask(expires_at=START - 1)),
        (errors.NotAllowed, ask(by=f"backer:{PARTY}")),
        (errors.NotAllowed, ask(by=STAFF)),
        (errors.ContentInvalid, ask(by="somebody")),
        (errors.ContentInvalid, ask(command_id="please")),
        (errors.ContentInvalid, ask(seal="ada", sealed_to=3)),
        (errors.ContentInvalid, ask(seal=HASH)),
        (errors.ContentInvalid, ask(sealed_to=3)),
        (errors.ContentInvalid, ask(sealed_to=-1)),
    ],
)
def test_who_may_not_is_refused(reason: type[errors.Rejection], command: EraseSubject) -> None:
    """A person, staff, or a command that is none: nothing is recorded."""
    state = Subject(PARTY)
    with pytest.raises(reason):
        decide(state, command, START)
    assert not state.erased


def test_what_was_sealed_is_in_the_fact() -> None:
    """The seal and up to where it holds, as they were given."""
    (event,) = decide(Subject(PARTY), ask(seal=HASH, sealed_to=3), START)
    assert isinstance(event, SubjectErased)
    assert (event.seal, event.sealed_to) == (HASH, 3)


def test_only_an_id_has_a_stream() -> None:
    """A mail address never becomes the name of a stream."""
    with pytest.raises(errors.ContentInvalid):
        decide(Subject("ada@example.org"), ask(party="ada@example.org"), START)


def test_an_auditor_names_what_does_not_belong_there() -> None:
    """A second erasure, another fact, a name in place of an id."""
    (event,) = decide(Subject(PARTY), ask(), START)
    auditor = SubjectAuditor(f"subject:{PARTY}")
    assert auditor.feed(event) == []
    assert [found.rule for found in auditor.feed(event)] == [11]
    assert auditor.check_whole() == []
    other = given(*live()).events[0]
    assert 11 in [found.rule for found in SubjectAuditor(f"subject:{PARTY}").feed(other)]
    named = SubjectErased(
        stream="subject:ada",
        version=1,
        at=START,
        by="system:x",
        command_id=an_id(8),
        channel="x",
        sealed_to=0,
        seal="",
    )
    assert [found.rule for found in SubjectAuditor("subject:ada").feed(named)] == [12, 12]
