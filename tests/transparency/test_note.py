"""Signed notes and keys: one spelling, and no signature that was not made."""

from __future__ import annotations

import copy
import pickle
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.transparency.note import (
    COSIGNATURE,
    ED25519,
    LATEST_S,
    Note,
    NoteError,
    SignatureLine,
    Signed,
    SigningKey,
    VerifierKey,
    parse_note,
    parse_signature_line,
    signatures_of,
)
from tests.transparency.merkle_trees import LOG, OTHER, WITNESSES

TEXT = "one\n\ntwo\n"
WITNESS = WITNESSES[0]

# What golang.org/x/mod/sumdb/note made of the same secret and text (test_go.py has it do so anew).
BY_GO_KEY = "log.example/books+452d334d+AdODJ/cgnR/wRdy++43Hid4u6bkRA1XWHYQzZ+OD0lYp"
BY_GO = (
    "— log.example/books "
    "RS0zTbSdBUjGuWXz4bIQFuyBVP0Ey2OqF1vsr92vlGXq6dGM19"
    "qspfdvqHKQ/4A08zXSt0kd/wP30ZHnQgtylEYHtQY=\n"
)


def test_keys_and_signatures_are_those_of_go() -> None:
    """The same bytes, and its note is taken."""
    assert LOG.verifier.encode() == BY_GO_KEY
    assert LOG.sign(TEXT) == BY_GO
    note = parse_note(f"{TEXT}\n{BY_GO}")
    assert signatures_of(note, [VerifierKey.parse(BY_GO_KEY)]) == [Signed(LOG.verifier, None)]
    with pytest.raises(NoteError, match="books is wrong"):
        signatures_of(parse_note(f"three\n\n{BY_GO}"), [LOG.verifier])


def test_what_is_signed_is_taken() -> None:
    """By a log, and by witnesses with their times; each key once, whoever else signed."""
    data = TEXT + "\n" + LOG.sign(TEXT) + OTHER.sign(TEXT) + WITNESS.sign(TEXT, 1_700_000_000)
    note = parse_note(data)
    assert note.text == TEXT
    assert note.encode() == data
    assert signatures_of(note, [LOG.verifier, WITNESS.verifier]) == [
        Signed(LOG.verifier, None),
        Signed(WITNESS.verifier, 1_700_000_000),
    ]
    assert signatures_of(note, [WITNESSES[1].verifier]) == []
    assert signatures_of(note, []) == []


def test_a_key_that_signed_twice_counts_once() -> None:
    """With the later time; and a wrong signature of a known key spoils the note."""
    lines = WITNESS.sign(TEXT, 20) + WITNESS.sign(TEXT, 30) + WITNESS.sign(TEXT, 10)
    note = parse_note(f"{TEXT}\n{lines}")
    assert signatures_of(note, [WITNESS.verifier]) == [Signed(WITNESS.verifier, 30)]
    wrong = parse_note(f"{TEXT}\n{lines}{WITNESS.sign('other' + chr(10), 40)}")
    with pytest.raises(NoteError):
        signatures_of(wrong, [WITNESS.verifier])
    assert signatures_of(wrong, [LOG.verifier]) == []


def test_a_cosignature_vouches_for_its_time() -> None:
    """Eight bytes before the signature; neither they nor the kind of key may change."""
    line = parse_signature_line(WITNESS.sign(TEXT, 1_700_000_000).removesuffix("\n"))
    assert line.signature[:8] == (1_700_000_000).to_bytes(8, "big")
    key = WITNESS.verifier
    late = 1 << 63
    by_itself = WITNESS._secret.sign(f"cosignature/v1\ntime {late}\n{TEXT}".encode())
    for wrong in (
        late.to_bytes(8, "big") + by_itself,
        (1_700_000_001).to_bytes(8, "big") + line.signature[8:],
        (1 << 63).to_bytes(8, "big") + line.signature[8:],
        line.signature[8:],
        line.signature[:-1],
        line.signature + b"\0",
    ):
        note = Note(TEXT, (SignatureLine(line.name, line.key_id, wrong),))
        with pytest.raises(NoteError):
            signatures_of(note, [key])
    plain = VerifierKey(key.name, ED25519, key.public)
    assert plain.key_id != key.key_id
    assert signatures_of(Note(TEXT, (line,)), [plain]) == []
    with pytest.raises(NoteError):
        signatures_of(
            Note(TEXT, (SignatureLine(line.name, plain.key_id, line.signature),)), [plain]
        )


