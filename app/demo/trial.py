"""One try to cheat with the books of a demo: what was done to a copy, and what the audit says.

It runs in a process of its own that gives way to the server (`app.demo.cheating`); the real files
are opened for reading only, and the copy is thrown away.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import msgspec
from msgspec import Struct

from app.demo.forging import CannotForgeError, Forgery, Way
from app.settings import Settings

LONGEST_S: Final = 90
"""A trial that takes longer is ended; on an idle machine one takes two or three seconds."""

CANNOT: Final = 3
"""The exit code where the log holds nothing yet that could be forged so."""


class Kept(Struct, frozen=True):
    """What somebody outside has kept: a published checkpoint of so many events, and who vouches
    for it (`by`; empty: nobody but who kept it). Without a note there is none.
    """

    note: str = ""
    key: str = ""
    size: int = 0
    by: str = ""


class Found(Struct, frozen=True):
    """A finding of the audit; `kind` is its rule or check."""

    kind: str
    position: int | None
    sentence: str


class OnCopy(Struct, frozen=True):
    """What was done to the copy, and what the audit found there.

    `events` is how many it had, `touched` at how many positions it holds other bytes than the
    original, `first` the first one whose leaf is not the published one. `kinds` counts all findings
    by their kind; `left_out` is what could not be looked at.
    """

    forgery: Forgery
    events: int
    touched: int
    first: int
    kinds: dict[str, int]
    findings: list[Found]
    left_out: list[str]


class Original(Struct, frozen=True):
    """What the audit says of the real books after it all, and up to where; `at` is ms UTC."""

    position: int
    at: int
    clean: bool
    identical: bool


class Trial(Struct, frozen=True):
    """A whole trial. `signed`: the operator sealed and signed everything anew after it."""

    way: Way
    signed: bool
    kept: Kept
    on_copy: OnCopy
    original: Original
    seconds: float


class CheatError(Exception):
    """The trial did not come to an end; the message says why, for the server's log."""


async def try_to_cheat(settings: Settings, way: Way, kept: Kept, *, signed: bool) -> Trial:
    """Run one trial. Raises CannotForgeError and CheatError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "app.demo.cheating"),
        *(str(settings.data_dir), way, "signed" if signed else "plain"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST_S):
            told, trouble = await process.communicate(msgspec.json.encode(kept))
    except TimeoutError:
        raise CheatError(f"it took longer than {LONGEST_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == CANNOT:
        raise CannotForgeError
    if process.returncode:
        raise CheatError(trouble.decode(errors="replace")[-2_000:])
    return msgspec.json.decode(told, type=Trial)
