"""What can be set from outside, in one place; `docs/settings.md` explains each setting.

A value comes from the command line, else from the environment, else from the default here.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr

ENVIRONMENT: Final[Mapping[str, str]] = {
    "data_dir": "TRIBUTARY_DATA_DIR",
    "database_url": "TRIBUTARY_DATABASE_URL",
    "host": "TRIBUTARY_HOST",
    "port": "TRIBUTARY_PORT",
    "public_url": "TRIBUTARY_PUBLIC_URL",
    "api_rate": "TRIBUTARY_API_RATE",
    "secret": "TRIBUTARY_SECRET",
    "test_bank_secret": "TRIBUTARY_TEST_BANK_SECRET",
    "smtp_url": "TRIBUTARY_SMTP_URL",
    "mail_from": "TRIBUTARY_MAIL_FROM",
    "keys_dir": "TRIBUTARY_KEYS_DIR",
    "log_secret": "TRIBUTARY_LOG_SECRET",
    "master_key": "TRIBUTARY_MASTER_KEY",
    "signing_key": "TRIBUTARY_SIGNING_KEY",
    "log_origin": "TRIBUTARY_LOG_ORIGIN",
    "witnesses": "TRIBUTARY_WITNESSES",
    "witness_quorum": "TRIBUTARY_WITNESS_QUORUM",
    "audit_every_s": "TRIBUTARY_AUDIT_EVERY",
}
"""The environment variable of each setting that has one."""

DEFAULT_DATA_DIR: Final = Path("var")
DEFAULT_API_RATE: Final = 2_000
MAX_API_RATE: Final = 1_000_000
SECRET_MIN_CHARACTERS: Final = 32
KEY_BYTES: Final = 32
"""The length of the log's secret and of the master key."""
DEFAULT_AUDIT_EVERY_S: Final = 24 * 3600
DEMO_AUDIT_EVERY_S: Final = 900
HOUR_S: Final = 3600
LAST_PORT: Final = 65535


class SettingsError(Exception):
    """A setting that cannot be used; the message is meant for the person who set it."""


class WitnessAddress(Struct, frozen=True):
    """A witness of the log: its verifier key (C2SP `signed-note`) and the URL under which it is
    asked, without a slash at its end.
    """

    vkey: str
    url: str


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that is set from outside. Made by `load_settings`.

    `data_dir` holds the files of this machine. `database_url` is the PostgreSQL database of what is
    shared between machines or must not be lost, as libpq reads it; empty where that lies in SQLite
    files in `data_dir`, too. It may hold a password.
    `secret` signs sessions and forms. `test_bank_secret` signs what the test bank notifies us of.
    `public_url` is how browsers reach us, without a slash at its end. `smtp_url` is the server that
    takes our mails, empty where none is sent; `mail_from` is who sends them. With `demo` the
    visitor may step into ready-made roles without signing in: never where real money moves.
    `api_rate` is how many requests a second each API key may make in the long run; 0 sets no limit.

    `keys_dir` holds the keys of the transparency log that are not given here: `log_secret` salts
    its commitments, `master_key` (32 bytes) wraps persons' keys, `signing_key` signs checkpoints
    (`PRIVATE+KEY+…`); each is empty where it is kept in a file, and read by `app.keys`.
    `log_origin` is the log's name where it is chosen. A checkpoint is published once
    `witness_quorum` of the `witnesses` have cosigned it. The books are replayed every
    `audit_every_s` seconds; 0: only when somebody asks.
    """

    data_dir: Path
    database_url: str = ""
    host: str
    port: int
    public_url: str
    api_rate: int = DEFAULT_API_RATE
    secret: bytes
    test_bank_secret: bytes
    smtp_url: str = ""
    mail_from: str = ""
    keys_dir: Path = Path()
    log_secret: bytes = b""
    master_key: bytes = b""
    signing_key: str = ""
    log_origin: str = ""
    witnesses: tuple[WitnessAddress, ...] = ()
    witness_quorum: int = 0
    audit_every_s: int = 0
    demo: bool

    def __post_init__(self) -> None:
        """Keys are kept beside the data where no other place is named."""
        if self.keys_dir == Path():
            force_setattr(self, "keys_dir", self.data_dir / "keys")

    def __repr__(self) -> str:
        """Show where things are, never a secret: a repr ends in logs."""
        store = "postgresql" if self.database_url else "sqlite"
        return (
            f"Settings(data_dir={str(self.data_dir)!r}, store={store!r},"
            f" public_url={self.public_url!r})"
        )

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for what prints prettily."""
        return [("data_dir", self.data_dir), ("public_url", self.public_url)]

    @property
    def sender(self) -> str:
        """Who sends our mails: `mail_from`, else an address at the host of `public_url`."""
        host = urlsplit(self.public_url).hostname
        return self.mail_from or f"Tributary <no-reply@{host}>"

    @property
    def log_path(self) -> Path:
        """The event log."""
        return self.data_dir / "log.db"

    @property
    def views_path(self) -> Path:
        """The read models; can be thrown away and rebuilt from the log."""
        return self.data_dir / "views.db"

    @property
    def transparency_path(self) -> Path:
        """The transparency log's tree over the event log."""
        return self.data_dir / "transparency.db"

    @property
    def search_path(self) -> Path:
        """The search index; made anew where it is missing."""
        return self.data_dir / "search.db"

    @property
    def work_path(self) -> Path:
        """What processes still have to do."""
        return self.data_dir / "work.db"

    @property
    def people_path(self) -> Path:
        """People, contents, drafts, channels, keys and payment methods."""
        return self.data_dir / "people.db"

    @property
    def test_bank_path(self) -> Path:
        """The books of the test bank, which stands for another firm."""
        return self.data_dir / "test_bank.db"

    @property
    def last_audit_path(self) -> Path:
        """What the last audit found."""
        return self.data_dir / "audit.json"


