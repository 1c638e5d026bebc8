"""Goes on with a transparency log whose event log was accepted shorter than it was.

What was signed for events that are lost can never be continued: whoever has such a checkpoint or a
receipt would be shown a fork. So the tree is cut to what is left and goes on under another name and
another key, as a log of its own; what the old key signed of the events that are left stays true.
Where it is certain that nothing that was signed is lost, the old identity goes on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from app.keys import SIGNING_FILE, load_signing
from app.settings import ENVIRONMENT, Settings, SettingsError, kept_text
from app.transparency.merkle import MissingTileError
from app.transparency.note import SigningKey
from app.transparency.signing import FILE, ForkError, Signed, read_signed
from app.transparency.store import TransparencyStore, Tree, open_transparency

_NUMBERED: Final = re.compile(r"/r[0-9]+\Z")


class NeedsSigningKeyError(SettingsError):
    """Another signing key is needed, and only the operator can bring it."""


def go_on(settings: Settings, last: int, *, certain: bool, signed_file: Path | None = None) -> str:
    """Make the tree fit a log that ends at `last`; return what was done, empty where nothing.

    `signed_file` says what was signed last (`signed.json` of the machine that was lost); without it
    the one in the keys directory counts, if it is `certain` that it knows of everything. Several
    times does no harm. Raises NeedsSigningKeyError, and SettingsError for a file that is none.
    """
    if not settings.database_url and not settings.transparency_path.exists():
        return ""
    store = open_transparency(settings)
    try:
        tree = store.tree()
        return "" if tree is None else _go_on(settings, store, tree, last, certain, signed_file)
    finally:
        store.close()


def _go_on(
    settings: Settings,
    store: TransparencyStore,
    tree: Tree,
    last: int,
    certain: bool,  # noqa: FBT001 - the same
    signed_file: Path | None,
) -> str:
    prepared = settings.keys_dir / f"{SIGNING_FILE}.next"
    if prepared.exists() and _vkey(prepared) == tree.vkey:
        _install(settings, tree, prepared)  # the end came in the midst of it
        return _told(tree)
    kept: Signed | None = None
    if signed_file is not None:
        kept = _given(signed_file)
    elif certain:
        kept = _kept(settings.keys_dir / FILE)
    if certain and tree.number > 1 and tree.size <= last and _never_signed(settings, store):
        return f"The transparency log {tree.origin} goes on: it has signed nothing yet."
    if kept is not None and _is_continued(store, tree, kept, last):
        return f"The transparency log {tree.origin} goes on: nothing that it signed is lost."
    origin = f"{_NUMBERED.sub('', tree.origin)}/r{tree.number + 1}"
    if settings.signing_key:
        key = load_signing(settings)
        if key.verifier.encode() == tree.vkey:
            raise NeedsSigningKeyError(
                f"The transparency log {tree.origin} signed events that are lost, so its key can"
                f" sign no more: set {ENVIRONMENT['signing_key']} to a new one (`tributary log key"
                f" --new {origin}` makes one) and run this again."
            )
        new = store.continue_as(min(tree.size, last), key.verifier.name, key.verifier.encode())
        (settings.keys_dir / FILE).unlink(missing_ok=True)
        return _told(new)
    kept_text(prepared, lambda: SigningKey.generate(origin).encode())
    new = store.continue_as(min(tree.size, last), origin, _vkey(prepared))
    _install(settings, new, prepared)
    return _told(new)


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
    if kept.origin != tree.origin or most > last or tree.size > last:
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
