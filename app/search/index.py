"""The index: one row for each launched campaign, and its words.

A campaign's figures stand here only as far as something is sorted or filtered by them; what a card
shows is read from the views, so that it is never older than the campaign's own page.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from app.search.words import asked, indexed

VERSION: Final = 1
"""Raise it with every change of the tables or of how texts become words."""

State = Literal["live", "well", "otherwise"]
STATES: Final[tuple[State, ...]] = get_args(State)
LIVE: Final = "live"
WELL: Final = "well"
OTHERWISE: Final = "otherwise"

Order = Literal["featured", "ending", "newest", "nearly", "backed", "best"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

MOST_RANKED: Final = 2_000
"""A query that more campaigns answer is not ranked by its words: what is said everywhere tells
nothing about which campaign was meant, and ranking so many takes longer than people wait."""

_WEIGHTS: Final = "10.0, 4.0, 1.0, 6.0"
"""How much a word counts in the title, the blurb, the story, and the creator's name."""

_REACHED_BPS: Final = 10_000
_MOST_BPS: Final = 2**40
_BUSY_MS: Final = 10_000

_DDL: Final = """
CREATE TABLE about (log TEXT NOT NULL, position INTEGER NOT NULL) STRICT;
CREATE TABLE entries (
  key INTEGER PRIMARY KEY, campaign_id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
  creator TEXT NOT NULL, state TEXT NOT NULL, suspended INTEGER NOT NULL,
  category TEXT NOT NULL DEFAULT '', language TEXT NOT NULL DEFAULT '',
  launched_at INTEGER NOT NULL,
  deadline_at INTEGER NOT NULL, funded_bps INTEGER NOT NULL, backers INTEGER NOT NULL,
  featured_at INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL, name TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX entries_by_state ON entries (state, deadline_at);
CREATE INDEX entries_by_launch ON entries (launched_at);
CREATE INDEX entries_by_all ON entries (state, category, language, channel, suspended, featured_at,
  deadline_at, launched_at, funded_bps, backers, campaign_id);
CREATE INDEX entries_by_channel ON entries (channel, state);
CREATE INDEX entries_by_creator ON entries (creator);
CREATE INDEX entries_by_text ON entries (text);
CREATE INDEX entries_featured ON entries (featured_at) WHERE featured_at > 0;
CREATE VIRTUAL TABLE words USING fts5(
  title, blurb, story, name, tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3'
);
"""

_ORDER_BY: Final[dict[Order, str]] = {
    "featured": (
        "featured_at > 0 DESC, state = 'live' AND NOT suspended DESC, featured_at DESC,"
        " backers DESC, key DESC"
    ),
    "ending": "deadline_at, key",
    "newest": "launched_at DESC, key DESC",
    "nearly": "funded_bps DESC, key DESC",
    "backed": "backers DESC, key DESC",
    "best": "backers DESC, key DESC",
}


class Entry(Struct, frozen=True, kw_only=True):
    """What is known of a campaign: where it stands, and how much of its goal is pledged, in basis
    points. `text` is the hash of its texts; times are ms UTC.
    """

    key: int
    campaign_id: str
    channel: str
    creator: str
    state: State
    suspended: bool
    launched_at: int
    deadline_at: int
    funded_bps: int
    backers: int
    text: str


