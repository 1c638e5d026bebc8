"""The seal over the stored events about a person who is erased.

Their commitments open for nobody once the key is destroyed, so that a leaf no longer tells whether
its event was changed. The fact that the person was erased carries the seal instead: one hash under
the log's secret over all of them. It is made from the log alone, as `audit verify` makes it again:
what views say may be wrong, and a wrong seal would stay wrong for ever.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from app.log.ports import LogRow
from app.log.reading import decode_row
from app.transparency.leaf import POSITION_BYTES
from app.transparency.subjects import subject_of
from domain import events as e

ERASED: Final = b"erased\0"

PAGE: Final = 1_000
"""Events that are read at once, some 400 KB."""

FEW: Final = 8
MANY: Final = 64
"""Up to so many persons and pledges a page is first searched for them as it is, which is quick."""


class Seal(NamedTuple):
    """What holds a person's events up to position `up_to` together: 64 hex digits. 0 and empty
    where there is nothing about them.
    """

    up_to: int
    seal: str


NO_SEAL: Final = Seal(0, "")


class Log(Protocol):
    """What is asked of the log."""

    def last(self) -> tuple[int, int]:
        """The last event's position and time."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """The rows after a position, in order."""

    def read_bodies(self, after: int, limit: int) -> tuple[int, int, list[str], bytes] | None:
        """The same in one piece: first and last position, tags, a JSON list of the bodies."""


class _Glance(Struct):
    """What of an event may say whom it is about."""

    backer: str = ""
    party: str = ""
    no: int = 0


_glance: Final = msgspec.json.Decoder(_Glance)


class _Search:
    """Goes over the log in order and keeps what it finds about some persons, as hashes alone."""

    def __init__(self, log_secret: bytes, parties: Collection[str]) -> None:
        self.seals = {
            party: hmac.new(log_secret, ERASED + party.encode(), sha256) for party in parties
        }
        self.found: set[str] = set()
        self._pledges: dict[tuple[str, int], str] = {}
        self._names = [party.encode() for party in parties]
        self._numbers: dict[bytes, list[bytes]] = {}

    def may_be_in(self, bodies: bytes) -> bool:
        """Whether a page may hold something about them. Quick; no event is decoded."""
        if len(self._names) > FEW or len(self._pledges) > MANY:
            return True
        if any(name in bodies for name in self._names):
            return True
        return any(
            stream in bodies and any(number in bodies for number in numbers)
            for stream, numbers in self._numbers.items()
        )

    def see(self, row: LogRow) -> None:
        """Add a row to the seal of the person whom it is about, if it is one of them."""
        glance = _glance.decode(row.body)
        if (
            glance.backer not in self.seals
            and glance.party not in self.seals
            and (row.stream, glance.no) not in self._pledges
        ):
            return
        event = decode_row(row)
        subject = subject_of(event)
        if isinstance(subject, int):
            subject = self._pledges.get((row.stream, subject))
        if subject not in self.seals:
            return
        if type(event) is e.PledgeMade:
            self._pledges[row.stream, event.no] = subject
            numbers = (b'"no":%d%c' % (event.no, end) for end in b",}")
            self._numbers.setdefault(row.stream.encode(), []).extend(numbers)
        record = row.position.to_bytes(POSITION_BYTES) + sha256(row.body).digest()
        self.seals[subject].update(record)
        self.found.add(subject)


def seals_of(log: Log, log_secret: bytes, parties: Collection[str]) -> dict[str, Seal]:
    """The seal of each party over what the log says about them up to now, byte by byte as
    docs/formats.md has it.

    Reads the whole log once, a page at a time (about a second for a million events). Raises
    UnreadableEvent, and what reading raises.
    """
    search = _Search(log_secret, parties)
    up_to, _ = log.last()
    after = 0
    while after < up_to:
        page = log.read_bodies(after, min(PAGE, up_to - after))
        if page is None:
            break
        _, last, _, bodies = page
        if search.may_be_in(bodies):
            for row in log.read(after, PAGE):
                if row.position <= min(last, up_to):
                    search.see(row)
        after = last
    return {
        party: Seal(up_to, made.hexdigest()) if party in search.found else NO_SEAL
        for party, made in search.seals.items()
    }
