"""A tree over a log with real events, on either database, without a server."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from random import Random

from app.keys import Keys, fingerprint, load_keys
from app.log import LogRow
from app.settings import Settings, load_settings
from app.transparency.follower import LeafFollower
from app.transparency.looking_up import Backers, Subjects
from app.transparency.note import SigningKey
from app.transparency.signing import Signer
from app.transparency.store import TransparencyStore, open_transparency
from domain import events as e
from domain.codec import decode
from projections.reading import Tail
from projections.runner import Follower
from projections.views import Views
from tests.projections.history import History, some_history

NOW = 1_773_316_800_000
ORIGIN = "tree.test/log"


class MemoryLog:
    """A history's log, which a test may cut or go on with."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.log_id = history.log.log_id

    def _rows(self) -> list[LogRow]:
        rows = []
        for row in self.history.log.rows:
            event = decode(row.tag, row.body)
            rows.append(
                LogRow(row.position, event.stream, event.version, event.at, row.tag, row.body)
            )
        return rows

    def read(self, after: int, limit: int) -> list[LogRow]:
        """The rows after a position."""
        return self._rows()[after : after + limit]

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """The rows of one stream after a version."""
        rows = [r for r in self._rows() if r.stream == stream and r.version > after_version]
        return rows[:limit]

    def last(self) -> tuple[int, int]:
        """The last event's (position, at)."""
        rows = self.history.log.rows
        return (len(rows), decode(rows[-1].tag, rows[-1].body).at) if rows else (0, 0)

    def wait(self, _after: int, _timeout: float) -> int:
        """Where the log ends."""
        return len(self.history.log.rows)


class Parties:
    """The keys of those who are ours; a test destroys one."""

    def __init__(self, parties: Collection[str]) -> None:
        self.keys: dict[str, bytes | None] = {
            party: bytes([number]) * 32 for number, party in enumerate(sorted(parties), 1)
        }
        self.asked = 0

    def of(self, parties: Collection[str]) -> dict[str, bytes | None]:
        """The key of each of ours."""
        self.asked += len(parties)
        return {party: self.keys[party] for party in parties if party in self.keys}


class TreeStage:
    """Log, views, keys, tree, follower and signer; each can be opened anew."""

    def __init__(self, folder: Path, database_url: str = "", *, seed: int = 1) -> None:
        environ = {
            "TRIBUTARY_DATABASE_URL": database_url,
            "TRIBUTARY_LOG_SECRET": "5a" * 32,
            "TRIBUTARY_LOG_ORIGIN": ORIGIN,
        }
        self.settings: Settings = load_settings(environ, data_dir=folder)
        self.keys: Keys = load_keys(self.settings)
        self.history = some_history(Random(seed), steps=150)
        self.log = MemoryLog(self.history)
        self.parties = Parties(self.history.backers)
        self.views = Views(folder / "views.db")
        self.viewing = Follower(self.log.read, self.views, log_id=self.log.log_id)
        self.viewing.catch_up()
        self.stores: list[TransparencyStore] = []
        self.told = 0
        self.ours = True
        self.now = NOW

    @property
    def events(self) -> list[e.AnyEvent]:
        """Every fact of the log."""
        return [decode(row.tag, row.body) for row in self.history.log.rows]

    def go_on(self, steps: int) -> None:
        """More happens, and the views see it."""
        self.history.go_on(steps)
        self.viewing.catch_up()

    def store(self, keys: Keys | None = None) -> TransparencyStore:
        """The tree's store, opened and begun."""
        keys = keys or self.keys
        store = open_transparency(self.settings)
        self.stores.append(store)
        vkey = keys.signing.verifier.encode()
        store.begin(self.log.log_id, keys.origin, vkey, fingerprint(keys.log_secret))
        return store

    def follower(self, store: TransparencyStore) -> LeafFollower:
        """What makes the leaves."""
        return LeafFollower(
            self.log,
            Tail(self.log.read, with_bodies=True),
            store,
            self.keys.log_secret,
            Subjects(Backers(self.views, self.log.log_id), self.parties),
            may_follow=lambda: self.ours,
            told=self._tell,
        )

    def signer(
        self,
        store: TransparencyStore,
        *,
        key: SigningKey | None = None,
        publish_at_once: bool = True,
    ) -> Signer:
        """What signs the tree."""
        return Signer(
            store,
            key or self.keys.signing,
            self.settings.keys_dir,
            clock=lambda: self.now,
            last=lambda: self.log.last()[0],
            may_sign=lambda: self.ours,
            told=self._tell,
            publish_at_once=publish_at_once,
        )

    def _tell(self) -> None:
        self.told += 1

    def close(self) -> None:
        """Close everything."""
        for store in self.stores:
            store.close()
        self.views.current().close_sync()
