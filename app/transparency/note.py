"""Signed notes (C2SP signed-note): text, a blank line, and lines of signatures below it.

A key is a name with an algorithm and public bytes; its id, four bytes of a hash, only says which
line to try. What is not the one spelling of a note is refused.
"""

from __future__ import annotations

import binascii
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519: Final = 0x01
"""Ed25519 over the text."""
COSIGNATURE: Final = 0x04
"""Ed25519 over a time and the text (C2SP tlog-cosignature, version 1): how a witness signs."""

LONGEST_NOTE: Final = 1_000_000
"""Bytes, as in the reference implementation in Go."""
MOST_SIGNATURES: Final = 100
"""The same."""
LONGEST_NAME: Final = 255
LATEST_S: Final = (1 << 63) - 1

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_TIME_BYTES: Final = 8
_LONGEST_KEY: Final = 4 * LONGEST_NAME + 100
_FIRST_PRINTABLE: Final = " "
_DASH: Final = "\u2014 "
_PRIVATE: Final = "PRIVATE+KEY+"
_ID: Final = re.compile("[0-9a-f]{8}")


class NoteError(ValueError):
    """Text is no signed note, a key is no key, or a signature is wrong."""


# --- Text ----------------------------------------------------------------------------------------


def decode_base64(text: str) -> bytes:
    """Bytes from standard base64 in its one spelling; raises NoteError."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise NoteError("this is not base64") from fault
    if encode_base64(data) != text:
        raise NoteError("base64 has one spelling only")
    return data


def encode_base64(data: bytes) -> str:
    """Bytes as standard base64."""
    return b64encode(data).decode("ascii")


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as fault:
        raise NoteError("a note is text in UTF-8") from fault
    if size > LONGEST_NOTE:
        raise NoteError("a note has at most 1,000,000 bytes")
    if any(sign < _FIRST_PRINTABLE and sign != "\n" for sign in set(text)):
        raise NoteError("a note has no control characters")


def _check_name(name: str) -> None:
    bad = any(sign.isspace() or sign == "+" or sign < _FIRST_PRINTABLE for sign in name)
    if not name or bad or len(name) > LONGEST_NAME:
        raise NoteError("a key's name is 1 to 255 characters, without spaces and plus signs")
    try:
        name.encode()
    except UnicodeEncodeError as fault:
        raise NoteError("a key's name is text in UTF-8") from fault


# --- Keys ----------------------------------------------------------------------------------------


class VerifierKey(msgspec.Struct, frozen=True):
    """What tells a name's signatures from others: `type` is the algorithm's registered byte."""

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse what could never verify anything; raises NoteError."""
        _check_name(self.name)
        if self.type not in _ALGORITHMS:
            raise NoteError(f"keys of type 0x{self.type:02x} are not known here")
        if len(self.public) != _KEY_BYTES:
            raise NoteError("a public key has 32 bytes")

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand before each of its signatures."""
        hashed = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return sha256(hashed).digest()[:_ID_BYTES]

    def encode(self) -> str:
        """The key as people hand it on: name, id in hex, and type with public bytes."""
        key = encode_base64(bytes([self.type]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @staticmethod
    def parse(text: str) -> VerifierKey:
        """Read a key as `encode` writes it; raises NoteError."""
        name, stated, data = _split_key(text)
        key = VerifierKey(name, data[0], data[1:])
        if key.key_id != stated:
            raise NoteError("the key's id does not belong to its name and bytes")
        return key


class SigningKey:
    """The secret half of a key; it shows itself to nobody but through `encode`."""

    __slots__ = ("_secret", "_seed", "verifier")

    def __init__(self, name: str, type: int, seed: bytes) -> None:  # noqa: A002 - as in VerifierKey
        if len(seed) != _KEY_BYTES:
            raise NoteError("a private key has 32 bytes")
        self._seed = seed
        self._secret = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = VerifierKey(name, type, public)

    def __repr__(self) -> str:
        return f"<SigningKey {self.verifier.name}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")

    @staticmethod
    def generate(name: str, type: int = ED25519) -> SigningKey:  # noqa: A002 - as in VerifierKey
        """A new key from the system's randomness; raises NoteError on a name that cannot be."""
        return SigningKey(name, type, secrets.token_bytes(_KEY_BYTES))

    @staticmethod
    def parse(text: str) -> SigningKey:
        """Read a key as `encode` writes it; raises NoteError, which never holds the text."""
        if not text.startswith(_PRIVATE):
            raise NoteError("a private key begins with PRIVATE+KEY+")
        name, stated, data = _split_key(text.removeprefix(_PRIVATE))
        key = SigningKey(name, data[0], data[1:])
        if key.verifier.key_id != stated:
            raise NoteError("the key's id does not belong to its name and bytes")
        return key

    def encode(self) -> str:
        """The secret itself, in the form that Go's `note` package writes."""
        data = encode_base64(bytes([self.verifier.type]) + self._seed)
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{data}"

    def sign(self, text: str, at_s: int | None = None) -> str:
        """One signature line over the text, with its newline.

        A cosignature says when it was made, in seconds since 1970; other types hold no time.
        """
        _check_text(text)
        if not text.endswith("\n"):
            raise NoteError("a note's text ends in a newline")
        key, stamp = self.verifier, b""
        if key.type == COSIGNATURE:
            if at_s is None or not 0 <= at_s <= LATEST_S:
                raise NoteError("a cosignature needs the time at which it is made")
            stamp = at_s.to_bytes(_TIME_BYTES, "big")
        elif at_s is not None:
            raise NoteError("only a cosignature holds a time")
        made = stamp + self._secret.sign(_message(key, text, at_s))
        return SignatureLine(key.name, key.key_id, made).encode()


