"""A log as a witness sees it, honest or not: one key, and any number of histories."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from app.transparency.checkpoint import Checkpoint, open_checkpoint
from app.transparency.merkle import MemoryTiles, consistency_proof, leaf_hash, root_at
from app.transparency.note import Note, SigningKey, VerifierKey, parse_signature_line
from app.witness.protocol import encode_request
from app.witness.store import WitnessStore
from app.witness.witness import Witness
from tests.transparency.merkle_trees import AT_S, LOG, WITNESSES

MOST = 600
KEY = WITNESSES[0]


@cache
def history(fork_at: int = MOST, number: int = 0) -> MemoryTiles:
    """A tree that is the log's own up to `fork_at` and another behind it."""
    return MemoryTiles(
        leaf_hash(b"%d of %d" % (n, number if n >= fork_at else 0)) for n in range(MOST)
    )


def note_of(tiles: MemoryTiles, size: int, key: SigningKey = LOG) -> str:
    """The signed checkpoint of a history's first leaves."""
    text = Checkpoint(key.verifier.name, size, root_at(tiles, size)).text
    return f"{text}\n{key.sign(text)}"


def request(tiles: MemoryTiles, old: int, size: int, key: SigningKey = LOG) -> bytes:
    """What a log sends that takes the witness to have seen `old` leaves of this history."""
    proof = consistency_proof(tiles, old, size) if old <= size else []
    return encode_request(old, proof, note_of(tiles, size, key))


def open_witness(
    folder: Path, logs: Sequence[VerifierKey] = (LOG.verifier,), at_s: int = AT_S
) -> Witness:
    """A witness whose memory is in this folder."""
    return Witness(KEY, logs, WitnessStore(folder / "witness.db"), lambda: at_s)


def check_line(tiles: MemoryTiles, size: int, line: str) -> int:
    """That a line is the witness's cosignature of this checkpoint; when it was made."""
    note = note_of(tiles, size)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    (signed,) = open_checkpoint(note + line, LOG.verifier, [KEY.verifier], 1).witnessed
    assert signed.at_s is not None
    return signed.at_s


def line_of(text: str, key: SigningKey, at_s: int = AT_S) -> str:
    """A cosignature of any text by any key."""
    return Note(text, (parse_signature_line(key.sign(text, at_s)[:-1]),)).lines[0].encode()
