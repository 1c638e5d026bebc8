"""How long a search over 50,000 campaigns takes, from the query to the cards of the page.

    python -m bench.search_rate [--quick] [--json FILE] [--campaigns N] [--queries N]

The campaigns are synthetic: sentences of a few thousand words, English and Chinese, whose
frequencies fall as they do in real texts, so that some words stand in nearly every campaign and
most in few. Measured is the index (which campaigns, in which order, how many in all); the cards of
a page are two reads by key more, measured in the web's own tests.
"""

from __future__ import annotations

import argparse
import random
import time
import uuid
from collections.abc import Iterator, Sequence

from app.search.index import Entry, Order, SearchIndex, State, Wanted, Words
from app.web.categories import CATEGORIES
from bench.databases import directory
from bench.results import RUNS, Result, arguments, publish

DAY_MS = 86_400_000
NOW = 1_770_000_000_000
STATES: tuple[State, ...] = ("live", "well", "otherwise")
BATCH = 1_000
SHARES = (50, 95, 99)


def vocabulary(chance: random.Random) -> list[str]:
    """Three thousand words, a third of them Chinese."""
    syllables = ("ba", "ko", "ri", "ta", "mu", "len", "sho", "dar", "vi", "pel", "no", "gra", "sti")
    words = ["".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(2_000)]
    words += ["".join(chr(chance.randint(0x4E00, 0x5E00)) for _ in range(2)) for _ in range(1_000)]
    chance.shuffle(words)
    return words


def fill(index: SearchIndex, campaigns: int, chance: random.Random, words: list[str]) -> None:
    """Put so many campaigns into the index."""
    weights = [1 / (rank + 1) for rank in range(len(words))]

    def text(length: int) -> str:
        return " ".join(chance.choices(words, weights, k=length))

    channels = [str(uuid.UUID(int=n)) for n in range(12)]
    for start in range(0, campaigns, BATCH):
        entries = [
            Entry(
                key=key,
                campaign_id=str(uuid.UUID(int=chance.getrandbits(128))),
                channel=chance.choice(channels),
                creator=str(uuid.UUID(int=key // 2)),
                state=chance.choices(STATES, (20, 50, 30))[0],
                suspended=chance.random() < 0.01,
                launched_at=NOW - chance.randint(0, 1_000) * DAY_MS,
                deadline_at=NOW + chance.randint(-900, 60) * DAY_MS,
                funded_bps=chance.randint(0, 25_000),
                backers=int(chance.paretovariate(0.9)),
                text=f"{key:064x}",
            )
            for key in range(start + 1, min(start + BATCH, campaigns) + 1)
        ]
        index.keep(entries, start + BATCH)
        index.keep_words(
            (
                entry.key,
                text(2),
                Words(
                    title=text(6),
                    blurb=text(20),
                    story=text(220),
                    category=chance.choice(list(CATEGORIES)),
                    language=chance.choice(("en", "zh-Hans")),
                ),
            )
            for entry in entries
        )


def questions(count: int, chance: random.Random, words: list[str]) -> list[Wanted]:
    """What people ask: often nothing but an order, else one to three words, rare or common, with
    and without filters.
    """
    orders: tuple[Order, ...] = ("featured", "ending", "newest", "nearly", "backed", "best")
    found = []
    for _ in range(count):
        query = " ".join(chance.choices(words, k=chance.choice((0, 1, 1, 2, 3))))
        if query and chance.random() < 0.2:
            query = query[: max(1, len(query) // 2)]
        found.append(
            Wanted(
                query=query,
                state=chance.choice(("", "live", "well")),
                category=chance.choice(("", "", "film")),
                language=chance.choice(("", "", "en")),
                order="best" if query and chance.random() < 0.7 else chance.choice(orders),
                offset=24 * chance.choice((0, 0, 0, 1, 5)),
            )
        )
    return found


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Fill an index, then ask it: each run has other questions."""
    runs, campaigns, queries = RUNS, asked.campaigns, asked.queries
    if asked.quick:
        runs, campaigns, queries = 1, 2_000, 100
    chance = random.Random(7)
    words = vocabulary(chance)
    with directory() as folder:
        index = SearchIndex(folder / "search.db", "bench")
        began = time.perf_counter()
        fill(index, campaigns, chance, words)
        rate = campaigns / (time.perf_counter() - began)
        yield Result(
            name=f"{campaigns:,} campaigns put into the index", unit="campaigns/s", runs=(rate,)
        )
        found = [ask(index, questions(queries, chance, words)) for _ in range(runs)]
        index.close()
    for share in SHARES:
        places = [(len(times) * share // 100, times, spent) for times, spent in found]
        yield Result(
            name=f"{share} % of {queries:,} searches within",
            unit="ms",
            runs=tuple(times[place] for place, times, _ in places),
            note=f"{places[-1][2][places[-1][0]]:.1f} ms of it computing",
        )
    slowest = tuple(times[-1] for times, _ in found)
    yield Result(name="the slowest", unit="ms", runs=slowest)


def ask(index: SearchIndex, wanted: Sequence[Wanted]) -> tuple[list[float], list[float]]:
    """How long each search took, and how long of it was computing, in ms and in order."""
    times, spent = [], []
    for one in wanted:
        began, worked = time.perf_counter(), time.thread_time()
        index.find(one)
        spent.append((time.thread_time() - worked) * 1000)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times), sorted(spent)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=2_000)
    asked = parser.parse_args()
    publish(measure(asked), asked, "search_rate")


if __name__ == "__main__":
    main()
