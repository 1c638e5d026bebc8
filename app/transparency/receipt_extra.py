"""What a receipt carries beside its proof: what opens the entry's two commitments.

It stands in the `extra` line of a C2SP tlog-proof, as JSON in one encoding only: the fields in
this order, no space between them, bytes in base64. `docs/formats.md` has it byte by byte.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

VERSION: Final = 1
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32


class ExtraError(ValueError):
    """The bytes are not what a receipt of ours carries; the message says why, for people."""


class Opening(Struct, frozen=True):
    """Opens both commitments: the public part and the whole stored fact, each with its salt."""

    public: str
    public_salt: bytes
    event: str
    event_salt: bytes

    def encode(self) -> bytes:
        """The bytes for the `extra` line."""
        return _encoder.encode(
            _Full(VERSION, self.public, _text(self.public_salt), self.event, _text(self.event_salt))
        )


class PublicOpening(Struct, frozen=True):
    """Opens the public part alone; of the fact there is only the commitment to it.

    The short form, for a printed code; and all there is of a fact that is about nobody, or about
    somebody whose key was destroyed.
    """

    public: str
    public_salt: bytes
    event_commitment: bytes

    def encode(self) -> bytes:
        """The bytes for the `extra` line."""
        return _encoder.encode(
            _Short(VERSION, self.public, _text(self.public_salt), _text(self.event_commitment))
        )


Extra: TypeAlias = Opening | PublicOpening


class _Full(Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    public: str
    public_salt: str
    event: str
    event_salt: str


class _Short(Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    public: str
    public_salt: str
    event_commitment: str


_encoder: Final = msgspec.json.Encoder()
_any: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def parse_extra(data: bytes) -> Extra:
    """Read an `extra` line's bytes. Raises ExtraError; only the one encoding is read."""
    extra = _read(data)
    if extra.encode() != data:
        raise ExtraError("what opens the entry is not in its one encoding")
    return extra


def _read(data: bytes) -> Extra:
    try:
        found = _any.decode(data)
        if found.get("v") != VERSION:
            raise ExtraError("it is of another version than 1, the one that is known here")
        if "event" in found:
            full = msgspec.convert(found, _Full)
            return Opening(
                full.public,
                _bytes(full.public_salt, SALT_BYTES),
                full.event,
                _bytes(full.event_salt, SALT_BYTES),
            )
        short = msgspec.convert(found, _Short)
        return PublicOpening(
            short.public,
            _bytes(short.public_salt, SALT_BYTES),
            _bytes(short.event_commitment, COMMITMENT_BYTES),
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise ExtraError(f"what opens the entry cannot be read: {fault}") from fault


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str, length: int) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except ValueError as fault:
        raise ExtraError(f"a salt or commitment is not base64: {fault}") from fault
    if len(found) != length:
        raise ExtraError(f"a salt or commitment has {len(found)} bytes, not {length}")
    return found
