"""What others published and wrote agrees with our trees: RFC 6962 vectors, and pymerkle."""

from __future__ import annotations

import os
import random
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pymerkle
import pytest

from app.transparency.merkle import (
    MemoryTiles,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.transparency.merkle_trees import mutations

SMALL = range(1, 131)
LEAVES = 5_000


# --- Vectors -------------------------------------------------------------------------------------


class Vector(msgspec.Struct, rename="camel"):
    """A vector of an inclusion or a consistency proof; hashes in base64."""

    desc: str
    want_err: bool
    proof: list[str] | None
    path: str = msgspec.field(name="_path")
    leaf_idx: int = 0
    tree_size: int = 0
    root: str = ""
    leaf_hash: str = ""
    size1: int = 0
    size2: int = 0
    root1: str = ""
    root2: str = ""

    def check(self) -> None:
        """Raise ProofError where the proof is refused."""
        proof = [b64decode(one) for one in self.proof or []]
        if self.path.startswith("testdata/inclusion/"):
            leaf, root = b64decode(self.leaf_hash), b64decode(self.root)
            verify_inclusion(leaf, self.leaf_idx, self.tree_size, proof, root)
        else:
            roots = b64decode(self.root1), b64decode(self.root2)
            verify_consistency(self.size1, self.size2, *roots, proof)


@pytest.fixture(scope="module")
def vectors() -> Path:
    """The published vectors lie beside the project, not in it."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TRIBUTARY_SHARED_DATA", beside)) / "merkle_rfc6962_vectors"
    if not (folder / "vectors.jsonl").exists():
        pytest.skip("no shared data: set TRIBUTARY_SHARED_DATA to compare with RFC 6962 vectors")
    return folder


def test_every_published_vector_agrees(vectors: Path) -> None:
    """196 inclusion and consistency proofs, 12 of them right: we say of each what it says."""
    lines = (vectors / "vectors.jsonl").read_bytes().splitlines()
    kinds = [line for line in lines if b'"testdata/inclusion/' in line or b'a/consistency/' in line]
    found = [msgspec.json.decode(line, type=Vector) for line in kinds]
    assert len(found) == 196
    assert sum(not vector.want_err for vector in found) == 12
    differing = []
    for vector in found:
        try:
            vector.check()
        except ProofError:
            refused = True
        else:
            refused = False
        if refused != vector.want_err:
            differing.append(vector.path)
    assert differing == []


def test_the_well_known_roots_are_ours(vectors: Path) -> None:
    """Of eight leaves that every implementation knows, at every size from 0."""
    known = msgspec.json.decode((vectors / "rfc6962_roots.json").read_bytes())
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in known["hex_leaf_inputs"]]
    tiles = MemoryTiles(hashes)
    for size, root in enumerate(known["roots_by_size"]):
        assert root_of(hashes[:size]).hex() == root
        assert root_at(tiles, size).hex() == root


# --- pymerkle ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> Any:  # noqa: ANN401 - the library has no types
    """A tree of theirs."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for n in range(LEAVES):
        tree.append_entry(b"%d" % n)
    return tree


@pytest.fixture(scope="module")
def ours() -> MemoryTiles:
    """The same tree of ours."""
    return MemoryTiles(leaf_hash(b"%d" % n) for n in range(LEAVES))


def sizes() -> list[int]:
    """Small ones all, and large ones by chance."""
    chance = random.Random(9162)
    return [*SMALL, *(chance.randrange(131, LEAVES + 1) for _ in range(60)), 256, 4_096, LEAVES]


def as_theirs(tiles: MemoryTiles, index: int, size: int) -> Any:  # noqa: ANN401 - no types
    """Our inclusion proof in their form: the leaf, then the hashes beside its way, and on which
    side each of them stands.
    """
    sides, at, last = [], index, size - 1
    while last:
        if at & 1 or at != last:
            sides.append(at & 1)
        at, last = at >> 1, last >> 1
    path = [leaf_hash(b"%d" % index), *inclusion_proof(tiles, index, size)]
    return pymerkle.InclusionProof.deserialize(
        {
            "type": "inclusion",
            "metadata": {
                "algorithm": "sha256",
                "security": True,
                "size": size,
                "index": index + 1,
            },
            "rule": [*sides, 0] if not sides else [sides[0], *sides[1:], 0],
            "path": [one.hex() for one in path],
        }
    )


def test_roots_agree_with_pymerkle(ours: MemoryTiles, theirs: Any) -> None:  # noqa: ANN401
    """At every size tried."""
    for size in sizes():
        assert root_at(ours, size) == theirs.get_state(size)
