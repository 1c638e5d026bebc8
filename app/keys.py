"""The keys of the transparency log: what salts its commitments, what wraps persons' keys, what
signs its checkpoints.

Each is given as a setting, or kept in a file of the keys directory and made there on first use.
None is ever shown: a repr ends in logs. `docs/settings.md` says what to keep where,
`docs/erasure.md` why the master key does not belong beside the log.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from app.settings import ENVIRONMENT, KEY_BYTES, Settings, SettingsError, kept_text
from app.transparency.note import NoteError, SigningKey

LOG_SECRET_FILE: Final = "log_secret"  # noqa: S105 - the name of a file
MASTER_FILE: Final = "master"
SIGNING_FILE: Final = "signing"


class MissingKeyError(SettingsError):
    """A key is neither set nor kept, and was not to be made."""


class Keys(Struct, frozen=True):
    """`log_secret` (32 bytes) salts commitments, `master` (32 bytes) wraps persons' keys,
    `signing` signs checkpoints; its name is the log's origin.
    """

    log_secret: bytes
    master: bytes
    signing: SigningKey

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.signing.verifier.name

    def __repr__(self) -> str:
        """Show whose keys these are, and none of them."""
        return f"Keys(origin={self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for what prints prettily."""
        return [("origin", self.origin)]


def default_origin(settings: Settings) -> str:
    """The name of a log for which none was chosen: where it is served, without the scheme."""
    return settings.log_origin or f"{urlsplit(settings.public_url).netloc}/log"


def load_keys(settings: Settings, origin: str = "", *, make: bool = True) -> Keys:
    """Return all three keys, made where they are neither set nor kept.

    `origin` names a signing key that is made; one that is there has its own name already. Raises
    SettingsError for a key that cannot be read or whose name is not the one that was chosen, and
    MissingKeyError without `make`.
    """
    return Keys(
        load_log_secret(settings, make=make),
        load_master(settings, make=make),
        load_signing(settings, origin, make=make),
    )


def load_log_secret(settings: Settings, *, make: bool = True) -> bytes:
    """Return what salts the commitments; raises as `load_keys`."""
    return settings.log_secret or _kept_key(settings, LOG_SECRET_FILE, "log_secret", make=make)


def load_master(settings: Settings, *, make: bool = True) -> bytes:
    """Return what wraps persons' keys, 32 bytes; raises as `load_keys`."""
    return settings.master_key or _kept_key(settings, MASTER_FILE, "master_key", make=make)


def load_signing(settings: Settings, origin: str = "", *, make: bool = True) -> SigningKey:
    """Return what signs checkpoints; raises as `load_keys`."""
    name = origin or default_origin(settings)
    text = settings.signing_key or _kept(
        settings, SIGNING_FILE, "signing_key", lambda: SigningKey.generate(name).encode(), make=make
    )
    where = ENVIRONMENT["signing_key"] if settings.signing_key else settings.keys_dir / SIGNING_FILE
    try:
        key = SigningKey.parse(text)
    except NoteError:
        # The reason may repeat the key.
        raise SettingsError(f"{where} does not hold a signing key (PRIVATE+KEY+…)") from None
    chosen, has = settings.log_origin, key.verifier.name
    # A log that goes on from a shorter one has the old name with a number behind it.
    if chosen and has != chosen and not has.startswith(f"{chosen}/r"):
        raise SettingsError(
            f"{where} is the key of the log {has}, not of {chosen}: a log keeps its name; set"
            f" {ENVIRONMENT['log_origin']} to it, or give the right key"
        )
    if origin and has != origin:
        raise SettingsError(
            f"{where} is the key of the log {has}, and the stored log is {origin}: bring the right"
            " key back (after `accept-restore` that is the new one, on every machine)"
        )
    return key


def fingerprint(log_secret: bytes) -> bytes:
    """What tells that a log's secret is still the same, and nothing else of it (32 bytes)."""
    return hmac.digest(log_secret, b"tributary log secret fingerprint", hashlib.sha256)


def _kept_key(settings: Settings, name: str, setting: str, *, make: bool) -> bytes:
    text = _kept(settings, name, setting, lambda: secrets.token_hex(KEY_BYTES), make=make)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"{settings.keys_dir / name} does not hold a key of {KEY_BYTES} bytes in hex digits;"
            " put the right one back from a backup"
        )
    return key


def _kept(
    settings: Settings, name: str, setting: str, new: Callable[[], str], *, make: bool
) -> str:
    path = settings.keys_dir / name
    if make:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not path.is_file():
        raise MissingKeyError(f"there is no key {path}, and {ENVIRONMENT[setting]} is not set")
    return kept_text(path, new)
