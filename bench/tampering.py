"""Whether `audit verify` finds what somebody did to a stored log, and names the event.

    python -m bench.tampering [--mutations N] [--seed N] [--workers N] [--quick] [--json FILE]

A small log of whole campaign lives is made, with its transparency log, and somebody else keeps
checkpoints of it: all but the last ones, so that its end is covered by none. Then one thing is done
to a copy, it is verified, and the copy is thrown away; so N times.

*Covered* is what touches a position that a checkpoint kept elsewhere covers. *Named* is what was
found where it is: a finding at the first position that is not what was recorded, or one that says
"positions A to B" with that position among them, which is all that can be known once the forger
has made the whole tree again and signed it with the log's own key, and of an erased person's
events, whose seal holds them together. *Opened by nobody* is what changed an event about an erased
person that came between the making of the seal and the recording of the erasure, and nothing of its
public part: no seal holds it, and the key that could tell was destroyed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from app.audit import tampering
from app.audit.findings import Finding
from app.audit.reader import CannotAudit
from app.audit.verify import verify
from bench.databases import directory
from bench.results import Result, arguments, publish
from bench.tampering_stage import Forger, Stage, make_stage
from domain.codec import CorruptEventError, UnknownEventError

MUTATIONS: Final = 10_000
QUICK: Final = 300

_RANGE: Final = re.compile(r"positions ([\d,]+) to ([\d,]+)")
_AMOUNTS: Final = ("amount_minor", "pledged_minor", "released_minor", "goal_minor")
_COLUMNS: Final = ("position", "stream", "version", "at", "tag")
_WORD_BITS: Final = 40
_CHARACTER_BITS: Final = 8


class Mutated(Struct, frozen=True):
    """What was done: its kind, the first position that is not what was recorded, and whether a
    checkpoint from outside covers that; `secret`: only what a destroyed key could tell changed, in
    an event that no seal holds.
    """

    kind: str
    position: int
    covered: bool
    secret: bool = False


class Judged(Struct, frozen=True):
    """Whether it was found, and whether its place was named; `said` is what was found."""

    mutated: Mutated
    found: bool
    named: bool
    said: tuple[str, ...] = ()


class Tally(Struct):
    """How many of one kind were made, covered, found, named; and how many only a destroyed key
    could have told, found or not. `beyond` are those found that no checkpoint covers.
    """

    made: int = 0
    covered: int = 0
    found: int = 0
    named: int = 0
    secret: int = 0
    secret_found: int = 0
    uncovered: int = 0
    beyond: int = 0


class Unchanged(Exception):  # noqa: N818 - another one is tried
    """The log says what it said."""


# --- What is done to it --------------------------------------------------------------------------


class Hand:
    """Does one thing to the copies, by chance."""

    def __init__(self, stage: Stage, log: sqlite3.Connection, chance: random.Random) -> None:
        self._stage = stage
        self._log = log
        self._chance = chance

    def place(self) -> int:
        """Any position."""
        return self._chance.randint(1, self._stage.events)

    def two(self) -> tuple[int, int]:
        """Two positions, the first one first."""
        one, other = sorted(self._chance.sample(range(1, self._stage.events + 1), 2))
        return one, other

    def two_of_a_stream(self) -> tuple[int, int]:
        """Two positions of one campaign."""
        stream = self._chance.choice(self._stage.streams)
        one, other = sorted(self._chance.sample(stream, 2))
        return one, other

    def flip_body(self) -> None:
        """Flip a bit of a body."""
        place = self.place()
        size = len(tampering.body_at(self._log, place)) * 8
        tampering.flip_bit(self._log, place, self._chance.randrange(size))

    def flip_column(self) -> int:
        """Flip a bit of a column."""
        place, column = self.place(), self._chance.choice(_COLUMNS)
        statement = f"SELECT {column} FROM events WHERE position = ?"  # noqa: S608 - from above
        (was,) = self._log.execute(statement, (place,)).fetchone()
        changed = place
        if isinstance(was, str):
            data = bytearray(was.encode())
            data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(_CHARACTER_BITS)
            value = f"CAST(x'{data.hex()}' AS TEXT)"
        else:
            changed = was ^ (1 << self._chance.randrange(_WORD_BITS))
            value = str(changed)
        change_it = f"UPDATE events SET {column} = {value} WHERE position = ?"  # noqa: S608 - ours
        self._log.execute(change_it, (place,))
        return min(place, changed) if column == "position" else place

    def delete(self) -> None:
        """Delete a row."""
        tampering.remove(self._log, self.place())

    def delete_carefully(self) -> None:
        """Delete a row, and number all behind it anew."""
        tampering.remove(self._log, self.place(), careful=True)

    def swap(self) -> None:
        """Swap two rows."""
        tampering.swap(self._log, *self.two())

    def swap_carefully(self) -> None:
        """Swap two events of a campaign, each with the other's time and version."""
        tampering.swap(self._log, *self.two_of_a_stream(), careful=True)

    def truncate(self) -> None:
        """Forget the end."""
        tampering.truncate(self._log, self.place() - 1)

    def insert(self) -> None:
        """Insert another event, and number all behind it anew."""
        event = tampering.event_at(self._log, self.place())
        tampering.insert(self._log, self.place(), event, careful=True)

    def rewrite_amount(self) -> None:
        """Change an amount, in the encoder's own bytes."""
        place = self.place()
        event = tampering.event_at(self._log, place)
        names = [name for name in _AMOUNTS if getattr(event, name, 0)]
        if not names:
            raise Unchanged
        name = self._chance.choice(names)
        changed = getattr(event, name) + self._chance.choice((-1, 1, 100))
        tampering.rewrite(self._log, place, **{name: changed})

    def rewrite_name(self) -> None:
        """Change who or what an event names, in the encoder's own bytes."""
        self._rename(self.place())

    def rewrite_erased(self) -> None:
        """Change what an erased person's event says of no number."""
        self._rename(self._chance.choice(self._stage.erased))

    def rewrite_erased_amount(self) -> None:
        """Change an amount in an erased person's event."""
        place = self._chance.choice(self._stage.erased)
        event = tampering.event_at(self._log, place)
        if not getattr(event, "amount_minor", 0):
            raise Unchanged
        amount_minor = event.amount_minor + 1  # type: ignore[union-attr] # it has one
        tampering.rewrite(self._log, place, amount_minor=amount_minor)

    def _rename(self, place: int) -> None:
        event = tampering.event_at(self._log, place)
        names = [
            name
            for name in ("command_id", "pledge_id", "reference", "payment_method", "account_id")
            if getattr(event, name, "")
        ]
        name = self._chance.choice(names)
        tampering.rewrite(self._log, place, **{name: self._stage.new_id(self._chance)})


