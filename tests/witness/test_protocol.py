"""What a log says to a witness is read in one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.merkle import consistency_proof
from app.witness.protocol import (
    LONGEST_REQUEST,
    RequestError,
    encode_request,
    origin_hash,
    parse_request,
)
from tests.witness.logs import history, note_of, request

NOTE = note_of(history(), 300)
BODY = request(history(), 7, 300)
HASH = BODY.split(b"\n")[1]


def test_a_request_is_what_the_specification_says() -> None:
    """The old size, the proof, a blank line, the checkpoint."""
    lines = BODY.decode().split("\n")
    assert lines[0] == "old 7"
    blank = 1 + len(consistency_proof(history(), 7, 300))
    assert lines[blank : blank + 3] == ["", "log.example/books", "300"]
    read = parse_request(BODY)
    assert (read.old, read.checkpoint.size) == (7, 300)
    assert list(read.proof) == consistency_proof(history(), 7, 300)
    assert read.note.encode() == NOTE
    assert parse_request(encode_request(0, [], NOTE)).proof == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"\xff" + BODY,
        BODY + b"\xff",
        BODY.replace(b"old 7", b"old 07"),
        BODY.replace(b"old 7", b"old -7"),
        BODY.replace(b"old 7", b"old  7"),
        BODY.replace(b"old 7", b"old"),
        BODY.replace(b"old 7", b"old "),
        BODY.replace(b"old 7", b"Old 7"),
        BODY.replace(b"old 7", b"7"),
        BODY.replace(b"old 7", b"old 7\r"),
        BODY.replace(b"old 7", b"old 7 "),
        BODY.replace(b"old 7", b"old 9223372036854775808"),
        BODY.replace(b"old 7", b"old " + b"9" * 10_000),
        b"\n" + BODY,
        BODY.replace(HASH, HASH[:-1]),
        BODY.replace(HASH, HASH[:-4]),
        BODY.replace(HASH, HASH + b" "),
        BODY.replace(HASH, b""),
        BODY.replace(HASH, b"\n".join([HASH] * 60)),
        BODY.replace(b"\n\nlog", b"\nlog"),
        BODY.replace(b"\n\nlog", b"\n\n\nlog"),
        BODY.replace(b"\n300\n", b"\n0300\n"),
        BODY.replace(b"\n", b"\r\n"),
        BODY.removesuffix(b"\n"),
        BODY.partition(b"\n\n")[0] + b"\n\n",
        BODY + b"x" * LONGEST_REQUEST,
    ],
)
def test_other_spellings_are_refused(body: bytes) -> None:
    """Never anything but the one error."""
    with pytest.raises(RequestError):
        parse_request(body)


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.tuples(st.integers(0, len(BODY)), st.integers(0, 9), st.binary(max_size=3)).map(
        lambda cut: BODY[: cut[0]] + cut[2] + BODY[cut[0] + cut[1] :]
    )
)
def test_bytes_are_a_request_or_a_typed_error(body: bytes) -> None:
    """And what is read is written the same."""
    try:
        read = parse_request(body)
    except RequestError:
        return
    assert encode_request(read.old, read.proof, read.note.encode()) == body


def test_a_log_is_named_by_a_hash() -> None:
    """Its name may hold slashes and spaces."""
    assert origin_hash("").startswith("e3b0c442")
    assert len(origin_hash("log.example/a b")) == 64
