"""Our checkpoints, tiles and proofs are taken by Go's sumdb packages, theirs by us.

Go is written by others from the same specifications. Where it is not installed these tests are
skipped, in CI too: there the formats are still checked against vectors and pymerkle
(test_interoperable.py), and what Go signed once is kept in test_note.py.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Final

import msgspec
import pytest

from app.transparency.merkle import (
    MemoryTiles,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from app.transparency.note import Signed, SigningKey, VerifierKey, parse_note, signatures_of
from app.transparency.tiles import tile_path, tiles_of
from tests.transparency.merkle_trees import AT_S, LOG, WITNESSES, checkpoint

GO_PATH: Final = Path("/usr/share/gocode")
PROGRAM: Final = Path(__file__).parent / "go" / "main.go"
LEAVES: Final = 70_003
TEXT: Final = "a text\n\nof three lines\n"


class GoProof(msgspec.Struct, rename="pascal"):
    """A proof for Go; what is not needed for its kind is empty."""

    size: int
    root: str
    proof: list[str]
    index: int = 0
    leaf: str = ""
    old: int = 0
    old_root: str = ""


class Outcome(msgspec.Struct, rename="pascal"):
    """What Go says."""

    checkpoints: list[str]
    records: list[str]
    growths: list[str]
    changed_notes: int
    changed_records: int
    changed_growths: int
    accepted_changes: list[str] | None
    proofs: list[list[str]]
    growth_proofs: list[list[str]]
    signed: str
    new_key: str
    new_secret: str
    new_signed: str


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program; the one skip that CI allows, as Go is no part of what we need."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed (golang-go)")
    if not (GO_PATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go's package sumdb is not installed (golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("go")
    own = {"GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOCACHE": str(folder / "cache")}
    built = folder / "check"
    made = subprocess.run(
        [go, "build", "-o", str(built), str(PROGRAM)],
        env={**os.environ, **own, "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return built


@pytest.fixture(scope="module")
def tree() -> MemoryTiles:
    """A tree with tiles on three levels."""
    return MemoryTiles(leaf_hash(b"%d" % n) for n in range(LEAVES))


def text(data: bytes) -> str:
    """A hash as Go writes it."""
    return b64encode(data).decode()


def record(tree: MemoryTiles, index: int, size: int) -> GoProof:
    """An inclusion proof of ours."""
    proof = [text(one) for one in inclusion_proof(tree, index, size)]
    leaf = text(leaf_hash(b"%d" % index))
    return GoProof(size, text(root_at(tree, size)), proof, index=index, leaf=leaf)


def growth(tree: MemoryTiles, old: int, size: int) -> GoProof:
    """A consistency proof of ours."""
    proof = [text(one) for one in consistency_proof(tree, old, size)]
    roots = (text(root_at(tree, size)), text(root_at(tree, old)))
    return GoProof(size, roots[0], proof, old=old, old_root=roots[1])


@pytest.fixture(scope="module")
def asked(tree: MemoryTiles, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """1,000 inclusion and 200 consistency proofs of sizes small and large, 50 checkpoints."""
    chance = random.Random(6962)
    sizes = [*range(1, 300), *(chance.randrange(300, LEAVES + 1) for _ in range(699)), 256, 65_536]
    growing = [*range(2, 60), *(chance.randrange(60, LEAVES + 1) for _ in range(142))]
    notes = []
    for size in sizes[:40:2] + sizes[-30:]:
        note = checkpoint(tree, size)
        notes.append(note + WITNESSES[0].sign(note.partition("\n\n")[0] + "\n", AT_S))
    folder = tmp_path_factory.mktemp("log")
    for level, n, width in tiles_of(LEAVES):
        path = folder / tile_path(level, n, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree.tile(level, n, width))
    return {
        "Checkpoints": [{"Note": note, "Key": LOG.verifier.encode()} for note in notes],
        "Records": [record(tree, chance.randrange(size), size) for size in sizes],
        "Growths": [growth(tree, chance.randrange(1, size), size) for size in growing],
        "Tiles": str(folder),
        "TreeSize": LEAVES,
        "TreeRoot": text(root_at(tree, LEAVES)),
        "Wanted": [record(tree, chance.randrange(LEAVES), LEAVES) for _ in range(100)],
        "WantedOld": [growth(tree, chance.randrange(1, LEAVES), LEAVES) for _ in range(50)],
        "Secret": LOG.encode(),
        "Text": TEXT,
    }


@pytest.fixture(scope="module")
def outcome(program: Path, asked: dict[str, object]) -> Outcome:
    """What Go said to all of it."""
    ran = subprocess.run(
        [program], input=msgspec.json.encode(asked), capture_output=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return msgspec.json.decode(ran.stdout, type=Outcome)


def test_go_takes_our_checkpoints_and_proofs(outcome: Outcome) -> None:
    """1,000 inclusion proofs, 200 consistency proofs, 50 checkpoints: not one word against any."""
    assert outcome.checkpoints == [""] * 50
    assert outcome.records == [""] * 1_000
    assert outcome.growths == [""] * 200


def test_go_refuses_each_of_them_changed(outcome: Outcome) -> None:
    """A bit of a hash, one less, one more, two exchanged, another root, leaf or index."""
    assert outcome.changed_notes > 50 * 60
    assert outcome.changed_records > 50_000
    assert outcome.changed_growths > 10_000
    assert outcome.accepted_changes is None


def test_go_makes_the_same_proofs_from_our_tiles(
    outcome: Outcome, asked: dict[str, list[GoProof]]
) -> None:
    """It reads the tiles at their paths, checks them against the root, and we take its proofs."""
    assert outcome.proofs == [one.proof for one in asked["Wanted"]]
    assert outcome.growth_proofs == [one.proof for one in asked["WantedOld"]]
    decode = msgspec.json.Decoder(list[bytes]).decode
    for one, made in zip(asked["Wanted"], outcome.proofs, strict=True):
        leaf, root, *proof = decode(msgspec.json.encode([one.leaf, one.root, *made]))
        verify_inclusion(leaf, one.index, one.size, proof, root)
    for one, made in zip(asked["WantedOld"], outcome.growth_proofs, strict=True):
        old_root, root, *proof = decode(msgspec.json.encode([one.old_root, one.root, *made]))
        verify_consistency(one.old, one.size, old_root, root, proof)


def test_we_take_what_go_signs(outcome: Outcome) -> None:
    """With our key the same bytes as ours, with its own a note that we open."""
    assert outcome.signed == f"{TEXT}\n{LOG.sign(TEXT)}"
    theirs = VerifierKey.parse(outcome.new_key)
    assert theirs.encode() == outcome.new_key
    note = parse_note(outcome.new_signed)
    assert note.text == TEXT
    assert signatures_of(note, [theirs]) == [Signed(theirs, None)]
    secret = SigningKey.parse(outcome.new_secret)
    assert secret.encode() == outcome.new_secret
    assert secret.verifier == theirs
    assert outcome.new_signed == f"{TEXT}\n{secret.sign(TEXT)}"
