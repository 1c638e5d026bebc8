"""The example of docs/api.md, run as it stands there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.asgi import create_app
from app.engine import clock_ms
from app.settings import load_settings
from app.stores.channels import Channel
from app.wiring import open_platform
from domain.terms import DAY_MS, Terms
from tests.api.running import new_id

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/api.md"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with one channel, on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data_dir, url = tmp_path / "var", f"http://127.0.0.1:{port}"
    settings = load_settings({"TRIBUTARY_PUBLIC_URL": url}, data_dir=data_dir)
    server: uvicorn.Server | None = None

    async def serve() -> None:
        nonlocal server
        async with open_platform(settings) as platform:
            channel = Channel(
                id=new_id(), name="Test", languages=("en",), currencies=("CNY",), terms=Terms()
            )
            await platform.stores.channels.save(channel, at=clock_ms())
            config = uvicorn.Config(
                create_app(platform), port=port, lifespan="off", log_level="error"
            )
            server = uvicorn.Server(config)
            stop = threading.Event()
            follow = threading.Thread(
                target=platform.follower.run, args=(stop, platform.log.wait), daemon=True
            )
            follow.start()
            try:
                await server.serve()
            finally:
                stop.set()
                await asyncio.to_thread(follow.join)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    for _ in range(200):
        try:
            httpx.get(f"{url}/health/live")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield url, data_dir
    assert server is not None
    server.should_exit = True
    thread.join()


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq"))), reason="needs curl and jq")
def test_the_example_works_as_it_stands(served: tuple[str, Path], tmp_path: Path) -> None:
    """From a key over a campaign and a pledge to reading both back, in a shell."""
    url, data_dir = served
    script = PAGE.read_text().split("```sh\n", 1)[1].split("```", 1)[0]
    program = f'tributary() {{ "{ROOT}/.venv/bin/tributary" --data "{data_dir}" "$@"; }}\n'
    variables = {
        "URL": url,
        "DEADLINE": str(clock_ms() + 30 * DAY_MS),
        "PLEDGE": new_id(),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", program + script],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    statement, _, pledged = done.stdout.rpartition("]")
    (line,) = json.loads(statement + "]")
    assert (line["kind"], line["amount_minor"]) == ("pledged", 12_000)
    assert int(pledged) == 12_000
