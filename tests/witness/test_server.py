"""A witness answers as C2SP tlog-witness says, and shows what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from app.transparency.checkpoint import open_checkpoint
from app.transparency.note import COSIGNATURE, SigningKey
from app.witness.protocol import LONGEST_REQUEST, encode_request, origin_hash
from app.witness.server import create_witness_app
from app.witness.store import MOST_CONTRADICTIONS
from app.witness.witness import Witness
from tests.transparency.merkle_trees import AT_S, LOG, ORIGIN, OTHER, WITNESSES
from tests.witness.logs import KEY, check_line, history, line_of, note_of, open_witness, request

ADD = "/add-checkpoint"
LAST = f"/log/{origin_hash(ORIGIN)}"
STRANGER = SigningKey.generate("stranger.example")

Client = TestClient[Litestar]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """A witness that has seen nothing yet."""
    return open_witness(tmp_path)


@pytest.fixture
def client(witness: Witness) -> Iterator[Client]:
    """Its address."""
    with TestClient(create_witness_app(witness)) as client:
        yield client


def saw(witness: Witness, size: int) -> None:
    """Let it cosign the log's own tree of this size."""
    seen = witness.store.seen(ORIGIN)
    witness.add(request(history(), seen.size if seen else 0, size))


def test_growth_is_cosigned(client: Client) -> None:
    """From nothing, step by step; the same again, too."""
    old = 0
    for size in (0, 1, 1, 2, 255, 256, 300, 600):
        answer = client.post(ADD, content=request(history(), old, size))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert check_line(history(), size, answer.text) == AT_S
        old = size


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n\n",
        request(history(), 0, 10).replace(b"old 0", b"old 00"),
        request(history(), 11, 10),
        b"\xff\xfe",
        encode_request(0, [bytes(32)] * 64, note_of(history(), 10)),
        encode_request(
            0, [], "log.example/books\n0\n" + "A" * 43 + "=\n\n" + "\u2014 a AAAAAAA=\n"
        ),
    ],
)
def test_what_is_no_request_is_400(client: Client, body: bytes) -> None:
    """A body that is none, and an old size that is larger than the new one."""
    answer = client.post(ADD, content=body)
    assert answer.status_code == 400
    assert client.get(LAST).status_code == 404


def test_an_unknown_log_is_404(client: Client) -> None:
    """Whoever signed."""
    assert client.post(ADD, content=request(history(), 0, 10, STRANGER)).status_code == 404


def test_a_checkpoint_that_the_log_did_not_sign_is_403(client: Client) -> None:
    """Signed by a key of the same name, by nobody we know, or changed after it was signed."""
    assert client.post(ADD, content=request(history(), 0, 10, OTHER)).status_code == 403
    text, _, lines = note_of(history(), 10).partition("\n\n")
    for note in (
        f"{text}\n\n{STRANGER.sign(text + chr(10))}",
        f"{text}\n\n{WITNESSES[1].sign(text + chr(10), AT_S)}",
        f"{text}\nmore\n\n{lines}",
        f"{text}\n\n{lines}{lines.replace('RS0zT', 'RS0zTQ')[:-6]}=\n",
    ):
        answer = client.post(ADD, content=encode_request(0, [], note))
        assert answer.status_code in {400, 403}
    # It is refused before its size is looked at.
    assert client.post(ADD, content=request(history(), 11, 10, OTHER)).status_code == 403
    assert client.get(LAST).status_code == 404


def test_others_may_have_signed_too(client: Client) -> None:
    """Their lines are passed over, and are not kept."""
    note = note_of(history(), 10)
    text = note.partition("\n\n")[0] + "\n"
    more = STRANGER.sign(text) + WITNESSES[1].sign(text, AT_S) + OTHER.sign("else\n")
    answer = client.post(ADD, content=encode_request(0, [], note + more))
    assert answer.status_code == 200
    assert client.get(LAST).text == note + answer.text


def test_another_old_size_is_409_with_the_size(witness: Witness, client: Client) -> None:
    """In the body, with its own content type; nothing at all is size 0."""
    for size in (0, 10):
        if size:
            saw(witness, size)
        for old in {1, 9, 11} - {size}:
            answer = client.post(ADD, content=request(history(), old, 20))
            assert answer.status_code == 409
            assert answer.headers["content-type"] == "text/x.tlog.size"
            assert answer.content == b"%d\n" % size
    assert client.post(ADD, content=request(history(), 0, 5)).content == b"10\n"


