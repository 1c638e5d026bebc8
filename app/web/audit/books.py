"""What an audit page shows: the last audit that was kept, the last checkpoint that is public."""

from __future__ import annotations

import asyncio
import base64
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from app.audit.last import LastAudit, read_last
from app.transparency.checkpoint import CheckpointError, open_checkpoint
from app.transparency.note import NoteError, VerifierKey
from app.transparency.tiles import tile_path, width_at
from app.web.audit.words import ALWAYS, OF_THE_TREE, RULES
from app.wiring import Platform

_logger = logging.getLogger(__name__)


Doubt = Literal["", "fork", "witness", "late"]
"""Why no new checkpoint is published: what is stored does not continue what was signed, or cannot
be read; too few witnesses have cosigned one; or what follows and signs stands still. Empty while
one is.
"""

WAITING_MS: Final = 6_000
"""Of a checkpoint that is not published so long after it was signed, it is said that it waits."""


class Witnessed(Struct, frozen=True):
    """A witness that cosigned a checkpoint, and when, ms UTC."""

    name: str
    at: int


class AskedWitness(Struct, frozen=True):
    """A witness that is asked, and its verifier key."""

    name: str
    key: str


class PublicCheckpoint(Struct, frozen=True):
    """The newest checkpoint that is published. `key` is the log's verifier key, `asked` the
    witnesses that are asked, `quorum` how many of them have to sign before it is published.
    """

    origin: str
    size: int
    root: bytes
    at: int
    key: str
    witnessed: tuple[Witnessed, ...]
    asked: tuple[AskedWitness, ...]
    quorum: int

    @property
    def root_text(self) -> str:
        """The root as the checkpoint writes it."""
        return base64.b64encode(self.root).decode()

    @property
    def hash_tiles(self) -> list[str]:
        """For each level the path of its first tile, as wide as this checkpoint's tree has it."""
        return list(_first_tiles(self.size))

    @property
    def leaf_tile(self) -> str:
        """The path of the first bundle of leaves; empty for a tree without any."""
        width = width_at(0, 0, self.size)
        return tile_path("entries", 0, width) if width else ""

    def command(self, public_url: str) -> str:
        """The command with which anybody checks what is published, by these very keys."""
        few = ("--quorum", str(self.quorum)) if 0 < self.quorum < len(self.asked) else ()
        return shlex.join(
            (
                *("tributary", "audit", "public", public_url, "--key", self.key),
                *(word for witness in self.asked for word in ("--witness", witness.key)),
                *few,
            )
        )


def _first_tiles(size: int) -> Iterator[str]:
    level = 0
    while width := width_at(level, 0, size):
        yield tile_path(level, 0, width)
        level += 1


class Check(Struct, frozen=True):
    """Something that is checked: `kind` as findings call it, `broken` how often it does not hold;
    None where it was not looked at.
    """

    kind: str
    number: int
    broken: int | None


class Seal(Struct, frozen=True):
    """The last audit found nothing: when it was, ms UTC, and up to which position."""

    at: int
    position: int


class Books(Struct, frozen=True, kw_only=True):
    """How the books stand. `position` is the log's last; `doubt` why nothing is signed."""

    last: LastAudit
    position: int
    checkpoint: PublicCheckpoint | None = None
    doubt: Doubt = ""

    @property
    def seal(self) -> Seal | None:
        """What the seal says; None where it may not be shown."""
        return None if self.doubt else seal_of(self.last)

    @property
    def since(self) -> int:
        """How many events came since the last verification."""
        verified = self.last.verify.position if self.last.verify else 0
        return max(0, self.position - verified)

    @property
    def rules(self) -> list[Check]:
        """The thirteen rules with what the last verification found."""
        looked = self.last.verify is not None
        return [
            Check(f"rule {number}", number, self.last.rules.get(number, 0) if looked else None)
            for number in range(1, len(RULES) + 1)
        ]

    @property
    def others(self) -> list[Check]:
        """What else was checked; what was found is always among it."""
        verified, found = self.last.verify, self.last.others
        looked = {*ALWAYS, *(OF_THE_TREE if verified and verified.tree else ())}
        kinds = dict.fromkeys((*ALWAYS, *OF_THE_TREE, *found))
        checks = {
            kind: found.get(kind, 0) if verified and kind in looked | {*found} else None
            for kind in kinds
        }
        if self.doubt == "fork":
            # What is known by now counts, whatever the last verification saw.
            checks["fork"] = checks["fork"] or 1
            checks["checkpoint"] = checks["checkpoint"] or None
        return [Check(kind, 0, broken) for kind, broken in checks.items()]


