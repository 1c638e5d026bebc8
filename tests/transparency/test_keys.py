"""The keys of the transparency log: given or kept, and never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.keys import (
    MissingKeyError,
    default_origin,
    fingerprint,
    load_keys,
    load_log_secret,
    load_master,
)
from app.settings import Settings, SettingsError, load_settings
from app.transparency.note import SigningKey


def settings_in(folder: Path, **environ: str) -> Settings:
    """Settings of a data directory and these variables."""
    named = {f"TRIBUTARY_{name}": value for name, value in environ.items()}
    return load_settings(named, data_dir=folder)


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    """On first use, in a directory that nobody else may read; then they stay."""
    settings = settings_in(tmp_path, PUBLIC_URL="https://example.org:8443")
    keys = load_keys(settings)
    assert load_keys(settings).signing.encode() == keys.signing.encode()
    assert (load_log_secret(settings), load_master(settings)) == (keys.log_secret, keys.master)
    assert keys.origin == "example.org:8443/log"
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    kept = sorted((tmp_path / "keys").iterdir())
    assert [path.name for path in kept] == ["log_secret", "master", "signing"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert len({keys.log_secret, keys.master}) == 2
    assert len(keys.log_secret) == len(keys.master) == 32


def test_given_keys_win_and_are_not_kept(tmp_path: Path) -> None:
    """From the environment, as a machine that keeps secrets elsewhere has it."""
    signing = SigningKey.generate("tree.example/one")
    settings = settings_in(
        tmp_path, LOG_SECRET="11" * 32, MASTER_KEY="22" * 32, SIGNING_KEY=signing.encode()
    )
    keys = load_keys(settings, make=False)
    assert (keys.log_secret, keys.master) == (b"\x11" * 32, b"\x22" * 32)
    assert keys.origin == "tree.example/one"
    assert not (tmp_path / "keys").exists()


def test_keys_lie_where_they_are_asked_to(tmp_path: Path) -> None:
    """Another directory, apart from the data."""
    settings = settings_in(tmp_path / "data", KEYS_DIR=str(tmp_path / "apart"))
    load_keys(settings)
    assert (tmp_path / "apart" / "signing").is_file()
    assert not (tmp_path / "data" / "keys").exists()


def test_nothing_is_made_where_it_is_only_read(tmp_path: Path) -> None:
    """An auditor makes no keys."""
    with pytest.raises(MissingKeyError, match="TRIBUTARY_LOG_SECRET"):
        load_keys(settings_in(tmp_path), make=False)
    assert not (tmp_path / "keys").exists()


def test_no_key_is_ever_shown(tmp_path: Path) -> None:
    """Not by repr, of keys or of settings, nor in a message about a bad one."""
    keys = load_keys(settings_in(tmp_path))
    secret = keys.signing.encode()
    settings = settings_in(tmp_path, LOG_SECRET="11" * 32, SIGNING_KEY=secret)
    pretty = [str([*each.__rich_repr__()]) for each in (keys, settings)]
    for shown in (repr(keys), str(keys), repr(settings), repr(keys.signing), *pretty):
        assert secret[-20:] not in shown
        assert keys.log_secret.hex() not in shown
        assert "1111" not in shown
        assert repr(keys.master)[2:-1] not in shown
    bad = settings_in(tmp_path, SIGNING_KEY=secret[:-1] + "!")
    with pytest.raises(SettingsError) as fault:
        load_keys(bad)
    assert secret[30:50] not in str(fault.value)


@pytest.mark.parametrize("name", ["log_secret", "master"])
def test_a_damaged_key_is_told(tmp_path: Path, name: str) -> None:
    """It is not made anew: everything that was made under it would be lost unnoticed."""
    settings = settings_in(tmp_path)
    load_keys(settings)
    (tmp_path / "keys" / name).write_text("12ab")
    with pytest.raises(SettingsError, match="from a backup"):
        load_keys(settings)
    assert (tmp_path / "keys" / name).read_text() == "12ab"


def test_a_key_of_another_log_is_refused(tmp_path: Path) -> None:
    """The origin that was chosen is the key's name, or nothing is signed."""
    signing = SigningKey.generate("one.example/log").encode()
    settings = settings_in(tmp_path, SIGNING_KEY=signing, LOG_ORIGIN="two.example/log")
    with pytest.raises(SettingsError, match=r"one\.example/log, not of two\.example/log"):
        load_keys(settings)


def test_the_name_of_a_log_is_where_it_is_served(tmp_path: Path) -> None:
    """Unless one is chosen."""
    assert default_origin(settings_in(tmp_path, PORT="8330")) == "127.0.0.1:8330/log"
    chosen = settings_in(tmp_path, LOG_ORIGIN="books.example/tributary")
    assert default_origin(chosen) == load_keys(chosen).origin == "books.example/tributary"


def test_a_fingerprint_tells_secrets_apart() -> None:
    """And is not the secret."""
    assert fingerprint(b"a" * 32) != fingerprint(b"b" * 32)
    assert fingerprint(b"a" * 32) != b"a" * 32
