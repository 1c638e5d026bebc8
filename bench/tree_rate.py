"""What the transparency log costs: CPU time an event, and proofs and past roots of a large tree.

    python -m bench.tree_rate [--quick] [--json FILE] [--leaves N]

Pledges of 1,000 campaigns, each of a backer of its own whose key lies in the people store, are
followed as they come at 38,000 a second, by parts: reading and decoding (shared with the other
followers), whom each event is about and by which key, making the leaves, hashing the tree, writing
it. Then a tree of many leaves is made, and proofs and past roots are taken from it at random, with
no tile in memory at first.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from app.settings import load_settings
from app.transparency.edge import edge_of, grown
from app.transparency.follower import BATCH
from app.transparency.leaf import LEAF_BYTES
from app.transparency.looking_up import Backers, Subjects
from app.transparency.making import LeafMaker
from app.transparency.merkle import consistency_proof, inclusion_proof
from app.transparency.store import TransparencyStore, open_transparency
from app.transparency.tiles import TILE_WIDTH
from app.wiring import Platform, open_platform
from bench.campaigns import new_id, open_campaigns, pledges, require_done
from bench.databases import directory
from bench.results import RUNS, Result, arguments, publish
from domain.commands import MakePledge

RATE: Final = 38_000
CAMPAIGNS: Final = 1_000
AT_ONCE: Final = 5_000
MOST_US: Final = 10.0
MOST_PROOF_MS: Final = 2.0
PROOFS: Final = 1_000


async def make_pledges(platform: Platform, campaigns: list[str], count: int) -> None:
    """Let so many backers pledge, all of whom we know."""
    while count > 0:
        some = min(count, AT_ONCE)
        backers = await platform.stores.people.mint_backers(some, at=platform.clock())
        commands = []
        for command, backer in zip(pledges(campaigns, some), backers, strict=True):
            assert isinstance(command, MakePledge), "pledges are made of these"
            commands.append(msgspec.structs.replace(command, backer=backer, by=f"backer:{backer}"))
        require_done(platform.engine.submit_many(commands))
        count -= some


class Parts:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.used: dict[str, float] = {}
        self._began = 0.0

    def begin(self) -> None:
        """From now on."""
        self._began = time.process_time()

    def took(self, part: str) -> None:
        """What was used since belongs to this part."""
        now = time.process_time()
        self.used[part] = self.used.get(part, 0.0) + now - self._began
        self._began = now


async def follow(folder: Path, seconds: int) -> dict[str, float]:
    """Follow so many seconds' pledges; return the µs of CPU an event by part."""
    settings = load_settings({}, data_dir=folder)
    parts, events = Parts(), 0
    async with open_platform(settings) as platform:
        campaigns = open_campaigns(platform.engine, CAMPAIGNS)
        platform.follower.catch_up()
        tree = platform.transparency
        tree.catch_up()
        store, tail = tree.store, platform._tail  # noqa: SLF001 - what followers share
        maker = LeafMaker(tree.keys.log_secret)
        party_keys = platform.party_keys
        subjects = Subjects(Backers(platform.views, platform.log.log_id), party_keys)
        size = store.size
        edge = edge_of(store, store.bundle(*divmod(size, TILE_WIDTH)), b"", size)
        for _ in range(seconds):
            await make_pledges(platform, campaigns, RATE)
            while True:
                parts.begin()
                reading = tail.after(size, BATCH)
                parts.took("reading, shared with others")
                if not reading.events:
                    break
                parties = subjects.parties(reading.events, size)
                parts.took("whom it is about")
                keys = subjects.keys(parties)
                parts.took("their keys")
                leaves = maker.leaves(reading, parties, keys, {})
                parts.took("leaves")
                grown(edge, leaves)
                parts.took("tree (hashed a second time here)")
                size = store.append(size, leaves)
                edge = edge_of(store, store.bundle(*divmod(size, TILE_WIDTH)), b"", size)
                parts.begin()
                events += len(leaves)
        size = store.size
        tree.catch_up()  # it finds that the tree was grown beside it
        for _ in range(seconds):
            await make_pledges(platform, campaigns, RATE)
            platform.follower.catch_up()  # reads and decodes for all
            parts.begin()
            tree.catch_up()
            parts.took("all of the tree's own")
    return {part: used / events * 1e6 for part, used in parts.used.items()}


def _each_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(PROOFS):
        work()
    return (time.perf_counter() - began) / PROOFS * 1e3


def large_tree(folder: Path, leaves: int) -> TransparencyStore:
    """A tree of so many leaves, each another."""
    store = open_transparency(load_settings({}, data_dir=folder))
    store.begin(new_id(), "example.org/log", "example.org/log+00000000+", b"")
    for start in range(0, leaves, BATCH):
        some = range(start, min(start + BATCH, leaves))
        store.append(start, [index.to_bytes(LEAF_BYTES) for index in some])
    return store


def proofs(folder: Path, leaves: int) -> Iterator[Result]:
    """Proofs and past roots, at random places."""
    large_tree(folder, leaves).close()
    chance = random.Random(leaves)
    works: dict[str, Callable[[TransparencyStore], object]] = {
        "inclusion proof": lambda tiles: inclusion_proof(tiles, chance.randrange(leaves), leaves),
        "consistency proof": lambda tiles: consistency_proof(
            tiles, chance.randrange(1, leaves), leaves
        ),
        "root at a past size": lambda tiles: tiles.root_at(chance.randrange(1, leaves)),
    }
    settings = load_settings({}, data_dir=folder)
    for name, work in works.items():
        store = open_transparency(settings)
        took = tuple(_each_ms(partial(work, store)) for _ in range(RUNS))
        store.close()
        yield Result(
            name=f"{name}, {leaves:,} leaves",
            unit="ms",
            runs=took,
            target=MOST_PROOF_MS,
            at_most=True,
        )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure the follower, then proofs."""
    leaves, runs, seconds = (50_000, 1, 1) if asked.quick else (asked.leaves, RUNS, 2)
    found = []
    for _ in range(runs):
        with directory() as folder:
            found.append(asyncio.run(follow(folder, seconds)))
    for part in found[0]:
        whole = part.startswith("all")
        yield Result(
            name=part,
            unit="µs of CPU an event",
            runs=tuple(each[part] for each in found),
            target=MOST_US if whole else None,
            at_most=True,
        )
    with directory() as folder:
        yield from proofs(folder, leaves)


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    asked = parser.parse_args()
    publish(measure(asked), asked, "tree_rate")


if __name__ == "__main__":
    main()
