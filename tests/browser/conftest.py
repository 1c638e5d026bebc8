"""A real server on sample campaigns, and a real Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

START_S = 120
"""How long the demo may take to make its campaigns on a busy machine."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, started as its users start it, on an address of its own."""
    folder: Path = tmp_path_factory.mktemp("demo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = folder / "output.txt"
    with output.open("wb") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-P", "-c", "from app.cli import main; main()"),
                *("--data", str(folder / "var"), "demo", "--port", str(port)),
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={key: value for key, value in os.environ.items() if "TRIBUTARY" not in key},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, server, output)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None, f"the demo ended: {output.read_text()}"
        try:
            if httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the demo is not ready: {output.read_text()}")


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        yield chromium
        chromium.close()
