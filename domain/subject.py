"""The Subject aggregate: what the log holds about a person, which is that they were erased.

Its stream `subject:<party>` begins and ends with that one fact. The person's name, key and all else
lie beside the log (docs/erasure.md); the fact lets a restored copy of that know whom to forget.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from domain import errors
from domain.commands import EraseSubject
from domain.events import Event, SubjectErased
from domain.ids import is_actor, is_id, is_text_hash, role_of

SUBJECT: Final = "subject:"
"""What the stream of a person begins with."""


class Subject(Struct):
    """A person as the log knows one. Changed by `evolve` alone."""

    party: str
    version: int = 0
    last_at: int = 0

    @property
    def stream(self) -> str:
        """Its stream."""
        return SUBJECT + self.party

    @property
    def erased(self) -> bool:
        """Whether the person was erased."""
        return self.version > 0


def decide(state: Subject, command: EraseSubject, at: int) -> list[Event]:
    """Return the facts that a command causes now; pure. None for who was erased before.

    Whoever asks was asked who they are before: only the platform itself gives this command.
    """
    if command.expires_at is not None and at > command.expires_at:
        raise errors.CommandExpired
    if not is_actor(command.by) or not is_id(command.command_id) or not is_id(state.party):
        raise errors.ContentInvalid("A person and a command are named by a UUID in lower case.")
    is_sealed = command.sealed_to > 0
    if not is_text_hash(command.seal) or command.sealed_to < 0 or bool(command.seal) != is_sealed:
        raise errors.ContentInvalid("A seal is 64 hex digits, and up to which position it holds.")
    if role_of(command.by) != "system":
        raise errors.NotAllowed("Persons are erased by the platform alone.")
    if state.erased:
        return []
    return [
        SubjectErased(
            stream=state.stream,
            version=1,
            at=at,
            by=command.by,
            command_id=command.command_id,
            channel="",
            sealed_to=command.sealed_to,
            seal=command.seal,
        )
    ]


def evolve(state: Subject, event: Event) -> None:
    """Add a fact to the state, in place. Never fails on what the log holds."""
    state.version = event.version
    state.last_at = event.at


def handle(state: Subject, command: EraseSubject, at: int) -> list[Event]:
    """Decide and evolve; what the engine calls. Raises what `decide` raises."""
    decided = decide(state, command, at)
    for event in decided:
        evolve(state, event)
    return decided
