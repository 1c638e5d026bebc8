"""Facts as followers read them: many at once, decoded once for all who follow in a process."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

from domain.codec import CorruptEventError, UnknownEventError, decode
from domain.events import TAGS, AnyEvent

KEPT: Final = 40_000
"""Facts that a tail keeps in memory, about 1 KB each, for followers that come after the first."""


class Row(Protocol):
    """A stored fact, as a log gives it."""

    @property
    def position(self) -> int:
        """Its place in the log, from 1 without a gap."""

    @property
    def tag(self) -> str:
        """Its type and version."""

    @property
    def body(self) -> bytes:
        """The fact, as `domain.codec` writes it."""


Body: TypeAlias = msgspec.Raw | bytes
"""A fact as it is stored; a `Raw` keeps alive the piece in which it was read."""

Bodies: TypeAlias = tuple[int, int, list[str], bytes]
"""Stored facts in one piece: the first and the last position, the tags, a JSON list of bodies."""


class UnreadableFactError(Exception):
    """The log holds a fact that this code does not know or cannot read. It is never skipped."""

    def __init__(self, position: int, fault: Exception) -> None:
        """Name the place."""
        super().__init__(f"position {position}: {fault}")
        self.position = position


class LogGapError(Exception):
    """The log did not go on where it had ended."""


class Reading(NamedTuple):
    """The facts after a position, in order. `fault` is what is wrong with the one after them, where
    it cannot be read. `bodies` are the facts as they are stored, where they were asked for.
    """

    after: int
    positions: Sequence[int]
    events: Sequence[AnyEvent]
    fault: UnreadableFactError | None = None
    bodies: Sequence[Body] = ()

    @property
    def last(self) -> int:
        """The position of the last of them; `after` where there is none."""
        return self.positions[-1] if self.positions else self.after

    def beyond(self, position: int) -> Reading:
        """Those of them that are after another position."""
        start = bisect_right(self.positions, position)
        return Reading(
            position,
            self.positions[start:],
            self.events[start:],
            self.fault,
            self.bodies[start:],
        )


def gapless(
    after: int,
    events: Sequence[AnyEvent],
    fault: UnreadableFactError | None = None,
    bodies: Sequence[Body] = (),
) -> Reading:
    """Facts of which each follows the one before."""
    return Reading(after, range(after + 1, after + 1 + len(events)), events, fault, bodies)


class Facts(Protocol):
    """What a follower reads."""

    def after(self, position: int, limit: int) -> Reading:
        """Up to `limit` facts after a position."""


class Tail:
    """The end of a log, decoded. Followers of one process share it: each fact is read once.

    `read(after, limit)` gives the log's rows after a position. `read_bodies` gives the same in one
    piece, where a log can: half the work. What was read last stays in memory for those who come
    later; who is further behind reads for itself. Any thread may ask. `with_bodies` gives the
    stored bytes beside the facts, for a fifth more of the work.
    """

    def __init__(
        self,
        read: Callable[[int, int], Sequence[Row]],
        read_bodies: Callable[[int, int], Bodies | None] | None = None,
        *,
        with_bodies: bool = False,
    ) -> None:
        self._read = read
        self._read_bodies = read_bodies
        self._lock = threading.Lock()
        self._after = 0
        self._events: list[AnyEvent] = []
        self._with_bodies = with_bodies
        self._bodies: list[Body] = []

    def after(self, position: int, limit: int) -> Reading:
        """Up to `limit` facts after a position. Raises LogGapError, and what reading raises."""
        with self._lock:
            if position >= self._after:
                return self._ahead(position, limit)
        return self._fresh(position, limit)  # long past: nobody else waits for it

    def _ahead(self, position: int, limit: int) -> Reading:
        """Read from memory, and from there on from the log."""
        known, start = self._events, position - self._after
        bodies = self._bodies
        if start > len(known):
            known.clear()
            bodies.clear()
            self._after, start = position, 0
        missing = limit - (len(known) - start)
        fault = None
        if missing > 0:
            more = self._fresh(self._after + len(known), missing)
            known += more.events
            bodies += more.bodies
            fault = more.fault
        found = gapless(
            position, known[start : start + limit], fault, bodies[start : start + limit]
        )
        spare = len(known) - max(KEPT, limit)
        if spare > 0:
            del known[:spare]
            del bodies[:spare]
            self._after += spare
        return found

    def _fresh(self, after: int, limit: int) -> Reading:
        if self._read_bodies is not None:
            bodies = self._read_bodies(after, limit)  # what is amiss is found row by row
            if bodies is None:
                return gapless(after, [])
            first, last, tags, joined = bodies
            events = _decoded_at_once(tags, joined)
            if events is not None and (first, last) == (after + 1, after + len(events)):
                return gapless(after, events, None, self._kept(joined))
        rows = self._read(after, limit)
        for expected, row in enumerate(rows, after + 1):
            if row.position != expected:
                raise LogGapError(f"the log goes on at {row.position}, not at {expected}")
        joined = b"[%b]" % b",".join([row.body for row in rows])
        events = _decoded_at_once([row.tag for row in rows], joined)
        if events is None:
            return _one_by_one(after, rows, with_bodies=self._with_bodies)
        return gapless(after, events, None, self._kept(joined))

    def _kept(self, joined: bytes) -> Sequence[Body]:
        """The stored bytes, each by itself, where somebody wants them."""
        return _raws.decode(joined) if self._with_bodies else ()


_list: Final[msgspec.json.Decoder[list[AnyEvent]]] = msgspec.json.Decoder(list[AnyEvent])
_raws: Final[msgspec.json.Decoder[list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw])


def _decoded_at_once(tags: Sequence[str], joined: bytes) -> list[AnyEvent] | None:
    """The facts of a JSON list; None where they must be looked at one by one."""
    try:
        events = _list.decode(joined)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return events if [TAGS[type(event)] for event in events] == tags else None


def _one_by_one(after: int, rows: Sequence[Row], *, with_bodies: bool) -> Reading:
    """The facts up to the first that cannot be read, and what is wrong with that one."""
    events: list[AnyEvent] = []
    bodies = [row.body for row in rows] if with_bodies else []
    for row in rows:
        try:
            events.append(decode(row.tag, row.body))
        except (UnknownEventError, CorruptEventError) as fault:
            unreadable = UnreadableFactError(row.position, fault)
            unreadable.__cause__ = fault
            return gapless(after, events, unreadable, bodies[: len(events)])
    return gapless(after, events, None, bodies)
