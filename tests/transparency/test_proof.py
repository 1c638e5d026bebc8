"""A proof is a file that anybody checks with the log's public key alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.checkpoint import CheckpointError
from app.transparency.merkle import MemoryTiles, ProofError, inclusion_proof
from app.transparency.proof import TlogProof, parse_proof
from tests.transparency.merkle_trees import AT_S, LOG, OTHER, WITNESSES, checkpoint, hashes

TREE = MemoryTiles(hashes()[:300])
NOTE = checkpoint(TREE, 300)
PROOF = TlogProof(7, tuple(inclusion_proof(TREE, 7, 300)), NOTE, b'{"v":1}')
FILE = PROOF.encode()
HASH = FILE.split("\n")[3]


def test_a_file_is_what_the_specification_says() -> None:
    """Header, extra, index, the way from the leaf up, a blank line, the checkpoint verbatim."""
    lines = FILE.split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra eyJ2IjoxfQ==", "index 7"]
    assert len(lines[3:12]) == len(PROOF.hashes) == 9
    assert "\n".join(lines[12:]) == "\n" + NOTE
    assert parse_proof(FILE) == PROOF
    bare = TlogProof(7, PROOF.hashes, NOTE)
    assert "extra" not in bare.encode()
    assert parse_proof(bare.encode()) == bare


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_a_leaf_is_proven(index: int) -> None:
    """From any index, with witnesses where they are asked for; and no other leaf is."""
    text = NOTE.partition("\n\n")[0] + "\n"
    note = NOTE + WITNESSES[0].sign(text, AT_S)
    proof = parse_proof(TlogProof(index, tuple(inclusion_proof(TREE, index, 300)), note).encode())
    opened = proof.verify(hashes()[index], LOG.verifier, [WITNESSES[0].verifier], 1)
    assert opened.checkpoint.size == 300
    with pytest.raises(ProofError):
        proof.verify(hashes()[index ^ 1], LOG.verifier)
    with pytest.raises(CheckpointError):
        proof.verify(hashes()[index], OTHER.verifier)
    with pytest.raises(CheckpointError):
        proof.verify(hashes()[index], LOG.verifier, [one.verifier for one in WITNESSES], 2)


def test_a_tree_of_one_leaf_needs_no_hashes() -> None:
    """The index is followed by the blank line."""
    tree = MemoryTiles(hashes()[:1])
    proof = TlogProof(0, (), checkpoint(tree, 1))
    assert parse_proof(proof.encode()) == proof
    proof.verify(hashes()[0], LOG.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        FILE.replace("@v1", "@v2"),
        FILE.replace("c2sp", "C2SP"),
        "\n" + FILE,
        FILE.replace("extra ", "extra"),
        FILE.replace("extra ", "extra  "),
        FILE.replace("extra eyJ2IjoxfQ==", "extra "),
        FILE.replace("extra eyJ2IjoxfQ==", "extra eyJ2IjoxfQ"),
        FILE.replace("extra eyJ2IjoxfQ==", "extra eyJ2IjoxfR=="),
        FILE.replace("extra eyJ2IjoxfQ==", "extra eyJ2IjoxfQ==\nextra eyJ2IjoxfQ=="),
        FILE.replace("index 7\n", ""),
        FILE.replace("index 7", "index 07"),
        FILE.replace("index 7", "index -7"),
        FILE.replace("index 7", "index 300"),
        FILE.replace("index 7", "index 7 "),
        FILE.replace("index 7", "index  7"),
        FILE.replace("index 7", "Index 7"),
        FILE.replace("index 7", "index 7\nindex 7"),
        FILE.replace(HASH, HASH[:-1]),
        FILE.replace(HASH, HASH[:-4]),
        FILE.replace(HASH, HASH + " "),
        FILE.replace(HASH, ""),
        FILE.replace(HASH, f"{HASH}\n" * 64 + HASH),
        FILE.replace("\n", "\r\n"),
        FILE.partition("\n\n")[0],
        FILE.partition("\n\n")[0] + "\n\n",
        FILE.removesuffix("\n"),
        FILE + "\n",
        FILE.replace("\n300\n", "\n0300\n"),
        FILE + "x" * 1_000_000,
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """One proof is one file."""
    with pytest.raises(ProofError):
        parse_proof(text)


@given(
    st.text()
    | st.tuples(st.integers(0, len(FILE)), st.integers(0, 9), st.text(max_size=3)).map(
        lambda cut: FILE[: cut[0]] + cut[2] + FILE[cut[0] + cut[1] :]
    )
)
def test_text_is_a_proof_or_a_typed_error(text: str) -> None:
    """What is read is written the same; what was changed does not prove the leaf, unless only what
    nothing vouches for was changed.
    """
    try:
        proof = parse_proof(text)
    except ProofError:
        return
    assert proof.encode() == text
    try:
        proof.verify(hashes()[7], LOG.verifier)
    except (ProofError, CheckpointError):
        return
    vouched = (proof.index, proof.hashes, proof.checkpoint.partition("\n\n")[0])
    assert vouched == (PROOF.index, PROOF.hashes, NOTE.partition("\n\n")[0])