class Words(Struct, frozen=True, kw_only=True):
    """A campaign's texts, in every language they are written in."""

    title: str = ""
    blurb: str = ""
    story: str = ""
    category: str = ""
    language: str = ""


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody looks for. What is empty does not narrow anything."""

    query: str = ""
    state: State | Literal[""] = ""
    category: str = ""
    channel: str = ""
    language: str = ""
    creator: str = ""
    featured: bool = False
    order: Order = "featured"
    limit: int = 24
    offset: int = 0


class Found(Struct, frozen=True):
    """The ids of the campaigns on a page, in their order, and how many there are on all pages."""

    ids: tuple[str, ...]
    total: int


class SearchIndex:
    """The file. One thread writes; any number read, each on a connection of its own."""

    def __init__(self, path: Path, log_id: str) -> None:
        self._path = path
        self._log_id = log_id
        self._readers = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._opens():
            self._make_anew()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        with self._lock:
            self._open.append(connection)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        # What is lost is read again from the views.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -32768")
        return connection

    def _opens(self) -> bool:
        """Whether the file is an index of this version and of our log."""
        try:
            self._writer = self._connect()
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                return False
            about = self._writer.execute("SELECT log FROM about").fetchone()
        except sqlite3.OperationalError:
            raise  # busy or not readable: that is no reason to throw it away
        except sqlite3.DatabaseError:
            return False
        return bool(about == (self._log_id,))

    def _make_anew(self) -> None:
        """Throw away whatever is there. Another process may do the same: the last one counts."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._writer = self._connect()
        self._writer.executescript(f"BEGIN IMMEDIATE; {_DDL} PRAGMA user_version = {VERSION};")
        self._writer.execute("INSERT INTO about VALUES (?, 0)", (self._log_id,))
        self._writer.execute("COMMIT")

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()

    # --- Writing ---------------------------------------------------------------------------------

    def position(self) -> int:
        """How far in the log the entries are."""
        found: int = self._reader().execute("SELECT position FROM about").fetchone()[0]
        return found

    def keep(self, entries: Sequence[Entry], position: int) -> list[Entry]:
        """Write where campaigns stand; return those whose words are not these texts' yet."""
        with closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            known = _column_pairs(cursor, "key, text", [entry.key for entry in entries])
            cursor.executemany(_PUT, [_values(entry) for entry in entries])
            cursor.execute("UPDATE about SET position = ?", (position,))
            cursor.execute("COMMIT")
        return [entry for entry in entries if known.get(entry.key) != entry.text]

    def keep_words(self, words: Iterable[tuple[int, str, Words]]) -> None:
        """Write campaigns' words: (key, creator's name, texts) each."""
        with closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            for key, name, text in words:
                cursor.execute(
                    "UPDATE entries SET name = ?, category = ?, language = ? WHERE key = ?",
                    (name, text.category, text.language, key),
                )
                cursor.execute("DELETE FROM words WHERE rowid = ?", (key,))
                cursor.execute(
                    "INSERT INTO words (rowid, title, blurb, story, name) VALUES (?, ?, ?, ?, ?)",
                    (
                        key,
                        indexed(text.title),
                        indexed(text.blurb),
                        indexed(text.story),
                        indexed(name),
                    ),
                )
            cursor.execute("COMMIT")

    def keep_features(self, features: dict[str, int]) -> None:
        """Write which campaigns are picked, each since when; all others are not."""
        with closing(self._writer.cursor()) as cursor:
            were = dict(
                cursor.execute(
                    "SELECT campaign_id, featured_at FROM entries WHERE featured_at > 0"
                ).fetchall()
            )
            if were == features:
                return
            cursor.execute("BEGIN IMMEDIATE")
            for campaign_id in were.keys() - features.keys():
                cursor.execute(_FEATURE, (0, campaign_id))
            for campaign_id, at in features.items():
                cursor.execute(_FEATURE, (at, campaign_id))
            cursor.execute("COMMIT")

    def names(self) -> dict[int, tuple[str, str, str]]:
        """(creator, name, text's hash) of every campaign by its key."""
        rows = self._reader().execute("SELECT key, creator, name, text FROM entries")
        return {key: (creator, name, text) for key, creator, name, text in rows}

    # --- Finding ---------------------------------------------------------------------------------

    def find(self, wanted: Wanted) -> Found:
        """The campaigns that somebody looks for."""
        connection = self._reader()
        match = asked(wanted.query)
        if wanted.query.strip() and not match:
            return Found((), 0)
        where, values = _conditions(wanted, match)
        sql = f"FROM entries WHERE {where}"
        (total,) = connection.execute(f"SELECT count(*) {sql}", values).fetchone()
        page = (wanted.limit, wanted.offset)
        if match and wanted.order == "best" and total <= MOST_RANKED:
            ranked = (
                f"SELECT e.campaign_id FROM words JOIN entries e ON e.key = words.rowid"  # noqa: S608
                f" WHERE words MATCH ? AND {where.replace(_MATCH, '1')}"
                f" ORDER BY bm25(words, {_WEIGHTS}), e.key DESC LIMIT ? OFFSET ?"
            )
            values = [match, *[value for value in values if value is not match]]
            rows = connection.execute(ranked, (*values, *page))
        else:
            order = _ORDER_BY[wanted.order]
            rows = connection.execute(
                f"SELECT campaign_id {sql} ORDER BY {order} LIMIT ? OFFSET ?", (*values, *page)
            )
        return Found(tuple(campaign_id for (campaign_id,) in rows), total)

    def counts(self, *, by: Literal["category", "channel", "language"]) -> dict[str, int]:
        """How many live campaigns there are, by category, channel or language."""
        rows = self._reader().execute(
            f"SELECT {by}, count(*) FROM entries"  # noqa: S608 - one of three names
            f" WHERE state = 'live' AND NOT suspended GROUP BY {by}"
        )
        return dict(rows.fetchall())

    def count(self) -> int:
        """How many campaigns there are."""
        found: int = self._reader().execute("SELECT count(*) FROM entries").fetchone()[0]
        return found

    def ids_page(self, offset: int, limit: int) -> list[str]:
        """Ids in the order of their keys, so many from there on."""
        rows = self._reader().execute(
            "SELECT campaign_id FROM entries ORDER BY key LIMIT ? OFFSET ?", (limit, offset)
        )
        return [campaign_id for (campaign_id,) in rows]

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = self._connect()
        return connection