def test_another_tree_of_the_same_size_is_409(witness: Witness, client: Client) -> None:
    """And the two checkpoints are kept: each is signed, and both cannot be true."""
    saw(witness, 10)
    fork = history(5, 1)
    for _ in range(2):
        answer = client.post(ADD, content=request(fork, 10, 10))
        assert answer.status_code == 409
        assert answer.content == b"10\n"
    (found,) = witness.store.contradictions(ORIGIN)
    one = open_checkpoint(found.note, LOG.verifier).checkpoint
    two = open_checkpoint(found.against, LOG.verifier, [KEY.verifier], 1).checkpoint
    assert one.size == two.size == found.size == 10
    assert one.root != two.root
    assert client.get(f"{LAST}/forks").text == f"{found.against}\n{found.note}"
    assert "signed other trees, too: 1" in client.get("/").text
    for number in range(2, MOST_CONTRADICTIONS + 10):
        client.post(ADD, content=request(history(5, number), 10, 10))
    assert len(witness.store.contradictions(ORIGIN)) == MOST_CONTRADICTIONS


def test_a_proof_that_does_not_join_is_422(witness: Witness, client: Client) -> None:
    """A fork behind or before what was seen, no proof, half a proof, a proof from nothing."""
    assert client.post(ADD, content=encode_request(0, [bytes(32)], note_of(history(), 9))).is_error
    saw(witness, 10)
    whole = request(history(), 10, 20)
    first = whole.split(b"\n")[1] + b"\n"
    for body in (
        request(history(5, 1), 10, 20),
        request(history(0, 1), 10, 600),
        encode_request(10, [], note_of(history(), 20)),
        encode_request(10, [bytes(32)], note_of(history(), 10)),
        whole.replace(first, b""),
        whole.replace(first, first + first),
    ):
        assert client.post(ADD, content=body).status_code == 422
    assert client.get(LAST).text.split("\n")[1] == "10"
    assert client.post(ADD, content=whole).status_code == 200


def test_a_body_has_an_end(client: Client) -> None:
    """Longer ones are not read."""
    answer = client.post(ADD, content=b"x" * (LONGEST_REQUEST + 1))
    assert answer.status_code == 413
    assert client.get(ADD).status_code == 405


def test_a_log_may_have_two_keys(tmp_path: Path) -> None:
    """Either vouches, as while a key is exchanged; the tree is one."""
    witness = open_witness(tmp_path, [LOG.verifier, OTHER.verifier])
    witness.add(request(history(), 0, 10))
    witness.add(request(history(), 10, 20, OTHER))
    seen = witness.store.seen(ORIGIN)
    assert seen is not None
    assert seen.size == 20


def test_logs_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each has its own size."""
    second = SigningKey.generate("second.example/log")
    witness = open_witness(tmp_path, [LOG.verifier, second.verifier])
    witness.add(request(history(), 0, 10))
    witness.add(request(history(3, 1), 0, 7, second))
    witness.add(request(history(), 10, 11))
    assert [witness.store.seen(name).size for name in sorted(witness.logs)] == [11, 7]  # type: ignore[union-attr]


def test_it_shows_what_it_saw(witness: Witness, client: Client) -> None:
    """Its key, its logs, and the last checkpoint of each with both signatures."""
    page = client.get("/")
    assert KEY.verifier.encode() in page.text
    assert "nothing was cosigned yet" in page.text
    saw(witness, 300)
    page = client.get("/")
    assert "300 leaves, cosigned 2023-11-14 22:13:20 UTC" in page.text
    assert LAST in page.text
    kept = client.get(LAST)
    assert kept.headers["access-control-allow-origin"] == "*"
    assert kept.headers["cache-control"] == "no-store"
    opened = open_checkpoint(kept.text, LOG.verifier, [KEY.verifier], 1)
    assert opened.checkpoint.size == 300
    assert client.get("/log/" + "0" * 64).status_code == 404
    assert client.get("/log/x/forks").status_code == 404
    assert client.get(f"{LAST}/forks").text == ""


def test_a_clock_that_goes_back_is_not_followed(tmp_path: Path) -> None:
    """A later cosignature never says an earlier time."""
    open_witness(tmp_path, at_s=AT_S).add(request(history(), 0, 10))
    line = open_witness(tmp_path, at_s=AT_S - 500).add(request(history(), 10, 20))
    assert check_line(history(), 20, line) == AT_S
    line = open_witness(tmp_path, at_s=AT_S + 5).add(request(history(), 20, 30))
    assert check_line(history(), 30, line) == AT_S + 5


def test_a_memory_that_cannot_be_written_is_503(tmp_path: Path, client: Client) -> None:
    """No cosignature leaves that is not on disk, and no name of a file either."""
    (tmp_path / "witness.db").write_bytes(b"no database" * 1_000)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"witness.db{suffix}").unlink(missing_ok=True)
    answer = client.post(ADD, content=request(history(), 0, 10))
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_a_cosignature_is_what_the_specification_says(witness: Witness) -> None:
    """Over two lines and the whole text of the checkpoint."""
    line = witness.add(request(history(), 0, 10))
    text = note_of(history(), 10).partition("\n\n")[0] + "\n"
    assert line == line_of(text, KEY)
    assert KEY.verifier.type == COSIGNATURE
