"""The transparency log as a process has it open: the tree, its keys, what follows and signs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from app.keys import Keys, fingerprint, load_keys
from app.log.ports import LogRow
from app.settings import Settings
from app.transparency.follower import LeafFollower
from app.transparency.looking_up import Subjects, ViewsBehindError
from app.transparency.note import VerifierKey
from app.transparency.publishing import Publisher, WitnessStanding
from app.transparency.signing import ForkError, Signer
from app.transparency.store import (
    OtherTreeError,
    SignedCheckpoint,
    TransparencyStore,
    Tree,
    open_transparency,
)
from app.witness.client import clients_of
from projections.reading import Facts

LOOK_S: Final = 0.05
"""How often a process that does not sign looks what another one published."""

LATE_MS: Final = 10_000
"""Of a checkpoint that is not published so long after it was signed, the witnesses are at fault."""

KNOWN_S: Final = 0.25
"""How old the newest checkpoint may be that is served without asking the store."""


class Log(Protocol):
    """What is asked of the log."""

    @property
    def log_id(self) -> str:
        """The log's random id."""

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """The rows of one stream after a version, in order."""

    def last(self) -> tuple[int, int]:
        """The last event's (position, at); (0, 0) for an empty log."""

    def wait(self, after: int, timeout: float) -> int:
        """Wait for an event after a position; return the last position."""


class TreeStanding(Struct, frozen=True, kw_only=True):
    """How the transparency log stands: how many leaves the tree has, up to which size checkpoints
    were signed and published, and when the last of these was made (ms UTC, 0: never).

    `unpublished_since` is when the first was signed that waits for witnesses since (0: none waits),
    `is_late` whether that is so long that something is amiss with them. `fault` is what stopped
    following or signing, such as a fork, where this process does that.
    """

    origin: str
    size: int
    signed: int
    published: int
    published_at: int
    quorum: int
    witnesses: tuple[WitnessStanding, ...] = ()
    unpublished_since: int = 0
    is_late: bool = False
    fault: str = ""


class OpenTree(Struct, frozen=True):
    """A log's stored tree, and the keys that it goes on with."""

    store: TransparencyStore
    keys: Keys
    tree: Tree


def open_tree(settings: Settings, log_id: str) -> OpenTree:
    """Open the tree of a log, begun where there is none.

    Raises SettingsError for keys that cannot be used, OtherTreeError for those that are not the
    stored tree's, and what opening a store raises.
    """
    store = open_transparency(settings)
    try:
        known = store.tree()
        # What is missing of a tree that was begun is to be brought back, not made anew.
        keys = load_keys(settings, "" if known is None else known.origin, make=known is None)
        vkey = keys.signing.verifier.encode()
        tree = store.begin(log_id, keys.origin, vkey, fingerprint(keys.log_secret))
    except BaseException:
        store.close()
        raise
    return OpenTree(store, keys, tree)


