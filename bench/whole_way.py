"""The whole way: batches over HTTP into a real `tributary serve`, until every view has them.

    python -m bench.whole_way [--quick] [--json FILE] [--rate N] [--seconds N] [--store SQLite]
                              [--methods] [--verify] [--without-tree]

In the measured path: HTTP, the key, reading and validating each line, the rules, encoding, hashing
by the log's bytes, the durable commit, the answer for each line; and every follower (views with
journal and ledger, search, processes, mail, transparency tree) up to its own checkpoint. The data
directory is new, with 1,000 live all-or-nothing campaigns; the load is a process of its own whose
bodies are made before, and what it uses of a core is told. Afterwards the log and the views are
counted.

First the rate that was asked, 38,000 a second, is tried for some seconds, then less and less of it
until all followers are level within a second of the last answer; that rate is held three times on
the same log.
`--without-tree` follows and signs no transparency log: what that costs is the difference.
`--methods` names a payment method in each line (of 1,000 backers), `--verify` audits the log.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import create_engine, func, select

from bench.batch_load import Loader, Told, loading
from bench.databases import STORES, NoServerError, Store, database, directory
from bench.results import RUNS, Result, arguments, not_measured, publish
from bench.servers import Followers, Processes, Site, command, furnish, serving
from projections.campaign_pages import PAGES

TARGET: Final = 38_000
LEVEL_WITHIN_S: Final = 1.0
ACHIEVED: Final = 0.98
"""A rate counts as taken where so much of what was asked was answered."""
GIVE_UP_S: Final = 120.0
WARM_UP_S: Final = 2.0
"""Connections, caches and statements are made before anything is measured."""
SECONDS: Final = 20.0
PROBE_S: Final = 8.0
PARTS: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Of the rate that was asked, which parts are tried until one is kept up with."""
TAKEN: Final = 0.93
"""A short try counts its last answer's delay in full, so less of what was asked has to be seen."""
BACKERS: Final = 1_000
"""How many backers with a method of their own pledge again and again, with `--methods`."""
EVENTS_TO_LAUNCH: Final = 3


class Run(Struct, frozen=True):
    """One load and how the followers came after it. `lag` is the most events that the slowest was
    behind while the load went on; `level_s` the seconds from the last answer until all were level.
    """

    told: Told
    lag: int
    level_s: float
    slowest: str
    cores: dict[str, float]

    @property
    def kept_up(self) -> bool:
        """Whether the rate was taken and the followers were level in time."""
        return not self.told.refused and self.level_s <= LEVEL_WITHIN_S


class Stand:
    """A server under measurement; `position` is where its log ends."""

    def __init__(
        self,
        site: Site,
        processes: Processes,
        followers: Followers,
        loader: Loader,
        *,
        methods: bool,
    ) -> None:
        self.position = site.position
        self._methods = methods
        self._processes = processes
        self._followers = followers
        self._loader = loader

    def load(self, rate: float, seconds: float) -> Run:
        """Send at this rate, and wait until every follower is level."""
        self._loader.prepare(rate, seconds, methods=self._methods)
        self._processes.begin()
        self._loader.go()
        began, lag = time.monotonic(), 0
        while not self._loader.over:
            time.sleep(0.2)
            sent = min(1.0, (time.monotonic() - began) / seconds) * rate * seconds
            lag = max(lag, round(self.position + sent) - self._followers.slowest())
        told = self._loader.told()
        cores = self._processes.cores() | {"load": told.cores}
        self.position += told.made
        slowest = ""
        while (behind := self._behind()) and time.monotonic() - told.last_at < GIVE_UP_S:
            slowest = behind
        if behind:
            raise SystemExit(f"{behind} is not level {GIVE_UP_S:g} s after the last answer")
        return Run(told, max(0, lag), max(0.0, time.monotonic() - told.last_at), slowest, cores)

    def _behind(self) -> str:
        """The follower that is furthest behind; empty where all are level."""
        positions = self._followers.positions()
        name = min(positions, key=lambda each: positions[each])
        if positions[name] >= self.position:
            return ""
        time.sleep(0.005)
        return name


def highest(stand: Stand, rate: float, probe_s: float) -> float:
    """Return the highest part of a rate that is kept up with, each tried for a while; else 0."""
    for part in PARTS:
        run = stand.load(part * rate, probe_s)
        if run.kept_up and run.told.rate >= TAKEN * part * rate:
            return part * rate
    return 0.0


