"""A mirror: a directory that keeps what a log published, and every checkpoint that was seen.

What never changes is asked for once. What was just read lies aside until it was found to go on from
what is kept; so a log that turns out to be another one changes nothing in its mirror, and what it
showed is kept apart, as evidence.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from app.audit.public_source import INDEX, INDEX_FILE, CannotReadError, Folder, Source
from app.audit.public_source import never_changes as is_final

PAST: Final = "checkpoints"
"""The directory of all checkpoints that were seen, named by their sizes."""

REFUSED: Final = "refused"
_FRESH: Final = ".fresh"
_MARK: Final = 8
_HALF: Final = ".part"
"""How the name of a file ends that is being written."""


class Mirror:
    """Reads from a source by way of a directory. `fresh` asks for everything again."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.name = source.name
        self.fresh = False
        self._source = source
        self.kept = Folder(folder)
        self._folder = folder
        self._aside = folder / _FRESH
        try:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside.mkdir(parents=True)
        except OSError as fault:
            raise CannotReadError(f"{folder} cannot be written: {fault.strerror}.") from fault

    # --- As a source -----------------------------------------------------------------------------

    @property
    def site(self) -> str:
        """The platform's address, as the source knows it."""
        return self._source.site

    def read(self, path: str) -> bytes | None:
        """What is there, or None where there is nothing. Raises CannotReadError."""
        (data,) = self.read_all([path])
        return data

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The same for many paths, in order. What is kept and final is not asked for."""
        held: list[tuple[str, bytes | None]] = []
        asked: list[str] = []
        for path in paths:
            data = self.kept.read(path) if is_final(path) and not self.fresh else None
            held.append((path, data))
            if data is None:
                asked.append(path)
            if len(held) == _TOGETHER:
                yield from self._given(held, asked)
                held, asked = [], []
        yield from self._given(held, asked)

    def _given(
        self, held: list[tuple[str, bytes | None]], asked: list[str]
    ) -> Iterator[bytes | None]:
        answers = self._source.read_all(asked)
        for path, kept in held:
            data = kept
            if data is None:
                data = next(answers)
                if data is not None:
                    _write(self._aside / (INDEX_FILE if path == INDEX else path), data)
            yield data

    def close(self) -> None:
        """Close the source; what was not accepted is gone."""
        shutil.rmtree(self._aside, ignore_errors=True)
        self._source.close()

    # --- Keeping ---------------------------------------------------------------------------------

    def keep_checkpoint(self, note: str, size: int) -> None:
        """Keep a checkpoint that the log signed, whatever it is found to be: it is the evidence."""
        folder = self._folder / PAST
        data = note.encode()
        for name in (f"{size:012d}", f"{size:012d}-{hashlib.sha256(data).hexdigest()[:_MARK]}"):
            file = folder / name
            if not file.exists():
                _write(file, data)
                return
            if _text_of(file.read_bytes()) == _text_of(data):
                return

    def accept(self) -> None:
        """Keep what was read: it goes on from what is kept."""
        checkpoint = self._aside / "checkpoint"
        for file in [path for path in self._aside.rglob("*") if path.is_file()]:
            if file != checkpoint:  # last: it says that all it covers is there
                self._move(file)
        if checkpoint.exists():
            self._move(checkpoint)

    def _move(self, file: Path) -> None:
        target = self._folder / file.relative_to(self._aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.name.endswith(".p"):  # of a tile that grows one width is enough
            for older in target.parent.iterdir():
                older.unlink()
        else:
            shutil.rmtree(target.with_name(target.name + ".p"), ignore_errors=True)
        file.replace(target)

    def refuse(self, size: int | None) -> Path | None:
        """Put what was read where it changes nothing; return where. Without a size it came with no
        checkpoint of the log.
        """
        if not any(path.is_file() for path in self._aside.rglob("*")):
            return None
        folder = self._folder / REFUSED
        folder.mkdir(exist_ok=True)
        name = "unsigned" if size is None else f"{size:012d}"
        number = 1
        while (target := folder / f"{name}-{number}").exists():
            number += 1
        self._aside.rename(target)
        return target


_TOGETHER: Final = 64


def past_checkpoints(folder: Path) -> list[tuple[str, str]]:
    """Name and text of every checkpoint that a mirror keeps, the smallest tree first."""
    kept = folder / PAST
    if not kept.is_dir():
        return []
    files = sorted(path for path in kept.iterdir() if path.is_file() and path.suffix != _HALF)
    return [(file.name, file.read_bytes().decode(errors="replace")) for file in files]


def _text_of(note: bytes) -> bytes:
    """What is signed; more witnesses may sign the same later."""
    return note.rpartition(b"\n\n")[0]


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(file.name + _HALF)
        partial.write_bytes(data)
        partial.replace(file)
    except OSError as fault:
        raise CannotReadError(f"{file} cannot be written: {fault.strerror}.") from fault
