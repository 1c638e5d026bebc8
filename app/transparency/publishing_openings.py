"""Publishing openings: once a UTC day, for whole past days, what may be opened of each campaign.

A campaign's entries wait until those of five different backers do, or until it has come to its end,
so that a batch shows what a handful of people did, not what one did. What may be inferred all the
same stands in docs/auditing-from-outside.md. Nothing is opened whose leaf no published checkpoint
covers, and nothing that does not open its leaf: then something is wrong, and it is said.
"""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from typing import Final, Protocol

from app.log import EventLog, UnreadableEvent, decode_row
from app.transparency.leaf import COMMITMENT_BYTES, LEAF_BYTES, POSITION_BYTES, Salts, commit
from app.transparency.looking_up import ViewsBehindError
from app.transparency.openings import (
    FEWEST_BACKERS,
    MOST_OPENINGS,
    PLATFORM,
    Batch,
    Opening,
    claim_of,
)
from app.transparency.openings_store import OpeningsStore, Passed, Standing
from app.transparency.public_part import CAMPAIGN, DAY_MS, PublicPart, public_part
from app.transparency.subjects import subject_of
from app.transparency.tiles import TILE_WIDTH, width_at
from domain import events as e

LOOK_S: Final = 60.0
"""How often it is looked whether a day has passed."""

SOON_S: Final = 2.0
"""How often, while the checkpoint or the views that are needed are on their way."""

SETTLED_MS: Final = 60_000
"""So long after its end a day is over for certain: what was stamped in it is recorded."""

PAGE: Final = 1_000
"""Events of a stream that are read at once."""

LONGEST_REST_S: Final = 0.5

KEPT_BUNDLES: Final = 64
_SPACED: Final = 2 + LEAF_BYTES
"""Bytes of a leaf in a bundle, with its length before it."""

_MINUTE_MS: Final = 60_000

_ENDS: Final = (e.CampaignCompleted, e.CampaignFailed, e.CampaignCancelled)

_logger = logging.getLogger(__name__)

Backers = Callable[[Collection[tuple[str, int]], int], Mapping[tuple[str, int], str]]
"""Whose pledges these are, each (stream, no) made up to a position; see `looking_up.Backers`."""


class Published(Protocol):
    """What a published checkpoint says."""

    @property
    def size(self) -> int:
        """How many leaves it covers."""


class Leaves(Protocol):
    """The tree as it is published."""

    def latest_published(self) -> Published | None:
        """The newest published checkpoint."""

    def bundle(self, n: int, width: int) -> bytes:
        """The first `width` leaves of the n-th bundle."""


class LeafDiffersError(Exception):
    """An opening would not open its leaf."""

    def __init__(self, position: int) -> None:
        """Name the place."""
        super().__init__(
            f"position {position}: the event's public part is not what its leaf commits to;"
            " run `tributary audit verify`"
        )