class Transparency:
    """The open transparency log of a platform.

    `elsewhere`: another process follows and signs, this one only reads. `may_follow` says whether
    it is for this machine to do so.
    """

    def __init__(
        self,
        settings: Settings,
        opened: OpenTree,
        log: Log,
        facts: Facts,
        subjects: Subjects,
        *,
        clock: Callable[[], int],
        may_follow: Callable[[], bool],
        elsewhere: bool,
    ) -> None:
        self.store, self.keys, self.tree = opened.store, opened.keys, opened.tree
        self.quorum = settings.witness_quorum
        self._clock = clock
        self._elsewhere = elsewhere
        self._may_follow = may_follow
        self._running = False
        self._stepping = threading.Lock()
        self._moved = threading.Condition()
        self._known: SignedCheckpoint | None = None
        self._known_at = float("-inf")
        self._late = ""
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._follower = LeafFollower(
            log,
            facts,
            self.store,
            self.keys.log_secret,
            subjects,
            may_follow=may_follow,
            told=self._tell,
        )
        self._signer = Signer(
            self.store,
            self.keys.signing,
            settings.keys_dir,
            clock=clock,
            last=lambda: log.last()[0],
            may_sign=may_follow,
            told=self._tell,
            publish_at_once=not self.quorum,
        )
        self._publisher: Publisher | None = None
        if self.quorum and not elsewhere:
            self._publisher = Publisher(
                self.store,
                clients_of(settings.witnesses),
                self.quorum,
                self.log_key,
                clock=clock,
                told=self._tell,
            )

    # --- What is known ---------------------------------------------------------------------------

    @property
    def log_key(self) -> VerifierKey:
        """The key by which checkpoints are verified; its name is the log's origin."""
        return self.keys.signing.verifier

    @property
    def fault(self) -> str:
        """Why nothing more is signed, for people; empty while all is well. Only known where the
        log is followed: ask `Platform.standing` elsewhere.
        """
        return self._signer.fault or self._follower.fault

    @property
    def trouble(self) -> str:
        """What went wrong last and is tried again; empty where nothing did."""
        return self._follower.trouble or self._signer.trouble

    def published(self) -> SignedCheckpoint | None:
        """The newest published checkpoint, perhaps a quarter of a second old."""
        if time.monotonic() - self._known_at > KNOWN_S:
            return self.look()
        return self._known

    def look(self) -> SignedCheckpoint | None:
        """The newest published checkpoint, as the store has it now."""
        self._known = self.store.latest_published()
        self._known_at = time.monotonic()
        return self._known

    def standing(self) -> TreeStanding:
        """How the transparency log stands, by the store; of witnesses, what this process asked."""
        signed, published = self.store.latest_signed(), self.look()
        waiting = self.store.unpublished()
        since = 0 if waiting is None else waiting.at
        return TreeStanding(
            origin=self.keys.origin,
            size=self.store.size,
            signed=0 if signed is None else signed.size,
            published=0 if published is None else published.size,
            published_at=0 if published is None else published.at,
            quorum=self.quorum,
            witnesses=() if self._publisher is None else self._publisher.standing(),
            unpublished_since=since,
            is_late=bool(self.quorum and since) and self._clock() - since >= LATE_MS,
            fault=self.fault,
        )

    def problem(self) -> str:
        """Why nothing more is signed or published, for people; empty while all is well.

        Perhaps some seconds old: a thread asks once a second, and a request does not wait.
        """
        if self.fault or self._elsewhere:
            return self.fault
        if not self.quorum:
            return self.trouble
        return self._late if self._running else self._lateness()

    def look_after(self) -> None:
        """See whether the witnesses keep up; what a thread does now and then."""
        self._late = self._lateness() if self.quorum else ""

    def _lateness(self) -> str:
        standing = self.standing()
        if not standing.is_late:
            return self.trouble
        silent = [each.name for each in standing.witnesses if each.trouble]
        named = ", ".join(silent) or "not asked yet"
        return (
            f"too few witnesses cosign ({named}): {standing.signed:,} events were signed,"
            f" {standing.published:,} are published"
        )

    # --- Waiting ---------------------------------------------------------------------------------

    def _tell(self) -> None:
        with self._moved:
            self._known_at = float("-inf")
            self._moved.notify_all()

    def _wait_moved(self, timeout: float) -> None:
        with self._moved:
            self._moved.wait(timeout)

    def covers(self, position: int) -> bool:
        """Whether what is published has the event at this position."""
        newest = self._known
        if newest is None or newest.size < position:
            newest = self.look()
        return newest is not None and newest.size >= position

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds until a published checkpoint has the event at a position;
        whether one has. Where nothing runs (a command, a test) the work is done here.
        """
        deadline = time.monotonic() + timeout
        while not self.covers(position):
            left = deadline - time.monotonic()
            if left <= 0 or (self.fault and not self._elsewhere):
                return False
            if not self._running and not self._elsewhere:
                self.catch_up()
                if self.covers(position):
                    return True
            if self._running:
                self._wait_moved(min(left, LOOK_S))
            else:
                time.sleep(min(left, LOOK_S))
        return True

    async def wait_for_async(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109
        """The same, for a coroutine."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not await asyncio.to_thread(self.wait_for, position, 0.0):
            left = deadline - loop.time()
            if left <= 0 or (self.fault and not self._elsewhere):
                return False
            if not self._running and not self._elsewhere:
                await asyncio.to_thread(self.catch_up)
                if self.covers(position):
                    return True
            await asyncio.sleep(min(left, LOOK_S))
        return True

    # --- Following -------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Make the tree level with the log as far as the views are, sign it and publish that: for
        commands and tests, where no thread does.
        """
        with self._stepping:
            try:
                self._follower.catch_up()
            except ViewsBehindError:
                pass
            except (ForkError, OtherTreeError) as fault:
                self._follower.fault = str(fault)
                return
            try:
                self._signer.step()
            except ForkError as fault:
                self._signer.fault = str(fault)
                return
            if self._publisher is not None:
                self._publisher.step()

    def start(self) -> None:
        """Follow the log, sign and publish, each in a thread; where this process is to do so."""
        if self._elsewhere:
            return
        self._running = True
        self._thread("tree", partial(self._follower.run, self._stop))
        self._thread("signer", partial(self._signer.run, self._stop, self._wait_moved))
        publisher = self._publisher
        if publisher is not None:
            run = partial(publisher.run, self._stop, self._may_follow, self._wait_moved)
            self._thread("publisher", run)

    def _thread(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End the threads, each after what it is in the midst of."""
        self._stop.set()
        self._tell()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._running = False

    def close(self) -> None:
        """Stop, and close the store."""
        self.stop()
        if self._publisher is not None:
            self._publisher.close()
        self.store.close()
