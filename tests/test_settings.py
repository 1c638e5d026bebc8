from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, WitnessAddress, load_settings

SECRET = "s" * 32


def load_in(data_dir: Path) -> Settings:
    """Load with nothing set but the data directory."""
    return load_settings({}, data_dir=data_dir)


def test_nothing_needs_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any variable the data lies in ./var and the server listens on this machine alone."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings({})
    assert settings.data_dir == Path("var")
    assert (settings.host, settings.port, settings.demo) == ("127.0.0.1", 8000, False)
    assert settings.public_url == "http://127.0.0.1:8000"
    assert (tmp_path / "var").is_dir()


def test_the_environment_is_read(tmp_path: Path) -> None:
    """Every variable is taken."""
    settings = load_settings(
        {
            "TRIBUTARY_DATABASE_URL": f"sqlite:///{tmp_path}/data",
            "TRIBUTARY_HOST": "::1",
            "TRIBUTARY_PORT": "9000",
            "TRIBUTARY_PUBLIC_URL": "https://example.org/",
            "TRIBUTARY_SECRET": SECRET,
            "TRIBUTARY_TEST_BANK_SECRET": "t" * 32,
        }
    )
    assert settings == Settings(
        data_dir=tmp_path / "data",
        host="::1",
        port=9000,
        public_url="https://example.org",
        secret=SECRET.encode(),
        test_bank_secret=b"t" * 32,
        audit_every_s=86_400,
        demo=False,
    )


def test_a_database_is_taken_as_it_is_written(tmp_path: Path) -> None:
    """Several hosts, percent-encoded passwords and parameters are PostgreSQL's own business."""
    address = "u:p%40ss@one:5432,two:5433/tributary?sslmode=require"
    for scheme in ("postgres", "postgresql"):
        settings = load_settings(
            {
                "TRIBUTARY_DATABASE_URL": f"{scheme}://{address}",
                "TRIBUTARY_DATA_DIR": str(tmp_path / "own"),
            }
        )
        assert settings.database_url == f"postgresql://{address}"
        assert settings.data_dir == tmp_path / "own"
    assert "ss@one" not in f"{settings!r} {settings}"
    assert "postgresql" in repr(settings)


