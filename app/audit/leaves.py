"""Every leaf of the transparency log made again from the stored event, and held against the one
that is in the tree.

An event about a person is committed to under that person's key. Where it was destroyed nobody can
make that commitment again, which is what erasing means; the one to the public part, under the log's
secret, is made again all the same. Whose key is gone is asked of the log: an erasure is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Final

from msgspec import Struct, field

from app.audit.findings import Findings
from app.audit.tree_place import TreePlace, TreeStore, keys_of
from app.transparency.edge import ENTRY_BYTES
from app.transparency.leaf import COMMITMENT_BYTES, LEAF_BYTES, POSITION_BYTES
from app.transparency.making import LeafMaker
from app.transparency.subjects import subject_of
from app.transparency.tiles import TILE_WIDTH
from domain.events import AnyEvent, CampaignLaunched, PledgeMade, SubjectErased
from domain.subject import SUBJECT
from projections.reading import Reading

KEPT_KEYS: Final = 100_000
"""Persons whose keys are kept for their next events."""

AT_ONCE: Final = 256
"""Bundles that are read together, 19 KB each."""

SPARSE: Final = 4
"""One bundle in so many is needed: then each is read by itself."""

RECORD_BYTES: Final = POSITION_BYTES + 32
"""A position and a hash."""

_PUBLIC_END: Final = POSITION_BYTES + COMMITMENT_BYTES
_LENGTH_BYTES: Final = ENTRY_BYTES - LEAF_BYTES

Read = tuple[int, AnyEvent, bytes]
"""A readable event: its position, what it says, and the stored body."""


class LeafPlan(Struct, frozen=True):
    """Which tree the leaves of a share are held against: its first `size` leaves."""

    place: TreePlace
    size: int


class Erased(Struct, frozen=True):
    """The fact that a person was erased: where it stands, and the seal over the stored events about
    them up to `sealed_to` (hex digits, empty where there is none).
    """

    position: int
    sealed_to: int
    seal: str


class LeavesSeen(Struct):
    """What was seen of the leaves of a share.

    `unopenable` commitments are to events about persons whose keys were destroyed, `unchecked`
    those for which no key was at hand. `destroyed` are the persons without a key, with the first
    position where they were met. `erased` has the facts by which persons were erased, `sealed`
    what seals are made of: for each event about such a person its position and the hash of its
    stored body, 40 bytes.
    """

    checked: int = 0
    unopenable: int = 0
    unchecked: int = 0
    destroyed: dict[str, int] = field(default_factory=dict)
    erased: dict[str, Erased] = field(default_factory=dict)
    sealed: dict[str, bytes] = field(default_factory=dict)

    def add(self, other: LeavesSeen) -> None:
        """Add what was seen in another share."""
        self.checked += other.checked
        self.unopenable += other.unopenable
        self.unchecked += other.unchecked
        for party, position in other.destroyed.items():
            self.destroyed[party] = min(position, self.destroyed.get(party, position))
        self.erased |= other.erased
        for party, records in other.sealed.items():
            self.sealed[party] = self.sealed.get(party, b"") + records

    def records(self, party: str, up_to: int) -> list[bytes]:
        """What a person's seal is made of, in the order of positions, up to one of them."""
        packed = self.sealed.get(party, b"")
        each = [packed[at : at + RECORD_BYTES] for at in range(0, len(packed), RECORD_BYTES)]
        last = up_to.to_bytes(POSITION_BYTES)
        return sorted(record for record in each if record[:POSITION_BYTES] <= last)