_IN_THE_LOG: Final[dict[str, Callable[[Hand], int | None]]] = {
    "flip a bit of a body": Hand.flip_body,
    "flip a bit of a column": Hand.flip_column,
    "delete a row": Hand.delete,
    "delete a row, number the rest anew": Hand.delete_carefully,
    "swap two rows": Hand.swap,
    "swap two events of a campaign, refitted": Hand.swap_carefully,
    "forget the end": Hand.truncate,
    "insert an event, number the rest anew": Hand.insert,
    "rewrite an amount": Hand.rewrite_amount,
    "rewrite an id": Hand.rewrite_name,
    "rewrite an amount, erased person": Hand.rewrite_erased_amount,
    "rewrite an id, erased person": Hand.rewrite_erased,
}
_FORGED: Final = (
    "delete a row, number the rest anew",
    "swap two events of a campaign, refitted",
    "forget the end",
    "insert an event, number the rest anew",
    "rewrite an amount",
    "rewrite an id",
    "rewrite an id, erased person",
)
AND_ALL_BEHIND: Final = ", tree made anew and signed"
_IN_THE_TREE: Final[dict[str, Callable[[Forger, random.Random], int]]] = {
    "flip a bit of a stored leaf": Forger.flip_leaf,
    "flip a bit of a tile": Forger.flip_tile,
    "flip a bit of a checkpoint": Forger.flip_checkpoint,
}
KINDS: Final = (
    *_IN_THE_LOG,
    *(f"{kind}{AND_ALL_BEHIND}" for kind in _FORGED),
    *_IN_THE_TREE,
)


