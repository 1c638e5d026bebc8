"""The tree over the log and its signed checkpoints: in `transparency.db`, or PostgreSQL's schema
`transparency`.

The tree only grows, by one statement that moves its size from exactly where the writer left it, so
that of several writers one wins and the others have written nothing. What is committed is on disk:
no checkpoint is ever signed for leaves that a power cut could take away.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BLOB,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine

from app.settings import Settings, SettingsError
from app.stores.connecting import postgres_engine, speak_plainly
from app.stores.rows import Number, Text, upsert
from app.stores.shapes import Schema, SchemaTooNewError, check, migrate
from app.transparency.edge import ENTRY_BYTES, Edge, Grown, edge_of, grown
from app.transparency.leaf import LEAF_BYTES, Leaf, parse_leaf
from app.transparency.merkle import MissingTileError, root_at
from app.transparency.openings_tables import openings_tables
from app.transparency.tiles import HASH_BYTES, TILE_WIDTH, width_at

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 30.0
CHECKPOINT_PAGES: Final = 8_000
"""Pages in the write-ahead log before SQLite moves them to the file: 32 MB."""

KEPT_TILES: Final = 512
"""Full tiles that are kept in memory, 8 KB each: they never change."""

ROWS_PER_STATEMENT: Final = 32

_LEVEL_BITS: Final = 48
"""A tile's row is level x 2**48 + n: one number, the row's own in SQLite."""

METADATA: Final = MetaData()
Binary: Final[TypeEngine[bytes]] = LargeBinary().with_variant(BLOB(), "sqlite")

TREES: Final = Table(
    "trees",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("log_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("vkey", Text, nullable=False),
    Column("log_secret", Binary, nullable=False),
    Column("size", Number, nullable=False),
    sqlite_strict=True,
)

TILES: Final = Table(
    "tiles",
    METADATA,
    Column("place", Number, primary_key=True, autoincrement=False),
    Column("hashes", Binary, nullable=False),
    sqlite_strict=True,
)

BUNDLES: Final = Table(
    "bundles",
    METADATA,
    Column("n", Number, primary_key=True, autoincrement=False),
    Column("entries", Binary, nullable=False),
    sqlite_strict=True,
)

CHECKPOINTS: Final = Table(
    "checkpoints",
    METADATA,
    Column("tree", Number, primary_key=True),
    Column("size", Number, primary_key=True),
    Column("root", Binary, nullable=False),
    Column("at", Number, nullable=False),
    Column("note", Text, nullable=False),
    Column("published", Text, nullable=False, server_default=""),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

OPENINGS, OPENED = openings_tables(METADATA)

TRANSPARENCY_SCHEMA: Final = Schema("transparency", SCHEMA_VERSION, METADATA)


MOVED_ON: Final = (
    "The transparency log goes on under another name and key, since a shorter log was accepted:"
    " give this machine its new keys and start it again."
)


class TreeMovedError(Exception):
    """Somebody else appended: nothing of this was written."""


class OtherTreeError(SettingsError):
    """The stored tree is of another log, or was begun with other keys; the message is for people.

    A tree goes on with the keys it was begun with, or not at all: with another secret nothing that
    was committed to can be opened, with another signing key no receipt and no witness knows it.
    """


class Tree(Struct, frozen=True):
    """A tree's identity and size. `number` counts those of one log: 1, and one more each time that
    a shorter log was accepted; `log_secret` is the fingerprint of that secret.
    """

    number: int
    log_id: str
    origin: str
    vkey: str
    log_secret: bytes
    size: int


class SignedCheckpoint(Struct, frozen=True):
    """A signed statement of size and root, made at `at` (ms UTC).

    `note` is as it was signed, or with what witnesses added where a published one was asked for;
    `published` is that in any case, empty where it was not published.
    """

    size: int
    root: bytes
    at: int
    note: str
    published: str = ""


class TransparencyStore:
    """The open store. Any thread may ask; one process at a time appends with success."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._dialect = engine.dialect.name
        self._lock = threading.Lock()
        self._edge: Edge | None = None
        self._full: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._number = self._shown = 0

    def close(self) -> None:
        """Close the store."""
        self.engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            if self._dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    # --- Whose tree it is ------------------------------------------------------------------------

    def trees(self) -> list[Tree]:
        """Every identity that this log's tree has had, the present one last."""
        with self.engine.connect() as connection:
            return [Tree(*row) for row in connection.execute(_TREES)]

    def tree(self) -> Tree | None:
        """The present identity and size; None where nothing was begun."""
        with self.engine.connect() as connection:
            row = connection.execute(_TREE).first()
        return None if row is None else Tree(*row)

    def begin(self, log_id: str, origin: str, vkey: str, log_secret: bytes) -> Tree:
        """Begin the tree of a log, or go on with the one that is there.

        `log_secret` is its fingerprint. Raises OtherTreeError.
        """
        with self._writing() as connection:
            new = Tree(1, log_id, origin, vkey, log_secret, 0)
            connection.execute(upsert(TREES).on_conflict_do_nothing(), _values(new))
        tree = self.tree()
        assert tree is not None, "it was begun above"
        if tree.log_id != log_id:
            raise OtherTreeError(
                f"The transparency tree is that of another log, {tree.log_id}: bring the one that"
                f" belongs to the log {log_id}, or remove it to have it made anew."
            )
        if tree.log_secret != log_secret:
            raise OtherTreeError(
                "The log's secret is not the one with which the transparency tree was begun:"
                " bring `log_secret` back from a backup of the keys."
            )
        if (tree.origin, tree.vkey) != (origin, vkey):
            raise OtherTreeError(
                f"The signing key is not that of the transparency log {tree.origin},"
                f" {tree.vkey}: bring it back from a backup of the keys."
            )
        self._number = tree.number
        return tree

    @property
    def size(self) -> int:
        """How many leaves the tree has; leaf i is the event at position i + 1."""
        with self.engine.connect() as connection:
            return connection.execute(_SIZE).scalar() or 0

    # --- Growing ---------------------------------------------------------------------------------

    def append(self, old_size: int, leaves: Sequence[bytes]) -> int:
        """Append encoded leaves to a tree of so many, in one transaction; return the new size.

        Raises TreeMovedError where it has another size, and MissingTileError where what is stored
        is not whole; nothing is written then.
        """
        with self._lock:
            edge = self._edge
            if edge is None or edge.size != old_size:
                edge = self._read_edge(old_size)
            self._edge = None  # until it is written
            more = grown(edge, leaves)
            try:
                self._write(edge, more)
            except BaseException:
                self._full.clear()  # another database may lead now, with another tree
                raise
            self._edge = more.edge
        return more.edge.size

    def _read_edge(self, size: int) -> Edge:
        if self.size != size:
            raise TreeMovedError(f"the tree has {self.size} leaves, not {size}")
        n, width = divmod(size, TILE_WIDTH)
        last = self.leaf(size - 1).encode() if size else b""
        return edge_of(self, self.bundle(n, width) if width else b"", last, size)

    def _write(self, edge: Edge, more: Grown) -> None:
        tiles = [(_place(level, n), hashes) for (level, n), hashes in more.tiles.items()]
        with self._writing() as connection:
            number = connection.execute(_NUMBER).scalar()
            self._number = self._number or number or 0
            if number != self._number:
                raise OtherTreeError(MOVED_ON)
            moved = connection.execute(
                _MOVE, {"number": number, "old": edge.size, "new": more.edge.size}
            )
            if moved.rowcount != 1 or _last_leaf(connection, edge.size) != edge.last:
                raise TreeMovedError(f"the tree has not these {edge.size} leaves any more")
            self._put(connection, "tiles", "place", "hashes", tiles)
            self._put(connection, "bundles", "n", "entries", list(more.bundles.items()))

    def _put(
        self,
        connection: Connection,
        table: str,
        key: str,
        value: str,
        rows: list[tuple[int, bytes]],
    ) -> None:
        mark = "?" if self._dialect == "sqlite" else "%s"
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            some = rows[start : start + ROWS_PER_STATEMENT]
            statement = _upsert(table, key, value, mark, len(some))
            connection.exec_driver_sql(statement, tuple(cell for row in some for cell in row))

    def continue_as(self, size: int, origin: str, vkey: str) -> Tree:
        """Cut the tree to its first `size` leaves and go on under another name and key, as events
        behind them are lost: what was signed of those can never be continued.

        Checkpoints of more leaves and openings of lost events go; the others stay.
        """
        with self._lock, self._writing() as connection:
            self._edge = None
            self._full.clear()
            tree = Tree(*connection.execute(_TREE).one())
            self._cut(connection, size)
            connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.size > size))
            connection.execute(delete(OPENINGS).where(OPENINGS.c.position > size))
            opened = OPENED.c.position
            connection.execute(update(OPENED).where(opened > size).values(position=size))
            new = Tree(tree.number + 1, tree.log_id, origin, vkey, tree.log_secret, size)
            connection.execute(insert(TREES), _values(new))
            self._number = new.number
        return new

    def _cut(self, connection: Connection, size: int) -> None:
        for level in range(8):
            hashes = size >> (8 * level)
            last = hashes // TILE_WIDTH
            width = width_at(level, last, size)
            first_gone = _place(level, last + bool(width))
            connection.execute(
                delete(TILES).where(TILES.c.place.between(first_gone, _place(level + 1, 0) - 1))
            )
            _shorten(connection, TILES.c.place, TILES.c.hashes, _place(level, last), 32 * width)
        n, width = divmod(size, TILE_WIDTH)
        connection.execute(delete(BUNDLES).where(BUNDLES.c.n >= n + bool(width)))
        _shorten(connection, BUNDLES.c.n, BUNDLES.c.entries, n, width * ENTRY_BYTES)

    # --- Reading ---------------------------------------------------------------------------------

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile; see `merkle.Tiles`. Raises MissingTileError."""
        known = self._full.get((level, n))
        if known is None:
            known = self._stored(select(TILES.c.hashes).where(TILES.c.place == _place(level, n)))
            if len(known) == TILE_WIDTH * HASH_BYTES:
                self._full[level, n] = known
                while len(self._full) > KEPT_TILES:
                    self._full.popitem(last=False)
        if len(known) < width * HASH_BYTES:
            raise MissingTileError(f"tile {n} of level {level} has not {width} hashes")
        return known[: width * HASH_BYTES]

    def bundle(self, n: int, width: int) -> bytes:
        """The first `width` entries of a bundle (C2SP tlog-tiles). Raises MissingTileError."""
        found = self._stored(select(BUNDLES.c.entries).where(BUNDLES.c.n == n))
        if len(found) < width * ENTRY_BYTES:
            raise MissingTileError(f"bundle {n} has not {width} entries")
        return found[: width * ENTRY_BYTES]

    def leaf(self, index: int) -> Leaf:
        """The leaf of an index, from 0. Raises MissingTileError."""
        n, at = divmod(index, TILE_WIDTH)
        return parse_leaf(self.bundle(n, at + 1)[at * ENTRY_BYTES + 2 :])

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves. Raises MissingTileError."""
        return root_at(self, size)

    def _stored(self, wanted: Any) -> bytes:  # noqa: ANN401 - SQLAlchemy's select
        with self.engine.connect() as connection:
            found = connection.execute(wanted).scalar()
        return b"" if found is None else bytes(found)

    @contextmanager
    def snapshot(self) -> Iterator[TreeSnapshot]:
        """The tree as it is at one moment, read from the database and nowhere else."""
        with self.engine.connect() as connection:
            if self._dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")  # what is read then is of one moment
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield TreeSnapshot(connection)  # rolled back when the connection is given back

    # --- Checkpoints -----------------------------------------------------------------------------

    def add_checkpoint(self, checkpoint: SignedCheckpoint) -> None:
        """Keep a signed checkpoint of the present tree; one of its size that is there stays."""
        with self._writing() as connection:
            number = connection.execute(select(func.max(TREES.c.number))).scalar_one()
            values = {
                "tree": number,
                "size": checkpoint.size,
                "root": checkpoint.root,
                "at": checkpoint.at,
                "note": checkpoint.note,
                "published": checkpoint.published,
            }
            connection.execute(upsert(CHECKPOINTS).on_conflict_do_nothing(), values)

    def publish(self, size: int, note: str) -> None:
        """Publish the checkpoint of a size: its note, with what witnesses added."""
        with self._writing() as connection:
            connection.execute(_PUBLISH, {"size": size, "note": note})

    def latest_signed(self) -> SignedCheckpoint | None:
        """The last checkpoint that was signed, of the present identity."""
        with self.engine.connect() as connection:
            return _latest_signed(connection)

    def latest_published(self) -> SignedCheckpoint | None:
        """The last checkpoint that was published, of the present identity; its note is the
        published one.
        """
        with self.engine.connect() as connection:
            row = connection.execute(_LATEST_PUBLISHED).first()
        if row is None:
            return None
        if row.tree != self._shown:
            self._full.clear()  # a shorter log was accepted: full tiles may be others now
            self._shown = row.tree
        return SignedCheckpoint(row.size, bytes(row.root), row.at, row.published, row.published)

    def unpublished(self) -> SignedCheckpoint | None:
        """The first checkpoint that was signed after the last one that was published."""
        published = self.latest_published()
        with self.engine.connect() as connection:
            after = {"after": -1 if published is None else published.size}
            row = connection.execute(_UNPUBLISHED, after).first()
        return None if row is None else SignedCheckpoint(*row)

    def published_covering(self, index: int) -> SignedCheckpoint | None:
        """The newest published checkpoint, if the leaf of this index (from 0) is in its tree."""
        newest = self.latest_published()
        return newest if newest is not None and newest.size > index else None

    def checkpoints(self, after_size: int = 0, limit: int = 1000) -> list[SignedCheckpoint]:
        """Checkpoints of more than so many leaves, the smallest first; of every identity, so there
        may be two of a size, and `limit` is exceeded rather than one of these left out.
        """
        with self.engine.connect() as connection:
            rows = connection.execute(_CHECKPOINTS, {"after": after_size, "limit": limit}).all()
            if len(rows) == limit:
                last = rows[-1].size
                rows = [row for row in rows if row.size < last]
                rows += connection.execute(_CHECKPOINTS_OF, {"size": last}).all()
        return [SignedCheckpoint(*row) for row in rows]


