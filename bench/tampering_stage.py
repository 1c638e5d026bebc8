"""The log that is tampered with, and the forger who has its keys."""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.audit import tampering
from app.audit.tree_place import Outside, TreePlace, keys_of
from app.keys import load_keys
from app.settings import Settings
from app.transparency.checkpoint import Checkpoint
from app.transparency.edge import ENTRY_BYTES, Edge, grown
from app.transparency.leaf import COMMITMENT_BYTES, Salts
from app.transparency.making import leaf_of
from app.transparency.merkle import MemoryTiles, leaf_hash, root_at
from app.transparency.note import Note, SigningKey, parse_signature_line
from app.transparency.public_part import public_part
from app.transparency.signing import Signed, write_signed
from app.transparency.store import SignedCheckpoint
from app.transparency.subjects import subject_of
from app.transparency.tiles import HASH_BYTES, TILE_WIDTH
from domain import commands as c
from domain import events as e
from domain.codec import decode
from domain.events import AnyEvent
from domain.subject import SUBJECT
from tests.audit.tree_world import TreeWorld
from tests.audit.world import new_id

CURRENCY: Final = "BRL"
UNCOVERED: Final = 3
"""So many of the last checkpoints nobody else keeps."""

LIVES: Final = 6
"""How often campaigns' whole lives are lived: some fifty events each."""

_LEVEL_BITS: Final = 48


class Stage(Struct, frozen=True):
    """A log and its tree, and what is known of them: how many `events`, positions by campaign,
    those of erased persons' `events`, those among them that came between seal and erasure, so that
    nothing holds them (`unsealed`), the last `covered` position.
    """

    settings: Settings
    log: Path
    tree: Path
    signed: Path
    outside: tuple[str, ...]
    vkey: str
    events: int
    covered: int
    streams: list[list[int]]
    erased: list[int]
    unsealed: list[int]
    checkpoints: list[tuple[int, int]]

    def place(self, tree: Path, signed: Path) -> TreePlace:
        """A copy of the tree with all keys, and the checkpoints that others keep."""
        keys = load_keys(self.settings, make=False)
        return TreePlace(
            store=tree,
            people=self.settings.people_path,
            log_secret=keys.log_secret,
            master=keys.master,
            signed=signed,
            outside=tuple(
                Outside(f"a witness's checkpoint {number}", note)
                for number, note in enumerate(self.outside, 1)
            ),
            keys=(self.vkey,),
        )

    def new_id(self, chance: random.Random) -> str:
        """A random id."""
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    def public(self, event: AnyEvent) -> bytes:
        """An event's public part, with its place."""
        return event.stream.encode() + b"%d" % event.version + public_part(event, CURRENCY).encode()


def make_stage(folder: Path, lives: int = LIVES) -> Stage:
    """Live campaigns' lives, and copy what came of it."""
    home = folder / "home"
    home.mkdir()
    world = TreeWorld(home)
    try:
        for _ in range(lives):
            _live(world)
        for _ in range(UNCOVERED):
            world.pledge(world.launch(), 4_000)
            world.grow()
        paths = folder / "log.db", folder / "tree.db"
        for source, target in zip(
            (world.settings.log_path, world.settings.transparency_path), paths, strict=True
        ):
            tampering.copy_log(source, target)
        outside = tuple(world.outside[:-UNCOVERED])
        rows = world.log.read(0, 100_000)
        events = [decode(row.tag, row.body) for row in rows]
        erased, unsealed = _erased(world, events)
        checkpoints = [(each.size, each.at) for each in world.tree.checkpoints()]
        return Stage(
            settings=world.settings,
            log=paths[0],
            tree=paths[1],
            signed=world.settings.keys_dir / "signed.json",
            outside=outside,
            vkey=world.vkey,
            events=len(rows),
            covered=checkpoints[-UNCOVERED - 1][0],
            streams=_streams(events),
            erased=erased,
            unsealed=unsealed,
            checkpoints=checkpoints,
        )
    finally:
        world.close()


