"""The one encoder: facts to the bytes that the log keeps for ever, and back.

Bytes are JSON in the field order of the Structs. What is hashed is what is stored, so nothing
else may encode an event. Bytes of an older version are read by an upcast and never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from domain.events import EVENT_TYPES, TAGS, AnyEvent, Event

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[str, Upcast] = {}
"""Old tag → pure function from the old fields to those of the next version, with its new `type`.
Empty as long as every fact still has its first shape."""


class UnknownEventError(Exception):
    """The log holds a fact that this code does not know; reading on would skip it."""

    def __init__(self, tag: str) -> None:
        """Name the tag."""
        super().__init__(f"unknown event {tag!r}: this version of Tributary is too old for the log")
        self.tag = tag


class CorruptEventError(Exception):
    """Stored bytes do not say what their tag promises."""


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_fields: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def tag_of(event: Event) -> str:
    """The stable tag of a fact, such as `pledge.made.v1`."""
    return TAGS[type(event)]


def encode(event: Event) -> bytes:
    """Encode a fact as the log keeps it."""
    return _encoder.encode(event)


def decode(tag: str, body: bytes) -> AnyEvent:
    """Read a stored fact in its newest shape.

    Raises UnknownEventError for a tag that neither the Structs nor the upcasts know, and
    CorruptEventError where the bytes do not fit their tag.
    """
    if tag not in EVENT_TYPES:
        return _decode_old(tag, body)
    try:
        event = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise CorruptEventError(f"stored {tag!r} cannot be read: {fault}") from fault
    if type(event) is not EVENT_TYPES[tag]:
        raise CorruptEventError(f"stored {tag!r} says that it is {tag_of(event)!r}")
    return event


def _decode_old(tag: str, body: bytes) -> AnyEvent:
    if tag not in UPCASTS:
        raise UnknownEventError(tag)
    try:
        fields = _fields.decode(body)
        while (old := fields["type"]) in UPCASTS:
            fields = UPCASTS[old](fields)
        event: AnyEvent = msgspec.convert(fields, AnyEvent)
        return event
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as fault:
        raise CorruptEventError(f"stored {tag!r} cannot be read: {fault}") from fault