def _split_key(text: str) -> tuple[str, bytes, bytes]:
    """Name, stated id, and type with key; what is wrong is said without the text."""
    parts = text.split("+", 2) if len(text) <= _LONGEST_KEY else []
    if len(parts) != 3:  # noqa: PLR2004 - name, id and key
        raise NoteError("a key is name+id+key")
    name, stated, key = parts
    if not _ID.fullmatch(stated):
        raise NoteError("a key's id is 8 digits of lower-case hex")
    data = decode_base64(key)
    if not data:
        raise NoteError("a key has a type and bytes")
    return name, bytes.fromhex(stated), data


# --- Notes ---------------------------------------------------------------------------------------


class SignatureLine(msgspec.Struct, frozen=True):
    """One signature, of a key that may be known or not."""

    name: str
    key_id: bytes
    signature: bytes

    def encode(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


class Note(msgspec.Struct, frozen=True):
    """Text that ends in a newline, and its signatures, none of them checked yet."""

    text: str
    lines: tuple[SignatureLine, ...]

    def encode(self) -> str:
        """The whole note."""
        return self.text + "\n" + "".join(line.encode() for line in self.lines)


class Signed(msgspec.Struct, frozen=True):
    """Who signed, and when, in seconds since 1970, where the signature says so."""

    key: VerifierKey
    at_s: int | None


def parse_note(data: str) -> Note:
    """Take a note apart; raises NoteError. The last blank line divides text and signatures."""
    _check_text(data)
    text, divided, below = data.rpartition("\n\n")
    if not divided or not below.endswith("\n"):
        raise NoteError("a note is text, a blank line and lines of signatures")
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError("a note has at most 100 signatures")
    return Note(text + "\n", tuple(parse_signature_line(line) for line in lines))


def parse_signature_line(line: str) -> SignatureLine:
    """Read one signature line, without its newline; raises NoteError."""
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:  # noqa: PLR2004 - a name and bytes
        raise NoteError("a signature is a dash, a key's name and base64")
    name, encoded = parts
    _check_name(name)
    data = decode_base64(encoded)
    if len(data) <= _ID_BYTES:
        raise NoteError("a signature has more than its key's id")
    return SignatureLine(name, data[:_ID_BYTES], data[_ID_BYTES:])


def signatures_of(note: Note, keys: Iterable[VerifierKey]) -> list[Signed]:
    """Whose valid signatures the note has, each key once, with its latest time.

    Lines of unknown keys are passed over. Raises NoteError where a line has a known key's name and
    id but its signature is wrong.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) != key:
            raise NoteError("two different keys have the same name and id")
    found: dict[VerifierKey, Signed] = {}
    for line in note.lines:
        named = known.get((line.name, line.key_id))
        if named is None:
            continue
        signed = _ALGORITHMS[named.type](named, note.text, line.signature)
        before = found.get(named)
        if before is None or (before.at_s or 0) < (signed.at_s or 0):
            found[named] = signed
    return list(found.values())


# --- Algorithms ----------------------------------------------------------------------------------


def _message(key: VerifierKey, text: str, at_s: int | None) -> bytes:
    if key.type == COSIGNATURE:
        return f"cosignature/v1\ntime {at_s}\n{text}".encode()
    return text.encode()


def _check_ed25519(key: VerifierKey, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as fault:
        raise NoteError(f"the signature of {key.name} is wrong") from fault


def _plain(key: VerifierKey, text: str, signature: bytes) -> Signed:
    _check_ed25519(key, _message(key, text, None), signature)
    return Signed(key, None)


def _timed(key: VerifierKey, text: str, signature: bytes) -> Signed:
    stamp, made = signature[:_TIME_BYTES], signature[_TIME_BYTES:]
    at_s = int.from_bytes(stamp, "big")
    if len(made) != _SIGNATURE_BYTES or at_s > LATEST_S:
        raise NoteError(f"the cosignature of {key.name} is wrong")
    _check_ed25519(key, _message(key, text, at_s), made)
    return Signed(key, at_s)


_ALGORITHMS: Final[dict[int, Callable[[VerifierKey, str, bytes], Signed]]] = {
    ED25519: _plain,
    COSIGNATURE: _timed,
}
"""How each known type's signatures are checked. A new type is one more line here."""
