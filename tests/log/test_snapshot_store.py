"""Where states are saved."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from eventsourcing.persistence import InterfaceError, ProgrammingError, StoredEvent

from app.log import (
    PostgresSnapshots,
    Snapshot,
    SnapshotCorrupt,
    SnapshotHead,
    SnapshotStore,
    SQLiteSnapshots,
    open_snapshots,
)

Store = SQLiteSnapshots | PostgresSnapshots


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store, of both kinds in turn."""
    made = open_snapshots(database_url, tmp_path / "snapshots.db")
    yield made
    made.close()


def test_a_snapshot_comes_back_in_its_chunks(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    """By stream and schema, also after the store was opened anew."""
    port: SnapshotStore = store
    port.save("a", 1, 7, b"anchor", 70, iter([b"one", b"", b"\x00two"]))
    port.save("b", 1, 9, b"other", 90, [b"x"])
    expected = Snapshot(7, b"anchor", 70, [b"one", b"", b"\x00two"])
    assert port.latest("a", 1) == expected
    assert port.head("a", 1) == SnapshotHead(7, 70)
    assert (port.latest("a", 2), port.head("a", 2), port.latest("c", 1)) == (None, None, None)
    port.close()
    again = open_snapshots(database_url, tmp_path / "snapshots.db")
    assert again.latest("a", 1) == expected
    again.close()
    with pytest.raises(InterfaceError):
        store.latest("a", 1)


def test_a_stream_has_one_snapshot(store: Store) -> None:
    """The new one replaces the old ones, of whatever schema."""
    store.save("a", 1, 7, b"", 1, [b"old", b"old"])
    store.save("a", 1, 8, b"", 1, [b"new"])
    assert [stored.state for stored in store.select_events("a")] == [b"new"]
    store.save("a", 2, 8, b"", 1, [b"newer"])
    assert store.latest("a", 1) is None
    assert [stored.topic for stored in store.select_events("a")] == ["state.v2"]


def test_the_library_reads_chunks_joined(store: Store) -> None:
    """And what it writes is one chunk."""
    store.save("a", 3, 7, b"", 1, [b"one ", b"two"])
    assert store.select_events("a") == [StoredEvent("a", 7, "state.v3", b"one two")]
    store.insert_events([StoredEvent("b", 4, "state.v3", b"all")])
    assert store.latest("b", 3) == Snapshot(4, b"", 0, [b"all"])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots SET body = CAST('other' AS {bytes}) WHERE chunk = 1",
        "DELETE FROM snapshots WHERE chunk = 2",
        "DELETE FROM snapshots WHERE chunk = 1",
    ],
)
def test_damage_is_found(store: Store, database_url: str, tmp_path: Path, damage: str) -> None:
    """Whatever the state's own bytes would make of it."""
    store.save("a", 1, 7, b"", 1, [b"one", b"two", b"three"])
    if database_url:
        with psycopg.connect(database_url, options="-c search_path=snapshots") as server:
            server.execute(damage.format(bytes="bytea"))
    else:
        connection = sqlite3.connect(tmp_path / "snapshots.db", isolation_level=None)
        connection.execute(damage.format(bytes="blob"))
        connection.close()
    with pytest.raises(SnapshotCorrupt, match="a at version 7"):
        store.latest("a", 1)


def test_a_failed_save_leaves_the_old_one(store: Store) -> None:
    """A snapshot is replaced whole."""
    store.save("a", 1, 7, b"", 1, [b"old"])
    broken: list[bytes] = [b"new", "no bytes"]  # type: ignore[list-item]
    with pytest.raises(TypeError):
        store.save("a", 1, 8, b"", 1, broken)
    latest = store.latest("a", 1)
    assert latest is not None
    assert latest.chunks == [b"old"]


def test_streams_are_text(store: Store) -> None:
    """As in the log."""
    with pytest.raises(ProgrammingError):
        store.insert_events([StoredEvent(uuid.uuid4(), 1, "t", b"")])
