"""Passwords: what makes a good one, and how one is kept and checked.

Argon2id with the library's own measure (64 MiB, some 50 ms). Two are worked on at a time: more
would only take the memory of everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 10
LONGEST: Final = 200
"""In characters: a sentence of one's own fits."""

FEWEST_DIFFERENT: Final = 4

_COMMON: Final = frozenset(
    (
        "0123456789",
        "1234567890",
        "12345678910",
        "123456789a",
        "1q2w3e4r5t",
        "1qaz2wsx3edc",
        "iloveyou123",
        "password12",
        "password123",
        "password1234",
        "passw0rd123",
        "qwerty12345",
        "qwerty123456",
        "qwertyuiop",
        "zaq12wsxcde3",
    )
)
"""The first that anybody would try, of those long enough."""

_Found = TypeVar("_Found")

_HASHER: Final = PasswordHasher()
_THREADS: Final = ThreadPoolExecutor(2, thread_name_prefix="argon2")


def fault_in(password: str, mail: str) -> str:
    """What is wrong with a new password for this address: `short`, `long`, `mail` or `common`;
    empty where nothing is.
    """
    lower, mail = password.casefold(), mail.strip().casefold()
    if len(password) < SHORTEST:
        return "short"
    if len(password) > LONGEST:
        return "long"
    if lower in {mail, mail.partition("@")[0]}:
        return "mail"
    if lower in _COMMON or len(set(lower)) < FEWEST_DIFFERENT:
        return "common"
    return ""


async def hashed(password: str) -> str:
    """The one way in which a password is kept."""
    return await _in_thread(_HASHER.hash, password)


async def is_right(password_hash: str, password: str) -> bool:
    """Whether a password is the one that was hashed.

    Without a hash it takes as long and is wrong: the time tells nobody whether there is one.
    """
    return await _in_thread(_check, password_hash, password)


def is_outdated(password_hash: str) -> bool:
    """Whether today's measure is stricter than that of a hash."""
    return _HASHER.check_needs_rehash(password_hash)


def _check(password_hash: str, password: str) -> bool:
    try:
        _HASHER.verify(password_hash or _nobodys(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


@cache
def _nobodys() -> str:
    return _HASHER.hash("the password of nobody")


async def _in_thread(work: Callable[..., _Found], *given: str) -> _Found:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *given)
