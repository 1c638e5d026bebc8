"""Many writers with rollbacks and delays, and followers who count and order all that they see.

    python -m bench.no_gaps [--quick] [--json FILE] [--events 1000000] [--writers 16]
    python -m bench.no_gaps --events 20000 --plant sequence

Each writer is a process of its own. It takes turns of random sizes, sleeps in some of them and
rolls some back, before or after it wrote. Three followers in processes of their own read all the
while: one waits and reads pages, one goes by the library's subscription, one reads without waiting.
Every follower has to see each position once and in order, of each writer every event that was
acknowledged and none that was rolled back, in the order it wrote them, and the same bytes as the
others. Exit code 0, or 1 with each fault in a line.

On PostgreSQL, and with a fifth of the events on SQLite. In the measured path: the append turn with
its lock, positions, versions and commit, without rules. With a planted bug, on PostgreSQL, the exit
code has to be 1: `sequence` gives positions by a sequence instead of in the turn, `one-statement`
takes the lock in the same statement that reads the log's end.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
import psycopg
from msgspec import Struct

from app.log import PostgresLog, SQLiteLog, migrate_log, open_log, postgres
from bench.databases import NoServerError, Store, database, directory
from bench.results import Result, arguments, not_measured, publish

Plant = Literal["sequence", "one-statement"]
Way = Literal["pages", "subscription", "polling"]
Log = SQLiteLog | PostgresLog

ROLLED_BACK: Final = 0.2
"""The share of turns that are rolled back."""
DELAYED: Final = 0.1
"""The share of turns that sleep before they end."""
LONGEST_DELAY_S: Final = 0.003
PAUSED: Final = 0.1
"""The share of turns after which a writer sleeps."""
ROWS_PER_TURN: Final = (1, 1, 3, 20, 99, 101, 400, 1_200)
MOST_FAULTS: Final = 2
"""After so many a writer or follower has seen enough."""
HOT: Final = "campaign:hot"


class Told(Struct, frozen=True):
    """Which event this is, in its body."""

    writer: int
    number: int
    filling: str


class Written(Struct, frozen=True):
    """What a writer did: the events of its turns that were committed."""

    events: int
    turns: int
    rolled_back: int
    faults: list[str]


class Seen(Struct, frozen=True):
    """What a follower saw: how many events, of which writers, and a hash over everything."""

    way: str
    events: int
    by_writer: dict[int, int]
    digest: str
    faults: list[str]


class Figures(Struct, frozen=True, kw_only=True):
    """What came of it; `faults` has a sentence for everything that went wrong."""

    events: int
    writers: int
    turns: int
    rolled_back: int
    followers: int
    seconds: float
    ok: bool
    faults: list[str]


_told = msgspec.json.Decoder(Told)


class _RolledBackError(Exception):
    pass


# --- Writers -------------------------------------------------------------------------------------


def write(database_url: str, path: Path, writer: int, events: int, plant: Plant | None) -> Written:
    """Take turns until the log has so many events."""
    if plant is not None:
        _plant(plant)
    dice = random.Random(writer)
    log = open_log(database_url, path)
    number = turns = rolled_back = 0
    faults: list[str] = []
    while len(faults) < MOST_FAULTS:
        try:
            written = _turn(log, dice, writer, number, events, most=1 if plant else 10**6)
        except _RolledBackError:
            rolled_back += 1
            continue
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is told
            faults.append(f"writer {writer}: {type(fault).__name__}: {fault}")
            continue
        if written == 0:
            break
        number += written
        turns += 1
        if dice.random() < PAUSED:
            time.sleep(dice.uniform(0, LONGEST_DELAY_S))
    log.close()
    return Written(number, turns, rolled_back, faults)


def _turn(log: Log, dice: random.Random, writer: int, number: int, events: int, most: int) -> int:
    """Append a random number of events in a turn; 0 where the log has enough."""
    with log.turn() as turn:
        count = min(dice.choice(ROWS_PER_TURN), events - turn.position, most)
        if count <= 0:
            return 0
        if dice.random() < ROLLED_BACK / 2:
            raise _RolledBackError
        own, hot = turn.stream_number(f"campaign:{writer}"), turn.stream_number(HOT)
        rows = []
        for more in range(1, count + 1):
            position = turn.position + more
            told = Told(writer, number + more, "x" * (position % 300))
            # Half of the events are of one stream, whose versions are positions.
            stream, version = (hot, position) if position % 2 else (own, position)
            rows.append((position, stream, version, turn.at, "test.v1", msgspec.json.encode(told)))
        turn.append(rows)
        if dice.random() < DELAYED:
            time.sleep(dice.uniform(0, LONGEST_DELAY_S))
        if dice.random() < ROLLED_BACK / 2:
            raise _RolledBackError
    return count


def _plant(plant: Plant) -> None:
    """Put a bug into this process's append turns."""
    vars(postgres)["_LOCK"] = "SELECT 1"
    if plant == "sequence":
        vars(postgres)["_LAST"] = "SELECT nextval('planted') - 1, 0"
    else:
        vars(postgres)["_LAST"] = """
            SELECT coalesce(e.position, 0), coalesce(e.at, 0)
            FROM (SELECT pg_advisory_xact_lock(7)) one LEFT JOIN LATERAL (
                SELECT position, at FROM log.events ORDER BY position DESC LIMIT 1
            ) e ON true"""


def prepare(database_url: str, path: Path, writers: int, plant: Plant | None) -> None:
    """Make the log and its streams."""
    if database_url:
        migrate_log(database_url)
        if plant == "sequence":
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("CREATE SEQUENCE planted")
    log = open_log(database_url, path)
    with log.turn() as turn:
        if turn.position:
            raise SystemExit("the log is not empty")
        for stream in (HOT, *(f"campaign:{writer}" for writer in range(writers))):
            turn.stream_number(stream)
    log.close()


