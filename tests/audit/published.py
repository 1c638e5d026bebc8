"""What a log publishes, held in the hand, so that a test may cheat with it and publish that."""

from __future__ import annotations

import gzip
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from app.log import decode_row
from app.transparency.checkpoint import Checkpoint
from app.transparency.merkle import MemoryTiles, leaf_hash, root_at
from app.transparency.note import SigningKey
from app.transparency.openings import (
    NUMBERS,
    Batch,
    Claim,
    Index,
    Listed,
    Live,
    LiveTotals,
    Opening,
    batch_path,
    decode_batch,
    encode,
)
from app.transparency.tiles import TILE_WIDTH, bundle, tile_path, tiles_of, unbundle, width_at
from domain.events import CampaignLaunched
from domain.figures import Figures, apply
from tests.transparency.openings_stage import Opened

FIELDS = {"pledges": "pledges"} | {name: f"{name}_minor" for name in NUMBERS if name != "pledges"}


class Shown(Struct):
    """Leaves in order, batches by campaign, and what the pages show; `key` signs. `listed` is the
    list of batches where it is not the one that they make.
    """

    key: SigningKey
    leaves: list[bytes]
    batches: dict[str, list[Batch]]
    live: Live
    listed: Index | None = None

    def checkpoint(self, size: int | None = None, root: bytes | None = None) -> str:
        """A signed checkpoint, of the tree that the leaves make or of another."""
        size = len(self.leaves) if size is None else size
        if root is None:
            hashes = [leaf_hash(leaf) for leaf in self.leaves[:size]]
            root = root_at(MemoryTiles(hashes), size)
        text = Checkpoint(self.key.verifier.name, size, root).text
        return text + "\n" + self.key.sign(text)

    def write(self, folder: Path, checkpoint: str = "") -> Path:
        """Publish it in a directory, as a server of plain files would have it."""
        files: dict[str, bytes] = {
            "key": self.key.verifier.encode().encode() + b"\n",
            "checkpoint": (checkpoint or self.checkpoint()).encode(),
            "totals": encode(self.live),
            "openings/index.json": encode(self.listed or self.index),
        }
        size = len(self.leaves)
        tiles = MemoryTiles([leaf_hash(leaf) for leaf in self.leaves])
        for level, n, width in tiles_of(size):
            files[tile_path(level, n, width)] = tiles.tile(level, n, width)
        for n in range(-(-size // TILE_WIDTH)):
            width = width_at(0, n, size)
            entries = self.leaves[n * TILE_WIDTH : n * TILE_WIDTH + width]
            files[tile_path("entries", n, width)] = bundle(entries)
        for campaign, batches in self.batches.items():
            for number, batch in enumerate(batches, 1):
                files[batch_path(campaign, number)] = encode(batch)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    @property
    def index(self) -> Index:
        """The list of what is opened."""
        return Index(
            0,
            [
                Listed(
                    campaign,
                    len(batches),
                    batches[-1].after_version + len(batches[-1].openings),
                    batches[-1].up_to_position,
                )
                for campaign, batches in sorted(self.batches.items())
                if batches
            ],
        )

    # --- Cheating --------------------------------------------------------------------------------

    def change_batch(self, campaign: str, number: int, **changes: object) -> None:
        """Claim something else in a batch."""
        batches = self.batches[campaign]
        batches[number - 1] = replace(batches[number - 1], **changes)

    def change_claim(self, campaign: str, number: int, **numbers: int) -> None:
        """Claim other totals in a batch."""
        totals = replace(self.batches[campaign][number - 1].totals, **numbers)
        self.change_batch(campaign, number, totals=totals)

    def change_opening(self, campaign: str, number: int, place: int, was: str, now: str) -> int:
        """Let an opening show something else; return its position."""
        openings = [*self.batches[campaign][number - 1].openings]
        opening = openings[place]
        assert was in opening.public
        openings[place] = Opening(opening.position, opening.salt, opening.public.replace(was, now))
        self.change_batch(campaign, number, openings=openings)
        return opening.position

    def change_leaf(self, position: int) -> None:
        """Let a leaf commit to something else."""
        leaf = bytearray(self.leaves[position - 1])
        leaf[20] ^= 1
        self.leaves[position - 1] = bytes(leaf)

    def show(self, campaign: str, **numbers: int) -> None:
        """Let a page show other numbers."""
        self.live = Live(
            self.live.position,
            [
                replace(one, totals=replace(one.totals, **numbers))
                if one.campaign == campaign
                else one
                for one in self.live.campaigns
            ],
        )


def shown(world: Opened) -> Shown:
    """All that is published of a world."""
    world.sign()
    store = world.transparency.store
    published = store.latest_published()
    assert published is not None
    leaves: list[bytes] = []
    for n in range(-(-published.size // TILE_WIDTH)):
        leaves += unbundle(store.bundle(n, width_at(0, n, published.size)))
    index = world.openings.index(world.log.log_id)
    batches = {
        one.campaign: [
            decode_batch(gzip.decompress(world.openings.batch(one.campaign, number) or b""))
            for number in range(1, one.batches + 1)
        ]
        for one in index.campaigns
    }
    return Shown(world.transparency.keys.signing, leaves, batches, live_of(world))


def live_of(world: Opened) -> Live:
    """What the pages show, by the rules alone."""
    campaigns = []
    for stream, _ in world.log.heads():
        if not stream.startswith("campaign:"):
            continue
        figures, last, currency = Figures(), 0, ""
        for row in world.log.read_stream(stream):
            event = decode_row(row)
            apply(figures, event)
            last = row.position
            if isinstance(event, CampaignLaunched):
                currency = event.currency
        claim = Claim(**{name: getattr(figures, FIELDS[name]) for name in NUMBERS})
        campaign = stream.removeprefix("campaign:")
        campaigns.append(LiveTotals(campaign, "live", last, currency, claim))
    return Live(world.log.last()[0], campaigns)
