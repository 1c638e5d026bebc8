"""Our facts as the `eventsourcing` library sees them."""

from __future__ import annotations

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, Notification, StoredEvent, Transcoder

from app.log.reading import UnreadableEvent
from domain.codec import CorruptEventError, UnknownEventError, decode, encode, tag_of
from domain.events import AnyEvent


class LoggedEvent(msgspec.Struct, frozen=True):
    """A fact under the names that the library knows it by; the domain knows no library."""

    event: AnyEvent

    @property
    def originator_id(self) -> str:
        """The stream."""
        return self.event.stream

    @property
    def originator_version(self) -> int:
        """The version in the stream."""
        return self.event.version


class EventMapper(Mapper[str]):
    """The one encoder for the bytes, and the stable tags for topics.

    Compressor and cipher are refused: what is hashed is what is stored.
    """

    def __init__(
        self, transcoder: Transcoder, compressor: object = None, cipher: object = None
    ) -> None:
        if compressor is not None or cipher is not None:
            raise ValueError("the log stores events as they are encoded")
        super().__init__(transcoder)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Encode a LoggedEvent; raises TypeError for anything else."""
        if not isinstance(domain_event, LoggedEvent):
            raise TypeError(f"the log holds Tributary's events, not {type(domain_event).__name__}")
        event = domain_event.event
        return StoredEvent(event.stream, event.version, tag_of(event), encode(event))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """Decode a stored event or notification to a LoggedEvent; raises UnreadableEvent."""
        try:
            return LoggedEvent(decode(stored_event.topic, stored_event.state))
        except (UnknownEventError, CorruptEventError) as fault:
            raise UnreadableEvent(
                stored_event.id if isinstance(stored_event, Notification) else None,
                str(stored_event.originator_id),
                stored_event.originator_version,
                stored_event.topic,
                fault,
            ) from fault