class LeafCheck:
    """Holds the events of a share against the leaves. Feed it pages in the order of positions.

    `erased` are the persons of whose erasure the log knows, and the position at which it does.
    """

    def __init__(self, plan: LeafPlan, findings: Findings, erased: Mapping[str, int]) -> None:
        self.seen = LeavesSeen()
        self._erased = erased
        self._size = plan.size
        self._findings = findings
        self._store = TreeStore(plan.place.store)
        self._maker = LeafMaker(plan.place.log_secret)
        self._persons = keys_of(plan.place)
        self._keys: dict[str, bytes | None] = {}
        self._asked: set[str] = set()
        self._gone: dict[str, int] = {}
        self._backers: dict[str, list[str]] = {}
        self._odd: dict[tuple[str, int], str] = {}
        self._currencies: dict[str, str] = {}

    def close(self) -> None:
        """Close the stores."""
        self._store.close()
        if self._persons is not None:
            self._persons.close()

    def page(self, read: Sequence[Read]) -> None:
        """Check the leaves of some events."""
        read = [each for each in read if each[0] <= self._size]
        if not read:
            return
        parties = self._parties(read)
        if self._erased:
            self._note_erased(read, parties)
        self._ask_for({party for party in parties if party})
        made = self._made(read, parties)
        kept = list(self._stored([each[0] for each in read]))
        if made != kept:
            for (position, event, _), party, leaf, stored in zip(
                read, parties, made, kept, strict=True
            ):
                if leaf != stored:
                    self._differs(position, event, party, leaf, stored)
        self.seen.checked += len(read)

    def _note_erased(self, read: Sequence[Read], parties: Sequence[str | None]) -> None:
        """Keep what seals are made of."""
        erased, sealed = self._erased, self.seen.sealed
        for (position, event, body), party in zip(read, parties, strict=True):
            if party is not None and party in erased:
                record = position.to_bytes(POSITION_BYTES) + sha256(body).digest()
                sealed[party] = sealed.get(party, b"") + record
            elif type(event) is SubjectErased:
                fact = Erased(position, event.sealed_to, event.seal)
                self.seen.erased.setdefault(event.stream.removeprefix(SUBJECT), fact)

    # --- Making them again -----------------------------------------------------------------------

    def _parties(self, read: Sequence[Read]) -> list[str | None]:
        """Whom each event is about: a party, nobody (None), or a pledge that was not seen ("")."""
        found: list[str | None] = []
        backers = self._backers
        for _, event, _ in read:
            if type(event) is PledgeMade:
                known = backers.setdefault(event.stream, [])
                if event.no == len(known) + 1:
                    known.append(event.backer)
                else:  # a pledge is missing, or its number was changed
                    self._odd[event.stream, event.no] = event.backer
                found.append(event.backer)
                continue
            if type(event) is CampaignLaunched:
                self._currencies[event.stream] = event.currency
            subject = subject_of(event)
            if isinstance(subject, int):
                subject = self._backer(event.stream, subject)
            found.append(subject)
        return found

    def _backer(self, stream: str, no: int) -> str:
        known = self._backers.get(stream, ())
        return known[no - 1] if 0 < no <= len(known) else self._odd.get((stream, no), "")

    def _ask_for(self, parties: set[str]) -> None:
        if self._persons is None:
            return
        new = parties - self._asked
        if not new:
            return
        if len(self._asked) + len(new) > KEPT_KEYS:
            self._keys, self._asked, new = {}, set(), parties
        self._keys |= (found := self._persons.of(new))
        self._asked |= new
        self._gone |= {
            party: self._erased[party]
            for party, key in found.items()
            if key is None and party in self._erased
        }

    def _made(self, read: Sequence[Read], parties: Sequence[str | None]) -> list[bytes]:
        """The leaves of some events; empty for one of which none can be made."""
        positions, events, bodies = ([each[part] for each in read] for part in range(3))
        try:
            reading = Reading(0, positions, events, None, bodies)  # type: ignore[arg-type]
            return self._maker.leaves(reading, parties, self._keys, self._currencies, self._gone)
        except Exception:  # noqa: BLE001 - whatever it is, the events are tried one by one
            if len(read) == 1:  # what a damaged event says, no day or number may be
                return [b""]
        return [
            leaf
            for each, party in zip(read, parties, strict=True)
            for leaf in self._made([each], [party])
        ]

    # --- What is stored --------------------------------------------------------------------------

    def _stored(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The stored leaf of each position, which are in order; of one that is not there zeros."""
        for _, some in groupby(positions, key=lambda place: (place - 1) // TILE_WIDTH // AT_ONCE):
            group = list(some)
            wanted = {(position - 1) // TILE_WIDTH for position in group}
            first, end = min(wanted), max(wanted) + 1
            if len(wanted) * SPARSE < end - first:
                bundles: dict[int, bytes] = {}
                for n in wanted:
                    bundles |= self._store.bundles(n, n + 1)
            else:
                bundles = self._store.bundles(first, end)
            for position in group:
                n, at = divmod(position - 1, TILE_WIDTH)
                start = at * ENTRY_BYTES + _LENGTH_BYTES
                yield bundles.get(n, b"")[start : start + LEAF_BYTES]

    def _differs(
        self, position: int, event: AnyEvent, party: str | None, leaf: bytes, stored: bytes
    ) -> None:
        if len(stored) != LEAF_BYTES:
            return  # that it is not there, the tree tells
        wrong = []
        if stored[:POSITION_BYTES] != position.to_bytes(POSITION_BYTES):
            wrong.append(f"it stands at position {int.from_bytes(stored[:POSITION_BYTES]):,}")
        if leaf[POSITION_BYTES:_PUBLIC_END] != stored[POSITION_BYTES:_PUBLIC_END]:
            wrong.append("its public part is another")
        if leaf[_PUBLIC_END:] != stored[_PUBLIC_END:] and self._openable(position, party):
            wrong.append("its stored bytes are others")
        if wrong:
            sentence = f"This is not the event that is in the tree: {', and '.join(wrong)}."
            self._findings.add("leaf", sentence, position, event.stream)

    def _openable(self, position: int, party: str | None) -> bool:
        """Whether the commitment could have been made again; counts it where not."""
        if party is None:
            return True
        if party == "" or self._persons is None:
            self.seen.unchecked += 1
            return False
        if party in self._keys and self._keys[party] is None:
            if self._gone.get(party, position) < position:
                return True  # what came after the erasure is about nobody
            self.seen.unopenable += 1
            self.seen.destroyed.setdefault(party, position)
            return False
        return True
