"""What the transparency log says of an event: its position and two salted commitments.

A commitment is SHA-256(salt ‖ data). Nothing can be read from it, linked or guessed while its salt
is not known. The public part's salt comes from the log's secret, so that it can always be opened;
the event's from the key of the person it is about, so that it dies with that key, and every hash
stays valid. Byte by byte: docs/formats.md.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from msgspec import Struct

POSITION_BYTES: Final = 8
COMMITMENT_BYTES: Final = 32
LEAF_BYTES: Final = POSITION_BYTES + 2 * COMMITMENT_BYTES
SALT_BYTES: Final = 32

PUBLIC: Final = b"public\0"
EVENT: Final = b"event\0"


class LeafError(ValueError):
    """Bytes that are no leaf."""


class Leaf(Struct, frozen=True, gc=False):
    """One event: its position (from 1; it stands at index position - 1), the commitment to its
    public part and the commitment to its stored body.
    """

    position: int
    public: bytes
    event: bytes

    def encode(self) -> bytes:
        """The 72 bytes that are hashed into the tree."""
        return self.position.to_bytes(POSITION_BYTES) + self.public + self.event


def parse_leaf(data: bytes) -> Leaf:
    """Read a leaf; raises LeafError."""
    if len(data) != LEAF_BYTES:
        raise LeafError(f"a leaf has {LEAF_BYTES} bytes, not {len(data)}")
    middle = POSITION_BYTES + COMMITMENT_BYTES
    return Leaf(int.from_bytes(data[:POSITION_BYTES]), data[POSITION_BYTES:middle], data[middle:])


def commit(salt: bytes, data: bytes) -> bytes:
    """The commitment to these bytes under a salt."""
    return hashlib.sha256(salt + data).digest()


def place_of(stream: str, version: int) -> bytes:
    """What both salts are derived from, behind the word that tells them apart."""
    return b"%b\0%d" % (stream.encode(), version)


class Salts:
    """The salts of a log, by its secret and by persons' keys; each is HMAC-SHA256 (RFC 2104)."""

    def __init__(self, log_secret: bytes) -> None:
        self._log_secret = log_secret

    def public(self, stream: str, version: int) -> bytes:
        """The salt of an event's public part."""
        return hmac.digest(self._log_secret, PUBLIC + place_of(stream, version), "sha256")

    def event(self, stream: str, version: int, key: bytes | None) -> bytes:
        """The salt of a stored event: by the key of the person it is about; None: about nobody."""
        place = EVENT + place_of(stream, version)
        return hmac.digest(self._log_secret if key is None else key, place, "sha256")