class OpeningsPublisher:
    """Opens what is due. `clock` gives ms UTC; `may_follow` says whether it is this process's turn.

    `fault` says what is wrong, empty where nothing is. Used by one thread.
    """

    def __init__(
        self,
        log: EventLog,
        leaves: Leaves,
        openings: OpeningsStore,
        salts: Salts,
        *,
        backers: Backers,
        clock: Callable[[], int],
        may_follow: Callable[[], bool] = lambda: True,
    ) -> None:
        self._log = log
        self._leaves = leaves
        self._openings = openings
        self._salts = salts
        self._backers = backers
        self._clock = clock
        self._may_follow = may_follow
        self._day = -1
        self._bundles: dict[int, bytes] = {}
        self._size = 0
        self._stop = threading.Event()
        self._rested_at = time.monotonic()
        self.fault = ""

    def run(self, stop: threading.Event) -> None:
        """Open what is due, at once and from then on; until told to stop."""
        self._stop = stop
        while True:
            try:
                if self._may_follow():
                    self.publish_due()
            except ViewsBehindError:
                pass  # looked at again
            except (LeafDiffersError, UnreadableEvent) as fault:
                self._tell(str(fault))
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is said and tried again
                self._tell(type(fault).__name__)
            if stop.wait(LOOK_S if self._seen_to() or self.fault else SOON_S):
                return

    def _today(self) -> int:
        return (self._clock() - SETTLED_MS) // DAY_MS

    def _seen_to(self) -> bool:
        """Whether nothing can be due before tomorrow, or others have the turn."""
        return self._day == self._today() or not self._may_follow()

    def _tell(self, fault: str) -> None:
        """Say once what is wrong, not every minute."""
        if fault and fault != self.fault:
            _logger.error("not everything that is due is opened: %s", fault)
        self.fault = fault

    def publish_due(self) -> int:
        """Open all that is due; return how many batches were published.

        Looks at nothing but the clock where the day was seen to. Raises UnreadableEvent,
        ViewsBehindError, and what the stores raise.
        """
        today = self._today()
        if today == self._day:
            return 0
        passed = self._openings.passed(self._log.log_id)
        end = self._end_of(today * DAY_MS, passed.position)
        newest = self._leaves.latest_published()
        self._size = 0 if newest is None else newest.size
        if end > self._size:
            return 0  # looked at again: the checkpoint is on its way
        published, fault = self._publish(passed, end) if end > passed.position else (0, "")
        self._bundles.clear()
        if not self._stop.is_set():
            self._day = today
            self._tell(fault)
        return published

    def _publish(self, passed: Passed, end: int) -> tuple[int, str]:
        published, faults = 0, []
        self._rested_at = time.monotonic()
        moved = [stream for stream, _ in self._log.heads(passed.position)]
        for stream in moved:
            if self._stop.is_set():
                return published, ""
            if stream.startswith(CAMPAIGN):
                try:
                    published += self._open_campaign(stream, end)
                except LeafDiffersError as fault:
                    faults.append(str(fault))
        own = {*passed.waiting, *(one for one in moved if not one.startswith(CAMPAIGN))}
        try:
            opened, waiting = self._open_own(own, end)
        except LeafDiffersError as fault:
            faults.append(str(fault))
        else:
            if not faults:  # what differs is looked at again tomorrow
                self._openings.keep_passed(self._log.log_id, Passed(end, waiting))
            published += opened
        return published, "; ".join(faults)

    def _end_of(self, before: int, known: int) -> int:
        """The last position whose time (ms UTC) is before this; `known` is one, or 0."""
        last, last_at = self._log.last()
        if last_at < before:
            return last
        low, high = known, last
        while low < high - 1:
            middle = (low + high) // 2
            (row,) = self._log.read(middle - 1, 1)
            if row.at < before:
                low = middle
            else:
                high = middle
        return low

    # --- Campaigns -------------------------------------------------------------------------------

    def _open_campaign(self, stream: str, end: int) -> int:
        campaign = stream.removeprefix(CAMPAIGN)
        opened = self._openings.of(campaign)
        if not self._is_due(stream, opened.entries, opened.standing, end):
            return 0
        standing, number, entries = opened.standing, opened.batch, opened.entries
        openings: list[Opening] = []
        for position, version, event in self._events(stream, entries, end):
            part = _follow(standing, event)
            openings.append(self._opening(stream, version, position, part))
            if len(openings) == MOST_OPENINGS:
                number += 1
                self._keep(campaign, number, entries, standing, openings)
                entries, openings = entries + len(openings), []
                if self._stop.is_set():
                    return number - opened.batch
        if openings:
            number += 1
            self._keep(campaign, number, entries, standing, openings)
        return number - opened.batch

    def _is_due(self, stream: str, entries: int, opened: Standing, end: int) -> bool:
        """Whether five backers' money has moved in what waits, or the campaign is at its end."""
        standing = Standing(copy(opened.totals), opened.currency, opened.ended)
        backers: set[str] = set()
        unnamed: set[tuple[str, int]] = set()
        read = 0
        for _, _, event in self._events(stream, entries, end):
            read += 1
            if _follow(standing, event).changes:
                subject = subject_of(event)
                if isinstance(subject, str):
                    backers.add(subject)
                elif subject is not None:
                    unnamed.add((stream, subject))
            if unnamed and (read % PAGE == 0 or len(unnamed) >= FEWEST_BACKERS):
                backers.update(self._backers(unnamed, end).values())
                unnamed.clear()
            if len(backers) >= FEWEST_BACKERS:
                return True
        backers.update(self._backers(unnamed, end).values() if unnamed else ())
        ended = read > 0 and standing.ended and standing.totals.held == 0
        return ended or len(backers) >= FEWEST_BACKERS

    def _events(self, stream: str, after: int, end: int) -> Iterator[tuple[int, int, e.AnyEvent]]:
        """Position, version and fact of a stream's entries after a version, up to a position."""
        while rows := self._log.read_stream(stream, after, PAGE):
            for row in rows:
                if row.position > end:
                    return
                yield row.position, row.version, decode_row(row)
            after = rows[-1].version

    # --- The platform's own ----------------------------------------------------------------------

    def _open_own(self, streams: Iterable[str], end: int) -> tuple[int, tuple[str, ...]]:
        """Open the entries that belong to no campaign, once those of five people wait.

        One person may have several ids, which are erased together: what is of one minute counts
        as one person's.
        """
        opened = self._openings.of(PLATFORM)
        found: list[tuple[int, str, int, e.AnyEvent]] = []
        for stream in streams:
            found += [
                (position, stream, version, event)
                for position, version, event in self._events(stream, 0, end)
                if position > opened.position
            ]
        waiting = {stream for _, stream, _, _ in found}
        if len({event.at // _MINUTE_MS for _, _, _, event in found}) < FEWEST_BACKERS:
            return 0, tuple(sorted(waiting))
        found.sort(key=lambda one: one[0])
        number, entries = opened.batch, opened.entries
        for start in range(0, len(found), MOST_OPENINGS):
            openings = [
                self._opening(stream, version, position, public_part(event, ""))
                for position, stream, version, event in found[start : start + MOST_OPENINGS]
            ]
            number += 1
            self._keep(PLATFORM, number, entries, opened.standing, openings)
            entries += len(openings)
        return number - opened.batch, ()

    # --- One opening -----------------------------------------------------------------------------

    def _opening(self, stream: str, version: int, position: int, part: PublicPart) -> Opening:
        """What opens a leaf. Raises LeafDiffersError where it does not."""
        public, salt = part.encode(), self._salts.public(stream, version)
        if commit(salt, public) != self._committed(position):
            raise LeafDiffersError(position)
        return Opening(position, b64encode(salt).decode(), public.decode())

    def _committed(self, position: int) -> bytes:
        """The commitment to the public part in the leaf of this position."""
        n, place = divmod(position - 1, TILE_WIDTH)
        bundle = self._bundles.get(n)
        if bundle is None:
            if len(self._bundles) >= KEPT_BUNDLES:
                self._bundles.clear()
            bundle = self._leaves.bundle(n, width_at(0, n, self._size))
            self._bundles[n] = bundle
        start = place * _SPACED + 2 + POSITION_BYTES
        return bundle[start : start + COMMITMENT_BYTES]

    def _rest(self) -> None:
        """Leave the interpreter to others for as long as the batch took: after midnight there may
        be a million openings to make, and pledges come meanwhile.
        """
        self._stop.wait(min(time.monotonic() - self._rested_at, LONGEST_REST_S))
        self._rested_at = time.monotonic()

    def _keep(
        self, campaign: str, number: int, entries: int, standing: Standing, openings: list[Opening]
    ) -> None:
        self._rest()
        batch = Batch(
            campaign,
            number,
            entries,
            openings[-1].position,
            standing.currency,
            claim_of(standing.totals),
            openings,
        )
        self._openings.add(batch, standing, self._clock())


def _follow(standing: Standing, event: e.AnyEvent) -> PublicPart:
    """Add a fact to what stands; return its public part."""
    if type(event) is e.CampaignLaunched:
        standing.currency = event.currency
    elif isinstance(event, _ENDS):
        standing.ended = True
    part = public_part(event, standing.currency)
    standing.totals.add(part)
    return part
