"""Kill the leader of a PostgreSQL cluster again and again while clients pledge, and audit the log.

    python -m bench.cluster_kill [--quick] [--json FILE]
    python -m bench.cluster_kill --rounds 20 [--seed N] [--kinds node,postgres] [--data DIR]
    python -m bench.cluster_kill --plant async

Three PostgreSQL nodes under Patroni with synchronous replication, `tributary serve` on them in a
process of its own that is never restarted, and clients that repeat each pledge under its id until
they know what became of it. In each round one thing happens:

    node        the leader's PostgreSQL and its Patroni are killed (SIGKILL), as a machine that dies
    lagging     the same, while both standbys stand still: nothing new has reached them
    postgres    only the leader's PostgreSQL is killed
    frozen      the leader stands still (SIGSTOP) until writing goes on elsewhere, then wakes up
    patroni     only the leader's Patroni is killed; it is started again when another leads
    standby     the synchronous standby is killed
    switchover  the standby takes over as an administrator asks for it

Then the node comes back. At the end every acknowledged pledge has to be in the log exactly once,
with the number and the position that were acknowledged, every client has to know what became of
each of its pledges, no reward is oversold, and `tributary audit verify` finds nothing. The write
outage of a round is the longest time in it in which no pledge was acknowledged. Exit code 0, or 1
with the faults in lines.

With `--plant async` the cluster does not replicate synchronously: acknowledged pledges are lost,
and the exit code has to be 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, get_args

from msgspec import Struct

from app.log import LogRow
from app.log.opening import open_log
from app.settings import Settings, load_settings
from bench.cluster_clients import Client
from bench.crash_clients import Intent, Shelf
from bench.crash_stage import Offer, Stage, prepare
from bench.crash_verdict import faults
from bench.databases import ROOT
from bench.results import Result, arguments, not_measured, publish
from bench.servers import NotServingError, Site, command, serving
from ops.cluster import FAILS_OVER_WITHIN_S, Cluster, ClusterError, running
from ops.patroni import REPLICATION_TIMEOUT_S, TTL_S, Node
from ops.processes import postgresql_programs, wait_until

Kind = Literal["node", "lagging", "postgres", "frozen", "patroni", "standby", "switchover"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
USUAL: Final[tuple[Kind, ...]] = ("lagging", "postgres", "standby", "switchover")
QUICK: Final[tuple[Kind, ...]] = ("lagging",)
PLANTED: Final[Kind] = "lagging"
OUTAGE_S: Final[Mapping[Kind, float]] = {
    "node": TTL_S + 10,
    "postgres": 10,
    "lagging": TTL_S + 10,
    "frozen": TTL_S + 25,
    "patroni": TTL_S,
    "standby": TTL_S,
    "switchover": 10,
}
"""The failover time that each kind has to keep to."""

CLIENTS: Final = 6
BACKERS: Final = 100
OFFERS: Final = (Offer(limits=tuple(1 + number % 12 for number in range(400))), Offer())
UNDER_LOAD: Final = 200
"""The pledges that are acknowledged before each fault, and again after it."""
WRITES_WITHIN_S: Final = FAILS_OVER_WITHIN_S + 20
LAG_S: Final = 0.7
HANGS_UP_S: Final = REPLICATION_TIMEOUT_S + 2
"""After this the leader has given up a standby that stands still. What it sent before is in the
standby's socket, and read when that wakes up, so that a shorter time need not lose anything.
"""
KNOWN_WITHIN_S: Final = 60.0
PAGE_ROWS: Final = 10_000


class Figures(Struct, frozen=True, kw_only=True):
    """What a run did and found. `outages` has the seconds without an acknowledged pledge by kind of
    fault; `answers` counts what clients heard, by status and reason;
    `repeated` pledges were sent more than once, `recorded_unknown` ones were recorded by a request
    that the client got no answer to, or "unknown".
    """

    events: int
    sent: int
    acknowledged: int
    believed: int
    unknown: int
    recorded_unknown: int
    answers: dict[str, int]
    outages: dict[Kind, list[float]]
    faults: list[str]


class NoWrites(Exception):  # noqa: N818 - what was found
    """No pledge is acknowledged, long after a fault."""


# --- Faults --------------------------------------------------------------------------------------


def strike(cluster: Cluster, kind: Kind, leader: Node) -> Callable[[], object]:
    """Let a fault happen; return what has to be done when writing goes on. Raises ClusterError."""
    match kind:
        case "node":
            cluster.kill(leader)
        case "lagging":
            _kill_while_others_stand_still(cluster, leader)
        case "postgres":
            cluster.kill(leader, "postgres")
        case "frozen":
            cluster.freeze(leader)
            return lambda: cluster.thaw(leader)
        case "patroni":
            cluster.kill(leader, "patroni")
            return _start_when_another_leads(cluster, leader)
        case "standby":
            standby = cluster.sync_standby()
            if standby is None:
                raise ClusterError("there is no synchronous standby to kill")
            cluster.kill(standby)
            return lambda: cluster.start_node(standby)
        case "switchover":
            cluster.switchover()
    return lambda: cluster.start_node(leader)


def _kill_while_others_stand_still(cluster: Cluster, leader: Node) -> None:
    others = [node for node in cluster.nodes if node is not leader]
    for node in others:
        cluster.freeze(node, "postgres")
    time.sleep(LAG_S if cluster.plan.synchronous else HANGS_UP_S)
    cluster.kill(leader)
    for node in others:
        cluster.thaw(node)


def _start_when_another_leads(cluster: Cluster, leader: Node) -> Callable[[], object]:
    """Nobody tells a PostgreSQL without its Patroni that it leads no more, until that is back."""

    def wait_and_start() -> None:
        try:
            cluster.wait_for_leader(other_than=leader.name)
        finally:
            cluster.start_node(leader)

    thread = threading.Thread(target=wait_and_start, name="starting again")
    thread.start()
    return thread.join


# --- A run ---------------------------------------------------------------------------------------


class Load:
    """The clients, and what they know together."""

    def __init__(self, stage: Stage, seed: int, *, planted: bool) -> None:
        # On a log that has lost something no server may go on: nobody need wait for that.
        self._known_within_s = 1.0 if planted else KNOWN_WITHIN_S
        shelves = {campaign.campaign_id: Shelf(campaign.rewards) for campaign in stage.campaigns}
        self._clients = [Client(stage, shelves, seed * CLIENTS + n) for n in range(CLIENTS)]
        for client in self._clients:
            client.start()

    @property
    def intents(self) -> list[Intent]:
        """Every pledge that was ever sent."""
        return [intent for client in self._clients for intent in client.intents]

    @property
    def answers(self) -> Counter[str]:
        """How often clients heard what."""
        return sum((client.answers for client in self._clients), Counter[str]())

    @property
    def unknown(self) -> int:
        """How many answers left it open what became of a pledge."""
        return sum(client.unknown for client in self._clients)

    def acknowledged(self, sent_after: float = 0.0) -> int:
        """How many pledges sent after a moment were acknowledged."""
        return sum(began >= sent_after for client in self._clients for began, _ in client.made_at)

    def outage_s(self, start: float, end: float) -> float:
        """The longest time without an acknowledged pledge between two moments."""
        heard = {at for client in self._clients for _, at in client.made_at if start < at < end}
        moments = [start, *sorted(heard), end]
        return max(later - at for at, later in pairwise(moments))

    def stop(self) -> None:
        """Let every client find out what became of its pledges."""
        for client in self._clients:
            client.stop(self._known_within_s)
        for client in self._clients:
            client.join()


def rounds(cluster: Cluster, load: Load, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, float]]:
    """Let one fault after the other happen; yield each with its write outage in seconds.

    Without synchronous replication the first ends it. Raises NoWrites or ClusterError.
    """
    for kind in kinds:
        cluster.wait_until_whole()
        _wait_for_writes(load, time.monotonic())
        leader, began = cluster.wait_for_leader(), time.monotonic()
        mend = strike(cluster, kind, leader)
        struck = time.monotonic()
        if not cluster.plan.synchronous:
            cluster.wait_for_leader(other_than=leader.name)
            return
        try:
            _wait_for_writes(load, struck)
        finally:
            mend()
        # The node that comes back must not be in the way, either.
        _wait_for_writes(load, time.monotonic())
        yield kind, load.outage_s(began, time.monotonic())
    cluster.wait_until_whole()


def _wait_for_writes(load: Load, after: float) -> None:
    if not wait_until(lambda: load.acknowledged(after) >= UNDER_LOAD, WRITES_WITHIN_S):
        raise NoWrites(
            f"{load.acknowledged(after)} pledges acknowledged in {WRITES_WITHIN_S:,.0f} s;"
            f" clients heard {dict(load.answers)}"
        )


def run(
    directory: Path, kinds: Sequence[Kind], seed: int, *, synchronous: bool, first_port: int | None
) -> Figures:
    """Make a cluster, run the rounds, and compare the log with what the clients know.

    Raises ClusterError, NoWrites or NotServingError.
    """
    outages: defaultdict[Kind, list[float]] = defaultdict(list)
    with running(directory, first_port=first_port, synchronous=synchronous) as cluster:
        # The guard of the cluster ends what names this directory.
        data_dir, environ = directory / "server", {"TRIBUTARY_DATABASE_URL": cluster.url}
        _migrate(load_settings(environ, data_dir=data_dir))
        stage = asyncio.run(prepare(data_dir, OFFERS, BACKERS, environ))
        with serving(Site(stage.settings, stage.token, [], [], 0)):
            load = Load(stage, seed, planted=not synchronous)
            ended = []
            try:
                for kind, outage_s in rounds(cluster, load, kinds):
                    print(f"{kind}: no writes for {outage_s:.1f} s", file=sys.stderr)
                    outages[kind].append(outage_s)
            except NoWrites as fault:
                ended.append(str(fault))
            finally:
                load.stop()
        return _figures(stage, load, outages, ended)


def _figures(
    stage: Stage, load: Load, outages: dict[Kind, list[float]], ended: list[str]
) -> Figures:
    rows = _read_log(stage)
    limits = {
        reward.reward_id: reward.limit
        for campaign in stage.campaigns
        for reward in campaign.rewards
        if reward.limit is not None
    }
    intents = load.intents
    found = ended + faults(intents, rows, limits)
    found += [
        f"nobody knows what became of pledge {intent.pledge_id}"
        for intent in intents
        if not (intent.made or intent.refused or intent.faults)
    ]
    audit = _tributary(stage.settings, "audit", "verify")
    if audit.returncode:
        found.append(f"audit verify: {audit.stdout}{audit.stderr}")
    return Figures(
        events=len(rows),
        sent=sum(intent.sent > 0 for intent in intents),
        acknowledged=sum(intent.made is not None for intent in intents),
        believed=sum(intent.refused not in {"", "sold_out"} for intent in intents),
        unknown=load.unknown,
        recorded_unknown=sum(intent.repeated > 0 for intent in intents),
        answers=dict(sorted(load.answers.items())),
        outages=outages,
        faults=found,
    )


def _read_log(stage: Stage) -> list[LogRow]:
    log = open_log(stage.settings.database_url, stage.settings.log_path)
    try:
        rows: list[LogRow] = []
        while page := log.read(rows[-1].position if rows else 0, PAGE_ROWS):
            rows += page
        return rows
    finally:
        log.close()


def _migrate(settings: Settings) -> None:
    done = _tributary(settings, "migrate")
    if done.returncode:
        raise NoWrites(f"the database cannot be migrated: {done.stdout}{done.stderr}")


def _tributary(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(settings, *words)
    return subprocess.run(
        line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def results(found: Figures) -> Iterator[Result]:
    """Say it in figures."""
    kinds = ", ".join(f"{len(each)} {kind}" for kind, each in found.outages.items())
    yield Result(
        name="faults: acknowledged pledges lost or there twice, findings of `audit verify`",
        unit="",
        runs=(float(len(found.faults)),),
        target=0,
        at_most=True,
        ratio=f"of {found.acknowledged:,} acknowledged",
        note=f"faults under load: {kinds}; {found.events:,} events",
    )
    yield Result(
        name="unknown commits, told after a repetition",
        unit="pledges",
        runs=(float(found.recorded_unknown),),
        note=f"of {found.unknown:,} answers that left it open; {found.believed:,} clients took"
        ' "not recorded" at its word',
    )
    for kind, outages in found.outages.items():
        yield Result(
            name=f"no pledge acknowledged: {kind}",
            unit="s",
            runs=tuple(round(outage, 1) for outage in outages),
            target=OUTAGE_S[kind],
            at_most=True,
            note=f"at most {max(outages):.1f} s" if len(outages) > 1 else "",
        )


def main() -> None:
    """Read the command line, run, print, and say with the exit code whether all is well."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, help="a long run: so many faults of all kinds")
    parser.add_argument("--kinds", help="which kinds, in turn, separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=["async"], help="a fault that has to be found")
    parser.add_argument("--first-port", type=int, help="of nine (default: the first free ones)")
    parser.add_argument("--data", type=Path, help="a directory that is not there yet; it is kept")
    asked = parser.parse_args()
    if postgresql_programs() is None:
        publish([not_measured("a cluster", "no PostgreSQL server here")], asked, "cluster_kill")
        return
    directory = asked.data or Path(tempfile.mkdtemp(prefix="tributary-cluster-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        found = run(
            directory,
            _kinds(asked),
            asked.seed,
            synchronous=not asked.plant,
            first_port=asked.first_port,
        )
    except (ClusterError, NoWrites, NotServingError) as fault:
        sys.exit(f"{fault}; see {directory}")
    publish(results(found), asked, "cluster_kill")
    print("clients heard: " + ", ".join(f"{what}: {n:,}" for what, n in found.answers.items()))
    if found.faults:
        print("\n".join(found.faults[:20]), file=sys.stderr)
        sys.exit(f"{len(found.faults):,} faults in all; the data are in {directory}")
    if asked.data is None:
        shutil.rmtree(directory)


def _kinds(asked: argparse.Namespace) -> list[Kind]:
    """The faults in the order in which they happen."""
    chosen = list(KINDS if asked.rounds else QUICK if asked.quick else USUAL)
    if asked.plant:
        chosen = [PLANTED]
    if asked.kinds:
        chosen = [kind for kind in KINDS if kind in asked.kinds.split(",")]
    kinds = [chosen[number % len(chosen)] for number in range(asked.rounds or len(chosen))]
    random.Random(asked.seed).shuffle(kinds)
    return kinds


if __name__ == "__main__":
    main()
