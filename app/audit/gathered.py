"""What the pass sets aside for questions about the whole log: pledge ids, money at providers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from app.log import LogRow
from domain.events import AnyEvent, PledgeMade

TABLES: Final = (
    "CREATE TABLE pledge_ids (pledge_id TEXT, position INTEGER, stream TEXT)",
    """CREATE TABLE ours (
        provider TEXT, kind TEXT, reference TEXT, key TEXT, amount INTEGER, fee INTEGER,
        clearing INTEGER, disputed INTEGER, currency TEXT, position INTEGER, stream TEXT)""",
)
MovementOf = Callable[[AnyEvent], "tuple[Any, ...] | None"]

_BATCH: Final = 5_000


class Gathered:
    """A file of the audit's own, thrown away when all is answered. Close it to have it whole.

    `movement_of` tells what an event says of money at a provider.
    """

    def __init__(self, path: Path, movement_of: MovementOf) -> None:
        self._movement_of = movement_of
        self._pledges: list[tuple[str, int, str]] = []
        self._money: list[tuple[Any, ...]] = []
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        for statement in TABLES:
            self._connection.execute(statement)
        self._connection.execute("BEGIN")

    def note(self, row: LogRow, event: AnyEvent) -> None:
        """Keep what an event says of a pledge's id, or of money at a provider."""
        if type(event) is PledgeMade:
            self._pledges.append((event.pledge_id, row.position, event.stream))
            if len(self._pledges) >= _BATCH:
                self._write()
            return
        movement = self._movement_of(event)
        if movement is not None:
            self._money.append((*movement, row.position, event.stream))
            if len(self._money) >= _BATCH:
                self._write()

    def _write(self) -> None:
        self._connection.executemany("INSERT INTO pledge_ids VALUES (?, ?, ?)", self._pledges)
        places = ", ".join("?" * 11)
        self._connection.executemany(f"INSERT INTO ours VALUES ({places})", self._money)  # noqa: S608
        self._pledges.clear()
        self._money.clear()

    def close(self) -> None:
        """Write what is left."""
        self._write()
        self._connection.execute("COMMIT")
        self._connection.close()


def gathered_in(paths: list[Path]) -> sqlite3.Connection:
    """Open what was gathered in several files as one store, on disk where it grows."""
    store = sqlite3.connect("", isolation_level=None)
    for statement in TABLES:
        store.execute(statement)
    for path in paths:
        store.execute("ATTACH ? AS share", (str(path),))
        store.execute("INSERT INTO main.pledge_ids SELECT * FROM share.pledge_ids")
        store.execute("INSERT INTO main.ours SELECT * FROM share.ours")
        store.execute("DETACH share")
    return store