def seal_of(last: LastAudit) -> Seal | None:
    """The seal of an audit of which both halves ran and found nothing."""
    verified, replayed = last.verify, last.replay
    if verified is None or replayed is None or not verified.ok or not replayed.identical:
        return None
    return Seal(max(verified.at, replayed.at), min(verified.position, replayed.position))


# --- The file that is kept -----------------------------------------------------------------------

_kept: Final[dict[Path, tuple[tuple[int, int], LastAudit]]] = {}


def last_audit(path: Path) -> LastAudit:
    """The last audit, read anew where its file was replaced."""
    try:
        found = path.stat()
    except OSError:
        return LastAudit()
    mark = found.st_ino, found.st_mtime_ns
    known = _kept.get(path)
    if known is None or known[0] != mark:
        known = _kept[path] = mark, read_last(path)
    return known[1]


def shown_seal(platform: Platform) -> Seal | None:
    """The seal for any page; None where the books are not in order, or the log is in doubt."""
    if _doubt(platform):
        return None
    return seal_of(last_audit(platform.settings.last_audit_path))


# --- All of it -----------------------------------------------------------------------------------


async def books_of(platform: Platform) -> Books:
    """How the books of a platform stand now."""
    return await asyncio.to_thread(_books, platform)


def _books(platform: Platform) -> Books:
    position, _ = platform.log.last()
    return Books(
        last=last_audit(platform.settings.last_audit_path),
        position=position,
        checkpoint=public_checkpoint(platform),
        doubt=_doubt_now(platform),
    )


def _doubt(platform: Platform) -> Doubt:
    """Why nothing is signed or published."""
    # Where another process follows the log, what it says of itself is what is known.
    standing = platform.standing()
    if standing.fork or standing.tree_stopped or platform.transparency.fault:
        return "fork"
    return "late" if standing.tree_fault else ""


def _doubt_now(platform: Platform) -> Doubt:
    """The same, and whether witnesses are waited for at this moment."""
    doubt = _doubt(platform)
    if doubt == "fork" or not platform.settings.witness_quorum:
        return doubt
    waiting = platform.transparency.store.unpublished()
    if waiting is not None and platform.clock() - waiting.at >= WAITING_MS:
        return "witness"
    return doubt


def public_checkpoint(platform: Platform) -> PublicCheckpoint | None:
    """The newest published checkpoint, with the names of those who vouch for it."""
    published = platform.transparency.published()
    if published is None:
        return None
    key = platform.transparency.log_key
    settings = platform.settings
    try:
        witnesses = [VerifierKey.parse(witness.vkey) for witness in settings.witnesses]
        opened = open_checkpoint(published.note, key, witnesses)
    except (CheckpointError, NoteError):
        _logger.exception("the published checkpoint cannot be read")
        return None
    return PublicCheckpoint(
        origin=opened.checkpoint.origin,
        size=opened.checkpoint.size,
        root=opened.checkpoint.root,
        at=published.at,
        key=key.encode(),
        witnessed=tuple(
            Witnessed(signed.key.name, (signed.at_s or 0) * 1000) for signed in opened.witnessed
        ),
        asked=tuple(AskedWitness(witness.name, witness.encode()) for witness in witnesses),
        quorum=settings.witness_quorum,
    )
