"""What the engine asks of an aggregate, and the campaign's answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from operator import attrgetter
from typing import Final, Protocol, TypeVar, cast

import msgspec

from domain import campaign, subject
from domain.commands import Command, EraseSubject, MakePledge
from domain.errors import PledgeIdReused, Rejection
from domain.events import AnyEvent, Event
from domain.state import STATE_SCHEMA, Campaign, Pledge
from domain.subject import SUBJECT, Subject


class State(Protocol):
    """Anything that knows how many events it was made of."""

    @property
    def version(self) -> int:
        """The version of the last event; 0 before the first."""


S = TypeVar("S", bound=State)


class Decider(Protocol[S]):
    """The rules of one kind of aggregate, as the engine runs them.

    `prefix` begins the names of its streams. `schema` names the shape of its states: snapshots of
    another one are ignored.
    """

    @property
    def prefix(self) -> str:
        """What the names of its streams begin with."""

    @property
    def schema(self) -> int:
        """The version of the state's shape."""

    def stream_of(self, command: Command) -> str:
        """Return the stream that a command is about."""

    @property
    def claimed_twice(self) -> type[Rejection]:
        """What is said to a stream that wants a name which another one has."""

    def claim(self, command: Command) -> int | None:
        """Return the name, as 64 bits, that a command claims in the whole log, if it claims one."""

    def claimed(self, tag: str, body: bytes) -> int | None:
        """Return the name that a stored event claimed, if it claimed one."""

    def has_claimed(self, state: S, command: Command) -> bool:
        """Whether this very stream has the name that the command claims."""

    def initial(self, stream: str) -> S:
        """Return the state before the first event."""

    def handle(self, state: S, command: Command, at: int) -> list[Event]:
        """Decide and evolve in place; raises Rejection or Repeated and then changes nothing."""

    def evolve(self, state: S, event: AnyEvent) -> None:
        """Add a stored event to the state, in place."""

    def weight(self, state: S) -> int:
        """Return the state's size in the cache; a campaign's weight grows with its pledges."""

    def dump(self, state: S) -> Iterator[bytes]:
        """Yield the state as chunks of bytes."""

    def load(self, chunks: Iterable[bytes]) -> S:
        """Return the state that `dump` wrote; raises where the bytes do not fit."""


_PREFIX: Final = "campaign:"
_MADE: Final = "pledge.made."
_CAMPAIGN_WEIGHT: Final = 20
"""A campaign without pledges, in pledges."""
_PLEDGES_PER_CHUNK: Final = 2_000
"""Decoded in two milliseconds, in which no other thread runs."""
_64_BITS: Final = (1 << 64) - 1

_encoder = msgspec.msgpack.Encoder()
_campaigns = msgspec.msgpack.Decoder(Campaign)
_pledges = msgspec.msgpack.Decoder(list[Pledge])


class _Made(msgspec.Struct, gc=False):
    """What of a stored pledge claims a name."""

    pledge_id: str


_made = msgspec.json.Decoder(_Made)
_pledge_id = attrgetter("pledge_id")


class CampaignDecider:
    """The domain's campaign, unchanged, with the way its state is kept in a snapshot."""

    prefix = _PREFIX
    schema = STATE_SCHEMA
    claimed_twice = PledgeIdReused
    handle = staticmethod(campaign.handle)
    evolve = staticmethod(campaign.evolve)

    def stream_of(self, command: Command) -> str:
        """Return the campaign's stream."""
        return _PREFIX + command.campaign_id

    def claim(self, command: Command) -> int | None:
        """Return the id of a pledge to be made: it exists once, whatever the campaign (rule 4)."""
        return _bits(command.pledge_id) if type(command) is MakePledge else None

    def claimed(self, tag: str, body: bytes) -> int | None:
        """Return the id of a pledge that was made, in whatever version of the event."""
        return _bits(_made.decode(body).pledge_id) if tag.startswith(_MADE) else None

    def has_claimed(self, state: Campaign, command: Command) -> bool:
        """Whether the pledge is one of this campaign."""
        return isinstance(command, MakePledge) and command.pledge_id in state.no_by_id

    def initial(self, stream: str) -> Campaign:
        """Return the state before the first event."""
        return campaign.new_campaign(stream.removeprefix(_PREFIX))

    def weight(self, state: Campaign) -> int:
        """Return the number of pledges, and a constant for the rest."""
        return len(state.pledges) + _CAMPAIGN_WEIGHT

    def dump(self, state: Campaign) -> Iterator[bytes]:
        """Yield the campaign without its pledges, then its pledges by the thousand.

        Not compressed: random ids hardly are smaller, and it would double the time of loading.
        """
        yield _encoder.encode(msgspec.structs.replace(state, pledges=[], no_by_id={}))
        for start in range(0, len(state.pledges), _PLEDGES_PER_CHUNK):
            yield _encoder.encode(state.pledges[start : start + _PLEDGES_PER_CHUNK])

    def load(self, chunks: Iterable[bytes]) -> Campaign:
        """Return the state that `dump` wrote; raises msgspec's errors."""
        parts = iter(chunks)
        state = _campaigns.decode(next(parts))
        for part in parts:
            first_no = len(state.pledges) + 1
            state.pledges += (some := _pledges.decode(part))
            state.no_by_id.update(zip(map(_pledge_id, some), count(first_no), strict=False))
        return state


class PlatformDecider(CampaignDecider):
    """Campaigns, and persons beside them, each by its own rules.

    The engine's state is a campaign's by its type, as almost all are: a person's is reached by no
    one but the commands about that person, and no snapshot is taken of it.
    """

    def stream_of(self, command: Command) -> str:
        """Return the stream of the campaign or the person."""
        if type(command) is EraseSubject:
            return SUBJECT + command.party
        return _PREFIX + command.campaign_id

    @staticmethod
    def handle(state: Campaign | Subject, command: Command, at: int) -> list[Event]:
        """Decide and evolve by the rules of this kind of stream."""
        if isinstance(state, Subject):
            return subject.handle(state, cast("EraseSubject", command), at)
        return campaign.handle(state, command, at)

    @staticmethod
    def evolve(state: Campaign | Subject, event: Event) -> None:
        """Add a stored event by the rules of this kind of stream."""
        if isinstance(state, Subject):
            subject.evolve(state, event)
        else:
            campaign.evolve(state, event)

    def initial(self, stream: str) -> Campaign:
        """Return the state before the first event."""
        if stream.startswith(SUBJECT):
            return cast("Campaign", Subject(stream.removeprefix(SUBJECT)))
        return super().initial(stream)

    def weight(self, state: Campaign | Subject) -> int:
        """Return a campaign's weight; a person weighs as one pledge does."""
        return 1 if isinstance(state, Subject) else super().weight(state)


def _bits(pledge_id: str) -> int | None:
    """Return 64 bits of a UUID, of both halves; None for what is no UUID and will be refused."""
    try:
        whole = int(pledge_id.replace("-", ""), 16)
    except ValueError:
        return None
    return (whole ^ whole >> 64) & _64_BITS