@pytest.mark.parametrize("bit", range(0, 68 * 8, 7))
def test_no_bit_of_a_signature_may_change(bit: int) -> None:
    """In the id it is another's, behind it it is wrong."""
    line = LOG.sign(TEXT).removesuffix("\n")
    raw = bytearray(b64decode(line.rpartition(" ")[2]))
    raw[bit // 8] ^= 1 << bit % 8
    changed = line.rpartition(" ")[0] + " " + b64encode(raw).decode()
    note = parse_note(f"{TEXT}\n{changed}\n")
    if bit < 32:
        assert signatures_of(note, [LOG.verifier]) == []
    else:
        with pytest.raises(NoteError):
            signatures_of(note, [LOG.verifier])


def test_two_keys_that_look_the_same_are_told() -> None:
    """A name with an id says which key is meant; where it does not, nothing is verified."""

    class Twin(VerifierKey, frozen=True):
        @property
        def key_id(self) -> bytes:
            return LOG.verifier.key_id

    twin = Twin(LOG.verifier.name, ED25519, OTHER.verifier.public)
    note = parse_note(f"{TEXT}\n{LOG.sign(TEXT)}")
    with pytest.raises(NoteError, match="same name and id"):
        signatures_of(note, [LOG.verifier, twin])
    assert signatures_of(note, [LOG.verifier, LOG.verifier]) == [Signed(LOG.verifier, None)]


SIGNED = f"{TEXT}\n{LOG.sign(TEXT)}"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT + "\n",
        SIGNED.removesuffix("\n"),
        SIGNED + "\n",
        SIGNED.replace("\n\n—", "\n—"),
        SIGNED.replace("— ", "- "),
        SIGNED.replace("— ", "—"),
        SIGNED.replace("— ", "—  "),
        SIGNED.replace("— ", " — "),
        SIGNED.replace("=\n", "\n"),
        SIGNED.replace("=\n", "= \n"),
        SIGNED.replace("=\n", "=\r\n"),
        SIGNED.replace("=\n", "==\n"),
        SIGNED.replace("one", "one\r"),
        SIGNED.replace("one", "one\t"),
        SIGNED.replace("one", "one\0"),
        SIGNED.replace("one", "one\ud800"),
        SIGNED.replace("log.example", "log+example"),
        SIGNED.replace("log.example", "log\u00a0example"),
        SIGNED.replace("log.example", "log\u3000example"),
        SIGNED.replace(LOG.verifier.name, ""),
        SIGNED + "— log.example AAAA\n",
        SIGNED + "— log.example AAAAAA==\n",
        SIGNED + "— log.example A-_AAAA=\n",
        SIGNED + "— log.example AAAAAAB=\n",
        SIGNED + LOG.sign(TEXT) * 100,
        "x" * 1_000_000 + SIGNED,
    ],
)
def test_what_is_no_note_is_refused(data: str) -> None:
    """Each in one way only: a line too few, another dash, base64 in another spelling."""
    with pytest.raises(NoteError):
        parse_note(data)


def test_a_note_of_a_hundred_signatures_is_one() -> None:
    """And the last blank line divides it."""
    note = parse_note("\n\n\n" + LOG.sign(TEXT) * 100)
    assert note.text == "\n\n"
    assert len(note.lines) == 100


notes = st.text() | st.text("\n— aA=+/\r\x00", max_size=60)
mutated = st.tuples(st.integers(0, len(SIGNED)), st.integers(0, 9), st.text(max_size=3)).map(
    lambda cut: SIGNED[: cut[0]] + cut[2] + SIGNED[cut[0] + cut[1] :]
)