_TREES: Final = select(TREES).order_by(TREES.c.number)
_TREE: Final = select(TREES).order_by(TREES.c.number.desc()).limit(1)
_NUMBER: Final = select(func.max(TREES.c.number))
_SIZE: Final = select(TREES.c.size).order_by(TREES.c.number.desc()).limit(1)
_MOVE: Final = text("UPDATE trees SET size = :new WHERE number = :number AND size = :old")
_LEAF: Final = text(f"SELECT substr(entries, :start, {LEAF_BYTES}) FROM bundles WHERE n = :n")  # noqa: S608
_PRESENT: Final = "tree = (SELECT max(number) FROM trees)"
_PUBLISH: Final = text(
    f"UPDATE checkpoints SET published = :note WHERE size = :size AND {_PRESENT}"  # noqa: S608
)
_COLUMNS: Final = "SELECT size, root, at, note, published FROM checkpoints"
_LATEST_SIGNED: Final = text(f"{_COLUMNS} WHERE {_PRESENT} ORDER BY size DESC LIMIT 1")
_LATEST_PUBLISHED: Final = text(
    "SELECT size, root, at, published, tree FROM checkpoints"  # noqa: S608 - our own words
    f" WHERE {_PRESENT} AND published <> '' ORDER BY size DESC LIMIT 1"
)
_UNPUBLISHED: Final = text(f"{_COLUMNS} WHERE {_PRESENT} AND size > :after ORDER BY size LIMIT 1")
_CHECKPOINTS: Final = text(f"{_COLUMNS} WHERE size > :after ORDER BY size, tree LIMIT :limit")
_CHECKPOINTS_OF: Final = text(f"{_COLUMNS} WHERE size = :size ORDER BY tree")