def test_a_directory_can_be_named_in_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a variable of its own, or as an SQLite address; both may only say the same."""
    monkeypatch.chdir(tmp_path)
    one, two = {"TRIBUTARY_DATA_DIR": "one"}, {"TRIBUTARY_DATABASE_URL": "sqlite:///two"}
    assert load_settings(one).data_dir == Path("one")
    assert load_settings(two).data_dir == Path("two")
    assert load_settings(two | {"TRIBUTARY_DATA_DIR": "two"}).data_dir == Path("two")
    assert load_settings(one | two, data_dir=Path("three")).data_dir == Path("three")
    with pytest.raises(SettingsError, match="name different directories"):
        load_settings(one | two)


def test_the_command_line_wins(tmp_path: Path) -> None:
    """What is given as an option counts, whatever the environment says."""
    environ = {
        "TRIBUTARY_DATABASE_URL": f"sqlite:///{tmp_path}/other",
        "TRIBUTARY_HOST": "10.0.0.1",
        "TRIBUTARY_PORT": "9000",
    }
    settings = load_settings(
        environ, data_dir=tmp_path / "data", host="0.0.0.0", port=8001, demo=True
    )
    assert (settings.data_dir, settings.host, settings.port) == (tmp_path / "data", "0.0.0.0", 8001)
    assert settings.public_url == "http://127.0.0.1:8001"
    assert settings.demo
    assert not (tmp_path / "other").exists()


def test_all_files_lie_in_the_data_directory(tmp_path: Path) -> None:
    """Each part of the data has a file of its own there."""
    settings = load_in(tmp_path)
    paths = {
        settings.log_path,
        settings.views_path,
        settings.work_path,
        settings.people_path,
        settings.test_bank_path,
    }
    assert len(paths) == 5
    assert {path.parent for path in paths} == {tmp_path}


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """The first start makes a secret that only its owner can read, and later starts find it."""
    first = load_in(tmp_path / "data")
    kept = tmp_path / "data" / "secret"
    assert len(first.secret) == 64
    assert first.secret == kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert load_in(tmp_path / "data") == first
    assert load_in(tmp_path / "elsewhere").secret != first.secret
    assert [path.name for path in kept.parent.iterdir()] == ["secret"]


def test_first_starts_at_once_agree(tmp_path: Path) -> None:
    """Eight processes that start together on an empty directory all have the same secret."""
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        found = pool.map(load_in, [tmp_path / f"data-{n // 16}" for n in range(64)], chunksize=1)
    for start in range(0, 64, 16):
        assert len({settings.secret for settings in found[start : start + 16]}) == 1


def test_a_late_first_start_takes_the_secret_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that saw no secret, and then finds one in its place, uses that one."""
    first = load_in(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", lambda _: False)
        assert load_in(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_each_purpose_has_a_secret_of_its_own(tmp_path: Path) -> None:
    """The test bank's secret follows from ours and does not give it away."""
    one = load_settings({"TRIBUTARY_SECRET": SECRET}, data_dir=tmp_path)
    two = load_settings({"TRIBUTARY_SECRET": "u" * 32}, data_dir=tmp_path)
    assert len({one.secret, one.test_bank_secret, two.secret, two.test_bank_secret}) == 4
    assert not (tmp_path / "secret").exists()


def test_a_repr_shows_no_secret(tmp_path: Path) -> None:
    """What a log may show of the settings holds none of the secrets."""
    settings = load_settings(
        {"TRIBUTARY_SECRET": SECRET, "TRIBUTARY_TEST_BANK_SECRET": "t" * 32}, data_dir=tmp_path
    )
    assert not [secret for secret in (SECRET, "t" * 32) if secret in f"{settings!r} {settings}"]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("TRIBUTARY_DATABASE_URL", "postgresql://db", "names no database"),
        ("TRIBUTARY_DATABASE_URL", "postgresql://", "names no database"),
        ("TRIBUTARY_DATABASE_URL", "postgresql://u:short%zz@db/x", "cannot be read"),
        ("TRIBUTARY_DATABASE_URL", "postgresql://db/x?shortmode=require", "cannot be read"),
        ("TRIBUTARY_DATABASE_URL", "postgresql+psycopg://db/x", "or postgresql://"),
        ("TRIBUTARY_DATABASE_URL", "postgresql:db", "or postgresql://"),
        ("TRIBUTARY_DATABASE_URL", "mysql://db/tributary", "must be sqlite:///DIRECTORY"),
        ("TRIBUTARY_DATABASE_URL", "sqlite://", "must be sqlite:///DIRECTORY"),
        ("TRIBUTARY_DATABASE_URL", "sqlite:///", "must be sqlite:///DIRECTORY"),
        ("TRIBUTARY_DATABASE_URL", "sqlite://host/dir", "must be sqlite:///DIRECTORY"),
        ("TRIBUTARY_DATABASE_URL", "var", "must be sqlite:///DIRECTORY"),
        ("TRIBUTARY_DATABASE_URL", f"sqlite:///{__file__}", "names a file"),
        ("TRIBUTARY_DATA_DIR", __file__, "names a file"),
        ("TRIBUTARY_PORT", "http", "a number from 1 to 65535"),
        ("TRIBUTARY_PORT", "65536", "a number from 1 to 65535"),
        ("TRIBUTARY_PORT", "0", "a number from 1 to 65535"),
        ("TRIBUTARY_PORT", "-1", "a number from 1 to 65535"),
        ("TRIBUTARY_PUBLIC_URL", "example.org", "must be like"),
        ("TRIBUTARY_PUBLIC_URL", "javascript://x", "must be like"),
        ("TRIBUTARY_PUBLIC_URL", "https://example.org/shop", "must be like"),
        ("TRIBUTARY_PUBLIC_URL", "https://example.org?x", "must be like"),
        ("TRIBUTARY_SECRET", "short", "at least 32 characters"),
        ("TRIBUTARY_TEST_BANK_SECRET", "short", "at least 32 characters"),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    """A bad value stops the start with a sentence that names its variable, never the value."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=told) as refused:
        load_settings({variable: value})
    assert variable in str(refused.value)
    assert "short" not in str(refused.value)


def test_a_damaged_secret_is_not_used(tmp_path: Path) -> None:
    """An emptied secret file stops the start instead of signing with nothing."""
    (tmp_path / "secret").write_text("")
    with pytest.raises(SettingsError, match="does not hold a secret"):
        load_in(tmp_path)


# --- The transparency log ------------------------------------------------------------------------

VKEY = "witness.example+0a0b0c0d+BAAAAA=="


def test_the_logs_keys_are_given_in_hex(tmp_path: Path) -> None:
    """64 digits, or it is said what is wanted; the value is never repeated."""
    settings = load_settings(
        {"TRIBUTARY_LOG_SECRET": "ab" * 32, "TRIBUTARY_MASTER_KEY": "cd" * 32}, data_dir=tmp_path
    )
    assert (settings.log_secret, settings.master_key) == (b"\xab" * 32, b"\xcd" * 32)
    assert settings.keys_dir == tmp_path / "keys"
    for variable in ("TRIBUTARY_LOG_SECRET", "TRIBUTARY_MASTER_KEY"):
        for wrong in ("ab" * 31, "ab" * 33, "xy" * 32, "a" * 63):
            with pytest.raises(SettingsError, match="64 hex digits") as fault:
                load_settings({variable: wrong}, data_dir=tmp_path)
            assert wrong not in str(fault.value)


def test_witnesses_are_pairs(tmp_path: Path) -> None:
    """Of key and address; the quorum is at most as many."""
    settings = load_settings(
        {
            "TRIBUTARY_WITNESSES": f" {VKEY} https://one.example/ ,{VKEY}x http://two.example",
            "TRIBUTARY_WITNESS_QUORUM": "2",
        },
        data_dir=tmp_path,
    )
    assert settings.witnesses == (
        WitnessAddress(VKEY, "https://one.example"),
        WitnessAddress(f"{VKEY}x", "http://two.example"),
    )
    assert settings.witness_quorum == 2
    for wrong in (
        {"TRIBUTARY_WITNESSES": VKEY},
        {"TRIBUTARY_WITNESSES": f"{VKEY} ftp://one.example"},
        {"TRIBUTARY_WITNESSES": "name https://one.example"},
        {"TRIBUTARY_WITNESSES": f"{VKEY} https://one.example,{VKEY} https://two.example"},
        {"TRIBUTARY_WITNESSES": f"{VKEY} https://one.example,other{VKEY} https://two.example"},
        {"TRIBUTARY_WITNESS_QUORUM": "1"},
        {"TRIBUTARY_WITNESS_QUORUM": "-1"},
        {"TRIBUTARY_LOG_ORIGIN": "two words"},
        {"TRIBUTARY_LOG_ORIGIN": "a+b"},
        {"TRIBUTARY_AUDIT_EVERY": "daily"},
    ):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            load_settings(wrong, data_dir=tmp_path)


def test_how_often_the_books_are_audited(tmp_path: Path) -> None:
    """In hours; a demo audits itself while somebody watches."""
    for text, seconds in (("", 86_400), ("0", 0), ("0.5", 1_800), ("48", 172_800)):
        environ = {"TRIBUTARY_AUDIT_EVERY": text}
        assert load_settings(environ, data_dir=tmp_path).audit_every_s == seconds
    assert load_settings({}, data_dir=tmp_path, demo=True).audit_every_s == 900