def load_settings(
    environ: Mapping[str, str] | None = None,
    *,
    data_dir: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    demo: bool = False,
    make: bool = True,
) -> Settings:
    """Read the settings; what is given here came from the command line and wins.

    Makes the data directory where it is missing, and in it a secret where none is set; without
    `make` it leaves the disk as it is, and a secret that is not there is empty. Raises
    SettingsError for a value that cannot be used.
    """
    env = os.environ if environ is None else environ
    in_url, database_url = _database(_value(env, "database_url"))
    data_dir = data_dir or _data_dir(_value(env, "data_dir"), in_url)
    if make:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    host = host or _value(env, "host") or "127.0.0.1"
    port = _port(str(port) if port is not None else _value(env, "port") or "8000")
    secret = _secret(env, "secret") or (_kept_secret(data_dir / "secret") if make else b"")
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        host=host,
        port=port,
        public_url=_public_url(_value(env, "public_url") or f"http://{_in_url(host)}:{port}"),
        secret=secret,
        test_bank_secret=_secret(env, "test_bank_secret") or _derived(secret, b"test_bank"),
        smtp_url=_smtp_url(_value(env, "smtp_url")),
        mail_from=_sender(_value(env, "mail_from")),
        demo=demo,
        api_rate=_rate(_value(env, "api_rate") or str(DEFAULT_API_RATE)),
        keys_dir=Path(_value(env, "keys_dir") or data_dir / "keys"),
        log_secret=_key(env, "log_secret"),
        master_key=_key(env, "master_key"),
        signing_key=_value(env, "signing_key"),
        log_origin=_origin(_value(env, "log_origin")),
        witnesses=(witnesses := _witnesses(_value(env, "witnesses"))),
        witness_quorum=_quorum(_value(env, "witness_quorum") or "0", len(witnesses)),
        audit_every_s=_audit_every(
            _value(env, "audit_every_s"), DEMO_AUDIT_EVERY_S if demo else DEFAULT_AUDIT_EVERY_S
        ),
    )


def _value(env: Mapping[str, str], setting: str) -> str:
    return env.get(ENVIRONMENT[setting], "").strip()


def _data_dir(text: str, in_url: Path | None) -> Path:
    """The directory that the one variable or the other names."""
    variable = ENVIRONMENT["data_dir"]
    path = Path(text) if text else None
    if path is not None and path.is_file():
        raise SettingsError(f"{variable} names a file; it must name a directory")
    if path is not None and in_url is not None and path != in_url:
        raise SettingsError(
            f"{variable} and {ENVIRONMENT['database_url']} name different directories: set one"
        )
    return path or in_url or DEFAULT_DATA_DIR


