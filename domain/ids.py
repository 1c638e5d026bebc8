"""Which strings may enter an event (rule 12): random ids, codes and salted hashes, no free text."""

from __future__ import annotations

import re
from typing import Final

_KINDS: Final = bytes(
    ord("x") if byte in b"0123456789abcdef" else byte if byte in b"- " else ord("?")
    for byte in range(256)
)
"""What kind of character each byte is: a hex digit, a hyphen, a space, or another. Translating and
comparing takes a third of the time of a regular expression, and an id is asked of every pledge."""

_UUID: Final = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_TWO_UUIDS: Final = _UUID + b" " + _UUID
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch
_HASH: Final = re.compile(r"(?:[0-9a-f]{64})?").fullmatch
_REGION: Final = re.compile(r"\*|[A-Z]{2}(?:-[A-Z0-9]{1,3})?").fullmatch
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_.:/-]{0,128}").fullmatch

ROLES: Final = frozenset(
    ("backer", "creator", "staff", "treasurer", "auditor", "system", "provider")
)
"""Who can act; the part of `by` before the colon."""

_PERSONAL: Final = ROLES - {"system", "provider"}
"""Those who are named by a party's id; the others by a code."""


def is_id(text: str) -> bool:
    """Whether this is a random id: a UUID in its lower-case form with hyphens."""
    return text.isascii() and text.encode().translate(_KINDS) == _UUID


def are_ids(one: str, other: str) -> bool:
    """Whether both are random ids; quicker than to ask twice."""
    both = f"{one} {other}"
    return both.isascii() and both.encode().translate(_KINDS) == _TWO_UUIDS


def is_code(text: str) -> bool:
    """Whether this is a machine's word, such as `insufficient_funds`."""
    return _CODE(text) is not None


def is_text_hash(text: str) -> bool:
    """Whether this is a salted hash of 64 hex digits, or empty for no text."""
    return _HASH(text) is not None


def is_region(text: str) -> bool:
    """Whether this is a destination: ISO 3166 country, optionally a subdivision, or `*`."""
    return _REGION(text) is not None


def is_reference(text: str) -> bool:
    """Whether this is a provider's reference, as random as they make it."""
    return _REFERENCE(text) is not None


def is_actor(text: str) -> bool:
    """Whether this is `role:party id`; systems and providers are named by a code."""
    role, _, party = text.partition(":")
    if role in _PERSONAL:
        return is_id(party)
    return role in ROLES and is_code(party)


def role_of(by: str) -> str:
    """The role that acted."""
    return by.partition(":")[0]


def party_of(by: str) -> str:
    """The party that acted."""
    return by.partition(":")[2]
