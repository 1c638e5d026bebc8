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
from app.transparency.note import SigningKey
from app.transparency.store import SignedCheckpoint, TransparencyStore

FILE: Final = "signed.json"

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
            f"{path} cannot be read, so that nobody knows what was signed last: {fault}. {RESTORE}"
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


def require_continued(
    store: TransparencyStore, path: Path, origin: str, last: int
) -> tuple[Signed | None, SignedCheckpoint | None] | None:
    """Compare what was signed, by the file and by the database, with the tree of a log that ends at
    `last`. Return both; None where the tree has yet to be made so far. Raises ForkError.
    """
    kept, known, size = read_signed(path), store.latest_signed(), store.size
    if kept is not None and kept.origin != origin:
        raise ForkError(
            f"{path} is of the transparency log {kept.origin}, not of {origin}: these are not the"
            " keys of this log, or the file was put here from elsewhere."
        )
    said = [(kept.size, kept.root, str(path))] if kept is not None else []
    if known is not None:
        said.append((known.size, known.root.hex(), "the database"))
    for wanted, root, where in said:
        if wanted > last:
            raise ForkError(
                f"A checkpoint of {wanted:,} events was signed ({where}), and the log ends at"
                f" position {last:,}: events that others have proof of are not in it. {RESTORE}"
            )
        if wanted > size:
            return None
        try:
            same = store.root_at(wanted).hex() == root
        except MissingTileError as fault:
            raise ForkError(f"The transparency tree is not whole: {fault}. {RESTORE}") from fault
        if not same:
            raise ForkError(
                f"A checkpoint of {wanted:,} events was signed ({where}), and the first"
                f" {wanted:,} events of the tree are others: signing on would be a fork. {RESTORE}"
            )
    return kept, known


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
        self._checked = False
        self._signed = -1
        self.fault = ""
        self.trouble = ""

    def check(self) -> bool:
        """Whether what was signed is a prefix of the tree; False where the tree has yet to be made
        so far. Keeps what was signed and not stored before the end came. Raises ForkError.
        """
        found = require_continued(self._store, self._path, self._key.verifier.name, self._last())
        if found is None:
            return False
        kept, known = found
        self._signed = max(kept.size if kept else -1, known.size if known else -1)
        if kept is not None and (known is None or known.size < kept.size):
            self._keep(kept.size, bytes.fromhex(kept.root), kept.at)
        elif known is not None and self._publish_at_once and not known.published:
            self._store.publish(known.size, known.note)
            self._told()
        self._checked = True
        return True

    def step(self) -> SignedCheckpoint | None:
        """Sign the tree as it is stored, if it has grown; return the checkpoint.

        Raises ForkError.
        """
        if not self._checked and not self.check():
            return None
        size = self._store.size
        if size <= self._signed:
            if size < self._signed:
                self._checked = False
            return None
        root, at = self._store.root_at(size), self._clock()
        write_signed(self._path, Signed(self._key.verifier.name, size, root.hex(), at))
        self._signed = size
        return self._keep(size, root, at)

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
                if not self._may_sign():
                    self._checked = False
                else:
                    self.step()
                    self.trouble = ""
            except ForkError as fault:
                self.fault = str(fault)
                _logger.critical("no checkpoint is signed: %s", fault)
                return
            except Exception as fault:
                self._checked = False
                self.trouble = f"{type(fault).__name__}: {fault}"
                _logger.exception("a checkpoint could not be signed; it is tried again")
            stop.wait(max(0.0, began + EVERY_S - time.monotonic()))
            grown(EVERY_S)
