"""Goes on with a transparency log whose event log was accepted shorter than it was.

What was signed for events that are lost can never be continued: whoever has such a checkpoint or a
receipt would be shown a fork. So the tree is cut to what is left and goes on under another name and
another key, as a log of its own; what the old key signed of the events that are left stays true.
Where it is certain that nothing that was signed is lost, the old identity goes on.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from app.keys import SIGNING_FILE, load_signing
from app.settings import ENVIRONMENT, Settings, SettingsError, kept_text
from app.transparency.merkle import MissingTileError
from app.transparency.note import SigningKey
from app.transparency.signing import FILE, ForkError, Signed, read_signed
from app.transparency.store import TransparencyStore, Tree, open_transparency

_NUMBERED: Final = re.compile(r"/r[0-9]+(-[0-9a-f]{8})?\Z")
"""What is put behind a log's name when it goes on: a number, and something random, as the same
backup may be restored twice, and two logs under one name are none.
"""


class NeedsSigningKeyError(SettingsError):
    """Another signing key is needed, and only the operator can bring it."""


Fate = Literal["half_done", "elsewhere", "unsigned", "continued", "new"]
"""What becomes of a tree's identity: a change of it that was interrupted is ended; another machine
has changed it already; it has signed nothing that could be lost; what it signed is all there; or it
ends here.
"""


class Accepting(Struct, frozen=True):
    """What is known when a log that ends at `last` is accepted.

    `signed_file` says what was signed last (`signed.json` of the machine that was lost). Without it
    the one in the keys directory counts, where it must know of everything: not for a restored
    backup, and not for a database, for which another machine may have signed.
    """

    last: int
    is_backup: bool
    signed_file: Path | None = None


def foretell(settings: Settings, accepting: Accepting) -> str:
    """What `go_on` would do, in a sentence; empty where there is no tree. Raises SettingsError."""
    return _with_tree(settings, accepting, act=False)


def go_on(settings: Settings, accepting: Accepting) -> str:
    """Make the tree fit the log; return what was done, empty where nothing. Several times does no
    harm. Raises NeedsSigningKeyError, and SettingsError for a file or key that cannot be read.
    """
    return _with_tree(settings, accepting, act=True)


def _with_tree(settings: Settings, accepting: Accepting, *, act: bool) -> str:
    if not settings.database_url and not settings.transparency_path.exists():
        return ""
    store = open_transparency(settings)
    try:
        tree = store.tree()
        if tree is None:
            return ""
        fate = _fate(settings, store, tree, accepting)
        return _act(settings, store, tree, accepting, fate) if act else _foretold(tree, fate)
    finally:
        store.close()


def _fate(settings: Settings, store: TransparencyStore, tree: Tree, accepting: Accepting) -> Fate:
    given = _given(accepting.signed_file) if accepting.signed_file is not None else None
    prepared = _prepared(settings)
    if prepared.exists() and _vkey(prepared) == tree.vkey:
        return "half_done"
    own = load_signing(settings, make=False).verifier.encode()
    if tree.number > 1 and own != tree.vkey and not settings.signing_key:
        return "elsewhere"
    if tree.size <= accepting.last:
        if tree.number > 1 and not accepting.is_backup and _never_signed(settings, store):
            return "unsigned"
        certain = not accepting.is_backup and not settings.database_url
        kept = given or (_kept(settings.keys_dir / FILE) if certain else None)
        if kept is not None and _is_continued(store, tree, kept, accepting.last):
            return "continued"
    return "new"


def _foretold(tree: Tree, fate: Fate) -> str:
    match fate:
        case "half_done" | "elsewhere":
            return f"The transparency log goes on as {tree.origin}, as was begun before."
        case "unsigned" | "continued":
            return f"The transparency log {tree.origin} will go on under its name."
        case "new":
            return (
                f"The transparency log {tree.origin} will END and go on under another name with a"
                " new key: it signed, or may have signed, events that are not in this log. Where"
                " you have signed.json of the machine that was lost, name it with --signed first."
            )


def _act(
    settings: Settings, store: TransparencyStore, tree: Tree, accepting: Accepting, fate: Fate
) -> str:
    match fate:
        case "half_done":
            _install(settings, tree, _prepared(settings))
            return _told(tree)
        case "elsewhere":
            return (
                f"The transparency log goes on as {tree.origin}, since this log was accepted on"
                f" another machine: copy {SIGNING_FILE} from the keys directory there to"
                f" {settings.keys_dir}, and remove {FILE} here."
            )
        case "unsigned":
            return f"The transparency log {tree.origin} goes on: it has signed nothing yet."
        case "continued":
            return f"The transparency log {tree.origin} goes on: nothing that it signed is lost."
        case "new":
            return _end(settings, store, tree, accepting.last)


def _end(settings: Settings, store: TransparencyStore, tree: Tree, last: int) -> str:
    """End an identity, and begin the next."""
    origin, size = _next(tree), min(tree.size, last)
    if settings.signing_key:
        key = load_signing(settings)
        if key.verifier.encode() == tree.vkey:
            raise NeedsSigningKeyError(
                f"The transparency log {tree.origin} signed events that are lost, so its key can"
                f" sign no more: set {ENVIRONMENT['signing_key']} to a new one (`tributary log key"
                f" --new {origin}` makes one) and run this again."
            )
        new = store.continue_as(size, key.verifier.name, key.verifier.encode())
        (settings.keys_dir / FILE).unlink(missing_ok=True)
        return _told(new)
    prepared = _prepared(settings)
    kept_text(prepared, lambda: SigningKey.generate(origin).encode())
    vkey = _vkey(prepared)
    new = store.continue_as(size, vkey.partition("+")[0], vkey)
    _install(settings, new, prepared)
    return _told(new)


def _next(tree: Tree) -> str:
    return f"{_NUMBERED.sub('', tree.origin)}/r{tree.number + 1}-{secrets.token_hex(4)}"


def _prepared(settings: Settings) -> Path:
    return settings.keys_dir / f"{SIGNING_FILE}.next"


def _never_signed(settings: Settings, store: TransparencyStore) -> bool:
    """Whether the present identity, begun by an earlier call, has nothing to lose."""
    return store.latest_signed() is None and not (settings.keys_dir / FILE).exists()


def _given(path: Path) -> Signed:
    """What a file says that somebody named. Raises SettingsError."""
    try:
        found = read_signed(path)
    except ForkError:
        found = None
    if found is None:
        raise SettingsError(f"{path} is no signed.json of a transparency log")
    return found


def _kept(path: Path) -> Signed | None:
    try:
        return read_signed(path)
    except ForkError:
        return None  # nobody knows what was signed


def _is_continued(store: TransparencyStore, tree: Tree, kept: Signed, last: int) -> bool:
    """Whether what was signed is a prefix of what is here; leaves that are missing of it are made
    anew and compared before anything is signed.
    """
    newest = store.latest_signed()
    most = max(kept.size, newest.size if newest is not None else 0)
    if kept.origin != tree.origin or most > last:
        return False
    try:
        return kept.size > tree.size or store.root_at(kept.size).hex() == kept.root
    except MissingTileError:
        return False


def _vkey(path: Path) -> str:
    return SigningKey.parse(path.read_text().strip()).verifier.encode()


def _install(settings: Settings, tree: Tree, prepared: Path) -> None:
    """Put the new key in the place of the old one, which is kept and signs no more."""
    folder = settings.keys_dir
    for name in (SIGNING_FILE, FILE):
        old = folder / name
        if old.exists():
            old.replace(folder / f"{name}.ended-{tree.number - 1}")
    prepared.replace(folder / SIGNING_FILE)


def _told(tree: Tree) -> str:
    return (
        f"The transparency log goes on under another name and key, as {tree.origin}: the old one"
        f" signed, or may have signed, events that are lost. What it signed of the first"
        f" {tree.size:,} events stays true; receipts for later ones lead nowhere. Give the new key"
        f" to whoever checks receipts, and to every witness: {tree.vkey}"
    )
