"""Try to cheat: forge a copy of the demo's log, let the audit look at it, throw the copy away.

    python -m app.demo.cheating DATA_DIR WAY plain|signed < what was kept outside, as JSON

The real files are opened for reading only. Standard output is the trial as JSON.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from app.audit.replay import replay
from app.audit.sources import LogPlace, open_for_reading
from app.audit.tampering import copy_log, differing, open_copy
from app.audit.tree_place import Outside, TreePlace, TreeStore, tree_of
from app.audit.verify import verify
from app.demo.forging import WAYS, CannotForgeError, Way, forge
from app.demo.resigning import sign_anew
from app.demo.trial import CANNOT, LONGEST_S, Found, Kept, OnCopy, Original, Trial
from app.keys import load_signing
from app.settings import Settings, load_settings
from app.transparency.tiles import TILE_WIDTH, unbundle

MOST_MEMORY: Final = 3 * 2**30
MOST_FINDINGS: Final = 12
"""So many findings are shown; all are counted."""

MOST_COPIES: Final = 8
BUNDLES_AT_ONCE: Final = 64


def cheat(settings: Settings, way: Way, kept: Kept, *, signed: bool) -> Trial:
    """Copy, forge, audit, throw away; then audit the original. Raises CannotForgeError."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tributary-cheat-") as folder:
        on_copy = _on_copy(settings, Path(folder), way, kept, signed=signed)
    original = _original(settings)
    return Trial(way, signed, kept, on_copy, original, time.perf_counter() - began)


def _on_copy(settings: Settings, folder: Path, way: Way, kept: Kept, *, signed: bool) -> OnCopy:
    own = msgspec.structs.replace(settings, data_dir=folder)
    place = _published_tree(settings, folder / "published.db", kept)
    _copy_books(settings, own)
    with closing(open_copy(own.log_path)) as copy, closing(_memory_of(copy)) as before:
        ((events,),) = copy.execute("SELECT count(*) FROM events")
        forgery = forge(copy, way, kept.size or events, careful=signed)
        touched = sum(1 for _ in differing(before, copy))
    first = forgery.edits[0].position
    if signed:
        published = place.store
        place = sign_anew(own.log_path, place, load_signing(settings, make=False), own)
        first = _first_differing(published, place.store, kept.size) or first
    found, effort = verify(own.log_path, own.test_bank_path, workers=1, tree=place)
    return OnCopy(
        forgery=forgery,
        events=events,
        touched=touched,
        first=first,
        kinds=effort.by_kind,
        findings=[
            Found(each.rule, each.position, each.sentence)
            for each in found.violations[:MOST_FINDINGS]
        ],
        left_out=found.left_out,
    )


def _copy_books(settings: Settings, own: Settings) -> None:
    """Copy the log and the bank's books as they are at one moment.

    Nobody stops for us: where the log moved on meanwhile, both are copied once more.
    """
    for _ in range(MOST_COPIES):
        copy_log(settings.log_path, own.log_path)
        if not settings.test_bank_path.is_file():
            return
        copy_log(settings.test_bank_path, own.test_bank_path)
        if _last(settings.log_path) == _last(own.log_path):
            return


def _last(log: Path) -> int:
    with closing(open_for_reading(log)) as connection:
        ((last,),) = connection.execute("SELECT coalesce(max(position), 0) FROM events")
        return int(last)


def _first_differing(published: LogPlace, made: LogPlace, size: int) -> int | None:
    """The first position whose leaf is not the published one, as anybody sees who kept those."""
    pairs = zip(_leaves(published, size), _leaves(made, size), strict=False)
    places = (position for position, (was, now) in enumerate(pairs, 1) if was != now)
    return next(places, None)


def _leaves(place: LogPlace, size: int) -> Iterator[bytes]:
    """The leaves of a tree in their order, up to so many."""
    with closing(TreeStore(place)) as store:
        for first in range(0, -(-size // TILE_WIDTH), BUNDLES_AT_ONCE):
            for _, bundle in sorted(store.bundles(first, first + BUNDLES_AT_ONCE).items()):
                yield from unbundle(bundle)


def _published_tree(settings: Settings, copy: Path, kept: Kept) -> TreePlace:
    """A copy of the tree, to be held against the log's copy and what was kept outside.

    Made before the log's: a tree is never ahead of its log.
    """
    outside = (Outside("The checkpoint kept outside", kept.note),) if kept.note else ()
    place = tree_of(settings, outside, (kept.key,) if kept.key else ())
    copy_log(settings.transparency_path, copy)
    return msgspec.structs.replace(place, store=copy, signed=None)


def _memory_of(copy: sqlite3.Connection) -> sqlite3.Connection:
    """The log as it is now, in memory, to be compared with."""
    memory = sqlite3.connect(":memory:")
    copy.backup(memory)
    return memory


def _original(settings: Settings) -> Original:
    """Audit the real books, as everybody may."""
    found, effort = verify(
        settings.log_path, settings.test_bank_path, workers=1, tree=tree_of(settings)
    )
    replayed, _ = replay(settings.log_path, settings.views_path, workers=1)
    return Original(
        position=effort.position,
        at=time.time_ns() // 1_000_000,
        clean=found.ok,
        identical=replayed.identical,
    )


def _bounded() -> None:
    """Give way to everything else, and never take more than a trial can need."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def main(arguments: list[str]) -> int:
    """Run one trial as told; return the exit code."""
    folder, wanted, flavour = arguments
    way = next(each for each in WAYS if each == wanted)
    kept = msgspec.json.decode(sys.stdin.buffer.read(), type=Kept)
    settings = load_settings(data_dir=Path(folder), demo=True, make=False)
    try:
        trial = cheat(settings, way, kept, signed=flavour == "signed")
    except CannotForgeError:
        return CANNOT
    sys.stdout.buffer.write(msgspec.json.encode(trial))
    return 0


if __name__ == "__main__":
    _bounded()
    sys.exit(main(sys.argv[1:]))
