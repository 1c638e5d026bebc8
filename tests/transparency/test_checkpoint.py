"""Checkpoints: three lines, the log's signature, and as many witnesses as are asked for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.checkpoint import (
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    parse_checkpoint_text,
    parse_number,
)
from app.transparency.merkle import EMPTY_ROOT
from app.transparency.note import COSIGNATURE, ED25519, SigningKey
from tests.transparency.merkle_trees import AT_S, LOG, ORIGIN, OTHER, WITNESSES

ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 20_852_163, ROOT)
TEXT = CHECKPOINT.text
SIGNED = f"{TEXT}\n{LOG.sign(TEXT)}"
WITNESS_KEYS = tuple(witness.verifier for witness in WITNESSES)


def test_the_text_is_three_lines() -> None:
    """Name, size, root; and it is read as written."""
    assert TEXT == "log.example/books\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert parse_checkpoint_text(TEXT) == CHECKPOINT
    more = Checkpoint(ORIGIN, 0, EMPTY_ROOT, ("anything", "— more"))
    assert parse_checkpoint_text(more.text) == more


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT.removesuffix("\n"),
        TEXT + "\n",
        "\n" + TEXT,
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "+20852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "00"),
        TEXT.replace("20852163", "2_0"),
        TEXT.replace("20852163", " 20852163"),
        TEXT.replace("20852163", "0x10"),
        TEXT.replace("20852163", "\u0661"),
        TEXT.replace("20852163", "9223372036854775808"),
        TEXT.replace("20852163", "9" * 5_000),
        TEXT.replace("20852163", "0"),
        TEXT.replace("Hh8=", "Hh9="),
        TEXT.replace("Hh8=", "Hh8"),
        TEXT.replace("AAEC", "AAEC "),
        TEXT.replace("AAEC", ""),
        TEXT.replace("AAEC", "AAECAAEC"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace(ORIGIN + "\n", ""),
        TEXT.replace(ORIGIN, "x" * 256),
        TEXT + "more\n\nlines\n",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """A size and a root have one spelling each, and no line is empty."""
    with pytest.raises(CheckpointError):
        parse_checkpoint_text(text)


@given(
    st.text()
    | st.text("a0159\n=+ ", max_size=80)
    | st.tuples(st.integers(0, len(TEXT)), st.integers(0, 9), st.text(max_size=3)).map(
        lambda cut: TEXT[: cut[0]] + cut[2] + TEXT[cut[0] + cut[1] :]
    )
)
def test_text_is_a_checkpoint_or_a_typed_error(text: str) -> None:
    """And what is read is written the same; nor does a note do anything else."""
    with suppress(CheckpointError):
        assert parse_checkpoint_text(text).text == text
    with pytest.raises(CheckpointError):
        open_checkpoint(text + "\n" + SIGNED.partition("\n\n")[2] + "x", LOG.verifier)
    if text != TEXT:
        with pytest.raises(CheckpointError):
            open_checkpoint(f"{text}\n{SIGNED.partition(chr(10) * 2)[2]}", LOG.verifier)


@given(st.integers(0, (1 << 63) - 1))
def test_every_size_is_read_as_written(size: int) -> None:
    """Up to the largest."""
    assert parse_number(str(size)) == size


def test_the_log_has_to_have_signed() -> None:
    """With the key that is asked for, under its own name."""
    assert open_checkpoint(SIGNED, LOG.verifier).checkpoint == CHECKPOINT
    with pytest.raises(CheckpointError, match="not signed by"):
        open_checkpoint(SIGNED, OTHER.verifier)
    with pytest.raises(CheckpointError, match="not signed by"):
        open_checkpoint(f"{TEXT}\n{WITNESSES[0].sign(TEXT, AT_S)}", LOG.verifier, WITNESS_KEYS)
    elsewhere = TEXT.replace(ORIGIN, "log.example/others")
    with pytest.raises(CheckpointError, match="another log"):
        open_checkpoint(f"{elsewhere}\n{LOG.sign(elsewhere)}", LOG.verifier)
    with pytest.raises(CheckpointError, match="is wrong"):
        open_checkpoint(SIGNED.replace("20852163", "20852164"), LOG.verifier)
    words = "words\n"
    with pytest.raises(CheckpointError, match="three lines"):
        open_checkpoint(f"{words}\n{LOG.sign(words)}", LOG.verifier)


@pytest.mark.parametrize("signing", range(4))
@pytest.mark.parametrize("quorum", range(4))
def test_so_many_witnesses_are_needed(signing: int, quorum: int) -> None:
    """Whichever they are, k of n; strangers do not count."""
    stranger = SigningKey("witness.example/x", COSIGNATURE, bytes(32)).sign(TEXT, AT_S)
    lines = "".join(witness.sign(TEXT, AT_S) for witness in WITNESSES[:signing])
    note = SIGNED + stranger + lines
    if signing < quorum:
        with pytest.raises(CheckpointError, match=f"{quorum} witnesses are needed"):
            open_checkpoint(note, LOG.verifier, WITNESS_KEYS, quorum)
        return
    opened = open_checkpoint(note, LOG.verifier, WITNESS_KEYS, quorum)
    assert [one.key for one in opened.witnessed] == list(WITNESS_KEYS[:signing])
    assert {one.at_s for one in opened.witnessed} <= {AT_S}


def test_nobody_counts_twice() -> None:
    """Neither twice in a note, nor under two names, nor the log as its own witness."""
    seed = b"one key with two names, 32 bytes"
    twice = [SigningKey(f"witness.example/{name}", COSIGNATURE, seed) for name in "ab"]
    keys = [one.verifier for one in twice]
    note = SIGNED + "".join(one.sign(TEXT, AT_S) * 2 for one in twice)
    assert len(open_checkpoint(note, LOG.verifier, keys, 1).witnessed) == 2
    with pytest.raises(CheckpointError, match="2 witnesses are needed, and 1 signed"):
        open_checkpoint(note, LOG.verifier, keys, 2)
    own = SigningKey(ORIGIN, COSIGNATURE, seed)
    log = SigningKey(ORIGIN, ED25519, seed)
    note = f"{TEXT}\n{log.sign(TEXT)}{own.sign(TEXT, AT_S)}"
    with pytest.raises(CheckpointError, match="1 witnesses are needed, and 0 signed"):
        open_checkpoint(note, log.verifier, [own.verifier], 1)
