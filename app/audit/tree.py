"""The transparency log held against the event log: every leaf, the tree over them, and every
checkpoint that was ever signed, here or kept elsewhere.

The tree is made again from its leaves, whatever its tiles say, and the leaves from the events.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.audit.counting import counted
from app.audit.findings import Findings
from app.audit.leaves import Erased, LeafPlan, LeavesSeen
from app.audit.outside import Known, read_outside
from app.audit.processes import MOST_TASKS, Processes
from app.audit.progress import Progress
from app.audit.reader import AuditLog, CannotAudit
from app.audit.tree_place import StoredTree, TreePlace, TreeStore
from app.audit.tree_ranges import RANGE, Begun, Ranged, TreeRange, check_tile, kept_of, look_at
from app.audit.wording import time_text
from app.keys import fingerprint
from app.transparency.edge import ENTRY_BYTES
from app.transparency.leaf import POSITION_BYTES
from app.transparency.merkle import EMPTY_ROOT, node_hash, root_of_tile
from app.transparency.note import NoteError, VerifierKey, encode_base64
from app.transparency.signing import ForkError, Signed, read_signed
from app.transparency.tiles import MOST_LEAVES, TILE_WIDTH, tiles_of
from domain.subject import SUBJECT

HIGHER: Final = 2
"""From this level on tiles are checked when all ranges are there."""


class TreeFound(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was looked at of the transparency log called `origin`: its first `leaves` leaves, whose
    `root` is in hex digits.

    `waiting` events have no leaf yet. `unopenable` commitments are to events about persons whose
    key was destroyed, `unchecked` those for which no key was at hand. `checkpoints` of the log's
    own were looked at, and `outside` ones that were kept elsewhere. `checkpoint` is the size of the
    newest that is right, 0 where there is none. `seals` over erased persons' events were checked,
    and `unsealed` erasures carry none though the log says something about the person.
    """

    origin: str
    leaves: int
    root: str
    waiting: int = 0
    unopenable: int = 0
    unchecked: int = 0
    checkpoints: int = 0
    outside: int = 0
    checkpoint: int = 0
    checkpoint_root: str = ""
    seals: int = 0
    unsealed: int = 0


