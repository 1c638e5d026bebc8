"""What the pass sets aside for questions about the whole log, in files of the audit's own.

Positions with their times and pledge ids as numbers of 64 bits, in arrays; money at providers, in
tables. A position or a pledge takes 16 bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from app.audit.reader import StoredRow
from domain.events import AnyEvent

TABLE: Final = """CREATE TABLE ours (
    provider TEXT, kind TEXT, reference TEXT, key TEXT, amount INTEGER, fee INTEGER,
    clearing INTEGER, disputed INTEGER, currency TEXT, position INTEGER, stream TEXT)"""
MovementOf = Callable[[AnyEvent], "tuple[Any, ...] | None"]
Numbers = NDArray[np.uint64]

_BATCH: Final = 5_000
_ID_SIZE: Final = 36
_MASK: Final = 2**64 - 1
_MIX: Final = 0x9E3779B97F4A7C15
_NO_DIGIT: Final = 255
_DIGITS: Final = np.full(256, _NO_DIGIT, dtype=np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = range(16)
_PLACES: Final = [place for place in range(_ID_SIZE) if place not in (8, 13, 18, 23)]
_DASHES: Final = [8, 13, 18, 23]


class Gathered(Struct, frozen=True):
    """Where a share's findings for the whole log lie: of each kind a file that begins so."""

    folder: Path
    number: int

    @property
    def times(self) -> Path:
        """Positions and times, in the order of positions."""
        return self.folder / f"{self.number}.times"

    @property
    def pledges(self) -> Path:
        """Numbers of pledge ids, and positions."""
        return self.folder / f"{self.number}.pledges"

    @property
    def money(self) -> Path:
        """The table of movements; there is none where no bank is there."""
        return self.folder / f"{self.number}.db"


class Gatherer:
    """Writes one share's files. Close it to have them whole.

    `movement_of` tells what an event says of money at a provider; None where nobody asks.
    """

    def __init__(self, files: Gathered, movement_of: MovementOf | None) -> None:
        self._movement_of = movement_of
        self._money: list[tuple[Any, ...]] = []
        self._times = files.times.open("wb")
        self._pledges = files.pledges.open("wb")
        self._connection: sqlite3.Connection | None = None
        if movement_of is not None:
            self._connection = sqlite3.connect(files.money, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=OFF")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute(TABLE)
            self._connection.execute("BEGIN")

    def note_page(self, rows: Sequence[StoredRow], pledge_ids: Sequence[tuple[str, int]]) -> None:
        """Keep the places and times of a page's rows, and the ids of the pledges made there."""
        times = np.empty((len(rows), 2), dtype=np.int64)
        times[:, 0] = [row[0] for row in rows]
        times[:, 1] = [row[3] for row in rows]
        times.tofile(self._times)
        if pledge_ids:
            pledges = np.empty((len(pledge_ids), 2), dtype=np.uint64)
            pledges[:, 0] = numbers_of([pledge_id for pledge_id, _ in pledge_ids])
            pledges[:, 1] = [position for _, position in pledge_ids]
            pledges.tofile(self._pledges)

    def note(self, position: int, event: AnyEvent) -> None:
        """Keep what an event says of money at a provider."""
        if self._movement_of is None:
            return
        movement = self._movement_of(event)
        if movement is not None:
            self._money.append((*movement, position, event.stream))
            if len(self._money) >= _BATCH:
                self._write()

    def _write(self) -> None:
        assert self._connection is not None, "there is a bank"
        places = ", ".join("?" * 11)
        self._connection.executemany(f"INSERT INTO ours VALUES ({places})", self._money)  # noqa: S608
        self._money.clear()

    def close(self) -> None:
        """Write what is left."""
        self._times.close()
        self._pledges.close()
        if self._connection is not None:
            self._write()
            self._connection.execute("COMMIT")
            self._connection.close()


def numbers_of(pledge_ids: Sequence[str]) -> Numbers:
    """Numbers of 64 bits for some ids: equal ids have equal numbers, other ones hardly ever."""
    text = "".join(pledge_ids).encode(errors="surrogatepass")
    if len(text) == _ID_SIZE * len(pledge_ids):
        letters = np.frombuffer(text, dtype=np.uint8).reshape(-1, _ID_SIZE)
        digits = _DIGITS[letters[:, _PLACES]]
        if not (digits == _NO_DIGIT).any() and (letters[:, _DASHES] == ord("-")).all():
            octets = np.ascontiguousarray((digits[:, ::2] << 4) | digits[:, 1::2])
            halves = octets.view(">u8").astype(np.uint64)
            return halves[:, 0] ^ (halves[:, 1] * np.uint64(_MIX))
    return np.array([_number_of(pledge_id) for pledge_id in pledge_ids], dtype=np.uint64)


def _number_of(pledge_id: str) -> int:
    """The same for one id, and for what should be one and is none."""
    digits = pledge_id.replace("-", "")
    dashes = [place for place, letter in enumerate(pledge_id) if letter == "-"]
    if len(pledge_id) == _ID_SIZE and dashes == _DASHES and not digits.strip("0123456789abcdef"):
        high, low = divmod(int(digits, 16), 2**64)
        return high ^ (low * _MIX & _MASK)
    text = pledge_id.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def money_in(shares: Sequence[Gathered]) -> sqlite3.Connection:
    """Open the movements of several shares as one store, on disk where it grows."""
    store = sqlite3.connect("", isolation_level=None)
    store.execute(TABLE)
    for share in shares:
        store.execute("ATTACH ? AS share", (str(share.money),))
        store.execute("INSERT INTO main.ours SELECT * FROM share.ours")
        store.execute("DETACH share")
    return store


def read_pairs(path: Path, kind: type[np.int64 | np.uint64]) -> NDArray[Any]:
    """The pairs of a file, read from the disk as they are looked at."""
    if not path.stat().st_size:
        return np.empty((0, 2), dtype=kind)
    return np.memmap(path, dtype=kind, mode="r").reshape(-1, 2)
