"""What a log says to a witness (C2SP tlog-witness, add-checkpoint)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from app.transparency.checkpoint import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint_text,
    parse_number,
    parse_root,
)
from app.transparency.note import Note, NoteError, encode_base64, parse_note

ADD_CHECKPOINT: Final = "/add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"
LONGEST_REQUEST: Final = 128 * 1024
"""Bytes: a checkpoint with sixteen of the longest signatures, and a proof."""
MOST_HASHES: Final = 63


class RequestError(ValueError):
    """A request to a witness is not one."""


class AddCheckpoint(msgspec.Struct, frozen=True):
    """The size that the log takes the witness to have cosigned last, the proof that the new tree
    begins with that one, and the new checkpoint, unverified.
    """

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


def encode_request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of a request for the checkpoint in this note."""
    lines = [f"old {old}", *(encode_base64(one) for one in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def parse_request(body: bytes) -> AddCheckpoint:
    """Read the body of a request; raises RequestError."""
    if len(body) > LONGEST_REQUEST:
        raise RequestError("a request has at most 128 KiB")
    try:
        head, divided, below = body.decode().partition("\n\n")
        first, *proof = head.split("\n")
        if not divided or not first.startswith("old "):
            raise RequestError("a request is an old size, a proof, a blank line and a checkpoint")
        if len(proof) > MOST_HASHES:
            raise RequestError("a proof has at most 63 hashes")
        old = parse_number(first.removeprefix("old "))
        note = parse_note(below)
        checkpoint = parse_checkpoint_text(note.text)
        return AddCheckpoint(old, tuple(parse_root(line) for line in proof), note, checkpoint)
    except UnicodeDecodeError as fault:
        raise RequestError("a request is text in UTF-8") from fault
    except (NoteError, CheckpointError) as fault:
        raise RequestError(str(fault)) from fault


def origin_hash(origin: str) -> str:
    """How a witness's pages name a log: SHA-256 over its name, in hex."""
    return hashlib.sha256(origin.encode()).hexdigest()