class TreeSnapshot:
    """One moment of a stored tree: what was signed and what is there belong together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        row = connection.execute(_TREE).first()
        self.vkey: str = "" if row is None else row.vkey
        self.size: int = 0 if row is None else row.size
        self.signed = _latest_signed(connection)

    def tile(self, level: int, n: int, width: int) -> bytes:
        """See `merkle.Tiles`. Raises MissingTileError."""
        wanted = select(TILES.c.hashes).where(TILES.c.place == _place(level, n))
        found = bytes(self._connection.execute(wanted).scalar() or b"")
        if len(found) < width * HASH_BYTES:
            raise MissingTileError(f"tile {n} of level {level} has not {width} hashes")
        return found[: width * HASH_BYTES]

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves. Raises MissingTileError."""
        return root_at(self, size)


def _latest_signed(connection: Connection) -> SignedCheckpoint | None:
    row = connection.execute(_LATEST_SIGNED).first()
    return None if row is None else SignedCheckpoint(*row)


def _last_leaf(connection: Connection, size: int) -> bytes:
    """The last leaf of a tree of so many; of one that was rewound and grew again it is another."""
    if not size:
        return b""
    n, at = divmod(size - 1, TILE_WIDTH)
    found = connection.execute(_LEAF, {"n": n, "start": at * ENTRY_BYTES + 3}).scalar()
    return bytes(found or b"")


