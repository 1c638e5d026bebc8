"""What others published and wrote agrees with our trees: RFC 6962 vectors, and pymerkle."""

from __future__ import annotations

import os
import random
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pymerkle  # type: ignore[import-untyped]
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
NO_ROOTS = "testdata/consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"


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
    """196 inclusion and consistency proofs, 12 of them right: we say of each what it says, but of
    the one whose two roots are 12 bytes of words: for us a root has 32.
    """
    lines = (vectors / "vectors.jsonl").read_bytes().splitlines()
    kinds = [line for line in lines if b'"testdata/inclusion/' in line or b"a/consistency/" in line]
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
    assert differing == [NO_ROOTS]


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


def test_roots_agree_with_pymerkle(ours: MemoryTiles, theirs: Any) -> None:  # noqa: ANN401
    """At every size tried."""
    for size in sizes():
        assert root_at(ours, size) == theirs.get_root(size)


def in_their_form(kind: str, path: list[bytes], rule: list[int], **more: int | list[int]) -> Any:  # noqa: ANN401 - the library has no types
    """Hashes of ours as a proof of theirs."""
    subset = {"subset": more.pop("subset")} if "subset" in more else {}
    return pymerkle.MerkleProof.deserialize(
        {
            "type": kind,
            "metadata": {"algorithm": "sha256", "security": True, **more},
            "rule": rule,
            "path": [one.hex() for one in path],
            **subset,
        }
    )


def sides_of(index: int, size: int) -> list[int]:
    """On which side of a leaf's way to the root each hash beside it stands, from the leaf up, as
    pymerkle writes it: 1 is left; the last place is not used.
    """
    sides, at, last = [], index, size - 1
    while last:
        if at & 1 or at != last:
            sides.append(at & 1)
        at, last = at >> 1, last >> 1
    return [*sides, 0]


def test_pymerkle_takes_our_inclusion_proofs(ours: MemoryTiles) -> None:
    """And refuses them where anything was changed."""
    chance = random.Random(1)
    for size in sizes():
        root = root_at(ours, size)
        for index in {0, size - 1, chance.randrange(size), chance.randrange(size)}:
            leaf, proof = leaf_hash(b"%d" % index), inclusion_proof(ours, index, size)
            rule = sides_of(index, size)

            def check(proof: list[bytes]) -> None:
                made = in_their_form(
                    "inclusion",
                    [leaf, *proof],  # noqa: B023 - called in this round
                    rule,  # noqa: B023 - the same
                    size=size,  # noqa: B023 - the same
                    index=index + 1,  # noqa: B023 - the same
                )
                made.verify(leaf, root)  # noqa: B023 - the same

            check(proof)
            for wrong in list(mutations(proof))[:: 1 if size < 20 else 17]:
                with pytest.raises(pymerkle.InvalidProof):
                    check(wrong)


def test_we_take_inclusion_proofs_of_pymerkle(theirs: Any) -> None:  # noqa: ANN401
    """The first hash of theirs is the leaf."""
    chance = random.Random(2)
    for size in sizes():
        root = theirs.get_root(size)
        for index in {0, size - 1, chance.randrange(size), chance.randrange(size)}:
            leaf, *proof = theirs.prove_inclusion(index + 1, size).path
            verify_inclusion(leaf, index, size, proof, root)
            with pytest.raises(ProofError):
                verify_inclusion(leaf, index, size, [*proof, leaf], root)


def test_consistency_agrees_with_pymerkle(ours: MemoryTiles, theirs: Any) -> None:  # noqa: ANN401
    """Our proofs join their roots, their proofs join ours.

    Of an old tree with an odd number of leaves, from three, both proofs have the same hashes, but
    theirs may begin with the two lowest exchanged; of others theirs goes down to single leaves,
    where RFC 6962 stops at what is complete.
    """
    chance, same = random.Random(3), 0
    for size in sizes():
        for old in {1, (size + 1) // 2, size, chance.randrange(1, size + 1)} - {0}:
            proof, made = consistency_proof(ours, old, size), theirs.prove_consistency(old, size)
            states = theirs.get_root(old), theirs.get_root(size)
            verify_consistency(old, size, *states, proof)
            made.verify(root_at(ours, old), root_at(ours, size), old, size)
            if old % 2 and 1 < old < size:
                same += 1
                first = [0, 1] if made.subset[0] else [1, 0]
                verify_consistency(
                    *(old, size, *states), [made.path[at] for at in first] + made.path[2:]
                )
                proof = [proof[at] for at in first] + proof[2:]
                shape = {"prior_size": old, "size": size, "subset": made.subset}
                in_their_form("consistency", proof, made.rule, **shape).verify(*states)
                for wrong in list(mutations(proof))[:: 1 if size < 20 else 17]:
                    with pytest.raises(pymerkle.InvalidProof):
                        in_their_form("consistency", wrong, made.rule, **shape).verify(*states)
    assert same > 150
