"""Proofs as files (C2SP tlog-proof): an index, the way to the root, and the signed checkpoint.

With the log's public key alone such a file proves that a leaf is in the log. The checkpoint stands
in it as it was signed; `extra` is carried along, and nothing vouches for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from app.transparency.checkpoint import (
    CheckpointError,
    Opened,
    open_checkpoint,
    parse_checkpoint_text,
    parse_number,
    parse_root,
)
from app.transparency.merkle import LONGEST_PROOF, ProofError, verify_inclusion
from app.transparency.note import (
    NoteError,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_note,
)

HEADER: Final = "c2sp.org/tlog-proof@v1"
LONGEST_FILE: Final = 1_000_000
"""Characters."""


class TlogProof(msgspec.Struct, frozen=True):
    """That the leaf of this index (from 0) is in the tree of the checkpoint, a signed note."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def encode(self) -> str:
        """The file."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(one) for one in self.hashes)
        return "\n".join(lines) + "\n\n" + self.checkpoint

    def verify(
        self,
        leaf_hash: bytes,
        log_key: VerifierKey,
        witnesses: Sequence[VerifierKey] = (),
        quorum: int = 0,
    ) -> Opened:
        """Check the signatures and the way from the leaf to the root; raises CheckpointError where
        the checkpoint is not vouched for and ProofError where the leaf is not in its tree.
        """
        opened = open_checkpoint(self.checkpoint, log_key, witnesses, quorum)
        tree = opened.checkpoint
        verify_inclusion(leaf_hash, self.index, tree.size, self.hashes, tree.root)
        return opened


def parse_proof(text: str) -> TlogProof:
    """Read a file as `encode` writes it, whole but with nothing verified; raises ProofError."""
    if len(text) > LONGEST_FILE:
        raise ProofError("a proof has at most 1,000,000 characters")
    head, divided, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not divided or lines.pop(0) != HEADER:
        raise ProofError(f"a proof begins with {HEADER} and ends with a checkpoint")
    try:
        extra = _extra(lines.pop(0)) if lines and lines[0].startswith("extra ") else b""
        index, hashes = _path(lines)
        size = parse_checkpoint_text(parse_note(checkpoint).text).size
    except (NoteError, CheckpointError) as fault:
        raise ProofError(str(fault)) from fault
    if index >= size:
        raise ProofError("the leaf's index is not below the size of the tree")
    return TlogProof(index, hashes, checkpoint, extra)


def _extra(line: str) -> bytes:
    extra = decode_base64(line.removeprefix("extra "))
    if not extra:
        raise ProofError("a proof without extra data has no line for it")
    return extra


def _path(lines: list[str]) -> tuple[int, tuple[bytes, ...]]:
    if not lines or not lines[0].startswith("index "):
        raise ProofError("a proof says the index of its leaf")
    if len(lines) - 1 > LONGEST_PROOF:
        raise ProofError("a proof has at most 64 hashes")
    index = parse_number(lines[0].removeprefix("index "))
    return index, tuple(parse_root(line) for line in lines[1:])
