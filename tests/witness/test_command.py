"""The command: a key that stays, a server, and sentences where something is missing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.transparency.checkpoint import open_checkpoint
from app.transparency.note import COSIGNATURE, SigningKey, VerifierKey
from app.witness.client import WitnessClient, WitnessRefusedError
from app.witness.command import WitnessCommandError, open_witness, witness_key
from app.witness.protocol import origin_hash
from tests.transparency.merkle_trees import LOG, ORIGIN
from tests.witness.logs import history, note_of

ROOT = Path(__file__).parents[2]
VKEY = LOG.verifier.encode()


def run(*arguments: str, **env: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, ["witness", *arguments], env=env)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """With the name that is given, readable by its owner alone, and never another."""
    data = str(tmp_path / "w")
    assert "--name gives a new witness its name" in run("key", "--data", data).output
    first = run("key", "--data", data, "--name", "witness.example/a")
    key = VerifierKey.parse(first.output.strip())
    assert (key.name, key.type) == ("witness.example/a", COSIGNATURE)
    assert (tmp_path / "w" / "key").stat().st_mode & 0o777 == 0o600
    assert run("key", "--data", data).output == first.output
    other = run("key", "--data", data, "--name", "witness.example/b")
    assert other.exit_code == 1
    assert "a witness keeps its name" in other.output
    answer = CliRunner().invoke(main, ["--json", "witness", "key", "--data", data])
    assert json.loads(answer.stdout.splitlines()[-1]) == {"name": key.name, "key": key.encode()}


def test_a_key_may_be_given(tmp_path: Path) -> None:
    """By the environment; then nothing is kept."""
    key = SigningKey.generate("witness.example/env", COSIGNATURE)
    shown = run("key", "--data", str(tmp_path / "w"), TRIBUTARY_WITNESS_KEY=key.encode())
    assert shown.output.strip() == key.verifier.encode()
    assert not (tmp_path / "w").exists()
    for wrong in (LOG.encode(), key.encode()[:-1], "nonsense"):
        refused = run("key", "--data", str(tmp_path), TRIBUTARY_WITNESS_KEY=wrong)
        assert refused.exit_code == 1
        assert "key" in refused.output
        assert wrong not in refused.output


def test_a_key_without_its_memory_is_refused(tmp_path: Path) -> None:
    """A witness that forgot could cosign a second history; only a key that begins may begin."""
    own = tmp_path / "own"
    key = witness_key(own, "witness.example/a")
    open_witness(own, key, [VKEY])
    for path in own.glob("witness.db*"):
        path.unlink()
    given = witness_key(tmp_path / "given", given=key.encode())
    for folder, its in ((own, witness_key(own)), (tmp_path / "given", given)):
        with pytest.raises(WitnessCommandError, match="second history"):
            open_witness(folder, its, [VKEY])
    open_witness(tmp_path / "given", given, [VKEY], begin=True)
    open_witness(tmp_path / "given", given, [VKEY])
    other = SigningKey.generate("witness.example/b", COSIGNATURE)
    with pytest.raises(WitnessCommandError, match="another witness"):
        open_witness(tmp_path / "given", other, [VKEY], begin=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Which log is watched?"),
        (("--name", "a.example"), "Which log is watched?"),
        (("--name", "a.example", "--log", "nonsense"), "A log's key cannot be used"),
        (("--name", "a b", "--log", VKEY), "The witness's key cannot be used"),
        (("--log", VKEY), "--name gives a new witness its name"),
        (("--name", "a.example", "--log", VKEY, "--host", "203.0.113.1"), "Cannot listen on"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """In a sentence."""
    result = run(*arguments, "--data", str(tmp_path / "w"))
    assert result.exit_code in {1, 2}
    assert words in result.output
    assert "Traceback" not in result.output


@contextmanager
def serving(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a person starts it; killed in the end without a chance to tidy up."""
    arguments = [
        "--data",
        str(data),
        "--port",
        str(port),
        "--log",
        VKEY,
        "--name",
        "witness.example/a",
    ]
    child = subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", "witness", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            except httpx.TransportError:
                assert child.poll() is None
                time.sleep(0.05)
            else:
                break
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
def test_a_server_that_is_killed_remembers(tmp_path: Path) -> None:
    """Started anew it goes on where it was, refuses the fork, and shows what it saw."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, port):
        key = VerifierKey.parse(run("key", "--data", str(tmp_path)).output.strip())
        client = WitnessClient(url, key)
        assert client.cosign(note_of(history(), 100), history(), 100, 30)
        client.close()
    with serving(tmp_path, port):
        client = WitnessClient(url, key)
        fork = history(50, 1)
        for size in (100, 200):
            with pytest.raises(WitnessRefusedError):
                client.cosign(note_of(fork, size), fork, size, 30)
        assert client.cosign(note_of(history(), 200), history(), 200, 30)
        client.close()
        seen = httpx.get(f"{url}/log/{origin_hash(ORIGIN)}", trust_env=False).text
        assert open_checkpoint(seen, LOG.verifier, [key], 1).checkpoint.size == 200