def check(site: Site, position: int) -> None:
    """Count in the views what was acknowledged: as many pledges, and no other amounts."""
    pledges = position - EVENTS_TO_LAUNCH * len(site.campaigns)
    engine = create_engine(f"sqlite:///{site.settings.views_path}")
    try:
        with engine.connect() as connection:
            wanted = select(func.sum(PAGES.c.pledges), func.count())
            found, campaigns = connection.execute(wanted).one()
    finally:
        engine.dispose()
    if (found, campaigns) != (pledges, len(site.campaigns)):
        raise SystemExit(f"acknowledged {pledges:,} pledges, the views have {found:,}")


def verify(site: Site) -> None:
    """Run `tributary audit verify`, which has to find nothing."""
    line, environment = command(site.settings, "audit", "verify")
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"audit verify: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")


class Plan(Struct, frozen=True):
    """How to measure."""

    rate: float
    seconds: float
    runs: int
    campaigns: int
    probe_s: float
    methods: bool
    verify: bool
    with_tree: bool


def measure_store(store: Store, plan: Plan) -> Iterator[Result]:
    """Look for the highest rate, then hold the asked one. Raises NoServerError."""
    rate = plan.rate
    with database(store) as url, directory() as folder:
        site = furnish(folder, url, plan.campaigns, BACKERS if plan.methods else 0)
        with (
            serving(site, with_tree=plan.with_tree) as processes,
            closing(Followers(site.settings, with_tree=plan.with_tree)) as followers,
            loading(site) as loader,
        ):
            stand = Stand(site, processes, followers, loader, methods=plan.methods)
            stand.load(rate / 2, WARM_UP_S)
            if plan.probe_s:
                rate = highest(stand, rate, plan.probe_s) or rate * PARTS[-1]
            runs = [stand.load(rate, plan.seconds) for _ in range(plan.runs)]
        check(site, stand.position)
        if plan.verify:
            verify(site)
    last = runs[-1]
    used = ", ".join(f"{name} {share:.2f}" for name, share in last.cores.items())
    yield Result(
        name=f"{store}, {rate:,.0f} asked for {plan.seconds:g} s: answered and durable",
        unit="pledges/s",
        runs=tuple(run.told.rate for run in runs),
        target=ACHIEVED * TARGET if store == "SQLite" else None,
        ratio=f"a batch in {last.told.p50 * 1000:,.0f} ms, p99 {last.told.p99 * 1000:,.0f} ms",
        note=f"cores: {used}",
    )
    yield Result(
        name=f"{store}, every follower level after the last answer",
        unit="s",
        runs=tuple(run.level_s for run in runs),
        target=LEVEL_WITHIN_S,
        at_most=True,
        note=f"last: {last.slowest or 'none'}; most behind on the way {last.lag:,} events",
    )
    refused = [run.told.refused for run in runs if run.told.refused]
    if refused:
        raise SystemExit(f"{store}: lines were refused, by status: {refused}")


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure each store that was asked for."""
    plan = Plan(
        rate=asked.rate,
        seconds=asked.seconds or SECONDS,
        runs=RUNS,
        campaigns=1_000,
        probe_s=PROBE_S,
        methods=asked.methods,
        verify=asked.verify,
        with_tree=not asked.without_tree,
    )
    if asked.quick:
        small = {"rate": 5_000.0, "seconds": 2.0, "runs": 1, "campaigns": 50, "probe_s": 0.0}
        plan = msgspec.structs.replace(plan, **small)
    for store in [asked.store] if asked.store else STORES:
        try:
            yield from measure_store(store, plan)
        except NoServerError as missing:
            yield not_measured(store, str(missing))


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=float, default=TARGET, help="pledges a second")
    parser.add_argument("--seconds", type=float, help="how long it is held (20; in quick runs 2)")
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--methods", action="store_true", help="name a payment method in each line")
    parser.add_argument("--verify", action="store_true", help="audit the log of the last run")
    parser.add_argument("--without-tree", action="store_true", help="leave the tree out")
    asked = parser.parse_args()
    publish(measure(asked), asked, "whole_way")


if __name__ == "__main__":
    main()
