"""A minute at half load: what each process keeps in memory, and whether the followers keep up.

    python -m bench.soak [--quick] [--json FILE] [--rate N] [--seconds N] [--store SQLite]

The same way as `whole_way`, at half of the rate that is to be held there. A web process keeps the
state of live campaigns, which grows by each pledge up to a bound (`CACHE_LIMIT`): its growth is
therefore told beside the pledges, too. The line is fitted to the second half of the samples, when
caches are filled.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from msgspec import Struct

from bench.batch_load import loading
from bench.databases import STORES, NoServerError, Store, database, directory
from bench.results import Result, arguments, not_measured, publish
from bench.servers import Followers, furnish, serving
from bench.whole_way import TARGET, check

SECONDS: Final = 60.0
SAMPLE_S: Final = 0.5
CAMPAIGNS: Final = 1_000
WARM_UP_S: Final = 2.0


class Sample(Struct, frozen=True):
    """What was seen at a moment: seconds since the beginning, MiB by process, events behind."""

    at: float
    rss_mib: dict[str, float]
    behind: int


def slope(points: list[tuple[float, float]]) -> float:
    """The rise of a line fitted by least squares."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def soak(store: Store, rate: float, seconds: float, campaigns: int) -> Iterator[Result]:
    """Load one store. Raises NoServerError."""
    samples = []
    with database(store) as url, directory() as folder:
        site = furnish(folder, url, campaigns)
        with (
            serving(site) as processes,
            closing(Followers(site.settings)) as followers,
            loading(site) as loader,
        ):
            warm = loader.run(rate, WARM_UP_S)
            position = site.position + warm.made
            loader.prepare(rate, seconds)
            followers.wait_for(position, seconds)
            processes.begin()
            loader.go()
            began = time.monotonic()
            while not loader.over:
                time.sleep(SAMPLE_S)
                at = time.monotonic() - began
                sent = position + round(min(at, seconds) * rate)
                behind = max(0, sent - followers.slowest())
                samples.append(Sample(at, processes.rss_mib(), behind))
            told = loader.told()
            cores = processes.cores() | {"load": told.cores}
            position += told.made
            level_s = followers.wait_for(position, seconds)
            if level_s is None or told.refused:
                raise SystemExit(f"{store}: not level after the end, or refused {told.refused}")
        check(site, position)
    yield Result(
        name=f"{store}, {rate:,.0f} asked for {seconds:g} s",
        unit="pledges/s",
        runs=(told.rate,),
        ratio=f"a batch in {told.p50 * 1000:,.0f} ms, p99 {told.p99 * 1000:,.0f} ms",
        note="cores: " + ", ".join(f"{name} {share:.2f}" for name, share in cores.items()),
    )
    yield Result(
        name=f"{store}, how far the slowest follower was behind",
        unit="s",
        runs=(statistics.median(sample.behind for sample in samples) / rate,),
        target=1.0,
        at_most=True,
        note=f"at most {max(sample.behind for sample in samples) / rate:.2f} s;"
        f" level {level_s:.2f} s after the last answer",
    )
    late = samples[len(samples) // 2 :]
    for name, first in samples[0].rss_mib.items():
        middle, last = (one.rss_mib[name] for one in (late[0], late[-1]))
        mib_a_second = slope([(one.at, one.rss_mib[name]) for one in late])
        yield Result(
            name=f"{store}, memory of {name.partition(' ')[0]}, growth in the second half",
            unit="MiB/min",
            runs=(mib_a_second * 60,),
            ratio=f"{mib_a_second * 2**20 / told.rate:,.0f} bytes a pledge",
            note=f"{first:,.0f} MiB at the start, {middle:,.0f} in the middle, {last:,.0f} last",
        )


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure each store that was asked for."""
    rate, seconds, campaigns = asked.rate, asked.seconds, CAMPAIGNS
    if asked.quick:
        rate, seconds, campaigns = 2_500.0, 4.0, 50
    for store in [asked.store] if asked.store else STORES:
        try:
            yield from soak(store, rate, seconds, campaigns)
        except NoServerError as missing:
            yield not_measured(store, str(missing))


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=float, default=TARGET / 2, help="pledges a second")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--store", choices=STORES, default="SQLite")
    asked = parser.parse_args()
    publish(measure(asked), asked, "soak")


if __name__ == "__main__":
    main()