def _values(tree: Tree) -> dict[str, object]:
    return {name: getattr(tree, name) for name in tree.__struct_fields__}


def _place(level: int, n: int) -> int:
    return (level << _LEVEL_BITS) + n


@cache
def _upsert(table: str, key: str, value: str, mark: str, rows: int) -> str:
    places = ", ".join([f"({mark}, {mark})"] * rows)
    return (
        f"INSERT INTO {table} ({key}, {value}) VALUES {places}"  # noqa: S608 - our own names
        f" ON CONFLICT ({key}) DO UPDATE SET {value} = excluded.{value}"
    )


def _shorten(
    connection: Connection, key: Column[int], column: Column[bytes], place: int, length: int
) -> None:
    row = connection.execute(select(column).where(key == place)).first()
    if row is not None and length:
        table = column.table
        assert isinstance(table, Table), "the tables above"
        cut = bytes(row[0])[:length]
        connection.execute(update(table).where(key == place).values({column.name: cut}))


# --- Opening -------------------------------------------------------------------------------------


def open_transparency(settings: Settings) -> TransparencyStore:
    """Open the store. A file is made where it is missing; a database has to be migrated.

    Raises SchemaTooNewError, NotMigratedError and StoreUnavailableError.
    """
    if not settings.database_url:
        return TransparencyStore(_open_file(settings.transparency_path)[0])
    engine = _connect(settings)
    try:
        with engine.connect() as connection:
            check(connection, TRANSPARENCY_SCHEMA)
    except BaseException:
        engine.dispose()
        raise
    return TransparencyStore(engine)


