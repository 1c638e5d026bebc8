"""What the engine asks of an aggregate, and the campaign's answer."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from domain import campaign
from domain.commands import Command, MakePledge
from domain.errors import PledgeIdReused, Rejection
from domain.events import AnyEvent, Event
from domain.state import STATE_SCHEMA, Campaign, Pledge


class State(Protocol):
    """Anything that knows how many events it was made of."""

    @property
    def version(self) -> int:
        """The version of the last event; 0 before the first."""


S = TypeVar("S", bound=State)


class Claim(NamedTuple):
    """A name that one stream of the log can bear, and what is said to another that wants it."""

    name: str
    refused: type[Rejection]


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

    def claim(self, command: Command) -> Claim | None:
        """Return the name that a command claims in the whole log, if it claims one."""

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
_CAMPAIGN_WEIGHT: Final = 20
"""A campaign without pledges, in pledges."""
_PLEDGES_PER_CHUNK: Final = 10_000

_encoder = msgspec.msgpack.Encoder()
_campaigns = msgspec.msgpack.Decoder(Campaign)
_pledges = msgspec.msgpack.Decoder(list[Pledge])


class CampaignDecider:
    """The domain's campaign, unchanged, with the way its state is kept in a snapshot."""

    prefix = _PREFIX
    schema = STATE_SCHEMA
    handle = staticmethod(campaign.handle)
    evolve = staticmethod(campaign.evolve)

    def stream_of(self, command: Command) -> str:
        """Return the campaign's stream."""
        return _PREFIX + command.campaign_id

    def claim(self, command: Command) -> Claim | None:
        """Return the id of a pledge to be made: it exists once, whatever the campaign (rule 4)."""
        if type(command) is MakePledge:
            return Claim(f"pledge\0{command.pledge_id}", PledgeIdReused)
        return None

    def initial(self, stream: str) -> Campaign:
        """Return the state before the first event."""
        return campaign.new_campaign(stream.removeprefix(_PREFIX))

    def weight(self, state: Campaign) -> int:
        """Return the number of pledges, and a constant for the rest."""
        return len(state.pledges) + _CAMPAIGN_WEIGHT

    def dump(self, state: Campaign) -> Iterator[bytes]:
        """Yield the campaign without its pledges, then its pledges by the ten thousand."""
        frame = msgspec.structs.replace(state, pledges=[], no_by_id={})
        yield zlib.compress(_encoder.encode(frame), 1)
        for start in range(0, len(state.pledges), _PLEDGES_PER_CHUNK):
            some = state.pledges[start : start + _PLEDGES_PER_CHUNK]
            yield zlib.compress(_encoder.encode(some), 1)

    def load(self, chunks: Iterable[bytes]) -> Campaign:
        """Return the state that `dump` wrote; raises msgspec's or zlib's errors."""
        parts = iter(chunks)
        state = _campaigns.decode(zlib.decompress(next(parts)))
        for part in parts:
            state.pledges += _pledges.decode(zlib.decompress(part))
        state.no_by_id = {pledge.pledge_id: pledge.no for pledge in state.pledges}
        return state