class TreeCheck:
    """The check of one tree. Make it before the log's end is read: a tree is never ahead of it.

    Raises CannotAudit where a checkpoint from outside cannot be used.
    """

    def __init__(self, place: TreePlace, findings: Findings, left_out: list[str]) -> None:
        self._place = place
        self._findings = findings
        self._left_out = left_out
        self._signed = self._last_signed()  # before the tree: it is never ahead of that
        self._trees = self._stored_trees()
        self._vkeys = self._readable_keys()
        keys = place.keys or tuple(dict.fromkeys(tree.vkey for tree in self._trees))
        origins = {tree.origin for tree in self._trees}
        origins |= {vkey.partition("+")[0] for vkey in self._vkeys.values()}
        self._outside = read_outside(place.outside, keys, origins)
        self._size = self._trees[-1].size if self._trees else 0
        self._whole = True
        self._up_to = 0

    def plan(self, log: AuditLog, up_to: int, *, whole: bool) -> LeafPlan | None:
        """What the pass over the log has to hold its events against; None where it cannot.

        `up_to` is how far the log is read; `whole`: that is its end.
        """
        self._up_to, self._whole = up_to, whole
        if not whole:
            self._size = min(self._size, up_to)
        if not self._trees:
            if self._outside:
                self._findings.add("fork", "Checkpoints were signed, and there is no tree.", 1)
            if self._signed is not None and self._signed.size:
                sentence = f"{self._place.signed} says that a tree was signed, and there is none."
                self._findings.add("checkpoint", sentence)
            return None
        tree = self._trees[-1]
        if tree.log_id != log.log_id:
            sentence = f"The transparency tree is that of another log, {tree.log_id}."
            self._findings.add("tree", sentence)
        if not self._place.log_secret:
            self._left_out.append(
                "The log's secret is not at hand: no leaf was made again, and no seal over an"
                " erased person's events."
            )
            return None
        if not hmac.compare_digest(fingerprint(self._place.log_secret), tree.log_secret):
            sentence = "The log's secret is not the one with which the tree was begun."
            self._findings.add("tree", sentence)
            return None
        if not self._place.people or not self._place.master:
            self._left_out.append(
                "Persons' keys are not at hand: commitments to events about persons were not made"
                " again, only those to their public parts."
            )
        return LeafPlan(self._place, self._size)

    def run(
        self,
        log: AuditLog,
        seen: LeavesSeen,
        gaps: Sequence[tuple[int, int]],
        folder: Path,
        processes: Processes | None,
        progress: Progress,
    ) -> TreeFound | None:
        """Check the tree over the leaves, all checkpoints, and that each leaf has its event.

        `gaps` are the positions after which and before which events are missing.
        """
        if not self._trees:
            return None
        self._check_events(gaps)
        self._check_erased(log, seen)
        ranges = self._ranges(folder)
        ranged = _looked_at(ranges, processes, progress, self._size)
        for each in ranged:
            self._findings.take(each.findings)
        rows = _pairs([each.root for each in ranged if each.root])
        self._check_higher_tiles([each.root for each in ranged if each.root], ranged)
        marks = _Marks(self._findings)
        marks.see(ranges, rows)
        self._check_empty()
        self._check_beyond()
        self._check_last_signed(marks)
        self._check_outside(marks)
        return TreeFound(
            origin=self._trees[-1].origin,
            leaves=self._size,
            root=marks.root_of(self._size).hex(),
            waiting=max(0, self._up_to - self._size),
            unopenable=seen.unopenable,
            unchecked=seen.unchecked,
            checkpoints=sum(each.checkpoints for each in ranged),
            outside=len(self._outside),
            checkpoint=marks.newest,
            checkpoint_root=marks.newest_root.hex(),
            seals=sum(bool(fact.seal) for fact in seen.erased.values()),
            unsealed=sum(
                not fact.seal and bool(seen.records(party, fact.position))
                for party, fact in seen.erased.items()
            ),
        )

    # --- Before ----------------------------------------------------------------------------------

    def _stored_trees(self) -> list[StoredTree]:
        try:
            with closing(TreeStore(self._place.store)) as store:
                trees = store.trees()
        except CannotAudit as fault:
            self._left_out.append(f"The transparency log was not looked at: {fault}")
            return []
        if not trees:
            self._left_out.append("The transparency log was not looked at: none was begun.")
        return trees

    def _last_signed(self) -> Signed | None:
        if self._place.signed is None:
            return None
        try:
            return read_signed(self._place.signed)
        except ForkError as fault:
            self._findings.add("checkpoint", str(fault))
            return None

    def _readable_keys(self) -> dict[int, str]:
        found = {}
        for tree in self._trees:
            try:
                VerifierKey.parse(tree.vkey)
            except NoteError as fault:
                sentence = f"The key of the tree {tree.origin} cannot be read: {fault}."
                self._findings.add("checkpoint", sentence)
            else:
                found[tree.number] = tree.vkey
        return found

    # --- Events and leaves -----------------------------------------------------------------------

    def _check_events(self, gaps: Sequence[tuple[int, int]]) -> None:
        """Every leaf has its event."""
        for before, after in gaps:
            if before < self._size:
                last = min(after - 1, self._size)
                sentence = f"The events of positions {before + 1:,} to {last:,} are in the tree,"
                self._findings.add("leaf", f"{sentence} and not in the log.", before + 1)
        if self._whole and self._size > self._up_to:
            sentence = (
                f"The tree has {self._size:,} leaves, and the log ends at position {self._up_to:,}:"
                " the events behind it are gone."
            )
            self._findings.add("tree", sentence, self._up_to + 1)

    def _check_erased(self, log: AuditLog, seen: LeavesSeen) -> None:
        """Whose key is gone was erased, and the log says so."""
        last, _ = log.last()
        for party, position in sorted(seen.destroyed.items(), key=lambda each: each[1]):
            if next(log.stream_rows(SUBJECT + party, last, 1), None) is None:
                sentence = (
                    f"The key of the person {party} was destroyed, and no erasure is recorded:"
                    " what is said here of that person cannot be checked."
                )
                self._findings.add("erasure", sentence, position)
        for party, fact in sorted(seen.erased.items(), key=lambda each: each[1].position):
            records = seen.records(party, fact.sealed_to)
            if fact.seal and seal_of(self._place.log_secret, party, records) != fact.seal:
                self._findings.add("erasure", _unsealed(fact, records), fact.position)

    # --- Tiles -----------------------------------------------------------------------------------

    def _ranges(self, folder: Path) -> list[TreeRange]:
        place = self._place
        asked = {known.size for known in self._outside} | {self._size}
        if self._signed is not None:
            asked.add(self._signed.size)
        return [
            TreeRange(
                TreePlace(place.store, witnesses=place.witnesses),
                self._vkeys,
                self._size,
                number,
                tuple(s for s in asked if start < s <= min(start + RANGE, self._size)),
                folder,
            )
            for number, start in enumerate(range(0, self._size, RANGE))
        ]

    def _check_higher_tiles(self, roots: Sequence[bytes], ranged: Sequence[Ranged]) -> None:
        """The tiles above those of the ranges."""
        rows: dict[int, list[bytes]] = {HIGHER: list(roots)}
        wrong = {at for at, each in enumerate(ranged) if each.findings.by_kind["tree"]}
        above: set[int] = set()
        with closing(TreeStore(self._place.store)) as store:
            for level, n, width in tiles_of(self._size):
                if level < HIGHER:
                    continue
                if level not in rows:
                    rows[level] = [
                        root_of_tile(b"".join(rows[level - 1][at : at + TILE_WIDTH]))
                        for at in range(0, len(rows[level - 1]) - TILE_WIDTH + 1, TILE_WIDTH)
                    ]
                    wrong, above = above, set()
                made = rows[level][n * TILE_WIDTH :][:width]
                below = {at - n * TILE_WIDTH for at in wrong}
                stored = store.tiles(level, n, n + 1).get(n, b"")
                if not check_tile(level, n, made, stored, below, self._findings):
                    above.add(n)

    # --- Checkpoints -----------------------------------------------------------------------------

    def _check_empty(self) -> None:
        """The checkpoint of a log without events."""
        with closing(TreeStore(self._place.store)) as store:
            for stored in store.checkpoints(-1, 0):
                if stored.root != EMPTY_ROOT:
                    self._findings.add("checkpoint", "The empty tree has another root.", 0)

    def _check_beyond(self) -> None:
        """Checkpoints that were signed of more leaves than there are."""
        if not self._whole:
            return
        with closing(TreeStore(self._place.store)) as store:
            now = store.trees()[-1]  # it may have grown since
            beyond = [
                stored.size
                for stored in store.checkpoints(now.size, MOST_LEAVES - 1)
                if stored.tree == now.number
            ]
        if beyond:
            sentence = (
                f"{len(beyond):,} checkpoints of more events are stored, the last of"
                f" {beyond[-1]:,}; the tree has {now.size:,}: what was signed behind them is gone."
            )
            self._findings.add("checkpoint", sentence, now.size + 1)

    def _check_last_signed(self, marks: _Marks) -> None:
        signed, tree = self._signed, self._trees[-1]
        if signed is None:
            return
        what = f"What was signed last, says {self._place.signed}"
        if signed.origin != tree.origin:
            sentence = f"{what}, is of the log {signed.origin}, and the tree that of {tree.origin}."
            self._findings.add("checkpoint", sentence)
        elif signed.size > self._size:
            if self._whole:
                sentence = f"{what}, had {signed.size:,} leaves; the tree has {self._size:,}."
                self._findings.add("checkpoint", sentence, self._size + 1)
        elif marks.root_of(signed.size).hex() != signed.root:
            sentence = f"{what} at {time_text(signed.at)}, has another root at {signed.size:,}."
            self._findings.add("checkpoint", sentence, signed.size)

    def _check_outside(self, marks: _Marks) -> None:
        """Hold what was kept elsewhere against the tree; what is beyond --at is left out."""
        agreed, forked = 0, list[Known]()
        for known in self._outside:
            if known.size > self._size and not self._whole:
                self._left_out.append(f"{known.name} is of {known.size:,} events: not looked at.")
            elif known.size > self._size or marks.root_of(known.size) != known.root:
                forked.append(known)
                self._check_proved(known, holds=False)
            else:
                agreed = known.size if not forked else agreed
                self._check_proved(known, holds=True)
        if not forked:
            return
        first = forked[0]
        if first.size > self._size and agreed == self._size:
            sentence = (
                f"{first.name} says that {first.size:,} events were in the log, and the tree has"
                f" {self._size:,}: those of positions {agreed + 1:,} to {first.size:,} are gone"
            )
        else:
            sentence = (
                f"{first.name}, signed for {first.size:,} events of {first.origin}, has another"
                f" root than this log: what was changed is in positions {agreed + 1:,} to"
                f" {first.size:,}"
            )
        if len(forked) > 1:
            sentence += f"; {len(forked) - 1:,} more from outside say so too"
        self._findings.add("fork", f"{sentence}.", agreed + 1)

    def _check_proved(self, known: Known, *, holds: bool) -> None:
        """Whether the event that a proof is about is the one that is here."""
        if known.proof is None or known.proof.index >= self._size:
            return
        position = known.proof.index + 1
        n, at = divmod(known.proof.index, TILE_WIDTH)
        with closing(TreeStore(self._place.store)) as store:
            bundle = store.bundles(n, n + 1).get(n, b"")
        entry = bundle[at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES]
        if known.proves(sha256(b"\0" + entry[2:]).digest()):
            return
        if holds:
            sentence = f"The proof in {known.name} is not that of the event at this position."
        else:
            sentence = f"{known.name} proves another event at this position, or another way to it."
        self._findings.add("fork", sentence, position)


