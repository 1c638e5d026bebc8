"""What the last audit found, kept in a file beside the log for those who ask how the books stand.

It is a note, not a proof: whoever doubts it runs the audit again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.audit.findings import Finding

RULES: Final = 13
"""How many rules the rule book has."""

PLACES: Final = 200
"""How many findings' places are kept."""


class LastCheckpoint(Struct, frozen=True):
    """The newest checkpoint that was found to be right: `root` in hex digits."""

    size: int
    root: str


class LastVerify(Struct, frozen=True, kw_only=True):
    """A verification: when it ended (ms UTC), up to which position, and what it found.

    `tree` is whether the transparency log was checked as well, `checkpoint` the newest of it that
    was found to be right. `unopenable` counts the event commitments that nobody can open any more,
    because the person's key was destroyed.
    """

    at: int
    position: int
    ok: bool
    violations: int
    seconds: float
    tree: bool = False
    checkpoint: LastCheckpoint | None = None
    unopenable: int = 0


class LastReplay(Struct, frozen=True, kw_only=True):
    """A replay: when it ended (ms UTC), up to which position, whether the live views were identical
    with those made anew, and the SHA-256 of all their rows in hex digits.
    """

    at: int
    position: int
    identical: bool
    seconds: float
    digest: str


class Place(Struct, frozen=True):
    """Where a finding is: its name, its position where it has one, and its stream."""

    rule: str
    position: int | None
    stream: str


class LastAudit(Struct, frozen=True, kw_only=True):
    """The last verification and the last replay; None for what never ran.

    `rules` says how often each rule was broken in that verification, by its number, all thirteen;
    `others` the same for what else is checked, by the names of the findings (`positions`, `tree`,
    `checkpoint`, …); only what was found is there. `places` are the first of its findings, without
    their sentences, which may name what is not for everybody.
    """

    verify: LastVerify | None = None
    replay: LastReplay | None = None
    rules: dict[int, int] = {}
    others: dict[str, int] = {}
    places: list[Place] = []


def read_last(path: Path) -> LastAudit:
    """What is kept in a file; nothing where it is missing or was written by another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LastAudit)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return LastAudit()


def keep_verify(
    path: Path, found: LastVerify, by_kind: Mapping[str, int], findings: Iterable[Finding]
) -> None:
    """Keep what a verification found; `by_kind` counts its findings by their names."""
    rules = {number: by_kind.get(f"rule {number}", 0) for number in range(1, RULES + 1)}
    others = {kind: count for kind, count in by_kind.items() if not kind.startswith("rule ")}
    places = [Place(each.rule, each.position, each.stream) for each in islice(findings, PLACES)]
    kept = read_last(path)
    _write(
        path,
        LastAudit(verify=found, replay=kept.replay, rules=rules, others=others, places=places),
    )


def keep_replay(path: Path, found: LastReplay) -> None:
    """Keep what a replay found."""
    _write(path, msgspec.structs.replace(read_last(path), replay=found))


def _write(path: Path, kept: LastAudit) -> None:
    """Replace the file whole: a reader finds the old one or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
