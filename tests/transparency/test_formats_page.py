"""The examples of docs/formats.md are recomputed: who writes a checker from them can rely on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.transparency.checkpoint import Checkpoint
from app.transparency.merkle import (
    MemoryTiles,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
)
from app.transparency.note import COSIGNATURE, ED25519, SigningKey
from app.transparency.proof import TlogProof
from app.transparency.tiles import bundle, tile_path
from app.witness.protocol import encode_request

PAGE: Final = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
LOG: Final = SigningKey("log.example/books", ED25519, bytes(range(32)))
WITNESS: Final = SigningKey("witness.example/one", COSIGNATURE, bytes(range(32, 64)))
LEAVES: Final = (b"a", b"bc", b"")
TREE: Final = MemoryTiles(leaf_hash(leaf) for leaf in LEAVES)
TEXT: Final = Checkpoint("log.example/books", 3, root_at(TREE, 3)).text
SIGNED: Final = f"{TEXT}\n{LOG.sign(TEXT)}"
COSIGNED: Final = SIGNED + WITNESS.sign(TEXT, 1_700_000_000)


def blocks() -> list[str]:
    """What stands between fences."""
    return [part.removeprefix("\n") for part in PAGE.split("```")[1::2]]


def test_the_tree_of_the_page_is_that_tree() -> None:
    """Its leaf hashes, its roots, its bundle and its tile's path."""
    named = {f"leaf {leaf.decode() or chr(34) * 2}": leaf_hash(leaf) for leaf in LEAVES}
    named |= {f"root of {size}": root_at(TREE, size) for size in (2, 3)}
    assert "".join(f"{name:<11}{value.hex()}\n" for name, value in named.items()) in blocks()
    assert bundle(LEAVES).hex(" ") + "\n" in blocks()
    assert f"`{tile_path(0, 0, 3)}`" in PAGE


def test_the_keys_and_signatures_of_the_page_are_theirs() -> None:
    """Two keys, and a checkpoint that both signed."""
    assert f"{LOG.verifier.encode()}\n{WITNESS.verifier.encode()}\n" in blocks()
    assert COSIGNED in blocks()


def test_the_proofs_of_the_page_are_proofs() -> None:
    """A file, and a request to a witness."""
    proof = TlogProof(1, tuple(inclusion_proof(TREE, 1, 3)), COSIGNED, b"{}")
    assert proof.encode() in blocks()
    request = encode_request(2, consistency_proof(TREE, 2, 3), SIGNED).decode()
    assert f"POST <url>/add-checkpoint\n\n{request}" in blocks()
