"""What every follower of the log costs in CPU time per event, and how many events a second that is.

    python -m bench.projection_rate [--quick] [--json FILE] [--present N] [--seconds N]

Pledges of 1,000 all-or-nothing campaigns come in as 38,000 a second would: the views and the
processes follow every quarter of a second, the mails every half, the search index every second. All
of it is one process on one log file, as `tributary follow` has it, and each follower is measured by
itself while nothing else runs. Then the same with a million pledges in the views already. Making
the pledges is not measured; reading, decoding, folding and writing are.

A second part folds other facts, from a log in memory: charges, and a campaign's fees and payout.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from app.settings import load_settings
from app.wiring import Platform, open_platform
from bench.campaigns import open_campaigns, pledges, require_done
from bench.databases import directory
from bench.results import RUNS, Result, arguments, publish
from domain import events as e
from domain.codec import encode, tag_of
from domain.terms import DAY_MS, Choice, Line, Reward, Submission, Terms
from projections.runner import BATCH, Follower
from projections.views import ViewsFile

RATE: Final = 38_000
"""Pledges a second that are to be kept up with."""

STEPS: Final = 4
"""How often a second the views and the processes follow under such a load."""

CAMPAIGNS: Final = 1_000
AT_ONCE: Final = 5_000
"""Pledges that are made in one turn."""

FOLLOWERS: Final = ("views", "processes", "mails", "search index")


# --- Pledges, as they come -----------------------------------------------------------------------


@asynccontextmanager
async def platform_in(folder: Path) -> AsyncIterator[Platform]:
    """A platform without threads of its own: each follower steps when it is told to."""
    async with open_platform(load_settings({}, data_dir=folder)) as platform:
        await platform.news.begin()
        yield platform


class Load:
    """Pledges of many campaigns; every second one chooses a reward."""

    def __init__(self, platform: Platform) -> None:
        self._engine = platform.engine
        reward = Reward(reward_id=str(uuid.UUID(int=4)), price_minor=2_000)
        self._campaigns = open_campaigns(self._engine, CAMPAIGNS, rewards=(reward,))
        self._choice = Choice(reward.reward_id, 1)

    def make(self, count: int) -> None:
        """Let so many be made."""
        while count > 0:
            some = min(count, AT_ONCE)
            plain = pledges(self._campaigns, some // 2)
            chosen = pledges(self._campaigns, some - some // 2, (self._choice,))
            require_done(self._engine.submit_many([*plain, *chosen]))
            count -= some


async def follow(platform: Platform, load: Load, seconds: int) -> dict[str, float]:
    """Let so many seconds' pledges be followed; return the CPU seconds of each follower."""
    used = dict.fromkeys(FOLLOWERS, 0.0)
    for _ in range(seconds):
        for step in range(1, STEPS + 1):
            load.make(RATE // STEPS)
            began = time.process_time()
            platform.follower.catch_up()
            viewed = time.process_time()
            platform.processes.follow()
            followed = time.process_time()
            if step % (STEPS // 2) == 0:
                await platform.news.catch_up()
            told = time.process_time()
            if step == STEPS:
                platform.search.catch_up()
            ended = time.process_time()
            times = viewed - began, followed - viewed, told - followed, ended - told
            for name, each in zip(FOLLOWERS, times, strict=True):
                used[name] += each
    return used


async def keep_up(present: int, seconds: int, runs: int) -> Iterator[Result]:
    """Measure with so many pledges in the views already."""
    with directory() as folder:
        async with platform_in(folder) as platform:
            load = Load(platform)
            for _ in range(present // RATE):
                load.make(RATE)
                platform.follower.catch_up()
                platform.processes.follow()
            await platform.news.catch_up()
            platform.search.catch_up()
            await follow(platform, load, 1)  # what is first made when it is first needed
            found = [await follow(platform, load, seconds) for _ in range(runs)]
    events = seconds * (RATE // STEPS) * STEPS
    after = f", {present:,} there before" if present else ""
    results = [
        Result(
            name=f"{name}{after}",
            unit="µs of CPU an event",
            runs=tuple(used[name] / events * 1e6 for used in found),
        )
        for name in FOLLOWERS
    ]
    totals = [sum(used.values()) / events for used in found]
    results.append(
        Result(
            name=f"all of them{after}",
            unit="events/CPU s",
            runs=tuple(1 / total for total in totals),
            target=RATE,
        )
    )
    return iter(results)


# --- Other facts ---------------------------------------------------------------------------------

START: Final = 1_700_000_000_000
AMOUNT_MINOR: Final = 2_500
CHANNEL: Final = str(uuid.uuid4())
BY: Final = "system:bench"


class Row(Struct, frozen=True, gc=False):
    """A fact as the log gives it; many stay in memory here, so the collector leaves them alone."""

    position: int
    tag: str
    body: bytes


class Made:
    """A log in memory that is made as it is measured."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._versions: dict[str, int] = {}

    def add(self, kind: type[e.Event], campaign: str, **facts: Any) -> None:  # noqa: ANN401 - of any event
        """Append a fact."""
        stream = f"campaign:{campaign}"
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        event = kind(
            stream=stream,
            version=version,
            at=START + len(self.rows) * 10,
            by=BY,
            command_id=str(uuid.uuid4()),
            channel=CHANNEL,
            **facts,
        )
        self.rows.append(Row(len(self.rows) + 1, tag_of(event), encode(event)))

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """The rows after a position."""
        return self.rows[after : after + limit]


def open_campaign(log: Made) -> tuple[str, str]:
    """A campaign that takes pledges, and the reward that it offers."""
    campaign, reward = str(uuid.uuid4()), str(uuid.uuid4())
    terms = Terms(collect_at="pledge")
    submission = Submission(
        creator=str(uuid.uuid4()),
        model="flexible",
        currency="BRL",
        goal_minor=100_000,
        deadline_at=START + 30 * DAY_MS,
        terms=terms,
        rewards=(Reward(reward_id=reward, price_minor=2_000),),
    )
    log.add(e.CampaignSubmitted, campaign, submission=submission)
    bound = {"model": "flexible", "currency": "BRL", "goal_minor": 100_000, "terms": terms}
    log.add(e.CampaignLaunched, campaign, **bound, deadline_at=START + 30 * DAY_MS)
    return campaign, reward


def pledge(log: Made, campaign: str, reward: str, no: int) -> None:
    """One pledge; every second one chooses the reward."""
    log.add(
        e.PledgeMade,
        campaign,
        no=no,
        pledge_id=str(uuid.uuid4()),
        backer=str(uuid.uuid4()),
        amount_minor=AMOUNT_MINOR,
        currency="BRL",
        lines=(Line(reward, 1, 2_000),) if no % 2 else (),
        destination="BR",
        visibility="hidden",
        payment_method=str(uuid.uuid4()),
        hold_id="",
        late=False,
    )


def charge(log: Made, campaign: str, no: int) -> None:
    """Ask for a pledge's charge, and hear that it went through."""
    log.add(e.CollectionRequested, campaign, no=no, attempt=1, amount_minor=AMOUNT_MINOR)
    log.add(
        e.PledgeCollected,
        campaign,
        no=no,
        attempt=1,
        amount_minor=AMOUNT_MINOR,
        currency="BRL",
        provider="test_bank",
        reference=str(uuid.uuid4()),
        provider_fee_minor=50,
        platform_fee_minor=0,
        processing_fee_minor=0,
    )


def pay_out(log: Made, campaign: str, count: int) -> None:
    """Success, fees on every pledge, and a payout of half of what each has left."""
    money = {"currency": "BRL", "platform_fee_minor": 125 * count}
    log.add(e.CampaignSucceeded, campaign, pledged_minor=AMOUNT_MINOR * count, pledges=count)
    span: dict[str, Any] = {"from_no": 1, "to_no": count, "except_nos": ()}
    log.add(e.FeesCharged, campaign, **span, **money, processing_fee_minor=50 * count)
    span |= {"payout_id": str(uuid.uuid4()), "account_id": str(uuid.uuid4())}
    span |= {"numerator": 1, "denominator": 2}
    log.add(e.PayoutRequested, campaign, **span, milestone_id="")
    half = {"amount_minor": (AMOUNT_MINOR - 175) // 2 * count, "debt_minor": 0, "currency": "BRL"}
    log.add(e.PayoutApproved, campaign, **span, **half)


def folded(follower: Follower, things: int) -> float:
    """Fold what is new in the log; return the µs of CPU for each of so many things."""
    began = time.process_time()
    while follower.step(BATCH):
        pass
    return (time.process_time() - began) / things * 1e6


def fold_others(campaigns: int, events: int) -> dict[str, float]:
    """Fold charges, and for one campaign its fees and a payout; return what each took."""
    log, found = Made(), {}
    opened = [open_campaign(log) for _ in range(campaigns)]
    nos = [0] * campaigns
    for number in range(events):
        nos[number % campaigns] += 1
        pledge(log, *opened[number % campaigns], nos[number % campaigns])
    with directory() as folder, closing(_Views(folder)) as views:
        follower = Follower(log.read, views.file, log_id=str(uuid.uuid4()))
        follower.catch_up()
        for (campaign, _), count in zip(opened, nos, strict=True):
            for no in range(1, count + 1):
                charge(log, campaign, no)
        found[f"charges in {campaigns:,} campaigns"] = folded(follower, 2 * events)
        if campaigns == 1:
            pay_out(log, opened[0][0], events)
            found["pledges that fees or a payout change"] = folded(follower, 2 * events)
    return found


class _Views:
    def __init__(self, folder: Path) -> None:
        self.file = ViewsFile(folder / "views.db")

    def close(self) -> None:
        self.file.close_sync()


# --- All -----------------------------------------------------------------------------------------


def measure(asked: argparse.Namespace) -> Iterator[Result]:
    """Measure pledges with few and with many before them, then the other facts."""
    runs, present, seconds, events = RUNS, asked.present, asked.seconds, 20_000
    if asked.quick:
        runs, present, seconds, events = 1, 0, 1, 5_000
    for many in dict.fromkeys((0, present)):
        yield from asyncio.run(keep_up(many, seconds, runs))
    for campaigns in (1, CAMPAIGNS):
        found = [fold_others(campaigns, events) for _ in range(runs)]
        for name in found[0]:
            taken = tuple(each[name] for each in found)
            yield Result(name=name, unit="µs of CPU an event", runs=taken)


def main() -> None:
    """Read the command line and measure."""
    parser = arguments(__doc__)
    parser.add_argument("--present", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=1, help="so many seconds' pledges in a run")
    asked = parser.parse_args()
    publish(measure(asked), asked, "projection_rate")


if __name__ == "__main__":
    main()