def _database(url: str) -> tuple[Path | None, str]:
    """Read where the data lies: a directory, or the address of a PostgreSQL database.

    `sqlite:///dir` is relative, `sqlite:////dir` absolute; a directory, as every part of the data
    has a file of its own in it. No message repeats the address: it may hold a password.
    """
    if not url:
        return None, ""
    variable = ENVIRONMENT["database_url"]
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgresql", "postgres"} and separator:
        return None, _postgresql(f"postgresql://{rest}")
    if scheme != "sqlite" or not separator or not rest.startswith("/") or rest == "/":
        raise SettingsError(
            f"{variable} must be sqlite:///DIRECTORY or postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    path = Path(rest[1:])
    if path.is_file():
        raise SettingsError(f"{variable} names a file; it must name a directory")
    return path, ""


def _postgresql(url: str) -> str:
    """Check an address as libpq reads it: several hosts and parameters are its own business."""
    # Who keeps everything in SQLite does not wait for the driver.
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    variable = ENVIRONMENT["database_url"]
    try:
        named = conninfo_to_dict(url).get("dbname")
    except ProgrammingError:
        # The driver's words repeat parts of the address.
        raise SettingsError(
            f"{variable} cannot be read; it must be like"
            " postgresql://USER:PASSWORD@HOST:5432/DATABASE, with special characters"
            " percent-encoded"
        ) from None
    if not named:
        raise SettingsError(f"{variable} names no database: postgresql://HOST/DATABASE")
    return url


def _port(text: str) -> int:
    """Read a port. Not 0, "any free one": the public URL could not name it."""
    if not text.isdecimal() or not 1 <= int(text) <= LAST_PORT:
        raise SettingsError(f"{ENVIRONMENT['port']} must be a number from 1 to {LAST_PORT}")
    return int(text)


def _rate(text: str) -> int:
    if not text.isdecimal() or not int(text) <= MAX_API_RATE:
        raise SettingsError(
            f"{ENVIRONMENT['api_rate']} must be a number from 0 (no limit) to {MAX_API_RATE}"
        )
    return int(text)


def _in_url(host: str) -> str:
    """Write an IPv6 address as a URL wants it; an address that means "all" becomes this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - only compared
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _public_url(url: str) -> str:
    url = url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or url != f"{parts.scheme}://{parts.netloc}":
        raise SettingsError(f"{ENVIRONMENT['public_url']} must be like https://example.org")
    return url


def _smtp_url(url: str) -> str:
    """Check `smtps://user:password@host:465` or `smtp://host:587`; no message repeats it."""
    if not url:
        return ""
    variable = ENVIRONMENT["smtp_url"]
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.scheme not in {"smtp", "smtps"} or parts.path.strip("/") or parts.query:
        raise SettingsError(f"{variable} must be like smtps://USER:PASSWORD@HOST:465")
    return url


def _sender(text: str) -> str:
    """Check `Name <name@example.org>`."""
    if not text:
        return ""
    _, address = parseaddr(text)
    local, _, host = address.rpartition("@")
    if not local or not host or any(character in text for character in "\r\n"):
        raise SettingsError(f"{ENVIRONMENT['mail_from']} must be like Name <name@example.org>")
    return text


def _secret(env: Mapping[str, str], setting: str) -> bytes | None:
    text = _value(env, setting)
    if not text:
        return None
    if len(text) < SECRET_MIN_CHARACTERS:
        variable = ENVIRONMENT[setting]
        raise SettingsError(f"{variable} must have at least {SECRET_MIN_CHARACTERS} characters")
    return text.encode()


def _key(env: Mapping[str, str], setting: str) -> bytes:
    """Read a key of 32 bytes in hex digits; empty where it is not set."""
    text = _value(env, setting)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if text and len(key) != KEY_BYTES:
        raise SettingsError(
            f"{ENVIRONMENT[setting]} must be {2 * KEY_BYTES} hex digits,"
            " for example from `openssl rand -hex 32`"
        )
    return key


def _origin(text: str) -> str:
    """Check the name of a log as C2SP wants it: no space, no plus sign."""
    if any(character.isspace() or character in "+\0" for character in text):
        raise SettingsError(
            f"{ENVIRONMENT['log_origin']} must be like example.org/log, without spaces or `+`"
        )
    return text


def _witnesses(text: str) -> tuple[WitnessAddress, ...]:
    """Read `vkey url` pairs with commas between them."""
    found = []
    for pair in filter(None, (part.strip() for part in text.split(","))):
        vkey, _, url = pair.partition(" ")
        url = url.strip().rstrip("/")
        if vkey.count("+") < 2 or urlsplit(url).scheme not in {"http", "https"}:  # noqa: PLR2004 - name+id+key
            raise SettingsError(
                f"{ENVIRONMENT['witnesses']} must be like NAME+ID+KEY https://witness.example,"
                " with commas between several"
            )
        found.append(WitnessAddress(vkey, url))
    # By the public key alone: a witness that counts twice under two names is none.
    if len({witness.vkey.split("+", 2)[2] for witness in found}) < len(found):
        raise SettingsError(f"{ENVIRONMENT['witnesses']} names a witness twice")
    return tuple(found)


def _quorum(text: str, witnesses: int) -> int:
    if not text.isdecimal() or int(text) > witnesses:
        raise SettingsError(
            f"{ENVIRONMENT['witness_quorum']} must be a number from 0 to that of the witnesses,"
            f" {witnesses}"
        )
    return int(text)


def _audit_every(text: str, default_s: int) -> int:
    """Read hours, as a decimal number, into seconds; 0: never."""
    if not text:
        return default_s
    if not text.replace(".", "", 1).isdecimal():
        raise SettingsError(
            f"{ENVIRONMENT['audit_every_s']} must be a number of hours, such as 24 or 0.5"
        )
    return int(float(text) * HOUR_S)


def _kept_secret(path: Path) -> bytes:
    """Read the secret kept in this file, made on first use."""
    kept = kept_text(path, lambda: secrets.token_hex(32))
    if len(kept) < SECRET_MIN_CHARACTERS:
        raise SettingsError(f"{path} does not hold a secret; remove it to have a new one made")
    return kept.encode()


def kept_text(path: Path, make: Callable[[], str]) -> str:
    """Read the one line kept in this file, made on first use and readable by its owner alone.

    Written to a name of its own and linked into place, so that of several first processes all
    end with the same whole line.
    """
    if not path.exists():
        own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its line counts
            path.hardlink_to(own)
        own.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # what is made under this line is not to outlive its name
        finally:
            os.close(folder)
    return path.read_text().strip()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    """Make a key for one purpose out of the one secret, so that there is one thing to keep."""
    return hmac.new(secret, purpose, hashlib.sha256).hexdigest().encode()