def seal_of(log_secret: bytes, party: str, records: Sequence[bytes]) -> str:
    """The seal over the stored events about a person, hex digits: docs/formats.md."""
    data = b"erased\0" + party.encode() + b"".join(records)
    return hmac.digest(log_secret, data, sha256).hex()


def _unsealed(fact: Erased, records: Sequence[bytes]) -> str:
    said = "The stored events about this erased person are not those that were sealed"
    if not records:
        return f"{said}: in positions 1 to {fact.sealed_to:,} there is none of them left."
    places = [int.from_bytes(record[:POSITION_BYTES]) for record in records]
    return (
        f"{said}: what was changed is one of {len(records):,} in positions {places[0]:,} to"
        f" {places[-1]:,}, or was behind them up to {fact.sealed_to:,} and is gone."
    )


def _looked_at(
    ranges: Sequence[TreeRange], processes: Processes | None, progress: Progress, size: int
) -> list[Ranged]:
    if processes is None or len(ranges) <= 1:
        return [
            look_at(each, lambda done, start=each.start: progress(start + done, size))  # type: ignore[misc] # mypy takes the default for an argument
            for each in ranges
        ]
    found = []
    for first in range(0, len(ranges), MOST_TASKS):
        some = ranges[first : first + MOST_TASKS]
        found += processes.run(look_at, some, progress, size)
    return found