def _live(world: TreeWorld) -> None:
    """One campaign that fails, one that pays out, one that is cancelled; somebody is erased, and
    somebody else whose pledge still stands then.
    """
    world.lives()
    third = world.launch()
    for amount_minor in (2_000, 3_000):
        world.pledge(third, amount_minor)
        world.grow()
    erased = world.backer()
    pledge_id = new_id()
    world.pledge(third, 9_000, backer=erased, pledge_id=pledge_id)
    world.grow()
    world.erase(erased)
    world.do(c.RevisePledge, third, f"backer:{erased}", pledge_id=pledge_id, amount_minor=9_500)
    world.grow()
    world.do(c.CancelCampaign, third, cause="creator_wish")
    world.grow()


def _streams(events: list[AnyEvent]) -> list[list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for position, event in enumerate(events, 1):
        found[event.stream].append(position)
    return [places for places in found.values() if len(places) > 1]


def _erased(world: TreeWorld, events: list[AnyEvent]) -> tuple[list[int], list[int]]:
    """Where the events about persons are who were erased later, and which of them nothing holds:
    what came between the making of the seal and the recording of the erasure.
    """
    parties = _parties(events)
    known = _known_keys(world.place(), parties)
    gone = {party for party, key in known.items() if key is None}
    places = [(position, party) for position, party in enumerate(parties, 1) if party in gone]
    held = {
        event.stream.removeprefix(SUBJECT): (event.sealed_to, position)
        for position, event in enumerate(events, 1)
        if isinstance(event, e.SubjectErased)
    }
    before, between = [], []
    for position, party in places:
        sealed_to, erased_at = held[str(party)]
        if position < erased_at:
            before.append(position)
            if position > sealed_to:
                between.append(position)
    return before, between


def _known_keys(place: TreePlace, parties: list[str | None]) -> dict[str, bytes | None]:
    persons = keys_of(place)
    assert persons is not None, "there are people"
    with closing(persons):
        return persons.of({party for party in parties if party})


def _parties(events: list[AnyEvent]) -> list[str | None]:
    """Whom each event is about."""
    backers: dict[tuple[str, int], str] = {}
    found: list[str | None] = []
    for event in events:
        if isinstance(event, e.PledgeMade):
            backers.setdefault((event.stream, event.no), event.backer)
        subject = subject_of(event)
        if isinstance(subject, int):
            subject = backers.get((event.stream, subject))
        found.append(subject)
    return found


def _careless(path: Path) -> sqlite3.Connection:
    """Open a copy that need not outlive a crash."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    return connection


class Forger:
    """Somebody with every key of the log: changes the copy of the tree, or makes it anew."""

    def __init__(self, stage: Stage, log: Path, tree: Path, signed: Path) -> None:
        self._stage = stage
        self._log = log
        self._tree = tree
        self._signed = signed

    # --- One bit ---------------------------------------------------------------------------------

    def flip_leaf(self, chance: random.Random) -> int:
        """Flip a bit of a stored leaf; return its position."""
        position = chance.randint(1, self._stage.events)
        n, at = divmod(position - 1, TILE_WIDTH)
        start = at * ENTRY_BYTES * 8
        self._flip("bundles", "n", "entries", n, start + chance.randrange(ENTRY_BYTES * 8))
        return position

    def flip_tile(self, chance: random.Random) -> int:
        """Flip a bit of a tile; return the first position that its hash stands for."""
        levels = [0, 0, 0, 1] if self._stage.events >= TILE_WIDTH else [0]
        level = chance.choice(levels)
        place = chance.randrange(self._stage.events >> (8 * level))
        n, at = divmod(place, TILE_WIDTH)
        bit = at * HASH_BYTES * 8 + chance.randrange(HASH_BYTES * 8)
        self._flip("tiles", "place", "hashes", (level << _LEVEL_BITS) + n, bit)
        return (place << (8 * level)) + 1

    def flip_checkpoint(self, chance: random.Random) -> int:
        """Flip a bit of a stored checkpoint's root or note; return its size."""
        size, _ = chance.choice(self._stage.checkpoints)
        column = chance.choice(("root", "note", "published"))
        with closing(_careless(self._tree)) as tree:
            statement = f"SELECT {column} FROM checkpoints WHERE size = ?"  # noqa: S608 - ours
            (was,) = tree.execute(statement, (size,)).fetchone()
            data = bytearray(was if isinstance(was, bytes) else was.encode())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            value = f"x'{data.hex()}'"
            if column != "root":
                value = f"CAST({value} AS TEXT)"
            tree.execute(f"UPDATE checkpoints SET {column} = {value} WHERE size = ?", (size,))  # noqa: S608
        return size

    def _flip(self, table: str, key: str, column: str, row: int, bit: int) -> None:
        with closing(_careless(self._tree)) as tree:
            (was,) = tree.execute(
                f"SELECT {column} FROM {table} WHERE {key} = ?",  # noqa: S608 - ours
                (row,),
            ).fetchone()
            data = bytearray(was)
            data[bit // 8] ^= 1 << bit % 8
            tree.execute(
                f"UPDATE {table} SET {column} = ? WHERE {key} = ?",  # noqa: S608 - ours
                (bytes(data), row),
            )

    # --- All of it -------------------------------------------------------------------------------

    def make_tree_anew(self) -> None:
        """Make leaves, tiles and checkpoints that fit the log as it is now, and sign them with the
        log's own key, as of the same moments.
        """
        leaves = self._leaves()
        more = grown(Edge(), leaves)
        with closing(_careless(self._tree)) as tree:
            tree.execute("BEGIN")
            for table in ("tiles", "bundles", "checkpoints"):
                tree.execute(f"DELETE FROM {table}")  # noqa: S608 - ours
            tiles = [((level << _LEVEL_BITS) + n, data) for (level, n), data in more.tiles.items()]
            tree.executemany("INSERT INTO tiles VALUES (?, ?)", tiles)
            tree.executemany("INSERT INTO bundles VALUES (?, ?)", more.bundles.items())
            tree.execute("UPDATE trees SET size = ?", (len(leaves),))
            for signed in self._checkpoints(leaves):
                tree.execute(
                    "INSERT INTO checkpoints VALUES (1, ?, ?, ?, ?, ?)",
                    (signed.size, signed.root, signed.at, signed.note, signed.published),
                )
            tree.execute("COMMIT")

    def _leaves(self) -> list[bytes]:
        """The leaves of the log; of an erased person's event that stayed, the old commitment."""
        stage = self._stage
        keys = load_keys(stage.settings, make=False)
        old = self._old_leaves()
        with closing(sqlite3.connect(self._log)) as log:
            rows = log.execute("SELECT tag, body FROM events ORDER BY position").fetchall()
        events = [decode(tag, body) for tag, body in rows]
        parties = _parties(events)
        known = _known_keys(stage.place(self._tree, self._signed), parties)
        salts = Salts(keys.log_secret)
        made = []
        for position, (event, (_, body), party) in enumerate(
            zip(events, rows, parties, strict=True), 1
        ):
            key = None if party is None else known.get(party)
            leaf = leaf_of(salts, position, event, body, CURRENCY, key)
            if party in known and key is None:
                before = old.get(position, bytes(COMMITMENT_BYTES))
                leaf = msgspec.structs.replace(leaf, event=before)
            made.append(leaf.encode())
        return made

    def _old_leaves(self) -> dict[int, bytes]:
        """The commitment to the event in each leaf, by its position."""
        found = {}
        with closing(sqlite3.connect(self._tree)) as tree:
            for n, entries in tree.execute("SELECT n, entries FROM bundles"):
                for at in range(0, len(entries), ENTRY_BYTES):
                    position = n * TILE_WIDTH + at // ENTRY_BYTES + 1
                    entry = entries[at : at + ENTRY_BYTES]
                    found[position] = entry[-COMMITMENT_BYTES:]
        return found

    def _checkpoints(self, leaves: list[bytes]) -> list[SignedCheckpoint]:
        stage = self._stage
        tiles = MemoryTiles(map(leaf_hash, leaves))
        key = load_keys(stage.settings, make=False).signing
        made: list[SignedCheckpoint] = []
        for size, at in [*stage.checkpoints, (len(leaves), stage.checkpoints[-1][1])]:
            if size <= len(leaves) and size not in {each.size for each in made}:
                made.append(_signed(key, size, root_at(tiles, size), at))
        last = made[-1]
        write_signed(self._signed, Signed(key.verifier.name, last.size, last.root.hex(), last.at))
        return made


def _signed(key: SigningKey, size: int, root: bytes, at: int) -> SignedCheckpoint:
    text = Checkpoint(key.verifier.name, size, root).text
    note = Note(text, (parse_signature_line(key.sign(text).rstrip("\n")),)).encode()
    return SignedCheckpoint(size, root, at, note, note)
