"""Bytes that no row leads to any more leave the file, too."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

from app.stores.database import migrate_stores
from app.stores.sweeping import rewrite, sweep
from tests.stores.conftest import settings_in

PEOPLE, KEPT = 3_000, 1_500
NAME = re.compile(rb"Zqname \d{5}")


def names_in(path: Path) -> set[bytes]:
    """Every name that stands anywhere in the file or its write-ahead log."""
    return {
        name
        for part in path.parent.glob(f"{path.name}*")
        for name in NAME.findall(part.read_bytes())
    }


def test_copies_in_split_pages_are_swept(tmp_path: Path) -> None:
    """Rows that grew split pages, in whose unused parts copies stay that deleting does not reach:
    without a sweep some erased names are still there, with one none is.
    """
    settings = settings_in(tmp_path)
    migrate_stores(settings)
    path = settings.people_path
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA secure_delete = ON")
        connection.executemany(
            "INSERT INTO parties (id, role, key, created_at) VALUES (?, 'backer', ?, 1)",
            [(f"p{n:05}", None) for n in range(PEOPLE)],
        )
        mixed = Random(7).sample(range(PEOPLE), PEOPLE)
        connection.executemany(
            "UPDATE parties SET display_name = ? WHERE id = ?",
            [(f"Zqname {n:05}", f"p{n:05}") for n in mixed],
        )
        connection.executemany(
            "DELETE FROM parties WHERE id = ?", [(f"p{n:05}",) for n in mixed[:-KEPT]]
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stay = {b"Zqname %05d" % n for n in mixed[-KEPT:]}
    assert names_in(path) > stay, "there is something to sweep"
    assert sweep(settings)
    assert names_in(path) == stay


def test_a_reader_is_told_of(tmp_path: Path) -> None:
    """While somebody reads old pages the write-ahead log cannot be emptied: not all is gone."""
    settings = settings_in(tmp_path)
    migrate_stores(settings)
    with closing(sqlite3.connect(settings.people_path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM parties").fetchone()
        assert not rewrite(settings.people_path, "UPDATE parties SET role = 'x'", patience_s=0.1)
    assert sweep(settings)


def test_what_is_not_there_is_swept(tmp_path: Path) -> None:
    """No file has no traces."""
    assert rewrite(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
