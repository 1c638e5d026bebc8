"""How long an audit from outside takes, by processor time, and in how much memory.

    python -m bench.public_rate [--quick] [--json FILE] [--leaves N]

Campaigns with a pledge in each leaf, all of them opened, are written as a mirror. In the measured
path: everything that `tributary audit public DIR` does, in a process of its own. Not in it: the
network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.audit.public import Asked, PublicAuditor
from app.audit.public_source import Folder
from app.transparency.checkpoint import Checkpoint
from app.transparency.leaf import Leaf, Salts, commit
from app.transparency.merkle import MemoryTiles, leaf_hash, root_at
from app.transparency.note import SigningKey
from app.transparency.openings import (
    MOST_OPENINGS,
    Batch,
    Index,
    Listed,
    Live,
    LiveTotals,
    Opening,
    batch_path,
    claim_of,
    encode,
)
from app.transparency.public_part import Change, PublicPart, Totals
from app.transparency.tiles import TILE_WIDTH, bundle, tile_path, tiles_of, width_at
from bench.databases import directory
from bench.results import Result, arguments, publish

CAMPAIGNS: Final = 200
LEAVES: Final = 1_000_000
QUICK_LEAVES: Final = 20_000
MOST_SECONDS: Final = 10.0
KIB_PER_MB: Final = 1024


def write(folder: Path, leaves: int) -> None:
    """Publish a log of about so many leaves in a directory."""
    salts, made = Salts(os.urandom(32)), MemoryTiles()
    entries: list[bytes] = []
    listed, live = [], []
    for number in range(CAMPAIGNS):
        campaign = f"{number:08x}-0000-4000-8000-000000000000"
        totals, openings, batches = Totals(), [], 0
        count = leaves // CAMPAIGNS
        for version in range(1, count + 1):
            change = Change("pledged", 100 + version % 900, 1)
            part = PublicPart(campaign, "EUR", "2026-01-01", (change,))
            public, salt = part.encode(), salts.public(f"campaign:{campaign}", version)
            position = len(entries) + 1
            entries.append(Leaf(position, commit(salt, public), os.urandom(32)).encode())
            totals.add(part)
            openings.append(Opening(position, b64encode(salt).decode(), public.decode()))
            if len(openings) == MOST_OPENINGS or version == count:
                batches += 1
                after, claim = version - len(openings), claim_of(totals)
                batch = Batch(campaign, batches, after, position, "EUR", claim, openings)
                _put(folder / batch_path(campaign, batches), encode(batch))
                openings = []
        listed.append(Listed(campaign, batches, count, len(entries)))
        live.append(LiveTotals(campaign, "live", len(entries), "EUR", claim_of(totals)))
    size = len(entries)
    made.append([leaf_hash(entry) for entry in entries])
    for level, n, width in tiles_of(size):
        _put(folder / tile_path(level, n, width), made.tile(level, n, width))
    for n in range(-(-size // TILE_WIDTH)):
        some = entries[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
        _put(folder / tile_path("entries", n, width_at(0, n, size)), bundle(some))
    key = SigningKey.generate("bench.example/log")
    text = Checkpoint(key.verifier.name, size, root_at(made, size)).text
    _put(folder / "checkpoint", f"{text}\n{key.sign(text)}".encode())
    _put(folder / "key", key.verifier.encode().encode())
    _put(folder / "openings/index.json", encode(Index(size, listed)))
    _put(folder / "totals", encode(Live(size, live)))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def take(folder: Path) -> tuple[float, int]:
    """Audit it here; seconds of the processor, and memory at most in MB."""
    began = time.process_time()
    found = PublicAuditor(Folder(folder), Asked(), lambda _: lambda _done, _total: None).run()
    assert found.ok, found.findings
    assert found.unopened == 0
    return time.process_time() - began, _most_memory()


def _most_memory() -> int:
    """The most that this process had, in MB; what the system counts for it begins with its parent's
    own most.
    """
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) // KIB_PER_MB


def measure(leaves: int, runs: int) -> Iterator[Result]:
    """Write a log and audit it, each time in a new process."""
    with directory() as folder:
        write(folder, leaves)
        taken = []
        for _ in range(runs):
            line = [sys.executable, "-m", "bench.public_rate", "--take", str(folder)]
            done = subprocess.run(line, capture_output=True, text=True, check=True)
            seconds, memory = done.stdout.split()
            taken.append((float(seconds), float(memory)))
    what = f"audit from outside of {leaves:,} leaves, all opened"
    yield Result(
        name=f"{what}, processor time",
        unit="s",
        runs=tuple(seconds for seconds, _ in taken),
        target=MOST_SECONDS,
        at_most=True,
    )
    yield Result(name=f"{what}, memory", unit="MB", runs=tuple(memory for _, memory in taken))


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--leaves", type=int, default=LEAVES)
    parser.add_argument("--take", type=Path, metavar="DIR", help="audit this one, here")
    asked = parser.parse_args()
    if asked.take is not None:
        print(*take(asked.take))
        return
    leaves, runs = (QUICK_LEAVES, 1) if asked.quick else (asked.leaves, 3)
    publish(measure(leaves, runs), asked, "public_rate")


if __name__ == "__main__":
    main()
