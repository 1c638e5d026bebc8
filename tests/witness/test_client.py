"""How a log asks: it believes nothing that it did not verify, and waits for nobody for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn

from app.settings import WitnessAddress
from app.transparency.merkle import MissingTileError
from app.transparency.note import NoteError, VerifierKey
from app.witness.client import (
    LONGEST_ANSWER,
    WitnessClient,
    WitnessRefusedError,
    WitnessUnreachableError,
    clients_of,
    parse_witnesses,
)
from app.witness.protocol import SIZE_TYPE
from app.witness.server import create_witness_app
from app.witness.witness import Witness
from tests.transparency.merkle_trees import LOG, ORIGIN, WITNESSES
from tests.witness.logs import KEY, check_line, history, line_of, note_of, open_witness, request

NOTE = note_of(history(), 300)
TEXT = NOTE.partition("\n\n")[0] + "\n"
Answer = tuple[int, str, bytes]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """A witness that has seen nothing yet."""
    return open_witness(tmp_path)


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    """Where it is served."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_witness_app(witness), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listening.close()


@pytest.fixture
def client(url: str) -> Iterator[WitnessClient]:
    """A client of it."""
    client = WitnessClient(url + "/", KEY.verifier)
    yield client
    client.close()


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[bytes], Answer]], WitnessClient]]:
    """A witness that answers what it is told to, however wrong."""
    servers: list[ThreadingHTTPServer] = []
    clients: list[WitnessClient] = []

    def serve(answer: Callable[[bytes], Answer]) -> WitnessClient:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, content = answer(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        servers.append(server)
        client = WitnessClient(f"http://127.0.0.1:{server.server_port}", KEY.verifier)
        clients.append(client)
        return client

    yield serve
    for client in clients:
        client.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def cosign(client: WitnessClient, size: int = 300, timeout_s: float = 20.0) -> str | None:
    """Ask for the log's own tree."""
    return client.cosign(note_of(history(), size), history(), size, timeout_s)


def test_growth_is_cosigned(client: WitnessClient) -> None:
    """Step by step, with what the witness saw last remembered."""
    for size in (0, 1, 5, 5, 256, 300):
        line = cosign(client, size)
        assert line is not None
        check_line(history(), size, line)


def test_a_client_that_knows_nothing_asks_again(url: str, client: WitnessClient) -> None:
    """The witness tells what it saw; and again where another process was faster meanwhile."""
    assert cosign(client, 10)
    second = WitnessClient(url, KEY.verifier)
    line = cosign(second, 20)
    assert line is not None
    check_line(history(), 20, line)
    assert cosign(client, 300)
    second.close()


def test_who_is_late_is_told_nothing_wrong(client: WitnessClient, witness: Witness) -> None:
    """The witness has cosigned a larger tree: this checkpoint needs no cosignature any more."""
    witness.add(request(history(), 0, 300))
    assert cosign(client, 20) is None
    assert cosign(client, 300)
    assert cosign(client, 20) is None


def test_a_fork_is_refused_in_plain_words(url: str, client: WitnessClient) -> None:
    """A log that was rewound, or has a second history, learns what is wrong."""
    assert cosign(client, 300)
    for one in (client, WitnessClient(url, KEY.verifier)):
        fork = history(100, 1)
        with pytest.raises(WitnessRefusedError, match="cosigned another tree of 300 leaves"):
            one.cosign(note_of(fork, 300), fork, 300, 20)
        with pytest.raises(WitnessRefusedError, match="does not begin with the one it cosigned"):
            one.cosign(note_of(fork, 400), fork, 400, 20)
        one.close()


def test_of_many_at_once_one_history_is_cosigned(url: str, witness: Witness) -> None:
    """Eight clients with four histories ask at the same moment, again and again."""
    begin = threading.Barrier(8)

    def ask(number: int) -> list[tuple[int, int]]:
        tiles, got = history(0, number // 2), []
        client = WitnessClient(url, KEY.verifier)
        begin.wait(20)
        for size in range(1, 12):
            try:
                line = client.cosign(note_of(tiles, size), tiles, size, 30)
            except WitnessRefusedError:
                continue
            except WitnessUnreachableError as fault:
                assert "another size each time" in str(fault)  # noqa: PT017 - nothing else may be
                continue
            if line:
                check_line(tiles, size, line)
                got.append((size, number // 2))
        client.close()
        return got

    with ThreadPoolExecutor(8) as pool:
        cosigned = {one for got in pool.map(ask, range(8)) for one in got}
    assert len({number for _, number in cosigned}) == 1
    seen = witness.store.seen(ORIGIN)
    assert seen is not None
    assert seen.size == max(size for size, _ in cosigned)


def test_a_witness_of_others_refuses(url: str, client: WitnessClient) -> None:
    """It does not watch this log, or not under this key."""
    text = TEXT.replace(ORIGIN, "else.example")
    with pytest.raises(WitnessRefusedError, match="does not watch this log"):
        client.cosign(f"{text}\n{LOG.sign(text)}", history(), 300, 20)
    with pytest.raises(WitnessRefusedError, match="does not take our signature"):
        client.cosign(f"{TEXT}\n{WITNESSES[1].sign(TEXT, 5)}", history(), 300, 20)
    elsewhere = WitnessClient(url + "/else", KEY.verifier)
    with pytest.raises(WitnessRefusedError, match="404"):
        cosign(elsewhere)
    elsewhere.close()


def test_another_key_than_ours_is_not_believed(url: str) -> None:
    """Whoever answers at the URL has to be the witness that was set."""
    client = WitnessClient(url, WITNESSES[1].verifier)
    with pytest.raises(WitnessRefusedError, match="without a cosignature of its own"):
        cosign(client)
    client.close()


SIGNED = line_of(TEXT, KEY).encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "text/plain", b""), "what is no cosignature"),
        ((200, "text/plain", b"ok\n"), "what is no cosignature"),
        ((200, "text/plain", b"\xff\n"), "what is no cosignature"),
        ((200, "text/plain", SIGNED + b"\n"), "what is no cosignature"),
        ((200, "text/plain", line_of("else\n", KEY).encode()), "what is no cosignature"),
        ((200, "text/plain", line_of(TEXT, WITNESSES[1]).encode()), "without a cosignature"),
        ((200, "text/plain", SIGNED * (LONGEST_ANSWER // len(SIGNED) + 1)), "without end"),
        ((409, SIZE_TYPE, b"-1\n"), "no size"),
        ((409, SIZE_TYPE, b"007\n"), "no size"),
        ((409, SIZE_TYPE, b"9" * 5_000), "no size"),
        ((409, SIZE_TYPE, b"\xff"), "no size"),
        ((409, SIZE_TYPE, b"0\n"), "another tree of 0 leaves"),
        ((409, "text/plain", b"7\n"), "409"),
        ((400, "text/plain", b"nonsense\x1b[31m"), "400"),
        ((302, "text/plain", b""), "302"),
        ((299, "text/plain", SIGNED), "299"),
    ],
)
def test_wrong_answers_are_refused(
    answering: Callable[[Callable[[bytes], Answer]], WitnessClient], answer: Answer, words: str
) -> None:
    """A signature over something else, a stranger's, no size, no end."""
    with pytest.raises(WitnessRefusedError, match=words) as caught:
        cosign(answering(lambda _: answer))
    assert str(caught.value).isprintable()


def test_lines_of_others_are_passed_over(
    answering: Callable[[Callable[[bytes], Answer]], WitnessClient],
) -> None:
    """A witness may sign with several keys; ours is taken, and nothing else."""
    other = line_of(TEXT, WITNESSES[1]).encode()
    client = answering(lambda _: (200, "text/plain", other + SIGNED + other))
    assert cosign(client) == SIGNED.decode()


def test_a_witness_that_cannot_make_up_its_mind_is_left(
    answering: Callable[[Callable[[bytes], Answer]], WitnessClient],
) -> None:
    """It says another size each time."""
    sizes = iter(range(1, 100))
    client = answering(lambda _: (409, SIZE_TYPE, b"%d\n" % next(sizes)))
    with pytest.raises(WitnessUnreachableError, match="another size each time"):
        cosign(client)
    assert next(sizes) == 4


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_who_cannot_now_is_asked_later(
    answering: Callable[[Callable[[bytes], Answer]], WitnessClient], status: int
) -> None:
    """That is no refusal."""
    with pytest.raises(WitnessUnreachableError, match=str(status)):
        cosign(answering(lambda _: (status, "text/plain", b"")))


def test_nobody_there_is_said() -> None:
    """Neither a port nor a URL that is none does anything else."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://[", "nonsense", "ftp://127.0.0.1"):
        client = WitnessClient(url, KEY.verifier)
        with pytest.raises(WitnessUnreachableError, match="cannot be reached"):
            cosign(client)
        client.close()


@pytest.mark.parametrize(
    ("head", "drop"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\n", b"a"), (b"HTTP/1.1 200 OK\r\n\r\n", b"x")],
    ids=["silent", "dripping head", "dripping body"],
)
def test_silence_and_dripping_have_an_end(head: bytes, drop: bytes) -> None:
    """The time is that of the whole exchange, not of each byte."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                with suppress(OSError):  # the client has gone
                    connection.sendall(head)
                    while not stop.wait(0.02):
                        connection.sendall(drop)

        thread = threading.Thread(target=drip)
        thread.start()
        client = WitnessClient(f"http://127.0.0.1:{listening.getsockname()[1]}", KEY.verifier)
        began = time.monotonic()
        with pytest.raises(WitnessUnreachableError, match="in time"):
            cosign(client, timeout_s=0.3)
        assert time.monotonic() - began >= 0.25
        client.close()
        stop.set()
        thread.join(10)


def test_a_tree_that_is_not_there_is_our_own_fault(client: WitnessClient) -> None:
    """Nothing is sent."""
    assert cosign(client, 5)
    with pytest.raises(MissingTileError):
        client.cosign(note_of(history(), 300), history(), 3_000, 20)


def test_settings_name_witnesses() -> None:
    """As pairs of key and URL; a key that cannot cosign is refused at the start."""
    one, two = (witness.verifier.encode() for witness in WITNESSES[:2])
    found = parse_witnesses(f"{one} https://one.example/, {two} http://two.example/w")
    assert [client.url for client in found] == ["https://one.example", "http://two.example/w"]
    assert [client.verifier for client in found] == [key.verifier for key in WITNESSES[:2]]
    assert parse_witnesses(" ") == []
    (again,) = clients_of([WitnessAddress(one, "https://one.example")])
    assert one not in repr(again)
    for client in (*found, again):
        client.close()
    for wrong in (
        one,
        f"{one} a b",
        "key https://one.example",
        f"{LOG.verifier.encode()} http://a",
    ):
        with pytest.raises(NoteError):
            parse_witnesses(wrong)
    assert VerifierKey.parse(one) == WITNESSES[0].verifier
