"""`tributary log`: how the transparency log stands, and its key."""

from __future__ import annotations

from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from app.cli import main
from app.keys import load_keys
from app.settings import load_settings
from app.transparency.note import SigningKey, VerifierKey, encode_base64
from app.transparency.signing import FILE, read_signed, write_signed
from app.wiring import open_platform
from bench.campaigns import open_campaigns


def typed(folder: Path, *words: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(main, ["--data", str(folder), "--json", *words])


async def made(folder: Path) -> None:
    """A platform with a few events and a signed tree."""
    async with open_platform(load_settings({}, data_dir=folder)) as platform:
        open_campaigns(platform.engine, 2)
        platform.transparency.catch_up()


async def test_it_says_how_the_log_stands(tmp_path: Path) -> None:
    """Size, root, what was signed and published."""
    await made(tmp_path)
    done = typed(tmp_path, "log", "status")
    assert done.exit_code == 0, done.output
    said = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert said["log"] == said["size"] == said["signed"] == said["published"] == 6
    assert (said["origin"], said["fault"]) == ("127.0.0.1:8000/log", "")
    root = encode_base64(bytes.fromhex(said["root"]))
    assert f"root       {root}\n" in done.stderr
    key = typed(tmp_path, "log", "key").stdout.splitlines()[0]
    assert (
        VerifierKey.parse(key) == load_keys(load_settings({}, data_dir=tmp_path)).signing.verifier
    )
    assert said["key"] == key


async def test_what_is_amiss_ends_with_1(tmp_path: Path) -> None:
    """A fork is told without a server."""
    await made(tmp_path)
    path = tmp_path / "keys" / FILE
    known = read_signed(path)
    assert known is not None
    write_signed(path, msgspec.structs.replace(known, root="00" * 32))
    done = typed(tmp_path, "log", "status")
    assert done.exit_code == 1
    assert "AMISS" in done.stderr
    assert "would be a fork" in done.stderr


def test_before_the_first_start_there_is_none(tmp_path: Path) -> None:
    """And nothing is made by asking."""
    done = typed(tmp_path, "log", "status")
    assert done.exit_code == 1
    assert "start the server" in done.output
    assert not (tmp_path / "transparency.db").exists()
    assert typed(tmp_path, "log", "key").exit_code == 1
    assert not (tmp_path / "keys").exists()


def test_a_new_key_is_made_and_not_kept(tmp_path: Path) -> None:
    """For who keeps keys elsewhere."""
    done = typed(tmp_path, "log", "key", "--new", "books.example/r2")
    assert SigningKey.parse(done.stdout.strip()).verifier.name == "books.example/r2"
    assert not (tmp_path / "keys").exists()
    assert typed(tmp_path, "log", "key", "--new", "two words").exit_code == 1
