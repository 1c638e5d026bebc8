"""Signs checkpoints of the tree, and never two that contradict each other.

What was signed last is kept in `signed.json` in the keys directory too, outside the database, so
that a database that was restored from a backup or rewound is noticed before a fork is signed. The
order is what makes it safe: leaves are durable in the tree → `signed.json` is durable → the
checkpoint is stored and shown. So the file may be ahead of the checkpoints, never of the tree, and
after a crash anywhere it goes on from there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.transparency.checkpoint import Checkpoint
from app.transparency.merkle import MissingTileError
from app.transparency.note import SigningKey, VerifierKey
from app.transparency.store import MOVED_ON, SignedCheckpoint, TransparencyStore

FILE: Final = "signed.json"

NOTHING: Final = -1
"""The size that nothing was signed of."""

EVERY_S: Final = 1.0
"""A checkpoint is signed at most this often; while events arrive, at least every two seconds."""

RESTORE: Final = (
    "Bring the newest copies of the log and of transparency.db; or, if the lost events are lost for"
    " good, run `tributary accept-restore`, which begins a new log identity (docs/operations.md)."
)

_logger = logging.getLogger(__name__)


class ForkError(Exception):
    """What was signed cannot be continued from what is stored; the message says what to do."""


class Signed(Struct, frozen=True, forbid_unknown_fields=True):
    """What was signed last: of which log, how many leaves, which root (hex), when (ms UTC)."""

    origin: str
    size: int
    root: str
    at: int


def read_signed(path: Path) -> Signed | None:
    """What was signed last; None where nothing was. Raises ForkError for a file that is no note."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Signed)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise ForkError(
            f"{path.name} in the keys directory cannot be read, so that nobody knows what was"
            f" signed last: {fault}. {RESTORE}"
        ) from fault