def _pairs(roots: Sequence[bytes]) -> list[list[bytes]]:
    """The hashes over pairs of ranges, over pairs of these, and so on."""
    rows = [list(roots)]
    while len(rows[-1]) > 1:
        rows.append([node_hash(*two) for two in list(pairwise(rows[-1]))[::2]])
    return rows


class _Marks:
    """The roots at all sizes that were asked for, and those of the log's own checkpoints."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self.newest = 0
        self.newest_root = b""

    def root_of(self, size: int) -> bytes:
        """The root of the first leaves; of sizes that were asked for."""
        return self._roots[size]

    def see(self, ranges: Sequence[TreeRange], rows: Sequence[Sequence[bytes]]) -> None:
        """Hold every checkpoint of the log's own against the leaves."""
        wrong, first_wrong, agreed, later = 0, 0, 0, False
        for begun in _all(ranges):
            root = _root(begun, rows)
            if not begun.root:
                self._roots[begun.size] = root
            elif begun.root != root:
                wrong += 1
                first_wrong = first_wrong or begun.size
            else:
                self.newest, self.newest_root = begun.size, root
                later = later or bool(wrong)
                agreed = agreed if wrong else begun.size
        if not wrong:
            return
        more = f"; {wrong - 1:,} more of its checkpoints say so too" if wrong > 1 else ""
        if later:
            sentence = f"The checkpoint of {first_wrong:,} events has another root than its leaves"
            self._findings.add("checkpoint", f"{sentence}{more}.", first_wrong)
        else:
            sentence = (
                f"The checkpoint that was signed for {first_wrong:,} events has another root than"
                f" the leaves: what was changed is in positions {agreed + 1:,} to {first_wrong:,}"
            )
            self._findings.add("checkpoint", f"{sentence}{more}.", agreed + 1)


def _all(ranges: Sequence[TreeRange]) -> Iterator[Begun]:
    for each in ranges:
        yield from kept_of(each)


def _root(begun: Begun, rows: Sequence[Sequence[bytes]]) -> bytes:
    found, count = begun.begun, begun.size // RANGE
    for height in range(count.bit_length()):
        if count >> height & 1:
            subtree = rows[height][(count >> height) - 1]
            found = node_hash(subtree, found) if found else subtree
    return found


def describe(found: TreeFound) -> Iterator[str]:
    """Say it in lines of text."""
    root = encode_base64(bytes.fromhex(found.root))
    yield (
        f"The tree of {found.origin}: {counted(found.leaves, 'leaf', 'leaves')}, root {root},"
        f" {counted(found.checkpoints, 'checkpoint')}"
    )
    if found.outside:
        were = "was" if found.outside == 1 else "were"
        outside = counted(found.outside, "checkpoint")
        yield f"{outside} from outside {were} held against it."
    if found.waiting:
        wait = "event waits for its leaf" if found.waiting == 1 else "events wait for their leaves"
        yield f"{found.waiting:,} {wait}."
    if found.unopenable:
        yield (
            f"{found.unopenable:,} of {found.leaves:,} event commitments can no longer be opened:"
            " erased persons."
        )
    if found.seals:
        were = "was" if found.seals == 1 else "were"
        yield f"{counted(found.seals, 'seal')} over the events of erased persons {were} checked."
    if found.unsealed:
        yield (
            f"{found.unsealed:,} erased persons' events carry no seal: what no leaf can tell of"
            " them, nothing does."
        )
    if found.unchecked:
        yield f"{found.unchecked:,} event commitments could not be made again: no key was at hand."