_MATCH: Final = "key IN (SELECT rowid FROM words WHERE words MATCH ?)"


def _conditions(wanted: Wanted, match: str) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []

    def add(part: str, *bound: object) -> None:
        parts.append(part)
        values.extend(bound)

    if match:
        add(_MATCH, match)
    for name in ("state", "category", "channel", "language", "creator"):
        value = getattr(wanted, name)
        if value:
            add(f"{name} = ?", value)
    if wanted.order in {"ending", "nearly"} and wanted.state in {"", LIVE}:
        add("state = 'live' AND NOT suspended")
        if wanted.order == "nearly":
            add("funded_bps < ?", _REACHED_BPS)
    if wanted.featured:
        add("featured_at > 0")
    return " AND ".join(parts), values


def _values(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.key,
        entry.campaign_id,
        entry.channel,
        entry.creator,
        entry.state,
        int(entry.suspended),
        entry.launched_at,
        entry.deadline_at,
        min(entry.funded_bps, _MOST_BPS),
        entry.backers,
        entry.text,
    )


_PUT: Final = """
INSERT INTO entries (key, campaign_id, channel, creator, state, suspended, launched_at,
  deadline_at, funded_bps, backers, text)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET campaign_id = excluded.campaign_id, channel = excluded.channel,
  creator = excluded.creator, state = excluded.state, suspended = excluded.suspended,
  launched_at = excluded.launched_at, deadline_at = excluded.deadline_at,
  funded_bps = excluded.funded_bps, backers = excluded.backers, text = excluded.text
"""

_FEATURE: Final = "UPDATE entries SET featured_at = ? WHERE campaign_id = ?"


def _column_pairs(cursor: sqlite3.Cursor, columns: str, keys: Sequence[int]) -> dict[int, str]:
    rows = cursor.execute(
        f"SELECT {columns} FROM entries WHERE key IN (SELECT value FROM json_each(?))",  # noqa: S608
        (msgspec.json.encode(keys).decode(),),
    )
    return dict(rows.fetchall())
