"""What a leaf says of an event, byte by byte."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from app.transparency.leaf import Leaf, LeafError, Salts, commit, parse_leaf
from app.transparency.making import leaf_of
from app.transparency.merkle import leaf_hash
from domain.codec import decode

STREAM = "campaign:00000001-5a1d-4c0f-8e2b-000000001eef"
SECRET, KEY = b"s" * 32, b"k" * 32


def hmac_by_hand(key: bytes, message: bytes) -> bytes:
    """RFC 2104 as it is written there, for a key shorter than a block."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def test_a_leaf_is_72_bytes() -> None:
    """Position, public commitment, event commitment; nothing else."""
    leaf = Leaf(258, b"p" * 32, b"e" * 32)
    assert leaf.encode() == b"\0\0\0\0\0\0\1\2" + b"p" * 32 + b"e" * 32
    assert parse_leaf(leaf.encode()) == leaf
    for wrong in (b"", leaf.encode()[:-1], leaf.encode() + b"\0"):
        with pytest.raises(LeafError):
            parse_leaf(wrong)


def test_the_salts_are_those_of_the_formats() -> None:
    """HMAC-SHA256 over a word, the stream and the version in decimal, with NUL between them."""
    salts = Salts(SECRET)
    place = STREAM.encode() + b"\x0012"
    assert salts.public(STREAM, 12) == hmac_by_hand(SECRET, b"public\0" + place)
    assert salts.event(STREAM, 12, KEY) == hmac_by_hand(KEY, b"event\0" + place)
    assert salts.event(STREAM, 12, None) == hmac_by_hand(SECRET, b"event\0" + place)
    assert salts.event(STREAM, 12, None) == hmac.digest(SECRET, b"event\0" + place, "sha256")


def test_every_event_has_salts_of_its_own() -> None:
    """Of another stream, version, key, secret or purpose each is another."""
    one, other = Salts(SECRET), Salts(b"t" * 32)
    found = {
        one.public(STREAM, 1),
        one.public(STREAM, 2),
        one.public(STREAM + "1", 1),
        one.event(STREAM, 1, None),
        one.event(STREAM, 1, KEY),
        one.event(STREAM, 1, b"l" * 32),
        other.public(STREAM, 1),
        other.event(STREAM, 1, None),
    }
    assert len(found) == 8


def test_a_commitment_hashes_salt_and_data() -> None:
    """In this order."""
    assert commit(b"salt", b"data") == hashlib.sha256(b"saltdata").digest()


def test_the_example_of_the_formats_is_one() -> None:
    """Whoever writes a checker from docs/formats.md comes to these bytes."""
    root = Path(__file__).parents[2]
    body = (root / "tests" / "golden" / "pledge.made.v1.json").read_bytes()
    event = decode("pledge.made.v1", body)
    salts, key = Salts(bytes(range(0x40, 0x60))), bytes(range(0x60, 0x80))
    leaf = leaf_of(salts, 421, event, body, "", key)
    told = {
        "public salt": salts.public(event.stream, event.version),
        "event salt": salts.event(event.stream, event.version, key),
        "public": leaf.public,
        "event": leaf.event,
        "leaf hash": leaf_hash(leaf.encode()),
    }
    lines = "".join(f"{name:<13}{value.hex()}\n" for name, value in told.items())
    assert lines in (root / "docs" / "formats.md").read_text()
    assert event.version == 5
