"""Where the transparency log's tree lies, and the keys with which its leaves can be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from app.audit.sources import (
    TREE,
    CannotAudit,
    LogPlace,
    Source,
    open_for_reading,
    open_source,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.settings import Settings

_LEVEL_BITS: Final = 48
"""A tile's place is its level x 2**48 + n, as `app.transparency.store` keeps it."""

LOCK_TIMEOUT_S: Final = 30

_TREES: Final = "SELECT number, log_id, origin, vkey, log_secret, size FROM trees ORDER BY number"
_BUNDLES: Final = "SELECT n, entries FROM bundles WHERE n >= ? AND n < ? ORDER BY n"
_TILES: Final = "SELECT place, hashes FROM tiles WHERE place >= ? AND place < ? ORDER BY place"
_KEYS: Final = """
    SELECT p.id, p.key FROM json_each(?) asked CROSS JOIN parties p ON p.id = asked.value"""
_CHECKPOINTS: Final = """
    SELECT tree, size, root, at, note, published FROM checkpoints
    WHERE size > ? AND size <= ? ORDER BY size, tree"""


class Outside(Struct, frozen=True):
    """A checkpoint that was kept elsewhere: what findings call it, and a signed note or a proof
    (C2SP tlog-proof), such as a receipt.
    """

    name: str
    text: str


class TreePlace(Struct, frozen=True):
    """Where the tree is (`store`, as a log's place), and what is known of its keys.

    `people` has the persons' keys, which `master` unwraps; without either only what is about nobody
    can be opened. `log_secret` is empty where it is not known: then no leaf can be made again.
    `signed` is the file that says what was signed last. `outside` are checkpoints kept elsewhere,
    signed by one of the `keys` (C2SP vkeys), or by a key that the tree names where there are none.
    `witnesses` are the vkeys of those whose cosignatures are checked.
    """

    store: LogPlace
    people: LogPlace | None = None
    log_secret: bytes = b""
    master: bytes = b""
    signed: Path | None = None
    outside: tuple[Outside, ...] = ()
    keys: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show nothing: places may hold a password, and keys are secret."""
        return f"TreePlace({len(self.outside)} outside)"


class StoredTree(NamedTuple):
    """One identity of a tree: its name, its key, the fingerprint of the log's secret, its size."""

    number: int
    log_id: str
    origin: str
    vkey: str
    log_secret: bytes
    size: int


class StoredCheckpoint(NamedTuple):
    """A checkpoint as it is stored; `at` is when it was signed, ms UTC."""

    tree: int
    size: int
    root: bytes
    at: int
    note: str
    published: str


class TreeStore:
    """The stored tree, for reading only. Used by one thread; raises CannotAudit where it is not."""

    def __init__(self, place: LogPlace) -> None:
        self._source: Source = open_source(place, TREE)

    def trees(self) -> list[StoredTree]:
        """Every identity that the tree has had, the present one last."""
        return [StoredTree(*row) for row in self._source.rows(_TREES)]

    def bundles(self, first: int, end: int) -> dict[int, bytes]:
        """Bundles of entries by their numbers, from one to before another."""
        return {n: bytes(data) for n, data in self._source.rows(_BUNDLES, first, end)}

    def tiles(self, level: int, first: int, end: int) -> dict[int, bytes]:
        """Tiles of a level by their numbers, from one to before another."""
        base = level << _LEVEL_BITS
        rows = self._source.rows(_TILES, base + first, base + end)
        return {place - base: bytes(hashes) for place, hashes in rows}

    def checkpoints(self, after: int, up_to: int) -> Iterator[StoredCheckpoint]:
        """Every checkpoint of more than `after` and at most `up_to` leaves, the smallest first."""
        for row in self._source.rows(_CHECKPOINTS, after, up_to):
            tree, size, root, *rest = row
            yield StoredCheckpoint(tree, size, bytes(root), *rest)

    def close(self) -> None:
        """Close it."""
        self._source.close()


def tree_of(
    settings: Settings, outside: tuple[Outside, ...] = (), keys: tuple[str, ...] = ()
) -> TreePlace:
    """Where the settings say that the tree is, be it there or not.

    Nothing is made: a key that is not there is left empty. Raises SettingsError for a key that
    cannot be read.
    """
    from app.keys import MissingKeyError, load_log_secret, load_master  # noqa: PLC0415 - see above
    from app.transparency.signing import FILE  # noqa: PLC0415 - a log alone needs neither

    secrets = []
    for load in (load_log_secret, load_master):
        try:
            secrets.append(load(settings, make=False))
        except MissingKeyError:
            secrets.append(b"")
    signed = settings.keys_dir / FILE
    people: LogPlace | None = settings.database_url or settings.people_path
    if isinstance(people, Path) and not people.is_file():
        people = None
    return TreePlace(
        store=settings.database_url or settings.transparency_path,
        people=people,
        log_secret=secrets[0],
        master=secrets[1],
        signed=signed if signed.is_file() else None,
        outside=outside,
        keys=keys,
        witnesses=tuple(witness.vkey for witness in settings.witnesses),
    )


class PersonKeys:
    """The keys of persons, for reading only. Used by one thread; close it after use."""

    def __init__(self, people: LogPlace, master: bytes) -> None:
        from app.stores.connecting import postgres_engine  # noqa: PLC0415 - a log needs no people
        from app.stores.party_keys import Master, PartyKeys  # noqa: PLC0415 - the same

        self._master = Master(master)
        self._keys: PartyKeys | None = None
        self._close: Callable[[], object]
        if isinstance(people, str):
            engine = postgres_engine(people, "people", lock_timeout_s=LOCK_TIMEOUT_S)
            self._keys = PartyKeys(engine, master)
            self._close = engine.dispose
        else:
            self._file = open_for_reading(people)
            self._close = self._file.close

    def of(self, parties: Collection[str]) -> dict[str, bytes | None]:
        """The key of each party; None where it was destroyed; who is no party of ours is left
        out. Raises CannotAudit.
        """
        from app.stores.party_keys import WrongMasterError  # noqa: PLC0415 - as above

        try:
            return self._of_file(parties) if self._keys is None else self._keys.of(parties)
        except WrongMasterError as fault:
            raise CannotAudit(f"Persons' keys cannot be read: {fault}.") from fault

    def _of_file(self, parties: Collection[str]) -> dict[str, bytes | None]:
        # No other thread computes here: row by row is the quickest.
        asked = msgspec.json.encode(list(parties)).decode()
        unwrap = self._master.unwrap
        return {
            party: unwrap(party, wrapped) if wrapped else None
            for party, wrapped in self._file.execute(_KEYS, (asked,)).fetchall()
        }

    def close(self) -> None:
        """Let go of the store."""
        self._close()


def keys_of(place: TreePlace) -> PersonKeys | None:
    """Ask for persons' keys; None where they are not to be had."""
    if place.people is None or not place.master:
        return None
    return PersonKeys(place.people, place.master)