def read_transparency(path: Path) -> TransparencyStore:
    """Open a store's file so that nothing can be written, as an auditor does."""

    def connect() -> sqlite3.Connection:
        shared = path.with_name(f"{path.name}-shm")
        still = "" if shared.exists() else "&immutable=1"
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro{still}", uri=True, check_same_thread=False
        )

    return TransparencyStore(create_engine("sqlite://", creator=connect))


def migrate_transparency(settings: Settings) -> str:
    """Make the store or give it our shape; return what was done. Raises as `open_transparency`."""
    if settings.database_url:
        engine = _connect(settings)
        try:
            return migrate(engine, TRANSPARENCY_SCHEMA)
        finally:
            engine.dispose()
    engine, found = _open_file(settings.transparency_path)
    engine.dispose()
    name = settings.transparency_path.name
    if found:
        return f"{name}: has shape {found}, nothing to do"
    return f"{name}: made, shape {SCHEMA_VERSION}"


def _connect(settings: Settings) -> Engine:
    name = TRANSPARENCY_SCHEMA.name
    return postgres_engine(settings.database_url, name, lock_timeout_s=BUSY_TIMEOUT_S)


def _open_file(path: Path) -> tuple[Engine, int]:
    """Open the file, and return with it the shape that it had: 0 for a new one."""
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare)
    speak_plainly(engine)
    with engine.begin() as connection:
        found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if found == 0:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            METADATA.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    if found > SCHEMA_VERSION:
        engine.dispose()
        raise SchemaTooNewError(f"{path} has shape {found}, this version knows {SCHEMA_VERSION}")
    return engine, found


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where this file says so
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # What is signed is never lost: a leaf of an erased person can not be computed a second time.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    cursor.close()
