"""Kill the server again and again while clients pledge, and audit what is left.

    python -m bench.crash [--kills 200] [--in-turn 40] [--in-tree 20] [--seed N] [--data DIR]
    python -m bench.crash --kills 3 --plant answer-before-commit

The real server runs in a process of its own and is ended with SIGKILL: from outside at a random
moment, some of these while it is still starting, or by itself in the middle of an append turn, or
between the transparency log's leaves, its note of what was signed, and its checkpoint. The clients
go on with the next server; they send some of the pledges that got no answer again. At the end every
acknowledged pledge has to be in the log exactly once, with the number and the position that were
acknowledged; any other pledge there was sent by a client that got no answer; no reward is oversold;
and `audit verify` and `audit replay` find nothing. A witness that is shown every checkpoint after
every kill has to cosign them all, and in the end every leaf has to be that of its event, every
checkpoint a prefix of the tree. Exit code 0, or 1 with each fault in a line; `--json` prints one
object.

SIGKILL ends a process, not the machine: what the system has taken over for writing stays. That a
commit survives a power cut is SQLite's own promise (`synchronous = FULL`) and is not shown here.

With a planted bug every server dies inside a turn, and the exit code has to be 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import msgspec
from msgspec import Struct

from app.audit.replay import replay
from app.audit.verify import verify
from bench.crash_clients import Client, Intent, Shelf
from bench.crash_server import LOG_NAME, Kill, Moment
from bench.crash_stage import NotServing, Offer, ServerProcess, Stage, prepare
from bench.crash_tree import TREE_MOMENTS, Onlooker, TreeMoment, tree_faults
from bench.crash_verdict import faults, pledges_in, read_log

CLIENTS: Final = 6
BACKERS: Final = 100
OFFERS: Final = (
    Offer(limits=tuple(1 + number % 12 for number in range(400))),
    Offer(),
    Offer(collect_at="pledge"),
)
"""A campaign of small editions, one without rewards, and one that charges at once, so that the bank
is asked for money while the server dies."""

LONGEST_LIFE_S: Final = 0.6
"""How long a server lives at most once it listens, when it is killed from outside."""
MOST_TURNS: Final = 40
"""The turns that a server lives at most, when it dies inside one."""
MOST_TURNS_PLANTED: Final = 3
MOST_SIGNED: Final = 3
"""The checkpoints, or batches of leaves, that it makes at most when it dies at one of them."""
WHILE_STARTING: Final = 0.15
"""How many of the kills from outside come before it listens."""
STARTS_WITHIN_S: Final = 0.5
TURN_COMES_WITHIN_S: Final = 60.0
"""A server that lives longer than this, though it should die in a turn, is a fault of its own."""


PLANT: Final = "answer-before-commit"
MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)


class Figures(Struct, frozen=True, kw_only=True):
    """What a run did and found. `recorded_unanswered` pledges are in the log, though no client was
    told; `lost_unanswered` ones are not, and nobody was promised them.
    """

    kills: dict[str, int]
    in_turn: int
    in_tree: int
    cosigned: int
    seconds: float
    events: int
    sent: int
    acknowledged: int
    sent_again: int
    repetitions: int
    sold_out: int
    recorded_unanswered: int
    lost_unanswered: int
    ok: bool
    faults: list[str]


class Plan(Struct, frozen=True):
    """How many kills, and of these how many inside a turn and inside the transparency log."""

    kills: int
    in_turn: int
    in_tree: int
    planted: bool

    def moments(self, chance: random.Random) -> list[Moment | TreeMoment | None]:
        """For each kill the moment where it comes, all as often; None: from outside."""
        moments: list[Moment | TreeMoment | None] = []
        moments += [MOMENTS[number % len(MOMENTS)] for number in range(self.in_turn)]
        moments += [TREE_MOMENTS[number % len(TREE_MOMENTS)] for number in range(self.in_tree)]
        moments += [None] * (self.kills - len(moments))
        chance.shuffle(moments)
        return moments


def kill_in_a_loop(
    stage: Stage, plan: Plan, seed: int, onlooker: Onlooker
) -> tuple[list[Intent], Counter[str]]:
    """Run the clients over so many lives of the server; return what they know, and who died how.

    Raises NotServing.
    """
    chance = random.Random(seed)
    shelves = {campaign.campaign_id: Shelf(campaign.rewards) for campaign in stage.campaigns}
    clients = [Client(stage, shelves, seed * CLIENTS + number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    ways: Counter[str] = Counter()
    try:
        for moment in plan.moments(chance):
            if plan.planted:
                kill = Kill("before_commit", chance.randint(1, MOST_TURNS_PLANTED))
                ways[_die_in_turn(stage, kill, planted=True)] += 1
            elif moment:
                most = MOST_SIGNED if moment in TREE_MOMENTS else MOST_TURNS
                kill = Kill(moment, chance.randint(1, most))
                ways[_die_in_turn(stage, kill, planted=False)] += 1
            else:
                ways[_kill_from_outside(stage, chance)] += 1
            onlooker.look()
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join()
    return [intent for client in clients for intent in client.intents], ways


def _kill_from_outside(stage: Stage, chance: random.Random) -> str:
    starting = chance.random() < WHILE_STARTING
    server = ServerProcess(stage)
    try:
        if starting:
            time.sleep(chance.uniform(0, STARTS_WITHIN_S))
        else:
            server.wait_until_up()
            time.sleep(chance.uniform(0, LONGEST_LIFE_S))
    finally:
        server.kill()
    return "while starting" if starting else "while serving"


def _die_in_turn(stage: Stage, kill: Kill, *, planted: bool) -> str:
    """Let a server die by itself. Raises NotServing where the turn does not come."""
    server = ServerProcess(stage, kill, answer_before_commit=planted)
    try:
        if not server.ended_within(TURN_COMES_WITHIN_S):
            raise NotServing(f"{kill} did not come within {TURN_COMES_WITHIN_S:,.0f} s")
    finally:
        ended = server.kill()
    if ended != -signal.SIGKILL:
        raise NotServing(f"the server ended with exit code {ended} instead of at {kill}")
    return kill.moment


def figures(
    stage: Stage,
    intents: list[Intent],
    ways: Counter[str],
    onlooker: Onlooker,
    seconds: float,
) -> Figures:
    """Compare the log with what the clients know, audit it, and count."""
    rows = read_log(stage.settings.log_path)
    limits = {
        reward.reward_id: reward.limit
        for campaign in stage.campaigns
        for reward in campaign.rewards
        if reward.limit is not None
    }
    found = [*faults(intents, rows, limits), *onlooker.faults]
    found += [f"the tree: {fault}" for fault in asyncio.run(tree_faults(stage.settings, rows))]
    audit, _ = verify(stage.settings.log_path, stage.settings.test_bank_path)
    found += [f"audit verify: {violation}" for violation in audit.violations]
    views, _ = replay(stage.settings.log_path, stage.settings.views_path)
    found += [f"audit replay: {difference}" for difference in views.differences]
    recorded = {event.pledge_id for _, event in pledges_in(rows)}
    unanswered = [intent for intent in intents if not intent.made and not intent.refused]
    return Figures(
        kills=dict(sorted(ways.items())),
        in_turn=sum(ways[moment] for moment in MOMENTS),
        in_tree=sum(ways[moment] for moment in TREE_MOMENTS),
        cosigned=onlooker.cosigned,
        seconds=round(seconds, 1),
        events=len(rows),
        sent=sum(intent.sent > 0 for intent in intents),
        acknowledged=sum(intent.made is not None for intent in intents),
        sent_again=sum(intent.made is not None and intent.sent > 1 for intent in intents),
        repetitions=sum(intent.repeated for intent in intents),
        sold_out=sum(intent.refused == "sold_out" for intent in intents),
        recorded_unanswered=sum(intent.pledge_id in recorded for intent in unanswered),
        lost_unanswered=sum(intent.pledge_id not in recorded for intent in unanswered),
        ok=not found,
        faults=found,
    )


def describe(found: Figures) -> Iterator[str]:
    """Say it in lines of text."""
    ways = ", ".join(f"{count} {way}" for way, count in found.kills.items())
    yield f"{sum(found.kills.values())} kills in {found.seconds:,.1f} s: {ways}"
    yield (
        f"{found.sent:,} pledges sent: {found.acknowledged:,} acknowledged"
        f" ({found.sent_again:,} of them sent more than once,"
        f" {found.repetitions:,} answers were repetitions), {found.sold_out:,} sold out"
    )
    yield (
        f"without an answer: {found.recorded_unanswered:,} are in the log,"
        f" {found.lost_unanswered:,} are not"
    )
    yield from found.faults[:50]
    if len(found.faults) > 50:
        yield f"… {len(found.faults):,} faults in all"
    yield f"{found.cosigned:,} checkpoints were signed, and the witness cosigned them all"
    verdict = (
        "every acknowledged pledge is there once, every leaf is its event's, the audit is clean"
    )
    yield f"{found.events:,} events: {verdict if found.ok else 'SOMETHING IS WRONG'}"


def main() -> None:
    """Read the command line, run, print, and say with the exit code whether all is well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--in-turn", type=int, help="of these, inside a turn (default: a fifth)")
    parser.add_argument("--in-tree", type=int, help="inside the transparency log (a tenth)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=[PLANT], help="a bug that has to be found")
    parser.add_argument("--data", type=Path, help="a directory that is not there yet; it is kept")
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args()
    plan = Plan(
        options.kills,
        options.kills // 5 if options.in_turn is None else options.in_turn,
        options.kills // 10 if options.in_tree is None else options.in_tree,
        options.plant is not None,
    )
    if options.data is not None and options.data.exists():
        parser.error(f"{options.data} is there already")
    data_dir = options.data or Path(tempfile.mkdtemp(prefix="tributary-crash-"))
    stage = asyncio.run(prepare(data_dir, OFFERS, BACKERS))
    onlooker = Onlooker(stage.settings, data_dir / "onlooker.db")
    began = time.monotonic()
    try:
        intents, ways = kill_in_a_loop(stage, plan, options.seed, onlooker)
    except NotServing as fault:
        sys.exit(f"{fault}; see {data_dir / LOG_NAME}")
    found = figures(stage, intents, ways, onlooker, time.monotonic() - began)
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(describe(found)))
    if options.data is None and found.ok:
        shutil.rmtree(data_dir)
    elif not found.ok:
        print(f"The data are in {data_dir}", file=sys.stderr)
    sys.exit(0 if found.ok else 1)


if __name__ == "__main__":
    main()
