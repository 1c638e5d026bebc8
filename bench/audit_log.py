"""Logs to audit: made by the engine, with all its rules, in the order of time.

A *life* is what campaigns go through from the submission to the last payout, several hundred of
them at once; *pledges* are a thousand live campaigns that only take pledges, *hot* is a single one.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from app.audit.reader import LogPlace
from app.engine import CampaignDecider, Engine, Outcome
from app.log import open_log
from domain import commands as c
from domain.state import Campaign
from domain.terms import DAY_MS, Choice, Reward, Submission, Terms

Kind = Literal["life", "pledges", "hot"]
KINDS: Final[tuple[Kind, ...]] = ("life", "pledges", "hot")

START: Final = 1_700_000_000_000
BATCH: Final = 5_000
AT_ONCE: Final = 300
"""Campaigns of one generation of lives."""

LIVE: Final = 1_000
PROVIDER: Final = "bench"
CURRENCY: Final = "BRL"
AMOUNTS: Final = (1_000, 2_500, 2_500, 5_000, 5_000, 7_500, 10_000, 25_000)


class History:
    """Feeds commands to an engine on an empty log until there are enough events."""

    def __init__(self, engine: Engine[Campaign], events: int, seed: int = 1) -> None:
        self.now = START
        self.engine = engine
        self._left = events
        self._chance = random.Random(seed)

    def id(self) -> str:
        """A random id, the same in every run."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    @property
    def done(self) -> bool:
        """Whether there are enough events."""
        return self._left <= 0

    def submit(self, commands: Iterable[c.Command], advance_ms: int = 60_000) -> None:
        """Hand in what must all be accepted, some at a time."""
        waiting = iter(commands)
        while some := list(islice(waiting, BATCH)):
            for command, outcome in zip(some, self.engine.submit_many(some), strict=True):
                assert isinstance(outcome, Outcome), f"{command!r}: {outcome!r}"
                self._left -= len(outcome.events)
            self.now += advance_ms

    def do(self, kind: type[c.Command], campaign: str, by: str, **facts: Any) -> c.Command:  # noqa: ANN401
        """A command of the campaign."""
        head: dict[str, Any] = {"campaign_id": campaign, "by": by, "command_id": self.id()}
        return kind(**head, **facts)

    # --- Parts of a life -------------------------------------------------------------------------

    def opening(self, campaign: str, reward: str, goal_minor: int) -> list[c.Command]:
        """What brings a campaign to life, for thirty days."""
        creator, staff = self.id(), f"staff:{self.id()}"
        submission = Submission(
            creator=creator,
            model="all_or_nothing",
            currency=CURRENCY,
            goal_minor=goal_minor,
            deadline_at=self.now + 30 * DAY_MS,
            terms=Terms(),
            rewards=(Reward(reward_id=reward, price_minor=1_000, limit=1_000_000),),
        )
        by = f"creator:{creator}"
        return [
            self.do(c.SubmitCampaign, campaign, by, channel=CHANNEL, submission=submission),
            self.do(c.ApproveCampaign, campaign, staff),
            self.do(c.LaunchCampaign, campaign, by),
        ]

    def pledge(self, campaign: str, reward: str) -> c.MakePledge:
        """A new backer's pledge; every second one with the reward."""
        backer = self.id()
        return c.MakePledge(
            campaign_id=campaign,
            by=f"backer:{backer}",
            command_id=self.id(),
            pledge_id=self.id(),
            backer=backer,
            amount_minor=self._chance.choice(AMOUNTS),
            currency=CURRENCY,
            choices=(Choice(reward),) if self._chance.random() < 0.5 else (),
            payment_method=self.id(),
        )

    def generation(self, sizes: Sequence[int]) -> None:
        """Campaigns with so many pledges each, from the submission to the payout."""
        opened = [(self.id(), self.id(), size) for size in sizes]
        # Two of five have a goal that they will not reach.
        openings = (
            self.opening(
                campaign, reward, size * (2_000 if self._chance.random() < 0.6 else 20_000)
            )
            for campaign, reward, size in opened
        )
        self.submit(command for each in openings for command in each)
        order = [each for each in opened for _ in range(each[2])]
        self._chance.shuffle(order)
        pledges = [self.pledge(campaign, reward) for campaign, reward, _ in order]
        self.submit(pledges)
        self.submit(self._second_thoughts(pledges))
        self.now += 30 * DAY_MS
        self.submit(self.do(c.CloseCampaign, campaign, SYSTEM) for campaign, _, _ in opened)
        won = [each[0] for each in opened if self._is(each[0], lambda s: s.succeeded_at > 0)]
        self._collect(won)
        self.now += 15 * DAY_MS
        self._send_back(won)
        self._pay_out(won)

    def _second_thoughts(self, pledges: Sequence[c.MakePledge]) -> Iterator[c.Command]:
        """A few are withdrawn or revised."""
        for made in pledges:
            by, own = made.by, {"pledge_id": made.pledge_id}
            chance = self._chance.random()
            if chance < 0.02:
                yield self.do(c.WithdrawPledge, made.campaign_id, by, **own)
            elif chance < 0.05:
                more = made.amount_minor + 500
                yield self.do(
                    c.RevisePledge,
                    made.campaign_id,
                    by,
                    **own,
                    amount_minor=more,
                    choices=made.choices,
                )

    def _is(self, campaign: str, looks: Callable[[Campaign], bool]) -> bool:
        return bool(self.engine.inspect(campaign, looks))

    def _collect(self, campaigns: Sequence[str]) -> None:
        """Ask for every charge, and hear of it; one of fifty is declined and tried again."""
        due = [
            (campaign, no, amount_minor)
            for campaign in campaigns
            for no, amount_minor in self.engine.inspect(campaign, _standing) or ()
        ]
        self._chance.shuffle(due)
        for start in range(0, len(due), BATCH):
            some = due[start : start + BATCH]
            declined = [each for each in some if self._chance.random() < 0.02]
            again = set(declined)
            self._charge([each for each in some if each not in again], 1)
            self.submit(
                self.do(c.RequestCollection, campaign, SYSTEM, no=no, attempt=1)
                for campaign, no, _ in declined
            )
            self.submit(
                self.do(
                    c.RecordCollectionFailed,
                    campaign,
                    HEARD,
                    no=no,
                    attempt=1,
                    code="declined",
                    retryable=True,
                    provider=PROVIDER,
                    reference=self.id(),
                )
                for campaign, no, _ in declined
            )
            self._charge(declined, 2)

    def _charge(self, due: Sequence[tuple[str, int, int]], attempt: int) -> None:
        self.submit(
            self.do(c.RequestCollection, campaign, SYSTEM, no=no, attempt=attempt)
            for campaign, no, _ in due
        )
        self.submit(
            self.do(
                c.RecordCollected,
                campaign,
                HEARD,
                no=no,
                attempt=attempt,
                amount_minor=amount_minor,
                provider=PROVIDER,
                reference=self.id(),
                provider_fee_minor=amount_minor // 100,
            )
            for campaign, no, amount_minor in due
        )

    def _send_back(self, campaigns: Sequence[str]) -> None:
        """A refund of half for one pledge of a campaign, a lost dispute for another."""
        refunds, disputes = [], []
        for campaign in campaigns:
            charged = self.engine.inspect(campaign, _charged) or []
            refunds += [(campaign, *each, self.id()) for each in charged[:1]]
            disputes += [(campaign, *each, self.id()) for each in charged[1:2]]
        self.submit(
            self.do(
                c.RequestRefund,
                campaign,
                STAFF,
                no=no,
                refund_id=refund,
                amount_minor=amount_minor // 2,
                cause="goodwill",
            )
            for campaign, no, amount_minor, refund in refunds
        )
        report = {"provider": PROVIDER}
        self.submit(
            self.do(
                c.RecordRefunded,
                campaign,
                HEARD,
                no=no,
                refund_id=refund,
                amount_minor=amount_minor // 2,
                reference=self.id(),
                **report,
            )
            for campaign, no, amount_minor, refund in refunds
        )
        for kind, more in (
            (c.RecordDisputeOpened, {}),
            (c.RecordDisputeLost, {"fee_minor": 1_500}),
        ):
            self.submit(
                self.do(
                    kind,
                    campaign,
                    HEARD,
                    no=no,
                    dispute_id=dispute,
                    amount_minor=amount_minor,
                    **more,
                    **report,
                )
                for campaign, no, amount_minor, dispute in disputes
            )

    def _pay_out(self, campaigns: Sequence[str]) -> None:
        """All that is held goes to the creator."""
        payouts = {campaign: self.id() for campaign in campaigns}
        self.submit(
            self.do(c.VerifyPayoutAccount, campaign, STAFF, account_id=self.id())
            for campaign in campaigns
        )
        self.submit(
            self.do(c.RequestPayout, campaign, STAFF, payout_id=payout)
            for campaign, payout in payouts.items()
        )
        treasurer = f"treasurer:{self.id()}"
        self.submit(
            self.do(c.ApprovePayout, campaign, treasurer, payout_id=payout)
            for campaign, payout in payouts.items()
        )
        sent = []
        for campaign, payout in payouts.items():
            amount_minor = self.engine.inspect(campaign, lambda s: s.figures.on_the_way_minor)
            sent.append(
                self.do(
                    c.RecordPayoutSent,
                    campaign,
                    HEARD,
                    payout_id=payout,
                    amount_minor=amount_minor,
                    provider=PROVIDER,
                    reference=self.id(),
                )
            )
        self.submit(sent)

    # --- The three kinds -------------------------------------------------------------------------

    def lives(self) -> None:
        """Generation after generation, with sizes as campaigns have: most small, a few large."""
        while not self.done:
            campaigns = min(AT_ONCE, max(1, self._left // 200))
            sizes = [
                min(3_000, int(self._chance.paretovariate(0.9) * 12)) for _ in range(campaigns)
            ]
            self.generation(sizes)

    def pledges_only(self, campaigns: int) -> None:
        """Campaigns that take pledges in turn."""
        opened = [(self.id(), self.id()) for _ in range(campaigns)]
        self.submit(
            command for each in opened for command in self.opening(*each, goal_minor=1_000_000)
        )
        while not self.done:
            self.submit(
                [self.pledge(*opened[n % campaigns]) for n in range(min(BATCH, self._left))], 10
            )


CHANNEL: Final = str(uuid.UUID(int=3))
SYSTEM: Final = "system:bench"
HEARD: Final = f"provider:{PROVIDER}"
STAFF: Final = f"staff:{uuid.UUID(int=1)}"


def _standing(state: Campaign) -> list[tuple[int, int]]:
    return [(pledge.no, pledge.amount_minor) for pledge in state.pledges if pledge.status == "made"]


def _charged(state: Campaign) -> list[tuple[int, int]]:
    return [(p.no, p.amount_minor) for p in state.pledges[:10] if p.status == "collected"]


def make(place: LogPlace, kind: Kind, events: int) -> int:
    """Make a log of at least so many events at an empty place; return how many it has."""
    log = open_log(place, Path()) if isinstance(place, str) else open_log("", place)
    history: History
    engine = Engine(log, None, CampaignDecider(), clock=lambda: history.now)
    try:
        history = History(engine, events)
        if kind == "life":
            history.lives()
        else:
            history.pledges_only(LIVE if kind == "pledges" else 1)
        return log.last()[0]
    finally:
        engine.close()
        log.close()
