"""Which strings may enter an event (rule 12): random ids, codes and salted hashes, no free text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch
_HASH: Final = re.compile(r"(?:[0-9a-f]{64})?").fullmatch
_REGION: Final = re.compile(r"\*|[A-Z]{2}(?:-[A-Z0-9]{1,3})?").fullmatch
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_.:/-]{0,128}").fullmatch

ROLES: Final = frozenset(
    ("backer", "creator", "staff", "treasurer", "auditor", "system", "provider")
)
"""Who can act; the part of `by` before the colon."""


def is_id(text: str) -> bool:
    """Whether this is a random id: a UUID in its lower-case form with hyphens."""
    return _UUID(text) is not None


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


@lru_cache(maxsize=8192)
def is_actor(text: str) -> bool:
    """Whether this is `role:party id`; systems and providers are named by a code."""
    role, _, party = text.partition(":")
    if role not in ROLES:
        return False
    return is_code(party) if role in {"system", "provider"} else is_id(party)


def role_of(by: str) -> str:
    """The role that acted."""
    return by.partition(":")[0]


def party_of(by: str) -> str:
    """The party that acted."""
    return by.partition(":")[2]