# --- Followers -----------------------------------------------------------------------------------


def follow(database_url: str, path: Path, way: Way, events: int) -> Seen:
    """Read until the log's last event, and compare each with the one before."""
    log = open_log(database_url, path)
    by_writer: dict[int, int] = {}
    digest = hashlib.sha256()
    faults: list[str] = []
    last = 0
    for position, stream, version, body in _reading(log, way, events):
        if position != last + 1:
            faults.append(f"{way}: position {position} after {last}")
        if version != position:
            faults.append(f"{way}: position {position} has version {version}")
        told = _told.decode(body)
        if stream not in (HOT, f"campaign:{told.writer}"):
            faults.append(f"{way}: position {position} is of {stream}")
        if told.number != by_writer.get(told.writer, 0) + 1:
            faults.append(f"{way}: number {told.number} of writer {told.writer} at {position}")
        by_writer[told.writer] = told.number
        digest.update(b"%d %s %d " % (position, stream.encode(), version))
        digest.update(body)
        last = position
        if last >= events or len(faults) >= MOST_FAULTS:
            break
    log.close()
    return Seen(way, sum(by_writer.values()), by_writer, digest.hexdigest(), faults)


_stop: Event
"""Set when the writers have gone and nothing more will come."""


def _begin(stop: Event) -> None:
    global _stop  # noqa: PLW0603 - an event reaches a process of a pool in no other way
    _stop = stop


def _reading(log: Log, way: Way, events: int) -> Iterator[tuple[int, str, int, bytes]]:
    if way == "subscription":
        with log.subscribe(gt=0) as subscription:
            for told in subscription:
                yield told.id, str(told.originator_id), told.originator_version, told.state
        return
    dice = random.Random(way)
    last = 0
    while last < events:
        ended = _stop.is_set()
        if way == "pages":
            log.wait(last, 0.5)
        rows = log.read(last, dice.choice((1, 7, 100, 1_000, 5_000)))
        for row in rows:
            yield row.position, row.stream, row.version, row.body
            last = row.position
        if not rows and ended:
            return


# --- All of it -----------------------------------------------------------------------------------


def run(
    database_url: str, path: Path, *, events: int, writers: int, plant: Plant | None = None
) -> Figures:
    """Let them write and follow; raises nothing of what goes wrong but tells it."""
    prepare(database_url, path, writers, plant)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ways: tuple[Way, ...] = get_args(Way)
    if plant is not None:
        ways = ("pages", "polling")  # a subscription would wait for ever for what it missed
    began = time.monotonic()
    with ProcessPoolExecutor(writers + len(ways), context, _begin, (stop,)) as pool:
        following: list[Future[Seen]] = [
            pool.submit(follow, database_url, path, way, events) for way in ways
        ]
        writing = [
            pool.submit(write, database_url, path, writer, events, plant)
            for writer in range(writers)
        ]
        written = [future.result() for future in writing]
        stop.set()
        seen = [future.result() for future in following]
    seconds = time.monotonic() - began
    faults = [fault for one in written for fault in one.faults]
    faults += [fault for one in seen for fault in one.faults]
    acknowledged = {number: one.events for number, one in enumerate(written) if one.events}
    if sum(acknowledged.values()) != events:
        faults.append(f"{sum(acknowledged.values()):,} of {events:,} events were acknowledged")
    faults += [
        f"{one.way}: saw {one.events:,} events, not what the writers were told"
        for one in seen
        if one.by_writer != acknowledged
    ]
    if len({one.digest for one in seen}) != 1:
        faults.append("the followers did not see the same")
    return Figures(
        events=sum(acknowledged.values()),
        writers=writers,
        turns=sum(one.turns for one in written),
        rolled_back=sum(one.rolled_back for one in written),
        followers=len(seen),
        seconds=round(seconds, 1),
        ok=not faults,
        faults=faults,
    )


def describe(found: Figures) -> Iterator[str]:
    """Say it in lines of text."""
    yield from found.faults
    yield (
        f"{found.events:,} events by {found.writers} writers in {found.turns:,} turns,"
        f" {found.rolled_back:,} more rolled back, {found.seconds:,.1f} s"
    )
    if not found.ok:
        yield "SOMETHING IS WRONG"


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Run on each store. Raises SystemExit with what went wrong."""
    events = 10_000 if asked.quick else asked.events
    writers = min(asked.writers, 4) if asked.quick else asked.writers
    stores: list[tuple[Store, int]] = [("PostgreSQL", events), ("SQLite", events // 5)]
    for store, count in stores[:1] if asked.plant else stores:
        name = f"{store}, {count:,} events by {writers} writers"
        try:
            with database(store) as url, directory() as folder:
                path = folder / "log.db"
                found = run(url, path, events=count, writers=writers, plant=asked.plant)
        except NoServerError as missing:
            yield not_measured(name, str(missing))
            continue
        if not found.ok:
            raise SystemExit("\n".join(describe(found)))
        yield Result(
            name=name,
            unit="events/s",
            runs=(found.events / found.seconds,),
            ratio=f"{found.turns:,} turns, {found.rolled_back:,} more rolled back",
            note=f"each of {found.followers} followers saw every event once and in order",
        )


def main() -> None:
    """Read the command line and run."""
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--plant", choices=get_args(Plant), help="a bug that has to be found")
    asked = parser.parse_args()
    publish(measure(asked), asked, "no_gaps")


if __name__ == "__main__":
    main()