class Copies:
    """A copy of the log and one of its tree, made anew for each mutation."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage = stage
        self._log = folder / "log.db"
        self._tree = folder / "tree.db"
        self._signed = folder / "signed.json"

    def mutate(self, kind: str, chance: random.Random) -> Mutated:
        """Do one thing of this kind to fresh copies; another one where nothing changed by it."""
        while True:
            shutil.copyfile(self._stage.log, self._log)
            shutil.copyfile(self._stage.tree, self._tree)
            shutil.copyfile(self._stage.signed, self._signed)
            with contextlib.suppress(Unchanged, sqlite3.IntegrityError, CorruptEventError):
                return self._once(kind, chance)

    def _once(self, kind: str, chance: random.Random) -> Mutated:
        stage = self._stage
        forger = Forger(stage, self._log, self._tree, self._signed)
        if kind in _IN_THE_TREE:
            place = _IN_THE_TREE[kind](forger, chance)
            return Mutated(kind, place, place <= stage.covered)
        with contextlib.closing(tampering.open_copy(self._log)) as log:
            place = _IN_THE_LOG[kind.removesuffix(AND_ALL_BEHIND)](Hand(stage, log, chance)) or 0
            with contextlib.closing(sqlite3.connect(stage.log)) as before:
                first = next(tampering.differing(before, log), place)
            if not first:
                raise Unchanged
            changed = first if place == 0 else min(first, place)
            secret = self._secret(log, changed)
        if kind.endswith(AND_ALL_BEHIND):
            forger.make_tree_anew()
        return Mutated(kind, changed, changed <= stage.covered, secret)

    def _secret(self, log: sqlite3.Connection, position: int) -> bool:
        """Whether only a destroyed key could tell: nothing changed but that of an erased person's
        event which no number shows and no seal holds.
        """
        stage = self._stage
        if position not in stage.unsealed:
            return False
        with contextlib.closing(sqlite3.connect(stage.log)) as before:
            if list(tampering.differing(before, log)) != [position]:
                return False
            was = tampering.event_at(before, position)
        try:
            now = tampering.event_at(log, position)
        except (CorruptEventError, UnknownEventError, LookupError, sqlite3.OperationalError):
            return False
        return stage.public(was) == stage.public(now)

    def judge(self, mutated: Mutated) -> Judged:
        """Verify the copies."""
        place = self._stage.place(self._tree, self._signed)
        try:
            found, _ = verify(self._log, self._log.with_name("no-bank.db"), tree=place, workers=1)
        except CannotAudit as fault:  # an event that this code does not know ends it
            named = bool(re.search(rf"\b{mutated.position}\b", str(fault)))
            return Judged(mutated, found=True, named=named, said=(str(fault),))
        named = any(names(finding, mutated.position) for finding in found.violations)
        said = tuple(map(str, found.violations[:5]))
        return Judged(mutated, found=not found.ok, named=named, said=said)


def names(finding: Finding, position: int) -> bool:
    """Whether a finding says where it is: at this position, or in a range with it."""
    if finding.position == position:
        return True
    said = _RANGE.search(finding.sentence)
    if said is None:
        return False
    first, last = (int(number.replace(",", "")) for number in said.groups())
    return first <= position <= last


# --- All of them ---------------------------------------------------------------------------------


def run(stage: Stage, mutations: int, seed: int, first: int = 0, step: int = 1) -> list[Judged]:
    """Make every `step`-th of so many mutations, and judge each."""
    judged = []
    with directory() as folder:
        copies = Copies(stage, folder)
        for number in range(first, mutations, step):
            chance = random.Random(f"{seed} {number}")
            judged.append(copies.judge(copies.mutate(KINDS[number % len(KINDS)], chance)))
    return judged


def tallies(judged: list[Judged]) -> dict[str, Tally]:
    """Count by kind."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for each in judged:
        tally = found[each.mutated.kind]
        tally.made += 1
        if each.mutated.secret:
            tally.secret += 1
            tally.secret_found += each.found
        elif each.mutated.covered:
            tally.covered += 1
            tally.found += each.found
            tally.named += each.named
        else:
            tally.uncovered += 1
            tally.beyond += each.found
    return dict(found)


def missed(judged: list[Judged]) -> list[Judged]:
    """Those that should have been found and named, and were not."""
    return [
        each
        for each in judged
        if each.mutated.covered and not each.mutated.secret and not (each.found and each.named)
    ]


def show(found: dict[str, Tally]) -> None:
    """Print the table."""
    table = Table("what was done", box=None)
    for word in ("made", "covered", "found", "named", "opened by nobody", "not covered", "(found)"):
        table.add_column(word, justify="right")
    total = Tally()
    for kind in KINDS:
        tally = found.get(kind, Tally())
        for name in tally.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        table.add_row(kind, *_cells(tally))
    table.add_row("all", *_cells(total), style="bold")
    Console(width=140).print(table)


def _cells(tally: Tally) -> tuple[str, ...]:
    return (
        f"{tally.made:,}",
        f"{tally.covered:,}",
        f"{tally.found:,}",
        f"{tally.named:,}",
        f"{tally.secret_found:,} of {tally.secret:,}" if tally.secret else "",
        f"{tally.uncovered:,}",
        f"{tally.beyond:,}",
    )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Mutate, verify, count."""
    mutations = QUICK if asked.quick else asked.mutations
    began = time.perf_counter()
    with directory() as folder:
        stage = make_stage(folder)
        if asked.workers > 1:
            with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
                parts = [
                    pool.submit(run, stage, mutations, asked.seed, first, asked.workers)
                    for first in range(asked.workers)
                ]
                judged = [each for part in parts for each in part.result()]
        else:
            judged = run(stage, mutations, asked.seed)
    found = tallies(judged)
    show(found)
    for each in missed(judged)[:10]:
        print(f"NOT NAMED: {each.mutated} {each.said}")
    covered = sum(tally.covered for tally in found.values())
    for name in ("found", "named"):
        yield Result(
            name=f"mutations of covered positions {name}, of {covered:,}",
            unit="%",
            runs=(100 * sum(getattr(tally, name) for tally in found.values()) / max(1, covered),),
            target=100,
        )
    yield Result(
        name="one mutation, with its copies and its verification",
        unit="ms",
        runs=((time.perf_counter() - began) * 1000 * asked.workers / max(1, mutations),),
    )


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--mutations", type=int, default=MUTATIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    publish(measure(parser.parse_args()), parser.parse_args(), "tampering")


if __name__ == "__main__":
    main()
