"""Where an export goes: a file that is there whole or not at all, or standard output."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from app.audit.reader import CannotAudit

STANDARD_OUTPUT: Final = "-"


def place_of(out: str, name: str, *, force: bool) -> Path | None:
    """The file that `out` means, `name` in it where it is a directory; None for standard output.

    Raises CannotAudit where there is one and `force` is not given.
    """
    if out == STANDARD_OUTPUT:
        return None
    place = Path(out)
    if place.is_dir():
        place /= name
    if place.exists() and not force:
        raise CannotAudit(f"There is a {place}: give --force to write over it.")
    return place


@contextmanager
def written(place: Path | None, *, seeks: bool) -> Iterator[BinaryIO]:
    """Something to write to. Where the block fails, nothing has become of the file.

    `seeks`: standard output will not do while it is written. Raises CannotAudit where the disk
    refuses.
    """
    if place is None:
        with _to_standard_output(seeks=seeks) as to:
            yield to
        return
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as to:
            yield to
            to.flush()
            os.fsync(to.fileno())
        part.replace(place)
    except OSError as fault:
        raise CannotAudit(f"{place} cannot be written: {fault}.") from fault
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _to_standard_output(*, seeks: bool) -> Iterator[BinaryIO]:
    if not seeks:
        yield sys.stdout.buffer
        return
    if sys.stdout.isatty():
        raise CannotAudit("This is not for a terminal to show: give --out FILE.")
    with tempfile.TemporaryFile(prefix="tributary-export-") as whole:
        yield whole
        whole.seek(0)
        shutil.copyfileobj(whole, sys.stdout.buffer)