def write_signed(path: Path, signed: Signed) -> None:
    """Keep it durably, in one step."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(signed) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Continued(Struct, frozen=True):
    """A tree that goes on from all that was signed, by the file (`kept`) and the database
    (`known`): how many leaves it has, and their root.
    """

    kept: Signed | None
    known: SignedCheckpoint | None
    size: int
    root: bytes

    @property
    def signed(self) -> int:
        """The most leaves that were ever signed; NOTHING where none were."""
        kept = NOTHING if self.kept is None else self.kept.size
        return max(kept, NOTHING if self.known is None else self.known.size)


def require_continued(
    store: TransparencyStore, path: Path, key: VerifierKey, last: Callable[[], int]
) -> Continued | None:
    """Compare what was signed with one moment of the tree of a log that ends at `last()`.

    None where the tree has yet to be made so far. Raises ForkError.
    """
    kept = read_signed(path)
    if kept is not None and kept.origin != key.name:
        raise ForkError(
            f"{path.name} in the keys directory is of the transparency log {kept.origin}, not of"
            f" {key.name}: these are not the keys of this log, or the file was put here from"
            " elsewhere."
        )
    with store.snapshot() as tree:
        if tree.vkey != key.encode():
            raise ForkError(MOVED_ON)
        said = [(kept.size, kept.root, path.name)] if kept is not None else []
        if tree.signed is not None:
            said.append((tree.signed.size, tree.signed.root.hex(), "the database"))
        for wanted, root, where in said:
            if wanted > tree.size:
                _require_longer(wanted, where, last())
                return None
            try:
                same = tree.root_at(wanted).hex() == root
            except MissingTileError as fault:
                raise ForkError(
                    f"The transparency tree is not whole: {fault}. {RESTORE}"
                ) from fault
            if not same:
                raise ForkError(
                    f"A checkpoint of {wanted:,} events was signed ({where}), and the first"
                    f" {wanted:,} events of the tree are others: signing on would be a fork."
                    f" {RESTORE}"
                )
        return Continued(kept, tree.signed, tree.size, tree.root_at(tree.size))


def _require_longer(wanted: int, where: str, last: int) -> None:
    if wanted > last:
        raise ForkError(
            f"A checkpoint of {wanted:,} events was signed ({where}), and the log ends at"
            f" position {last:,}: events that others have proof of are not in it. {RESTORE}"
        )


class Signer:
    """Signs the tree of one log. One thread steps.

    `last` says how far the log goes. With `publish_at_once` what is signed is published; else
    somebody asks the witnesses first.
    """

    def __init__(
        self,
        store: TransparencyStore,
        key: SigningKey,
        keys_dir: Path,
        *,
        clock: Callable[[], int],
        last: Callable[[], int],
        may_sign: Callable[[], bool],
        told: Callable[[], None],
        publish_at_once: bool,
    ) -> None:
        self._store = store
        self._key = key
        self._path = keys_dir / FILE
        self._clock = clock
        self._last = last
        self._may_sign = may_sign
        self._told = told
        self._publish_at_once = publish_at_once
        self._signed = self._noted = NOTHING
        self.fault = ""
        self.trouble = ""

    def step(self) -> SignedCheckpoint | None:
        """Sign the tree as it is stored, if it has grown; return the checkpoint.

        Before each signature all that was signed, here or on another machine, is compared with the
        very moment of the tree that is signed: a database may be exchanged for an older one while
        this runs. What was signed and not stored before the end came is stored. Raises ForkError.
        """
        if self._store.size == self._signed:
            return None
        found = self._continued()
        if found is None:
            return None
        kept, known = found.kept, found.known
        if kept is not None and (known is None or known.size < kept.size):
            self._keep(kept.size, bytes.fromhex(kept.root), kept.at)
        elif known is not None and self._publish_at_once and not known.published:
            self._store.publish(known.size, known.note)
            self._told()
        if found.size == found.signed:
            self._note(found)
            self._signed = found.size
            return None
        signed = Signed(self._key.verifier.name, found.size, found.root.hex(), self._clock())
        write_signed(self._path, signed)
        self._signed = found.size
        return self._keep(found.size, found.root, signed.at)

    def stand_by(self) -> None:
        """Note what another machine signed, so that this one knows it when its turn comes.

        Raises ForkError.
        """
        known = self._store.latest_signed()
        if known is not None and known.size != self._noted:
            found = self._continued()
            if found is not None:
                self._note(found)
                self._noted = known.size
        self._signed = NOTHING

    def _continued(self) -> Continued | None:
        return require_continued(self._store, self._path, self._key.verifier, self._last)

    def _note(self, found: Continued) -> None:
        """Keep outside the database what it says was signed, where that is more."""
        kept, known = found.kept, found.known
        if known is not None and (kept is None or kept.size < known.size):
            origin = self._key.verifier.name
            write_signed(self._path, Signed(origin, known.size, known.root.hex(), known.at))

    def _keep(self, size: int, root: bytes, at: int) -> SignedCheckpoint:
        signed = self.sign(size, root, at)
        self._store.add_checkpoint(signed)
        self._told()
        return signed

    def sign(self, size: int, root: bytes, at: int) -> SignedCheckpoint:
        """The signed checkpoint of a size and root."""
        text = Checkpoint(self._key.verifier.name, size, root).text
        note = f"{text}\n{self._key.sign(text)}"
        return SignedCheckpoint(size, root, at, note, note if self._publish_at_once else "")

    def run(self, stop: threading.Event, grown: Callable[[float], None]) -> None:
        """Sign until told to stop, or until a fork; what a thread runs.

        `grown(timeout)` waits until the tree may have grown.
        """
        while not stop.is_set():
            began = time.monotonic()
            try:
                if self._may_sign():
                    self.step()
                else:
                    self.stand_by()
                self.trouble = ""
            except ForkError as fault:
                self.fault = str(fault)
                _logger.critical("no checkpoint is signed: %s", fault)
                return
            except Exception as fault:
                self._signed = self._noted = NOTHING
                self.trouble = f"a checkpoint could not be signed: {type(fault).__name__}"
                _logger.exception("a checkpoint could not be signed; it is tried again")
            stop.wait(max(0.0, began + EVERY_S - time.monotonic()))
            grown(EVERY_S)
