"""Checkpoints (C2SP tlog-checkpoint): what a log signs to say how large its tree is and its root.

The text of a checkpoint is three lines: the log's name, the number of leaves, the root in base64.
Lines below them, which others may add, are kept and mean nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from app.transparency.merkle import EMPTY_ROOT
from app.transparency.note import (
    NoteError,
    Signed,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_note,
    signatures_of,
)
from app.transparency.tiles import HASH_BYTES, MOST_LEAVES

LONGEST_ORIGIN: Final = 255
_LINES: Final = 3
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)


class CheckpointError(ValueError):
    """Text is no checkpoint, or not one that the asked keys vouch for."""


class Checkpoint(msgspec.Struct, frozen=True):
    """A log's name for itself, how many leaves its tree has, and their root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is signed, with its last newline."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


class Opened(msgspec.Struct, frozen=True):
    """A checkpoint that the log signed, and the witnesses that cosigned it."""

    checkpoint: Checkpoint
    witnessed: tuple[Signed, ...]


def parse_number(text: str) -> int:
    """A number below 2**63 in digits, without leading zeroes; raises CheckpointError."""
    number = int(text) if _NUMBER.fullmatch(text) else MOST_LEAVES
    if number >= MOST_LEAVES:
        raise CheckpointError("a number is digits without leading zeroes, below 2**63")
    return number


def parse_root(text: str) -> bytes:
    """A hash in base64; raises CheckpointError."""
    try:
        root = decode_base64(text)
    except NoteError as fault:
        raise CheckpointError(str(fault)) from fault
    if len(root) != HASH_BYTES:
        raise CheckpointError("a hash has 32 bytes")
    return root


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read the text of a checkpoint, the part above the signatures; raises CheckpointError."""
    if not text.endswith("\n"):
        raise CheckpointError("a checkpoint ends in a newline")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < _LINES or not all(lines):
        raise CheckpointError("a checkpoint has three lines or more, none of them empty")
    origin, size, root, *extensions = lines
    if len(origin) > LONGEST_ORIGIN:
        raise CheckpointError("a log's name has at most 255 characters")
    found = Checkpoint(origin, parse_number(size), parse_root(root), tuple(extensions))
    if not found.size and found.root != EMPTY_ROOT:
        raise CheckpointError("a tree without leaves has another root")
    return found


def open_checkpoint(
    note: str,
    log_key: VerifierKey,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> Opened:
    """A checkpoint that the log with this key signed, of the name that the key bears, cosigned by
    `quorum` of the witnesses or more; raises CheckpointError.

    A public key counts once, whatever names it bears, and the log's own is no witness.
    """
    try:
        parsed = parse_note(note)
        signed = signatures_of(parsed, (log_key, *witnesses))
    except NoteError as fault:
        raise CheckpointError(str(fault)) from fault
    if all(one.key != log_key for one in signed):
        raise CheckpointError(f"the checkpoint is not signed by {log_key.name}")
    checkpoint = parse_checkpoint_text(parsed.text)
    if checkpoint.origin != log_key.name:
        raise CheckpointError("the checkpoint is of another log")
    witnessed = tuple(one for one in signed if one.key in witnesses)
    counted = len({one.key.public for one in witnessed} - {log_key.public})
    if counted < quorum:
        raise CheckpointError(f"{quorum} witnesses are needed, and {counted} signed")
    return Opened(checkpoint, witnessed)
