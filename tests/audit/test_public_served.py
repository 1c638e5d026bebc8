"""The audit from outside over the network: a whole server, and servers that misbehave."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from app.audit import public_source
from bench.crash_stage import Stage
from tests.audit.published import Shown, shown
from tests.audit.test_public import findings, lives, run, told, vkey
from tests.serving.server import Served, eventually
from tests.transparency.openings_stage import Opened


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    """A platform in a data directory, with lives behind it that nobody opened yet."""
    folder = tmp_path / "var"
    folder.mkdir()
    return Opened(folder)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def test_a_served_log_passes(world: Opened, tmp_path: Path) -> None:
    """A server opens what is due when it starts; anybody audits it by its address alone."""
    failed = world.launch(collect_at_pledge=True)
    world.pledge_many(failed, 600)
    paid = world.succeed(6_000, 5_000)
    world.refund(paid, 1, 500)
    world.pay_out(paid)
    world.sign()
    key = world.transparency.log_key.encode()
    world.close()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    stage = cast("Stage", SimpleNamespace(settings=world.settings, url=url))
    with Served(stage, "serve", "--port", str(port), "--workers", "2") as served:
        eventually(served.ready)

        def opened() -> list[Any]:
            listed: list[Any] = httpx.get(f"{url}/log/openings").json()["campaigns"]
            return listed if len(listed) == 2 else []

        eventually(opened)
        mirror = tmp_path / "mirror"
        found = told(url, "--key", key, "--save", mirror)
        assert findings(found) == []
        assert found["opened"] > 600
        campaigns = {one["campaign"]: one for one in found["campaigns"]}
        assert set(campaigns) == {failed, paid}
        assert campaigns[paid]["totals"]["held"] == 0
        assert campaigns[paid]["live"] is not None
        assert campaigns[paid]["page"] == f"{url}/campaigns/{paid}"
        assert httpx.get(campaigns[paid]["page"], follow_redirects=True).status_code == 200
        again = told(f"{url}/log", "--save", mirror)
        assert (findings(again), again["key_from"]) == ([], "kept")
        assert findings(told(mirror, "--key", key)) == []
        assert served.stop() == 0


# --- Servers that are not what they seem ---------------------------------------------------------


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server in a thread; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What is published of whole lives."""
    world = Opened(tmp_path_factory.mktemp("published"))
    lives(world)
    found = shown(world)
    world.close()
    return found


def test_plain_files_will_do(published: Shown, tmp_path: Path) -> None:
    """A mirror behind any server of files is audited as the log itself."""
    folder = published.write(tmp_path / "files")
    with serving(partial(_Quiet, directory=str(folder))) as url:
        found = told(url, "--key", vkey(published))
    assert findings(found) == []
    assert found["opened"] > 300
    assert {one["page"] for one in found["campaigns"]} == {""}


def test_no_other_host_is_asked(published: Shown) -> None:
    """A log that sends elsewhere is not followed: it cannot be audited."""
    asked: list[str] = []

    class Sends(_Quiet):
        def do_GET(self) -> None:
            """Send elsewhere."""
            asked.append(self.path)
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:9/log/checkpoint")
            self.send_header("content-length", "0")
            self.end_headers()

    with serving(Sends) as url:
        result = run(url, "--key", vkey(published))
    assert result.exit_code == 2
    assert "sends to http://127.0.0.1:9" in result.output
    assert asked == ["/checkpoint"]


def test_an_answer_without_end_is_cut_off() -> None:
    """Neither a body too long nor one that unfolds to too much is taken."""
    bomb = gzip.compress(bytes(64 * 2**20))

    class Bombs(_Quiet):
        def do_GET(self) -> None:
            """Answer with what unfolds to far too much."""
            self.send_response(200)
            self.send_header("content-encoding", "gzip")
            self.send_header("content-length", str(len(bomb)))
            self.end_headers()
            self.wfile.write(bomb)

    with serving(Bombs) as url:
        result = run(url)
    assert result.exit_code == 2
    assert "larger or slower" in result.output


def test_who_is_busy_is_asked_again(
    published: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 now and then is waited out; always is no answer."""
    monkeypatch.setattr(public_source, "FIRST_WAIT_S", 0.001)
    folder = published.write(tmp_path / "files")
    refused: list[str] = []

    class Busy(_Quiet):
        most = 1

        def do_GET(self) -> None:
            """Refuse each path once."""
            if refused.count(self.path) < self.most:
                refused.append(self.path)
                self.send_response(503)
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                super().do_GET()

    with serving(partial(Busy, directory=str(folder))) as url:
        assert findings(told(url, "--key", vkey(published))) == []
    assert len(refused) > 5
    refused.clear()
    Busy.most = 100
    with serving(partial(Busy, directory=str(folder))) as url:
        result = run(url)
    assert result.exit_code == 2
    assert "does not answer: 503, 5 times" in result.output


def test_who_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes byte by byte, without end, is given up as a whole."""
    monkeypatch.setattr(public_source, "WHOLE_ANSWER_S", 0.5)
    monkeypatch.setattr(public_source, "SILENCE_S", 1.0)
    over = threading.Event()

    class Drips(_Quiet):
        def do_GET(self) -> None:
            """Never come to the end of the head."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
            try:
                while not over.wait(0.05):
                    self.wfile.write(b"a")
                    self.wfile.flush()
            except OSError:
                return

    with serving(Drips) as url:
        result = run(url)
        over.set()
    assert result.exit_code == 2
    assert "does not end" in result.output


def test_nobody_is_there() -> None:
    """An address where nobody listens, and one that is none, are said to be so."""
    assert run("ftp://127.0.0.1/log").exit_code == 2
