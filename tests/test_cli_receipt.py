"""The commands that check a receipt: no server, no data directory, no key but the one given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from tests.transparency.receipt_making import (
    LOG,
    OTHER_LOG,
    WITNESSES,
    another_log,
    good,
    hash_missing,
)

KEY = LOG.verifier.encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A receipt as it was downloaded."""
    path = tmp_path / "my.tlog-proof"
    path.write_text(good())
    return path


def run(*arguments: str, given: str | None = None) -> Result:
    """Type a command where there is no data directory."""
    nowhere = "/nowhere/at/all"
    return CliRunner().invoke(main, ["--data", nowhere, "receipt", *arguments], input=given)


def test_what_is_proved_is_said_in_words(file: Path) -> None:
    """Amount, campaign, entry, size, key and witnesses, in one sentence."""
    witness = WITNESSES[0].verifier.encode()
    answer = run("check", str(file), "--key", KEY, "--witness", witness)
    assert answer.exit_code == 0, answer.output
    said = answer.output.splitlines()[-1]
    assert said.startswith("Your pledge of ")
    assert "is entry 422 of the log crowd.example.org/log as of size 1,000" in said
    assert f"signed by crowd.example.org/log+{LOG.verifier.key_id.hex()}" in said
    assert "witnessed by w1.example.org at 2026-09-21" in said
    assert "\u2717" not in answer.output


def test_the_key_may_stand_in_a_file_and_the_receipt_come_by_pipe(tmp_path: Path) -> None:
    """As from a QR code's reader; both forms."""
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    answer = run("check", "-", "--key-file", str(key), given=good(short=True))
    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("change", [hash_missing, another_log])
def test_a_receipt_that_proves_nothing_ends_with_1(file: Path, change: object) -> None:
    """With the point that does not hold, and no sentence that claims anything."""
    assert callable(change)
    file.write_text(change(good()))
    answer = run("check", str(file), "--key", KEY)
    assert answer.exit_code == 1
    assert "\u2717" in answer.output
    assert answer.output.splitlines()[-1] == "This receipt does not prove what it says."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give the log's public key"),
        (["--key", KEY, "--key-file", "x"], "Give the log's public key"),
        (["--key", KEY[:-4]], "This is not a key"),
        (["--key", WITNESSES[0].verifier.encode()], "The key is a witness's"),
        (["--key-file", "/nowhere/key"], "/nowhere/key cannot be read"),
        (["--key", KEY, "--quorum", "1"], "--quorum 1 takes as many --witness"),
        (["--key-url", "http://127.0.0.1:1/log/key"], "No key came from"),
    ],
)
def test_a_question_that_cannot_be_answered_ends_with_2(
    file: Path, arguments: list[str], said: str
) -> None:
    """In one sentence, without a trace of our code."""
    answer = run("check", str(file), *arguments)
    assert answer.exit_code == 2
    assert said in answer.output
    assert len(answer.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "this is not a receipt"),
        (b"\xff\xfe\x00", "is not text"),
        (b"", "this is not a receipt"),
        (b"x" * 1_000_001, "is too large"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_receipt_is_named(file: Path, content: bytes | None, said: str) -> None:
    """A file of another kind, an empty one, none at all."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    for command in (["check", str(file), "--key", KEY], ["show", str(file)]):
        answer = run(*command)
        assert answer.exit_code == 2
        assert len(answer.output.strip().splitlines()) == 1
        assert said in answer.output or command[0] == "show"


def test_for_machines_it_is_one_object(file: Path) -> None:
    """With the global option and with its own."""
    own = run("check", str(file), "--key", KEY, "--json")
    told = json.loads(own.output)
    assert told["proved"] is True
    assert (told["index"], told["size"], told["log"]) == (421, 1_000, "crowd.example.org/log")
    assert [point["ok"] for point in told["points"]] == [True, True, None, True, True]
    both = ["--json", "receipt", "check", str(file), "--key", OTHER_LOG.verifier.encode()]
    answer = CliRunner().invoke(main, both)
    assert answer.exit_code == 1
    assert json.loads(answer.output)["proved"] is False


def test_showing_claims_nothing(file: Path) -> None:
    """It says that nothing was verified, before anything else."""
    answer = run("show", str(file))
    assert answer.exit_code == 0
    assert answer.output.startswith("Nothing of this was verified")
    assert json.loads(run("show", str(file), "--json").output)["verified"] is False
