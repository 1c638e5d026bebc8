"""Checkpoints that were kept elsewhere: by a witness, in a receipt, in a newspaper."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from msgspec import Struct

from app.audit.reader import CannotAudit
from app.audit.tree_place import Outside
from app.transparency.checkpoint import CheckpointError, open_checkpoint
from app.transparency.merkle import ProofError, verify_inclusion
from app.transparency.note import NoteError, VerifierKey
from app.transparency.proof import HEADER, TlogProof, parse_proof

_RESTORED: Final = re.compile(r"/r[0-9]+(-[0-9a-f]{8})?\Z", re.ASCII)
"""What a log's name ends with after a restore that began a new one."""


class Known(Struct, frozen=True):
    """What a log once signed: that of its tree's first `size` leaves this is the root. Where it
    came in a proof, `proof` is that.
    """

    name: str
    origin: str
    size: int
    root: bytes
    proof: TlogProof | None = None

    def proves(self, leaf_hash: bytes) -> bool:
        """Whether the proof is that of the leaf with this hash."""
        assert self.proof is not None, "asked of proofs only"
        index, hashes = self.proof.index, self.proof.hashes
        try:
            verify_inclusion(leaf_hash, index, self.size, hashes, self.root)
        except ProofError:
            return False
        return True


def read_outside(
    outside: Sequence[Outside], keys: Sequence[str], origins: Collection[str]
) -> list[Known]:
    """Read checkpoints that one of these keys (vkeys) signed, the smallest first. `origins` are the
    names that the log has and had; where there are none, any log's are read.

    Raises CannotAudit for a key or a file that is none, for one that none of the keys signed, and
    for another log's: it says nothing about this one.
    """
    parsed = [_key(key) for key in keys]
    found = sorted((_known(each, parsed) for each in outside), key=lambda known: known.size)
    ours = {_RESTORED.sub("", origin) for origin in origins}
    for known in found:
        if ours and _RESTORED.sub("", known.origin) not in ours:
            raise CannotAudit(
                f"{known.name} is a checkpoint of {known.origin}, and this log calls itself"
                f" {', '.join(sorted(origins))}: it is another log's, or this one's name was"
                " changed."
            )
    return found


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text.strip())
    except NoteError as fault:
        raise CannotAudit(f"{text!r} is no verifier key: {fault}.") from fault


def _known(outside: Outside, keys: Sequence[VerifierKey]) -> Known:
    note, proof = outside.text, None
    if note.startswith(HEADER):
        try:
            proof = parse_proof(note)
        except ProofError as fault:
            raise CannotAudit(f"{outside.name} is no proof: {fault}.") from fault
        note = proof.checkpoint
    why = "there is no key to check it with"
    for key in keys:
        try:
            found = open_checkpoint(note, key).checkpoint
        except CheckpointError as fault:
            why = str(fault)
            continue
        return Known(outside.name, found.origin, found.size, found.root, proof)
    raise CannotAudit(f"{outside.name} is no checkpoint of this log: {why}.")
