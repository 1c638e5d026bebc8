"""A demo of its own in a process of its own, and a Chromium to look at it with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_S = 180
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
"""What Chromium is started with: no window, and nothing that asks for another host by itself."""


class DemoDidNotStartError(Exception):
    """The demo ended, or was not ready in time; the message is what it printed."""


@contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """Start the demo as its users start it, on a free port; give its address; end it."""
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
        server.wait(timeout=60)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise DemoDidNotStartError(output.read_text())
        try:
            if httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise DemoDidNotStartError(output.read_text())