@given(notes | mutated)
@example("\n\n— a AAAAAAA=\n")
def test_text_is_a_note_or_a_typed_error(data: str) -> None:
    """What is read is written the same, and verifies only where nothing that counts changed."""
    try:
        note = parse_note(data)
    except NoteError:
        return
    assert note.encode() == data
    with suppress(NoteError):
        if signatures_of(note, [LOG.verifier]):
            assert note.text == TEXT


@given(st.text() | st.text("+a0=/AE", max_size=80) | mutated)
def test_text_is_a_key_or_a_typed_error(text: str) -> None:
    """Neither kind of key does anything else."""
    for begin in ("", "PRIVATE+KEY+", LOG.verifier.name + "+" + LOG.verifier.key_id.hex() + "+"):
        with suppress(NoteError):
            assert VerifierKey.parse(begin + text).encode() == begin + text
        with suppress(NoteError):
            assert SigningKey.parse(begin + text).encode() == begin + text


@pytest.mark.parametrize("type", [ED25519, COSIGNATURE])
def test_keys_are_read_as_written(type: int) -> None:  # noqa: A002 - as in VerifierKey
    """Both halves, of both types; and a new one is another one."""
    key = SigningKey.generate("a.example", type)
    again = SigningKey.parse(key.encode())
    assert again.encode() == key.encode()
    assert again.verifier == key.verifier == VerifierKey.parse(key.verifier.encode())
    assert SigningKey.generate("a.example", type).verifier != key.verifier


VKEY = LOG.verifier.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        VKEY.replace("log", "lag"),
        VKEY.replace(LOG.verifier.key_id.hex(), LOG.verifier.key_id.hex().upper()),
        VKEY.replace(LOG.verifier.key_id.hex(), "00000000"),
        VKEY.replace(LOG.verifier.key_id.hex(), LOG.verifier.key_id.hex()[:-1]),
        VKEY + "\n",
        " " + VKEY,
        VKEY[:-4],
        VKEY + "AAAA",
        "a+" * 5_000,
        WITNESS.encode().removeprefix("PRIVATE+KEY+"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """Another name, another id, too short, too long."""
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\0b", "\ud800", "a" * 256]
)
def test_a_name_has_no_spaces_and_no_plus(name: str) -> None:
    """They would end it in a note and in a key."""
    with pytest.raises(NoteError):
        SigningKey.generate(name)


def test_unknown_types_have_no_keys_here() -> None:
    """Their signatures are passed over as those of strangers."""
    with pytest.raises(NoteError, match="0x06"):
        VerifierKey("a.example", 6, bytes(32))
    with pytest.raises(NoteError, match="32 bytes"):
        VerifierKey("a.example", ED25519, bytes(31))
    with pytest.raises(NoteError, match="32 bytes"):
        SigningKey("a.example", ED25519, bytes(31))


@pytest.mark.parametrize(
    ("key", "text", "at_s"),
    [
        (LOG, "no newline", None),
        (LOG, "control\r\n", None),
        (LOG, "", None),
        (LOG, TEXT, 5),
        (WITNESS, TEXT, None),
        (WITNESS, TEXT, -1),
        (WITNESS, TEXT, LATEST_S + 1),
    ],
)
def test_nothing_is_signed_that_cannot_be_read(
    key: SigningKey, text: str, at_s: int | None
) -> None:
    """Text that is none, and times that are none or do not belong."""
    with pytest.raises(NoteError):
        key.sign(text, at_s)


def test_a_private_key_shows_itself_to_nobody() -> None:
    """Not in its repr, not in a fault, not in a pickle."""
    secret = LOG.encode().rpartition("+")[2]
    assert secret not in repr(LOG)
    assert not hasattr(LOG, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(LOG)
    with pytest.raises(TypeError):
        copy.copy(LOG)
    for wrong in (LOG.encode()[:-1], LOG.encode().replace("books", "looks"), LOG.encode() + "AAAA"):
        with pytest.raises(NoteError) as caught:
            SigningKey.parse(wrong)
        assert secret[:8] not in f"{caught.value}{caught.value.__cause__}"
