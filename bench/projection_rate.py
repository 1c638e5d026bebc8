"""How many events a second the follower folds into all views, on one core.

    python -m bench.projection_rate [--events N] [--batch N]

The log is in memory, so only reading bytes, folding and writing are measured. Pledges go to one
campaign, then to a thousand at once; then each is charged; then a campaign's fees and a payout go
through all of its pledges at once.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct

from domain import events as e
from domain.codec import encode, tag_of
from domain.terms import DAY_MS, Line, Reward, Submission, Terms
from projections.runner import BATCH, Follower
from projections.views import ViewsFile

START = 1_700_000_000_000
AMOUNT_MINOR = 2_500


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

    def add(self, kind: type[e.Event], campaign: str, by: str, **facts: Any) -> None:  # noqa: ANN401
        """Append a fact."""
        stream = f"campaign:{campaign}"
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        event = kind(
            stream=stream,
            version=version,
            at=START + len(self.rows) * 10,
            by=by,
            command_id=str(uuid.uuid4()),
            channel=CHANNEL,
            **facts,
        )
        self.rows.append(Row(len(self.rows) + 1, tag_of(event), encode(event)))

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """The rows after a position."""
        return self.rows[after : after + limit]


CHANNEL = str(uuid.uuid4())
BY = "system:bench"


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
    log.add(e.CampaignSubmitted, campaign, BY, submission=submission)
    bound = {"model": "flexible", "currency": "BRL", "goal_minor": 100_000, "terms": terms}
    log.add(e.CampaignLaunched, campaign, BY, **bound, deadline_at=START + 30 * DAY_MS)
    return campaign, reward


def pledge(log: Made, campaign: str, reward: str, no: int) -> None:
    """One pledge; every second one chooses the reward."""
    log.add(
        e.PledgeMade,
        campaign,
        BY,
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
    log.add(e.CollectionRequested, campaign, BY, no=no, attempt=1, amount_minor=AMOUNT_MINOR)
    log.add(
        e.PledgeCollected,
        campaign,
        BY,
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


def pay_out(log: Made, campaign: str, pledges: int) -> None:
    """Success, fees on every pledge, and a payout of half of what each has left."""
    money = {"currency": "BRL", "platform_fee_minor": 125 * pledges}
    log.add(
        e.CampaignSucceeded, campaign, BY, pledged_minor=AMOUNT_MINOR * pledges, pledges=pledges
    )
    span: dict[str, Any] = {"from_no": 1, "to_no": pledges, "except_nos": ()}
    log.add(e.FeesCharged, campaign, BY, **span, **money, processing_fee_minor=50 * pledges)
    span |= {"payout_id": str(uuid.uuid4()), "account_id": str(uuid.uuid4())}
    span |= {"numerator": 1, "denominator": 2}
    log.add(e.PayoutRequested, campaign, BY, **span, milestone_id="")
    half = {"amount_minor": (AMOUNT_MINOR - 175) // 2 * pledges, "debt_minor": 0, "currency": "BRL"}
    log.add(e.PayoutApproved, campaign, BY, **span, **half)


def measure(what: str, follower: Follower, things: int, batch: int) -> None:
    """Fold what is new in the log, and print the rate."""
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    while follower.step(batch):
        pass
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(f"{what:44} {things / seconds:9,.0f} a second, {things / cpu:9,.0f} a CPU second")


def numbered(campaigns: int, pledges: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    """(campaign, no) of pledges that come in by chance."""
    nos = [0] * campaigns
    for _ in range(pledges):
        chosen = chance.randrange(campaigns)
        nos[chosen] += 1
        yield chosen, nos[chosen]


def run(campaigns: int, events: int, batch: int) -> None:
    """Measure one number of campaigns."""
    chance = random.Random(1)
    with TemporaryDirectory() as directory:
        log, file = Made(), ViewsFile(Path(directory) / "views.db")
        opened = [open_campaign(log) for _ in range(campaigns)]
        follower = Follower(log.read, file, log_id=str(uuid.uuid4()))
        follower.catch_up()
        made = list(numbered(campaigns, events, chance))
        for chosen, no in made:
            pledge(log, *opened[chosen], no)
        measure(f"{campaigns:,} campaigns: pledges made", follower, events, batch)
        for chosen, no in islice(made, events // 2):
            charge(log, opened[chosen][0], no)
        measure(f"{campaigns:,} campaigns: charges", follower, events // 2 * 2, batch)
        if campaigns == 1:
            pay_out(log, opened[0][0], events // 2)
            measure("fees and a payout: pledges changed", follower, events // 2 * 2, batch)
        file.close_sync()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=BATCH)
    asked = parser.parse_args()
    for campaigns in (1, 1_000):
        run(campaigns, asked.events, asked.batch)


if __name__ == "__main__":
    main()
